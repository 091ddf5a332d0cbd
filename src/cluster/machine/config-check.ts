// Settings that cannot work are refused before a group runs with them; settings that work and have a
// price are said aloud.
import { UnderstudyError } from '../../core/errors.ts';
import { DRIFT, gatewayGapMs, gatewayWaitMs, leaseWaitMs, type Timings } from './timings.ts';
import type { MachineConfig } from './types.ts';

const LIMITS: Readonly<Partial<Record<keyof Timings, readonly [number, number]>>> = {
  heartbeatIntervalMs: [10, 5000],
  deadAfterMs: [100, 60_000],
  leaseMs: [100, 60_000],
  marginMs: [10, 5000],
  gatewayIntervalMs: [10, 5000],
  gatewayStableMs: [20, 10_000],
  arbiterUrgentIntervalMs: [20, 5000],
  arbiterCalmIntervalMs: [100, 60_000],
  arbiterTimeoutMs: [50, 20_000],
  aloneAfterMs: [100, 3_600_000],
  fenceTimeoutMs: [1000, 600_000],
  promoteTimeoutMs: [1000, 3_600_000],
  drainTimeoutMs: [1000, 3_600_000],
  applicationStartTimeoutMs: [1000, 3_600_000],
  applicationStopTimeoutMs: [1000, 3_600_000],
  escalateTimeoutMs: [1000, 600_000],
  restartsMax: [0, 100],
  restartWindowMs: [1000, 86_400_000],
  failureMemoryMs: [1000, 86_400_000],
  holdOffMs: [100, 600_000],
  holdOffMaxMs: [100, 3_600_000],
  failbackAfterMs: [1000, 86_400_000],
};

/**
 * Refuses settings that cannot work. Returns sentences about what the operator should know of the
 * ones that can. Errors: TIMINGS_IMPOSSIBLE, FAILOVER_IMPOSSIBLE.
 */
export function checkConfig(config: MachineConfig): readonly string[] {
  checkTimings(config);
  checkChoices(config);
  return advice(config);
}

/**
 * What no new group is to have, and groups of earlier versions may: they run as they did. Errors: TIMINGS_IMPOSSIBLE.
 */
export function checkNewTimings({
  group,
  timings,
}: Pick<MachineConfig, 'group' | 'timings'>): void {
  if (timings.deadAfterMs >= leastDeadAfterMs(timings)) return;
  throw new UnderstudyError('TIMINGS_IMPOSSIBLE', `group "${group}": ${hasty(timings)}`);
}

/** Errors: TIMINGS_IMPOSSIBLE. */
export function checkTimings(config: Pick<MachineConfig, 'group' | 'timings' | 'arbiter'>): void {
  const { group, timings } = config;
  checkLimits(group, timings);
  for (const [holds, sentence] of relations(config)) {
    if (!holds) throw new UnderstudyError('TIMINGS_IMPOSSIBLE', `group "${group}": ${sentence}`);
  }
}

function checkLimits(group: string, timings: Timings): void {
  for (const [key, [least, most]] of Object.entries(LIMITS)) {
    const value = timings[key as keyof Timings];
    if (value >= least && value <= most) continue;
    throw new UnderstudyError(
      'TIMINGS_IMPOSSIBLE',
      `group "${group}": ${key} is ${value}, and has to be from ${least} to ${most}`,
    );
  }
}

/** What must hold between timings, and what to say when it does not. */
function relations({
  timings: t,
  arbiter,
}: Pick<MachineConfig, 'timings' | 'arbiter'>): [boolean, string][] {
  const always: [boolean, string][] = [
    [t.deadAfterMs >= t.heartbeatIntervalMs * 3, hasty(t)],
    [
      t.leaseMs >= t.heartbeatIntervalMs * 4,
      `a lease of ${t.leaseMs} ms is renewed by heartbeats every ${t.heartbeatIntervalMs} ms: a short delay would stop the application. Set lease to at least ${t.heartbeatIntervalMs * 4} ms`,
    ],
    [
      t.aloneAfterMs >= t.deadAfterMs,
      `a primary would go on alone after ${t.aloneAfterMs} ms, before the standby counts as lost (${t.deadAfterMs} ms). Set aloneAfter to at least ${t.deadAfterMs} ms`,
    ],
    [
      t.holdOffMaxMs >= t.holdOffMs,
      `the longest pause between attempts (${t.holdOffMaxMs} ms) is below the first (${t.holdOffMs} ms)`,
    ],
  ];
  if (arbiter === 'gateway') return [...always, ...gatewayRelations(t)];
  if (arbiter !== 'etcd') return always;
  return [
    ...always,
    [
      t.leaseMs * (1 - DRIFT) > t.arbiterTimeoutMs * 2,
      `a lease of ${t.leaseMs} ms leaves no time to ask etcd a second time (${t.arbiterTimeoutMs} ms each). Set lease above ${Math.ceil((t.arbiterTimeoutMs * 2) / (1 - DRIFT))} ms`,
    ],
    [
      t.arbiterUrgentIntervalMs <= t.leaseMs / 3,
      `etcd would be asked every ${t.arbiterUrgentIntervalMs} ms to renew a lease of ${t.leaseMs} ms. Set lease to at least ${t.arbiterUrgentIntervalMs * 3} ms`,
    ],
  ];
}

