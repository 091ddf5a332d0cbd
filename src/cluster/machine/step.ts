// The deciding machine of one group on one node. Pure: the same code runs in the daemon and in the
// simulation, time comes in, effects go out as data.
//
//                     offer taken · election · takeover · forced
//        ┌─────────┐ ───────────────────────────────────────────▶ ┌───────────┐
//  boot ▶│ standby │                                              │ promoting │
//        └─────────┘ ◀───────────────── doubt ─────────────────── └───────────┘
//           ▲   ▲                                                   │       │
//           │   │  handed over (lease kept until unmounted)         │mounted│ lease over, failed
//           │   └───────────────────────────────┐                   ▼       ▼
//           │                                   │              ┌─────────┐  │
//           │                                   └───────────── │ primary │  │
//           │                                                  └─────────┘  │
//           │ unmounted  ┌──────────┐  lease over, superseded, yield │      │
//           └─────────── │ demoting │ ◀──────────────────────────────┴──────┘
//                        └──────────┘
//
// One step: what time has ended (sanitize) → the event → what the facts now allow (decide) →
// the axes must agree (validate) → lease, timers, heartbeat (after-effects).
//
// Rules it keeps: promotion only when the peer is proven unable to write or the vote is ours; the
// loser stops before the winner may start; nobody starts alone after a black-out; a copy that is not
// up-to-date, or not known to be complete, is never promoted without an operator; a primary that
// meets a higher epoch steps down; the old primary comes back as standby only.
import { assert, unreachable } from '../../core/assert.ts';
import { onAloneWanted, onTogether, recordAlone } from './alone.ts';
import {
  onAddressConflict,
  onAddressFailed,
  onAddressReleased,
  onAddressTaken,
  onApplicationProbe,
  onApplicationStarted,
  onApplicationStartFailed,
  onRestartStop,
  retryService,
} from './application.ts';
import { isUrgentChange, sendBeat } from './beat.ts';
import { onCommand, type Refusal } from './commands.ts';
import { onHeartbeat } from './contact.ts';
import { advanceDemotion, onDemoted, onDemoteFailed, onStopResult } from './demotion.ts';
import { Draft } from './draft.ts';
import type { Effect } from './effect-types.ts';
import type { MachineEvent } from './event-types.ts';
import { onAddressProbe, onGateway, probeAddress, probeGateway } from './gateway.ts';
import { mayHoldLease, updateLease } from './lease.ts';
import { advancePromotion, onFence, onPromoted, onPromoteFailed } from './promotion.ts';
import type { MachineState } from './state.ts';
import { decidePrimary, decideStandby, enforceLease } from './triggers.ts';
import { keepVote, lookAtRecord, onArbiter } from './vote.ts';

export type StepResult =
  | {
      readonly refused: false;
      readonly state: MachineState;
      readonly effects: readonly Effect[];
      /** The sentence for the operator: what the machine did last and why. */
      readonly reason: string;
    }
  | ({ readonly refused: true } & Refusal);

/** One step of the machine. `nowMs` never goes back. Only commands are refused. */
export function step(state: MachineState, event: MachineEvent, nowMs: number): StepResult {
  const d = new Draft(state, nowMs);
  d.s.wakeAtMs = Number.POSITIVE_INFINITY;
  noteSleep(d);
  enforceLease(d);
  const refusal = take(d, event);
  if (refusal !== null) return { refused: true, ...refusal };
  decide(d);
  validate(d.s);
  finish(d, state);
  return { refused: false, state: d.s, effects: d.effects, reason: d.s.reason };
}

/** A machine that slept did not hear, and must not take that for the other one's silence. */
function noteSleep(d: Draft): void {
  const { s, now } = d;
  if (now - s.lastStepMs > s.config.timings.deadAfterMs / 2) s.awakeSinceMs = now;
  s.lastStepMs = now;
}

function take(d: Draft, event: MachineEvent): Refusal | null {
  switch (event.kind) {
    case 'command':
      return onCommand(d, event.command);
    case 'tick':
      break;
    case 'heartbeat':
      onHeartbeat(d, event);
      break;
    case 'gateway':
      onGateway(d, event.sentAtMs, event.reachable);
      break;
    case 'addressProbe':
      onAddressProbe(d, event.sentAtMs, event.answers);
      break;
    case 'arbiter':
      onArbiter(d, event);
      break;
    case 'arbiterChanged':
      lookAtRecord(d);
      break;
    case 'fence':
      onFence(d, event);
      break;
    case 'promoted':
      onPromoted(d, event);
      break;
    case 'promoteFailed':
      onPromoteFailed(d, event);
      break;
    case 'demoted':
      onDemoted(d, event);
      break;
    case 'demoteFailed':
      onDemoteFailed(d, event);
      break;
    default:
      takeLocal(d, event);
  }
  return null;
}

type LocalEvent = Extract<
  MachineEvent,
  {
    readonly kind:
      | 'network'
      | 'health'
      | 'copy'
      | 'commits'
      | 'application'
      | 'addressConflict'
      | 'addressTaken'
      | 'addressFailed'
      | 'addressReleased'
      | 'applicationStarted'
      | 'applicationStartFailed'
      | 'applicationStopped'
      | 'applicationStopFailed'
      | 'persisted';
  }
>;

