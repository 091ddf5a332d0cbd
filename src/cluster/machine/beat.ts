// The heartbeat of a group, made from the state. Making it is also the moment of promising.
import type { Draft } from './draft.ts';
import { consentsTo } from './election.ts';
import { networkHealth } from './gateway.ts';
import { asksForLease, makeGrant, ownEpoch } from './lease.ts';
import { applicationHealth, isComplete, isStale, type MachineState } from './state.ts';
import type { AloneMark, GroupBeat } from './types.ts';

/** Sends the present state to the peer. */
export function sendBeat(d: Draft): void {
  const { s, now } = d;
  const peer = s.peer.beat;
  const grants = peer !== null && consentsTo(s, peer, now);
  const grant = makeGrant(d, grants);
  s.lastBeatMs = now;
  d.do({ kind: 'sendBeat', beat: { ...describe(s, now), grant } });
}

function describe(s: MachineState, now: number): Omit<GroupBeat, 'grant'> {
  return {
    role: s.role,
    epoch: ownEpoch(s),
    tried: Math.max(s.triedEpoch, ownEpoch(s)),
    served: s.memo.served,
    data: s.data,
    copy: s.copy,
    stale: isStale(s),
    fresh: isComplete(s),
    alone: s.role === 'primary' && s.alone.state !== 'together' ? s.alone.mark : null,
    aloneSeen: keptMark(s),
    asks: asksForLease(s),
    offer: s.offer,
    declined: s.declined,
    demand: demandOf(s),
    disk: s.health.disk,
    network: networkHealth(s, now),
    application: applicationHealth(s),
    paused: s.memo.paused,
    leaving: s.leaving,
  };
}

/**
 * Under an engine that votes, a node that starts may believe the engine: only what survives a crash
 * counts as noted. Otherwise it believes nobody until it has heard the peer.
 */
function keptMark(s: MachineState): AloneMark | null {
  if (s.config.arbiter !== 'etcd') return s.memo.aloneSeen;
  return s.memoKept === s.memoVersion ? s.memo.aloneSeen : null;
}

function demandOf(s: MachineState): number | null {
  const { promotion } = s;
  return promotion?.right === 'forced' && promotion.stage === 'consent' ? promotion.epoch : null;
}

/** True when the peer should know at once, not with the next regular heartbeat. */
export function isUrgentChange(before: MachineState, after: MachineState): boolean {
  return (
    before.role !== after.role ||
    before.alone !== after.alone ||
    before.offer !== after.offer ||
    before.declined !== after.declined ||
    before.leaving !== after.leaving ||
    before.memoKept !== after.memoKept ||
    before.memo !== after.memo ||
    before.promotion?.stage !== after.promotion?.stage ||
    isNewAsker(before, after)
  );
}

/** The peer has begun to ask: it waits for the answer. */
function isNewAsker(before: MachineState, after: MachineState): boolean {
  const beat = after.peer.beat;
  if (beat === null || !beat.asks || beat === before.peer.beat) return false;
  return before.peer.beat?.asks !== true || before.peer.beat.epoch !== beat.epoch;
}
