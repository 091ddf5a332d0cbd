// The way from primary to standby.
//
//   handover (lease kept)   application ──stopped──▶ unmount (drained) ──▶ standby, offers the group
//                                └──cannot be stopped, directory busy──▶ primary as before, after a pause
//   otherwise (lease gone)  application ──stopped──▶ unmount ──▶ standby
//                                └──hangs──▶ escalated ──hangs──▶ stuck: this machine ends itself
import type { Draft } from './draft.ts';
import { seconds } from './draft.ts';
import { startService, takeAddress } from './application.ts';
import { holdOff, nextEpoch } from './attempts.ts';
import type { MachineEvent } from './event-types.ts';
import { updateLease } from './lease.ts';
import type { Demotion, MachineState } from './state.ts';

/** Gives up the lease at once, then stops everything. */
export function startDemotion(
  d: Draft,
  cause: Exclude<Demotion['cause'], 'handover' | 'leave'>,
  why: string,
): void {
  const { s } = d;
  const stopping = s.demotion;
  // A promotion that was not finished has acknowledged nothing: what was known of the data holds.
  s.fresh = s.role === 'promoting' && s.fresh;
  s.role = 'demoting';
  if (s.promotion?.right === 'offer') s.declined = s.promotion.epoch;
  s.promotion = null;
  updateLease(d);
  d.do({ kind: 'disarmWatchdog' });
  if (cause === 'lease' || cause === 'aborted') d.emit('error', 'STEPS_DOWN', why);
  else d.emit('warning', 'STEPS_DOWN', why);
  releaseAddress(d);
  // What a handover has begun goes on, without the lease.
  if (stopping === null) stopApplication(d, cause, why);
  else if (stopping.stage === 'unmount') unmount(d, cause, why);
  else s.demotion = { ...stopping, cause, why };
}

/** Stops everything in order, lets the standby have all of it, and offers it the group. `users`: see {@link Demotion}. */
export function startHandover(
  d: Draft,
  { cause, why, users }: Pick<Demotion, 'why' | 'users'> & { cause: 'handover' | 'leave' },
): void {
  const { s } = d;
  d.emit('info', 'HANDING_OVER', `${s.config.self.name} hands ${s.config.group} over: ${why}`);
  stopApplication(d, cause, why, users);
}

function stopApplication(
  d: Draft,
  cause: Demotion['cause'],
  why: string,
  users: Demotion['users'] = 'told',
): void {
  const { s, now } = d;
  const { hasApplication, timings } = s.config;
  if (!hasApplication || s.service.application === 'stopped') {
    unmount(d, cause, why, users);
    return;
  }
  const op = d.op();
  const timeoutMs = timings.applicationStopTimeoutMs;
  s.demotion = { cause, why, users, stage: 'application', op, deadlineMs: now + timeoutMs };
  d.do({ kind: 'stopApplication', op, timeoutMs });
}

function releaseAddress(d: Draft): void {
  const { address } = d.s.service;
  if (address === 'released' || address === 'releasing') return;
  const addressOp = d.op();
  d.service({ address: 'releasing', addressOp, addressFault: '' });
  d.do({ kind: 'releaseAddress', op: addressOp });
}

function unmount(
  d: Draft,
  cause: Demotion['cause'],
  why: string,
  users: Demotion['users'] = 'told',
): void {
  const { s, now } = d;
  const drain = isToMove(s, cause);
  releaseAddress(d);
  const op = d.op();
  const timeoutMs = s.config.timings.drainTimeoutMs;
  s.demotion = { cause, why, users, stage: 'unmount', op, deadlineMs: now + timeoutMs * 1.5 };
  d.do({ kind: 'demote', op, drain, stays: isToStay(s, cause), timeoutMs });
}

/**
 * Somebody is to go on with it. Where both nodes are shut down nobody is, and a stream that was closed says of neither that it
 * has everything, once both have been started again: this node keeps its data as that of the last primary.
 */
function isToMove({ peer }: MachineState, cause: Demotion['cause']): boolean {
  return cause === 'handover' || (cause === 'leave' && !peer.left);
}

/** In maintenance a node that is shut down does not move the group. */
const isToStay = ({ memo }: MachineState, cause: Demotion['cause']): boolean =>
  cause === 'leave' && memo.paused.on;

/** True when the event belonged to the demotion. */
export function onStopResult(d: Draft, op: number, fault: string | null): boolean {
  const { demotion } = d.s;
  if (demotion === null || demotion.op !== op) return false;
  if (demotion.stage !== 'application' && demotion.stage !== 'escalated') return false;
  if (fault === null) {
    d.service({ application: 'stopped' });
    unmount(d, demotion.cause, demotion.why, demotion.users);
  } else {
    stopHangs(d, demotion, fault);
  }
  return true;
}

