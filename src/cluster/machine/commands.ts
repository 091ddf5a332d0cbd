// What operators ask for. A refusal names what is in the way and the way out.
import type { Draft } from './draft.ts';
import { nextEpoch } from './attempts.ts';
import { startDemotion, startHandover } from './demotion.ts';
import { mayTakeOver } from './evidence.ts';
import type { Command } from './event-types.ts';
import { startPromotion } from './promotion.ts';
import { isStale, type MachineState } from './state.ts';
import { peerCanTake } from './triggers.ts';
import type { CopyState } from './types.ts';

/** Copies that were complete once, and all. */
const CONSISTENT_COPIES: readonly CopyState[] = ['up-to-date', 'catching-up'];
const ALL_COPIES: readonly CopyState[] = [...CONSISTENT_COPIES, 'syncing', 'diverged', 'failed'];
const HALTED: readonly CopyState[] = ['halted'];

export interface Refusal {
  readonly code: string;
  readonly reason: string;
}

/** Carries a command out, or says why not. */
export function onCommand(d: Draft, command: Command): Refusal | null {
  switch (command.kind) {
    case 'switchover':
      return switchover(d);
    case 'takeover':
      return takeover(d, command);
    case 'pause':
      return setPause(d, true);
    case 'resume':
      return setPause(d, false);
    case 'yield':
      return yieldNow(d);
    case 'clear-failures':
      d.s.health = { ...d.s.health, application: 'ok', why: '' };
      d.service({ restartsMs: [], retryAtMs: d.now });
      d.s.holdOffUntilMs = d.now;
      d.s.holdOffMs = d.s.config.timings.holdOffMs;
      d.say('failures of the application are forgotten');
      return null;
    default:
      return leave(d);
  }
}

function switchover(d: Draft): Refusal | null {
  const { s } = d;
  const { self, peer, group } = s.config;
  if (s.role !== 'primary') {
    const reason = `${self.name} is ${s.role} of ${group}: give the command on the primary`;
    return { code: 'NOT_PRIMARY', reason };
  }
  if (s.demotion !== null) return busy(d);
  const obstacle = peerCanTake(s, d.now);
  if (obstacle !== null) {
    const reason = `${group} cannot move to ${peer.name}: ${obstacle}. Wait until "understudy status" shows the copy up-to-date`;
    return { code: 'COPY_NOT_UP_TO_DATE', reason };
  }
  startHandover(d, { cause: 'handover', why: 'asked for by an operator', users: 'told' });
  return null;
}

function busy(d: Draft): Refusal {
  const { group } = d.s.config;
  return {
    code: 'ROLE_CHANGING',
    reason: `the role of ${group} is changing already: ${d.s.reason}`,
  };
}

function takeover(d: Draft, command: Extract<Command, { kind: 'takeover' }>): Refusal | null {
  const { s, now } = d;
  const { self, peer, group } = s.config;
  if (s.role === 'primary') {
    return { code: 'ALREADY_PRIMARY', reason: `${self.name} is the primary of ${group} already` };
  }
  if (s.role !== 'standby') return busy(d);
  if (s.copy === 'halted' && !command.acceptHalted) {
    const reason = `applying is halted on ${self.name}, see "understudy status": run "understudy accept ${group}" there first, or use the copy as of before with --accept-halted`;
    return { code: 'COPY_HALTED', reason };
  }
  const isUsable = CONSISTENT_COPIES.includes(s.copy) || s.copy === 'halted';
  if (!isUsable && !command.acceptIncomplete) {
    const reason = `the copy of ${group} on ${self.name} is ${s.copy}, which is no state that the primary ever had: bring ${peer.name} back, or add --accept-incomplete`;
    return { code: 'COPY_UNUSABLE', reason };
  }
  if (isHeardAsPrimary(s, now) && !command.force) {
    const reason = `${peer.name} is alive and the primary of ${group}: run "understudy switchover ${group}", which loses nothing`;
    return { code: 'TAKEOVER_PRIMARY_ALIVE', reason };
  }
  const danger = dangerOf(s, now);
  if (danger !== null && !command.force) {
    const reason = `it is not safe: ${danger}. Be sure that ${peer.name} does not serve, then add --force`;
    return { code: 'TAKEOVER_NEEDS_FORCE', reason };
  }
  const losesCommits = isStale(s) || s.copy !== 'up-to-date';
  if (losesCommits && !command.acceptStale) {
    const reason = `acknowledged commits are missing in the copy on ${self.name}: bring ${peer.name} back, or give them up with --accept-stale`;
    return { code: 'TAKEOVER_LOSES_COMMITS', reason };
  }
  const accepts = [
    ...(command.acceptIncomplete ? ALL_COPIES : CONSISTENT_COPIES),
    ...(command.acceptHalted ? HALTED : []),
  ];
  const why = 'an operator ordered it';
  takeGoodbyeBack(d);
  startPromotion(d, { right: 'forced', epoch: nextEpoch(s), base: null, accepts, why });
  return null;
}

/** Why the peer may serve, or have what is missing here; null: it is proven that it does not, and has not. */
function dangerOf(s: MachineState, now: number): string | null {
  const { self, peer } = s.config;
  if (s.leaving && !countsOnArbiterOnly(s))
    return `${self.name} has said goodbye, and ${peer.name} may serve on without it`;
  const verdict = mayTakeOver(s, now);
  return verdict.ok ? null : verdict.why;
}

/** A goodbye changes nothing for the other node: it serves as long as the arbiter lets it, and notes there that it is alone. */
const countsOnArbiterOnly = ({ config }: MachineState): boolean => config.arbiter === 'etcd';

/** The other node may not hear of it, and serve on without a lease: its silence proves as little as after a start. */
function takeGoodbyeBack({ s }: Draft): void {
  if (s.leaving && !countsOnArbiterOnly(s)) s.booting = true;
  s.leaving = false;
}

/** What a peer said before it fell silent is no longer so: this node may be primary because of that very silence. */
function isHeardAsPrimary({ peer, config }: MachineState, now: number): boolean {
  return peer.beat?.role === 'primary' && now - peer.heardMs < config.timings.deadAfterMs;
}

function setPause(d: Draft, on: boolean): Refusal | null {
  const { s } = d;
  const { paused } = s.memo;
  if (paused.on === on) {
    d.say(on ? 'the group is paused already' : 'the group is not paused');
    return null;
  }
  d.memo({ paused: { on, version: paused.version + 1 } });
  const what = on
    ? 'paused: nothing moves by itself until "understudy resume"'
    : 'no longer paused';
  d.emit('info', 'PAUSE_CHANGED', `the group is ${what}`);
  return null;
}

function yieldNow(d: Draft): Refusal | null {
  const { s } = d;
  const { self, peer, group } = s.config;
  if (s.role !== 'primary') {
    return { code: 'NOT_PRIMARY', reason: `${self.name} is not a primary of ${group}` };
  }
  if (!isHeardAsPrimary(s, d.now)) {
    const reason = `${peer.name} is no primary of ${group} that is heard: there is nothing to yield to; "understudy switchover ${group}" moves it`;
    return { code: 'YIELD_NO_PRIMARY', reason };
  }
  startDemotion(d, 'yield', 'an operator ended the split brain');
  return null;
}

/** A primary hands over as soon as nothing else is under way. */
function leave(d: Draft): null {
  d.s.leaving = true;
  d.say(`${d.s.config.self.name} is about to be shut down: it takes no part any more`);
  return null;
}
