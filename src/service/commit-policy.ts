// Whether commits wait for the standby: the rule of the replication modes, and guarantee 3.
//
//          standby in step           it has all that was let go      link lost, or no answer for syncTimeout
//   alone ──────────────────▶ joining ─────────────────────▶ together ─────────────────────────────▶ alone
//                                └──────────────link lost, or no answer for syncTimeout────────────────▲
//
// While joining commits wait already, so that what was let go before comes to an end; only `together` is a
// promise: the standby has everything that anybody was told is safe, and may take over.
//
// `alone` is said loudly. With `onStandbyLoss: block` a group that was together stays so: commits
// wait until the standby is back.
//
// A standby that confirms, but late, is treated the same: an application must not hang for minutes
// because much was written at once. Only the sentence differs, so that nobody looks for a dead standby
// where a bandwidth limit or a slow line is the cause.
import type { Ack } from '../mirror/link/frame.ts';

export type CommitState = 'alone' | 'joining' | 'together';

/** A standby counts as in step when it lacks less than this of what was captured. */
export const IN_STEP_BYTES = 1024 * 1024;
const IN_STEP_COPIES: readonly string[] = ['up-to-date', 'catching-up', 'halted'];

export interface CommitPolicyOptions {
  readonly mode: 'sync' | 'memory' | 'async';
  readonly syncTimeoutMs: number;
  readonly onStandbyLoss: 'continue' | 'block';
}

export interface CommitConditions {
  readonly linkUp: boolean;
  readonly ack: Ack | undefined;
  readonly backlogBytes: number;
  /** The standby has confirmed all that was there when the group went on alone: it does answer. */
  readonly hasAnswered: boolean;
  /** It has confirmed all that was captured before commits began to wait. */
  readonly hasJoined: boolean;
  /** How long the oldest commit has been waiting for the standby. */
  readonly oldestWaitMs: number;
  /** How long the link has been down; 0 while it is up. */
  readonly linkDownMs: number;
  /** How long ago the standby last confirmed something new. */
  readonly sinceProgressMs: number;
  /** The bandwidth limit in force, for people; null: none. */
  readonly limit: string | null;
}

export interface CommitDecision {
  readonly state: CommitState;
  /** Why the state changed; undefined when it did not. */
  readonly reason: string | undefined;
}

/** Pure: the next state from the present one. In mode `async` the state is always `alone`. */
export function decideCommits(
  state: CommitState,
  options: CommitPolicyOptions,
  now: CommitConditions,
): CommitDecision {
  if (options.mode === 'async') return { state: 'alone', reason: undefined };
  if (state === 'alone') {
    if (!isInStep(now)) return { state, reason: undefined };
    return { state: 'joining', reason: 'the standby is in step' };
  }
  const lost = lossReason(options, now);
  if (lost !== undefined && (state === 'joining' || options.onStandbyLoss === 'continue')) {
    return { state: 'alone', reason: lost };
  }
  if (state === 'joining' && now.hasJoined) {
    return { state: 'together', reason: 'the standby is in step: commits wait for it again' };
  }
  return { state, reason: undefined };
}

function isInStep({ linkUp, ack, backlogBytes, hasAnswered }: CommitConditions): boolean {
  // A halted copy is applied no further, but everything is on the standby's disk.
  const usable = ack !== undefined && IN_STEP_COPIES.includes(ack.copy);
  return linkUp && usable && hasAnswered && backlogBytes < IN_STEP_BYTES;
}

function lossReason(options: CommitPolicyOptions, now: CommitConditions): string | undefined {
  const { syncTimeoutMs } = options;
  if (now.oldestWaitMs >= syncTimeoutMs) {
    if (now.sinceProgressMs < syncTimeoutMs) return slowReason(options, now);
    return `the standby did not confirm a commit within ${syncTimeoutMs} ms: the group goes on alone`;
  }
  if (now.linkDownMs >= syncTimeoutMs) {
    return `the standby has been unreachable for ${syncTimeoutMs} ms: the group goes on alone`;
  }
  if (
    now.linkUp &&
    now.ack !== undefined &&
    (now.ack.copy === 'syncing' || now.ack.copy === 'diverged')
  ) {
    return `the copy is ${now.ack.copy}: the group goes on alone until it is complete`;
  }
  return undefined;
}

/** The standby is not lost: more is written than gets through. */
function slowReason({ syncTimeoutMs }: CommitPolicyOptions, { limit }: CommitConditions): string {
  const waited = `a commit waited ${syncTimeoutMs} ms`;
  return limit === null
    ? `${waited}: the standby answers, but more is written than the link or the standby takes; the group goes on alone until they have caught up`
    : `${waited} for its turn: the standby answers, but more is written than the bandwidth limit lets through (${limit}); the group goes on alone until it is sent`;
}
