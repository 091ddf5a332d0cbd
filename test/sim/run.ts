// One schedule from its seed: draws a configuration, clocks and faults, runs them, checks the end.
import { AssertionFailure } from '../../src/core/assert.ts';
import { checkNewTimings, checkTimings } from '../../src/cluster/machine/config-check.ts';
import { defaultTimings, fastTimings, type Timings } from '../../src/cluster/machine/timings.ts';
import type { ArbiterKind, FencingPolicy, MachineConfig } from '../../src/cluster/machine/types.ts';
import { Random } from '../support/random.ts';
import type { NodeIndex } from './network.ts';
import { type SimNode, simNodeId } from './node.ts';
import { planFaults, planSingle } from './plan.ts';
import { type Bugs, noBugs, Violation, World } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  readonly bugs?: Bugs;
  /** Timings are any that a group may have, and that are short enough for a schedule. */
  readonly permitted?: boolean;
  readonly traceTo?: (line: string) => void;
  /** Trace every event of the machines too. */
  readonly traceEvents?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly arbiter: ArbiterKind;
  readonly fencing: FencingPolicy;
  /** `undefined`: nothing was wrong. */
  readonly violation: { readonly rule: string; readonly message: string } | undefined;
  readonly acknowledged: number;
  readonly promotions: number;
  readonly virtualMs: number;
  /** From the power-off of a healthy primary to the other node being mounted; null in other schedules. */
  readonly takeoverMs: number | null;
  /** What happened how often, by event code. */
  readonly counts: ReadonlyMap<string, number>;
}

const SETTLE_MS = 2500;
const CALM_MS = 14_000;
const FAILBACK_MS = 1000;
const QUIET_MS = 6000;
const TAKEOVER_MAX_MS = 5000;
const UNDISTURBED_MS = 5000;

const SIM_TIMINGS: Timings = {
  ...defaultTimings,
  arbiterCalmIntervalMs: 1000,
  fenceTimeoutMs: 4000,
  promoteTimeoutMs: 4000,
  drainTimeoutMs: 3000,
  applicationStartTimeoutMs: 3000,
  applicationStopTimeoutMs: 1200,
  escalateTimeoutMs: 800,
  restartsMax: 1,
  restartWindowMs: 5000,
  failureMemoryMs: 4000,
  holdOffMs: 300,
  holdOffMaxMs: 2000,
  failbackAfterMs: 2500,
};

/** The profile `fast`, but for beats that are fewer, to save time. */
const FAST: Partial<Timings> = {
  heartbeatIntervalMs: 40,
  deadAfterMs: fastTimings.deadAfterMs,
  leaseMs: fastTimings.leaseMs,
  marginMs: fastTimings.marginMs,
  gatewayIntervalMs: 40,
  gatewayStableMs: 80,
  arbiterTimeoutMs: fastTimings.arbiterTimeoutMs,
  arbiterUrgentIntervalMs: fastTimings.arbiterUrgentIntervalMs,
};

interface Draw {
  readonly arbiter: ArbiterKind;
  readonly fencing: FencingPolicy;
  readonly configs: readonly [MachineConfig, MachineConfig];
  readonly kind: 'storm' | 'primary' | 'other';
  readonly mode: 'sync' | 'async';
}

function drawSetup(random: Random, permitted: boolean): Draw {
  const kind = random.below(100);
  const arbiter: ArbiterKind = kind < 45 ? 'etcd' : kind < 80 ? 'gateway' : 'none';
  const isFenced = arbiter === 'none' ? random.chance(0.7) : random.chance(0.2);
  const strict = arbiter === 'none' || random.chance(0.5);
  const fencing: FencingPolicy = !isFenced ? 'off' : strict ? 'required' : 'best-effort';
  const mode = random.chance(0.88) ? 'sync' : 'async';
  const timings = permitted ? drawPermitted(random, arbiter) : drawTimings(random);
  const preferred = random.chance(0.4) ? simNodeId(random.chance(0.5) ? 0 : 1) : null;
  const hasAddress = random.chance(0.8);
  const failback = preferred !== null && random.chance(0.4);
  const availabilityFirst = random.chance(0.04);
  const config = (self: NodeIndex): MachineConfig => ({
    group: 'shop',
    self: { id: simNodeId(self), name: self === 0 ? 'alpha' : 'beta' },
    peer: { id: simNodeId(self === 0 ? 1 : 0), name: self === 0 ? 'beta' : 'alpha' },
    mode,
    arbiter,
    fencing,
    hasAddress,
    hasApplication: true,
    automatic: true,
    availabilityFirst,
    preferred,
    failback,
    timings,
  });
  const configs = [config(0), config(1)] as const;
  const what = random.below(100);
  const scenario = what < 80 ? 'storm' : what < 92 ? 'primary' : 'other';
  return { arbiter, fencing, configs, mode, kind: scenario };
}