function stopHangs(d: Draft, demotion: Demotion, fault: string): void {
  const { s } = d;
  const { self, group } = s.config;
  if (demotion.stage === 'application') {
    endByForce(d, demotion, `the application of ${group} did not stop (${fault}): it is`);
    return;
  }
  if (s.role === 'primary') {
    keepServing(d, `the application cannot be stopped (${fault})`);
    return;
  }
  s.demotion = { ...demotion, stage: 'stuck', deadlineMs: Number.POSITIVE_INFINITY };
  const why = `the application of ${group} cannot be ended on ${self.name} (${fault})`;
  d.emit('error', 'FENCES_ITSELF', `${why}: the machine is restarted`);
  d.do({ kind: 'fenceSelf', why });
}

function endByForce(d: Draft, demotion: Demotion, what: string): void {
  const { s, now } = d;
  const timeoutMs = s.config.timings.escalateTimeoutMs;
  const op = d.op();
  s.demotion = { ...demotion, users: 'gone', stage: 'escalated', op, deadlineMs: now + timeoutMs };
  d.emit('error', 'STOP_ESCALATED', `${what} ended by force`);
  d.do({ kind: 'escalateStop', op, timeoutMs });
}

/** A handover that failed leaves the group in service here, and is tried again after a pause. */
function keepServing(d: Draft, why: string): void {
  const { s } = d;
  const users = s.demotion?.users ?? 'told';
  s.demotion = null;
  s.leaving = false;
  s.wellSinceMs = d.now;
  s.handoversFailed += 1;
  const { self, group } = s.config;
  d.emit('error', 'HANDOVER_FAILED', `${self.name} stays primary of ${group}: ${why}`);
  // Where nobody asked for it, it would begin anew at once.
  if (users !== 'told') holdOff(d);
  // What was asked to stop may have done so in part, or may still be about to.
  if (s.service.application === 'running') d.service({ application: 'stopped' });
  if (s.service.address !== 'held') takeAddress(d);
  startService(d);
}

/** Deadlines of the stages. */
export function advanceDemotion(d: Draft): void {
  const { demotion } = d.s;
  if (demotion === null || d.now < demotion.deadlineMs) return;
  const fault = `no end within ${seconds(d.s.config.timings.applicationStopTimeoutMs)}`;
  if (demotion.stage === 'unmount') {
    if (d.s.role === 'primary') startDemotion(d, 'aborted', 'the handover does not come to an end');
    else unmount(d, demotion.cause, demotion.why);
  } else {
    stopHangs(d, demotion, fault);
  }
}

export function onDemoted(d: Draft, event: Extract<MachineEvent, { kind: 'demoted' }>): void {
  const { s } = d;
  const { demotion } = s;
  if (demotion?.stage !== 'unmount' || demotion.op !== event.op) return;
  const { cause } = demotion;
  const wasPlanned = s.role === 'primary';
  s.role = 'standby';
  s.demotion = null;
  s.copy = event.copy;
  s.data = event.position;
  s.alone = { ...s.alone, state: 'together' };
  s.fresh = wasPlanned || (cause === 'aborted' && s.fresh);
  updateLease(d);
  d.do({ kind: 'disarmWatchdog' });
  d.service({ application: 'stopped', restartsMs: [] });
  const { self, group } = s.config;
  if (cause === 'lease' || cause === 'aborted') holdOff(d);
  if (wasPlanned && event.clean && !isToStay(s, cause)) {
    const epoch = nextEpoch(s);
    s.triedEpoch = epoch;
    s.offer = { epoch, position: event.position };
  }
  d.emit('info', 'BECAME_STANDBY', `${self.name} is standby of ${group}: ${demotion.why}`);
  if (wasPlanned && !event.clean && isToMove(s, cause)) {
    const what = `the stream of ${group} was not ended in order on ${self.name}`;
    d.emit('error', 'HANDOVER_FAILED', `${what}: whoever has the newest data serves`);
  }
}

export function onDemoteFailed(
  d: Draft,
  event: Extract<MachineEvent, { kind: 'demoteFailed' }>,
): void {
  const { demotion, role } = d.s;
  if (demotion?.stage !== 'unmount' || demotion.op !== event.op) return;
  if (role === 'primary' && d.s.leaving) startDemotion(d, 'aborted', event.message);
  else if (role === 'primary' && event.isBusy && demotion.users === 'ended')
    endByForce(d, demotion, `${event.message}: what uses the directories is`);
  else if (role === 'primary') keepServing(d, event.message);
  else unmount(d, demotion.cause, demotion.why);
}