/** What a heartbeat says counts while it is younger than this, less its delay: two may be lost. */
function leastDeadAfterMs({ heartbeatIntervalMs, marginMs }: Timings): number {
  return Math.ceil((heartbeatIntervalMs * 3 + marginMs) / (1 - DRIFT));
}

function hasty(t: Timings): string {
  return `a node counts as dead after ${t.deadAfterMs} ms, heartbeats come every ${t.heartbeatIntervalMs} ms and may take ${t.marginMs} ms: one lost heartbeat would look like a dead node. Set deadAfter to at least ${leastDeadAfterMs(t)} ms`;
}

function gatewayRelations(t: Timings): [boolean, string][] {
  const gap = gatewayGapMs(t);
  return [
    [
      t.leaseMs > gap,
      `the gateway is asked every ${t.gatewayIntervalMs} ms for a lease of ${t.leaseMs} ms. Set lease above ${gap} ms`,
    ],
    [
      t.deadAfterMs >= gap * 2,
      `a gap of ${gap} ms in the gateway's answers goes unnoticed, and a node counts as dead after ${t.deadAfterMs} ms. Set deadAfter to at least ${gap * 2} ms`,
    ],
    [
      t.gatewayStableMs >= t.heartbeatIntervalMs * 2,
      `the gateway's word counts after ${t.gatewayStableMs} ms, in which fewer than two heartbeats are sent. Set gatewayStable to at least ${t.heartbeatIntervalMs * 2} ms`,
    ],
  ];
}

function checkChoices(config: MachineConfig): void {
  const { arbiter, fencing, failback, preferred, self, peer } = config;
  const refuse = (sentence: string): never => {
    throw new UnderstudyError('FAILOVER_IMPOSSIBLE', `group "${config.group}": ${sentence}`);
  };
  if (arbiter === 'none' && fencing === 'best-effort') {
    refuse('without an arbiter nothing but fencing proves that a node is down: write "required"');
  }
  if (failback && preferred === null) refuse('failback needs a preferred node');
  if (preferred !== null && preferred !== self.id && preferred !== peer.id) {
    refuse(`the preferred node is neither "${self.name}" nor "${peer.name}"`);
  }
}

function advice({ arbiter, fencing, timings: t, ...config }: MachineConfig): string[] {
  const sentences: string[] = [];
  const say = (holds: boolean, sentence: string): void => {
    if (holds) sentences.push(sentence);
  };
  say(
    arbiter === 'none' && fencing === 'off',
    'no arbiter and no fencing: a node takes over by itself only when the other one has said goodbye; in every other case it waits for a person. Add an arbiter (a gateway address is enough) or fencing',
  );
  say(
    arbiter === 'none' && fencing !== 'off' && t.fenceTimeoutMs > t.aloneAfterMs - t.deadAfterMs,
    `a fence agent that takes longer than ${Math.max(0, t.aloneAfterMs - t.deadAfterMs)} ms is too late to prove that the other node did not go on alone: the standby then waits for it to come back. Raise aloneAfter, or add an arbiter`,
  );
  say(
    arbiter === 'gateway',
    'the arbiter "gateway" relies on this: two nodes that both reach it reach each other. A lone primary that loses the gateway stops',
  );
  const waitMs = arbiter === 'gateway' ? gatewayWaitMs(t) : leaseWaitMs(t);
  say(
    arbiter !== 'none' && waitMs > t.deadAfterMs * 1.2,
    `the other node takes over ${Math.round(waitMs)} ms after the last heartbeat, since the lease has to end first, not after deadAfter (${t.deadAfterMs} ms)`,
  );
  say(
    config.availabilityFirst,
    'availability first: a takeover may lose commits that the other node acknowledged alone',
  );
  say(!config.automatic, 'automatic failover is off: only commands move the primary');
  return sentences;
}