function drawTimings(random: Random): Timings {
  if (random.chance(0.08)) return { ...SIM_TIMINGS, ...FAST };
  const heartbeatIntervalMs = random.pick([100, 120, 150]);
  const leaseMs = Math.max(random.pick([600, 750, 900]), heartbeatIntervalMs * 5);
  return {
    ...SIM_TIMINGS,
    heartbeatIntervalMs,
    gatewayIntervalMs: Math.min(heartbeatIntervalMs, 120),
    gatewayStableMs: heartbeatIntervalMs * 2,
    leaseMs,
    deadAfterMs: random.pick([900, 1000, 1300]),
  };
}

/** Whatever a new group may have, as far as it is short enough for a schedule. */
function drawPermitted(random: Random, arbiter: ArbiterKind): Timings {
  const between = (least: number, most: number): number => least + random.below(most - least + 1);
  for (;;) {
    const drawn = {
      heartbeatIntervalMs: between(10, 300),
      deadAfterMs: between(100, 1800),
      leaseMs: between(100, 1500),
      marginMs: between(20, 120),
      gatewayIntervalMs: between(10, 300),
      gatewayStableMs: between(20, 800),
      arbiterTimeoutMs: between(50, 400),
      arbiterUrgentIntervalMs: between(20, 400),
      arbiterCalmIntervalMs: between(100, 2500),
      aloneAfterMs: between(100, 2500),
    };
    try {
      const config = { group: 'shop', timings: { ...defaultTimings, ...drawn }, arbiter };
      checkTimings(config);
      checkNewTimings(config);
      return { ...SIM_TIMINGS, ...drawn };
    } catch {
      // Others are drawn.
    }
  }
}

function drawClock(random: Random): { rate: number; offsetMs: number } {
  return { rate: 1 + (random.below(8001) - 4000) / 1e6, offsetMs: 1000 + random.below(100_000) };
}

/** Runs one schedule. The same seed and bugs give the same run. */
export function runSchedule(options: RunOptions): RunResult {
  const { seed, bugs = noBugs, traceTo, traceEvents = false } = options;
  const random = new Random(seed);
  const setup = drawSetup(random, options.permitted === true);
  const clocks = [drawClock(random), drawClock(random)] as const;
  const world = new World({
    random,
    bugs,
    traceTo: traceTo ?? null,
    traceEvents,
    ...setup,
    clocks,
  });
  const { arbiter, fencing } = setup;
  world.trace(null, `seed ${seed}: arbiter ${arbiter}, fencing ${fencing}, mode ${setup.mode}`);
  let takeoverMs: number | null = null;
  let violation: RunResult['violation'];
  try {
    takeoverMs = play(world, setup);
  } catch (thrown) {
    if (!(thrown instanceof Violation) && !(thrown instanceof AssertionFailure)) throw thrown;
    const rule = thrown instanceof Violation ? thrown.rule : 'assertion';
    violation = { rule, message: thrown.message };
    world.trace(null, `VIOLATION ${thrown.message}`);
  }
  return {
    seed,
    arbiter,
    fencing,
    violation,
    acknowledged: world.acknowledged,
    promotions: world.promotions.length,
    virtualMs: world.queue.now,
    takeoverMs,
    counts: world.counts,
  };
}

