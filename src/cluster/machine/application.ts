// Address and application of a primary: started once it is mounted, restarted in place when the
// application fails, handed over when that does not help.
//
//   stopped ─▶ starting ─▶ running ──probe fails──▶ restarting ──stopped──▶ starting
//                 └──start fails──▶ restarting       │ too often
//                                                    ▼
//                                        failed: to the other node, or again after a pause
import { endHoldOff } from './attempts.ts';
import type { Draft } from './draft.ts';
import type { MachineEvent } from './event-types.ts';

/** Starts what can be started now: the application waits for its address. */
export function startService(d: Draft): void {
  const { s } = d;
  if (s.role !== 'primary' || s.demotion !== null) return;
  const { address, application } = s.service;
  if (s.config.hasAddress && address !== 'held') return;
  if (!s.config.hasApplication || application === 'running' || application === 'starting') return;
  start(d);
}

function start(d: Draft): void {
  const applicationOp = d.op();
  d.service({ application: 'starting', applicationOp });
  const timeoutMs = d.s.config.timings.applicationStartTimeoutMs;
  d.do({ kind: 'startApplication', op: applicationOp, timeoutMs });
}

export function onAddressTaken(d: Draft, op: number): void {
  if (d.s.service.address !== 'taking' || d.s.service.addressOp !== op) return;
  const { group, self } = d.s.config;
  if (d.s.service.addressFault !== '') {
    d.emit('info', 'ADDRESS_MENDED', `${self.name} has the address of ${group} now`);
  }
  d.service({ address: 'held', addressFault: '' });
  startService(d);
}

/** Somebody has the address, or it cannot be set. Tried again after a pause. */
export function onAddressFailed(d: Draft, op: number, message: string): void {
  const { s, now } = d;
  if (s.service.address !== 'taking' || s.service.addressOp !== op) return;
  const isKnown = s.service.addressFault === message;
  const retryAtMs = now + s.config.timings.holdOffMs;
  d.service({ address: 'released', addressFault: message, retryAtMs });
  if (isKnown) return;
  const { self, group } = s.config;
  d.emit(
    'error',
    'ADDRESS_FAILED',
    `${self.name} could not take the address of ${group}: ${message}`,
  );
}

/** Given up, they are taken again when nobody answers for them any more. */
export function onAddressConflict(
  d: Draft,
  { why, released }: Extract<MachineEvent, { kind: 'addressConflict' }>,
): void {
  const { s, now } = d;
  d.emit('error', 'ADDRESS_CONFLICT', `somebody else uses the address: ${why}`);
  if (s.service.address !== 'held') return;
  if (!released) {
    d.do({ kind: 'announceAddress' });
    return;
  }
  const retryAtMs = now + s.config.timings.holdOffMs;
  d.service({ address: 'released', addressFault: why, forceAddress: false, retryAtMs });
}

/** Puts the addresses up. */
export function takeAddress(d: Draft): void {
  if (!d.s.config.hasAddress) return;
  const addressOp = d.op();
  d.service({ address: 'taking', addressOp });
  d.do({ kind: 'takeAddress', op: addressOp, force: d.s.service.forceAddress });
}

function retryAddress(d: Draft): void {
  const { s, now } = d;
  const { service, config } = s;
  if (!config.hasAddress || service.address !== 'released' || now < service.retryAtMs) return;
  takeAddress(d);
}

export function onAddressReleased(d: Draft, op: number): void {
  if (d.s.service.address !== 'releasing' || d.s.service.addressOp !== op) return;
  d.service({ address: 'released' });
}

export function onApplicationStarted(d: Draft, op: number): void {
  const { service, config, role } = d.s;
  if (role !== 'primary' || service.application !== 'starting') return;
  if (service.applicationOp !== op) return;
  d.service({ application: 'running' });
  d.emit(
    'info',
    'APPLICATION_RUNS',
    `the application of ${config.group} runs on ${config.self.name}`,
  );
}

export function onApplicationStartFailed(d: Draft, op: number, message: string): void {
  const { service } = d.s;
  if (service.application !== 'starting' || service.applicationOp !== op) return;
  // Given up for the stop that is under way, whose result says how it ends.
  if (d.s.demotion !== null) d.service({ application: 'stopped' });
  else troubled(d, `it did not start: ${message}`);
}

/** The probe's word. */
export function onApplicationProbe(
  d: Draft,
  event: Extract<MachineEvent, { kind: 'application' }>,
): void {
  const { s } = d;
  if (s.role !== 'primary' || s.demotion !== null || s.service.application !== 'running') return;
  if (event.state === 'ok') {
    if (s.health.application === 'failed') s.health = { ...s.health, application: 'ok', why: '' };
    return;
  }
  if (s.memo.paused.on) {
    d.emit(
      'warning',
      'APPLICATION_FAILED',
      `the application failed (${event.why}); the group is paused`,
    );
    return;
  }
  troubled(d, event.why);
}

function troubled(d: Draft, why: string): void {
  const { s, now } = d;
  const { timings, group, self } = s.config;
  const recent = s.service.restartsMs.filter((at) => now - at < timings.restartWindowMs);
  d.emit(
    'error',
    'APPLICATION_FAILED',
    `the application of ${group} failed on ${self.name}: ${why}`,
  );
  if (recent.length >= timings.restartsMax) {
    const health = { application: 'failed', applicationFailedMs: now, why } as const;
    s.health = { ...s.health, ...health };
    d.service({ application: 'failed', restartsMs: recent, retryAtMs: now + s.holdOffMs });
    s.holdOffMs = Math.min(s.holdOffMs * 2, timings.holdOffMaxMs);
    return;
  }
  restart(d, [...recent, now]);
}

function restart(d: Draft, restartsMs: readonly number[]): void {
  const applicationOp = d.op();
  d.service({ application: 'restarting', applicationOp, restartsMs });
  const timeoutMs = d.s.config.timings.applicationStopTimeoutMs;
  d.do({ kind: 'stopApplication', op: applicationOp, timeoutMs });
}

/** The stop of a restart is done, one way or the other. */
export function onRestartStop(d: Draft, op: number, fault: string | null): void {
  const { service, role, demotion, config } = d.s;
  if (service.application !== 'restarting' || service.applicationOp !== op) return;
  if (role !== 'primary' || demotion !== null) return;
  if (fault === null) {
    start(d);
    return;
  }
  const applicationOp = d.op();
  d.service({ applicationOp });
  d.emit(
    'error',
    'STOP_ESCALATED',
    `the application did not stop (${fault}): it is ended by force`,
  );
  const timeoutMs = config.timings.escalateTimeoutMs;
  d.do({ kind: 'escalateStop', op: applicationOp, timeoutMs });
}

/** What failed for good here is tried again after a pause, unless the other node takes it. */
export function retryService(d: Draft): void {
  const { s, now } = d;
  if (s.role !== 'primary' || s.demotion !== null) return;
  endHoldOff(d);
  retryAddress(d);
  if (s.service.application === 'stopped') startService(d);
  if (s.memo.paused.on || s.service.application !== 'failed' || now < s.service.retryAtMs) return;
  restart(d, s.service.restartsMs);
}