function takeLocal(d: Draft, event: LocalEvent): void {
  switch (event.kind) {
    case 'network':
      onNetwork(d, event.name, event.up);
      return;
    case 'health':
      onHealth(d, event);
      return;
    case 'copy':
      d.s.copy = event.copy;
      d.s.data = event.position;
      return;
    case 'commits':
      if (event.state === 'together') onTogether(d, event.request, event.why);
      else onAloneWanted(d, event.request);
      return;
    case 'application':
      onApplicationProbe(d, event);
      return;
    case 'persisted':
      d.s.memoKept = Math.max(d.s.memoKept, event.version);
      return;
    default:
      takeServiceResult(d, event);
  }
}

function onNetwork(d: Draft, name: string, up: boolean): void {
  const peer = d.s.config.peer.name;
  if (up) d.emit('info', 'NETWORK_UP', `heartbeats of ${peer} come over ${name}`);
  else d.emit('warning', 'NETWORK_DOWN', `heartbeats of ${peer} no longer come over ${name}`);
}

function onHealth(d: Draft, event: Extract<MachineEvent, { kind: 'health' }>): void {
  const { health } = d.s;
  const { part, state, why } = event;
  if (health[part] === state) return;
  const networkSinceMs = part === 'network' ? d.now : health.networkSinceMs;
  d.s.health = { ...health, [part]: state, networkSinceMs, why };
  const { self, group } = d.s.config;
  if (part === 'readiness') {
    onReadiness(d, state, why);
    return;
  }
  const sentence = `the ${part} of ${self.name} (group ${group}) is ${state === 'ok' ? 'well again' : 'failing'}: ${why}`;
  if (state === 'ok') d.emit('info', 'HEALTH_CHANGED', sentence);
  else d.emit('error', 'HEALTH_CHANGED', sentence);
}

/**
 * What the agents of a standby say. With a reason this node is the second choice wherever there is one; a primary
 * that is gone is taken over from all the same.
 */
function onReadiness(d: Draft, state: 'ok' | 'failed', why: string): void {
  const { self, group } = d.s.config;
  if (state === 'ok') {
    d.emit('info', 'HEALTH_CHANGED', `${self.name} can become the primary of ${group} again`);
    return;
  }
  const sentence = `${self.name} should not become the primary of ${group}: ${why}`;
  d.emit('warning', 'HEALTH_CHANGED', sentence);
}

type ServiceResult = Exclude<
  LocalEvent,
  { readonly kind: 'network' | 'health' | 'copy' | 'commits' | 'application' | 'persisted' }
>;

function takeServiceResult(d: Draft, event: ServiceResult): void {
  switch (event.kind) {
    case 'addressConflict':
      onAddressConflict(d, event);
      return;
    case 'addressTaken':
      onAddressTaken(d, event.op);
      return;
    case 'addressFailed':
      onAddressFailed(d, event.op, event.message);
      return;
    case 'addressReleased':
      onAddressReleased(d, event.op);
      return;
    case 'applicationStarted':
      onApplicationStarted(d, event.op);
      return;
    case 'applicationStartFailed':
      onApplicationStartFailed(d, event.op, event.message);
      return;
    case 'applicationStopped':
      if (!onStopResult(d, event.op, null)) onRestartStop(d, event.op, null);
      return;
    case 'applicationStopFailed':
      if (!onStopResult(d, event.op, event.message)) onRestartStop(d, event.op, event.message);
      return;
    default:
      unreachable(event);
  }
}

/** What the facts, whatever brought them, now allow or demand. */
function decide(d: Draft): void {
  const { s } = d;
  if (s.role === 'primary') {
    decidePrimary(d);
    recordAlone(d);
    retryService(d);
  }
  if (s.role === 'promoting') advancePromotion(d);
  if (s.role === 'standby') decideStandby(d);
  if (s.demotion !== null) advanceDemotion(d);
  keepVote(d);
  probeGateway(d);
  probeAddress(d);
  updateLease(d);
}

/** Combinations of the axes that must not be: a mistake in here ends the process, not the data. */
function validate(s: MachineState): void {
  assert(
    (s.role === 'promoting') === (s.promotion !== null),
    'only a promoting node has a promotion',
  );
  assert(s.role !== 'demoting' || s.demotion !== null, 'a demoting node has a demotion');
  assert(s.role !== 'standby' || s.demotion === null, 'a standby has no demotion');
  assert(s.lease.untilMs === 0 || mayHoldLease(s), 'only a node that serves holds a lease');
  assert(s.offer === null || s.role === 'standby', 'only a standby offers the group');
}

function finish(d: Draft, before: MachineState): void {
  const { s, now } = d;
  const { heartbeatIntervalMs } = s.config.timings;
  if (s.lease.untilMs > 0) s.wakeAtMs = Math.min(s.wakeAtMs, s.lease.untilMs);
  if (s.demotion !== null) s.wakeAtMs = Math.min(s.wakeAtMs, s.demotion.deadlineMs);
  // What is past already is seen to by the next tick: a wake-up for it would only spin.
  if (s.wakeAtMs <= now) s.wakeAtMs = Number.POSITIVE_INFINITY;
  const isDue = now - s.lastBeatMs >= heartbeatIntervalMs * 0.9;
  if (isDue || isUrgentChange(before, s)) sendBeat(d);
}