function play(world: World, setup: Draw): number | null {
  const { queue, random, nodes } = world;
  queue.at(random.below(300), () => nodes[0].powerOn());
  queue.at(random.below(300), () => nodes[1].powerOn());
  if (setup.kind !== 'storm') return playSingle(world, setup, setup.kind);
  const until = SETTLE_MS + 4000 + random.below(6000);
  planFaults(world, setup.arbiter, SETTLE_MS, until);
  // Ends of some faults take a little longer, and what was fenced has to be switched on again.
  queue.at(until + 2800, () => makeWhole(world));
  queue.run(until + 3000 + CALM_MS - QUIET_MS);
  const before = world.promotions.length;
  queue.run(queue.now + QUIET_MS);
  // A failback at the last moment is let finish.
  if (world.promotions.length !== before) queue.run(queue.now + FAILBACK_MS);
  checkEnd(world, setup, before);
  return null;
}

function makeWhole(world: World): void {
  world.isWhole = true;
  for (const node of world.nodes) {
    world.restore(node);
    if (node.machine?.memo.paused.on === true) {
      node.toMachine({ kind: 'command', command: { kind: 'resume' } });
    }
  }
}

/** One fault, for good: of the primary, which the other has to replace, or elsewhere. */
function playSingle(world: World, setup: Draw, lost: 'primary' | 'other'): number | null {
  const { queue, nodes } = world;
  const at = 6000 + world.random.below(1000);
  planSingle(world, lost, at);
  queue.run(at - 1);
  const primary = nodes.find((node) => node.machine?.role === 'primary');
  const isReady = primary?.machine?.alone.state === 'together' && primary.isApplicationUp;
  const before = world.promotions.length;
  const acknowledged = world.acknowledged;
  queue.run(at + (lost === 'primary' ? TAKEOVER_MAX_MS : UNDISTURBED_MS));
  // A mount that just failed at the start, or a failback that is due, is another matter.
  if (!isReady || setup.configs[0].failback) return null;
  if (lost === 'other') return checkUndisturbed(world, primary, { before, acknowledged });
  return checkTakenOver(world, setup, primary, at);
}

function checkUndisturbed(
  world: World,
  primary: SimNode,
  was: { readonly before: number; readonly acknowledged: number },
): null {
  const isSame = primary.machine?.role === 'primary' && world.promotions.length === was.before;
  if (!isSame)
    throw new Violation('undisturbed', `${primary.name} did not stay primary: ${world.single}`);
  if (world.acknowledged === was.acknowledged) {
    throw new Violation('undisturbed', `nothing was acknowledged any more: ${world.single}`);
  }
  return null;
}

function checkTakenOver(world: World, setup: Draw, primary: SimNode, at: number): number | null {
  const { other } = primary;
  const done = world.promotions.find((promotedAt) => promotedAt > at);
  if (done !== undefined) {
    const isPlain = world.single.startsWith('power') && !world.hasNap && setup.fencing === 'off';
    return isPlain ? done - at : null;
  }
  // Without an arbiter a person has to say so, or a fence agent that may be slow.
  if (setup.fencing !== 'off' || setup.arbiter === 'none') return null;
  const why = `nobody took over within ${TAKEOVER_MAX_MS} ms after ${world.single}`;
  throw new Violation('takeover', `${why}: ${other.machine?.reason ?? ''}`);
}

function checkEnd(world: World, setup: Draw, promotionsBefore: number): void {
  const { nodes } = world;
  if (world.promotions.length !== promotionsBefore && !setup.configs[0].failback) {
    throw new Violation('no-flapping', 'somebody became primary long after everything was whole');
  }
  const primaries = nodes.filter((node) => node.machine?.role === 'primary');
  const [primary] = primaries;
  if (primaries.length > 1) throw new Violation('one-primary', 'both are primary at the end');
  if (primary === undefined) {
    // With a disk gone, the last complete copy may be gone: a person decides.
    if (world.disksLost > 0) return;
    // With availability first, two histories may have begun: a person chooses between them.
    if (setup.configs[0].availabilityFirst) return;
    const reasons = nodes.map((node) => `${node.name}: ${node.machine?.reason ?? 'no machine'}`);
    throw new Violation('one-primary', `nobody is primary at the end. ${reasons.join('. ')}`);
  }
  world.checkAcknowledged(primary, 'serves at the end');
  if (!primary.isApplicationUp || !primary.isLeased) {
    throw new Violation('one-primary', `${primary.name} is primary and does not serve`);
  }
}
