// What the machine's effects do in the simulation: each takes its time, some fail, and none finishes
// on a node that has lost power since.
import { unreachable } from '../../src/core/assert.ts';
import type { Effect, EffectOf } from '../../src/cluster/machine/effect-types.ts';
import type { MachineEvent } from '../../src/cluster/machine/event-types.ts';
import { newFilter, positionOf } from './mirror.ts';
import type { SimNode } from './node.ts';

const THAW_LOOK_MS = 20;

export function carryOut(node: SimNode, effect: Effect): void {
  const { world } = node;
  switch (effect.kind) {
    case 'sendBeat':
      node.send(effect.beat);
      return;
    case 'setLease':
      node.leaseUntilLocal = effect.untilMs;
      world.checkLease(node);
      return;
    case 'probeGateway':
      probeGateway(node, effect.sentAtMs);
      return;
    case 'probeAddress':
      probeAddress(node, effect.sentAtMs);
      return;
    case 'askArbiter':
      world.etcd.ask(
        { node: node.index, id: node.id },
        effect.request,
        effect.timeoutMs / node.rate,
        whileAlive(node, (answer) => node.toMachine({ kind: 'arbiter', op: effect.op, ...answer })),
      );
      return;
    case 'fence':
      fence(node, effect.op);
      return;
    case 'persist':
      persist(node, effect);
      return;
    case 'allowAlone':
      node.overControlChannel(() => world.mirror.allowAlone(node, effect.request));
      return;
    case 'emit':
      world.count(effect.code);
      world.trace(node, `${effect.code}: ${effect.message}`);
      return;
    case 'fenceSelf':
      node.powerOff('fences itself');
      world.queue.after(3000, () => node.powerOn());
      return;
    case 'armWatchdog':
    case 'disarmWatchdog':
    case 'announceAddress':
      return;
    case 'takeAddress':
      later(node, 5 + world.random.below(40), () => {
        node.holdsAddress = true;
        node.toMachine({ kind: 'addressTaken', op: effect.op });
      });
      return;
    case 'releaseAddress':
      later(node, 2, () => {
        node.holdsAddress = false;
        node.toMachine({ kind: 'addressReleased', op: effect.op });
      });
      return;
    default:
      node.pass(effect);
  }
}

export type ServiceEffect = EffectOf<
  'promote' | 'demote' | 'startApplication' | 'stopApplication' | 'escalateStop'
>;

/** What the service does for the machine; it goes on when the cluster process ends, and ends with the service. */
export function serve(node: SimNode, effect: ServiceEffect): void {
  const { random } = node.world;
  const { op } = effect;
  if (effect.kind !== 'promote' && effect.kind !== 'demote') node.overtakeStart();
  switch (effect.kind) {
    case 'promote':
      promote(node, effect);
      return;
    case 'demote':
      demote(node, effect);
      return;
    case 'startApplication':
      startApplication(node, op);
      return;
    case 'stopApplication':
      stopApplication(node, effect);
      return;
    case 'escalateStop':
      inService(node, 30 + random.below(100), () => {
        if (random.chance(0.05)) {
          const message = 'it sleeps in the kernel';
          node.answer({ kind: 'applicationStopFailed', op, message });
          return;
        }
        node.isApplicationUp = false;
        node.stopHangs = false;
        node.answer({ kind: 'applicationStopped', op });
      });
      return;
    default:
      unreachable(effect);
  }
}

/** A step of what the service carries out: it happens unless that service has ended; on a frozen node when it is thawed. */
function inService(node: SimNode, ms: number, work: () => void): void {
  const { serviceLife } = node;
  const { queue } = node.world;
  const run = (): void => {
    if (node.serviceLife !== serviceLife) return;
    if (node.isFrozen) {
      queue.after(THAW_LOOK_MS, run);
      return;
    }
    node.courses -= 1;
    work();
  };
  node.courses += 1;
  queue.after(ms, run);
}

/** Runs `work` after a while, unless the node has lost power since; a frozen one does it when thawed. */
function later(node: SimNode, ms: number, work: () => void): void {
  const alive = whileAlive(node, work);
  node.world.queue.after(ms, () => alive(undefined));
}

function whileAlive<T>(node: SimNode, work: (value: T) => void): (value: T) => void {
  const { life } = node;
  const run = (value: T): void => {
    // A result for a former life of the service is for nobody.
    if (!node.isOn || node.life !== life) return;
    if (node.isFrozen) node.whenAwake(() => run(value));
    else work(value);
  };
  return run;
}

function probeGateway(node: SimNode, sentAtMs: number): void {
  const { world } = node;
  const reached = world.reachesGateway(node.index);
  const tell = (reachable: boolean): void =>
    node.toMachine({ kind: 'gateway', sentAtMs, reachable });
  if (!reached) return;
  const wayMs = world.lan.delay(world.random);
  later(node, wayMs, () => tell(world.reachesGateway(node.index)));
}

function probeAddress(node: SimNode, sentAtMs: number): void {
  const { world } = node;
  const { other } = node;
  later(node, 20 + world.lan.delay(world.random), () => {
    const reached = world.lan.carries(node.index) && world.lan.carries(other.index);
    const answers = reached && other.isOn && !other.isFrozen && other.holdsAddress;
    node.toMachine({ kind: 'addressProbe', sentAtMs, answers });
  });
}

function fence(node: SimNode, op: number): void {
  const { world } = node;
  const { random } = world;
  later(node, 50 + random.below(random.chance(0.8) ? 300 : 3000), () => {
    const off = world.fenceWorks;
    if (off) {
      node.other.powerOff(`fenced by ${node.name}`);
      // Also what was shot after the last fault comes up again.
      if (random.chance(0.7) || world.isWhole)
        world.queue.after(2000 + random.below(3000), () => world.restore(node.other));
    }
    node.toMachine({
      kind: 'fence',
      op,
      off,
      message: off ? 'done' : 'the device does not answer',
    });
  });
}

function persist(node: SimNode, effect: EffectOf<'persist'>): void {
  const { random } = node.world;
  later(node, 1 + random.below(random.chance(0.9) ? 5 : 60), () => {
    if (node.diskFailed && random.chance(0.5)) return;
    node.memo = effect.memo;
    node.toMachine({ kind: 'persisted', version: effect.version });
  });
}

function promote(node: SimNode, effect: EffectOf<'promote'>): void {
  const { world } = node;
  const { random } = world;
  // Asked for again by a service that was restarted after it had been done.
  if (node.filter?.epoch === effect.epoch) {
    node.answer({ kind: 'promoted', op: effect.op, position: positionOf(node.data) });
    return;
  }
  node.hasStandby = false;
  node.processes += 1;
  const { processes } = node;
  world.mirror.cut(node);
  inService(node, 20 + random.below(120), () => {
    if (node.processes !== processes) return;
    if (node.machine?.promotion?.op !== effect.op) {
      // No machine waits for it any more: it does not come to serve.
      world.count('promotion of a machine that is gone');
      node.hasStandby = true;
      return;
    }
    if (random.chance(world.promoteFails) || node.diskFailed) {
      node.answer({ kind: 'promoteFailed', op: effect.op, message: 'the mount failed' });
      return;
    }
    // The machine may not have heard yet what became of the copy.
    if (!effect.accepts.includes(node.data.copy) && !world.bugs.promoteWhileSyncing) {
      const message = `the copy is ${node.data.copy}`;
      node.answer({ kind: 'promoteFailed', op: effect.op, message });
      return;
    }
    node.knownEpoch = Math.max(node.knownEpoch, effect.epoch);
    node.data.epoch = effect.epoch;
    // Durable before anything can be written.
    node.memo = { ...node.memo, epoch: effect.epoch, served: effect.epoch };
    const filter = newFilter(effect.epoch, world.queue.now);
    node.filter = filter;
    world.notePromoted(node, effect);
    world.mirror.start(node, filter);
    node.answer({ kind: 'promoted', op: effect.op, position: positionOf(node.data) });
  });
}

function demote(node: SimNode, effect: EffectOf<'demote'>): void {
  const { world } = node;
  const { random } = world;
  if (!effect.drain) {
    // Nothing that was being mounted may appear afterwards.
    node.filter = null;
    node.processes += 1;
    world.mirror.cut(node);
    inService(node, 10 + random.below(60), () => endDemotion(node, effect.op, false));
    return;
  }
  if (node.filter === null) {
    // Asked for again by a service that was restarted after it had been done.
    inService(node, 10, () => endDemotion(node, effect.op, false));
    return;
  }
  if (random.chance(0.03)) {
    inService(node, 10, () =>
      node.answer({
        kind: 'demoteFailed',
        op: effect.op,
        isBusy: true,
        message: 'a directory is busy',
      }),
    );
    return;
  }
  const until = world.queue.now + 3000;
  const { filter, processes } = node;
  const wait = (): void => {
    if (node.processes !== processes || node.filter !== filter) return;
    const drained = world.mirror.drained(node) && !node.diskFailed;
    if (!drained && world.queue.now < until) {
      inService(node, 20, wait);
      return;
    }
    node.filter = null;
    node.processes += 1;
    world.mirror.cut(node);
    endDemotion(node, effect.op, drained);
  };
  inService(node, 10, wait);
}

function endDemotion(node: SimNode, op: number, clean: boolean): void {
  node.hasStandby = true;
  const copy = node.diskFailed ? 'failed' : node.data.copy;
  const event: MachineEvent = {
    kind: 'demoted',
    op,
    clean,
    copy,
    position: positionOf(node.data),
  };
  node.answer(event);
}

function startApplication(node: SimNode, op: number): void {
  const { random } = node.world;
  const { applicationTurn, serviceLife } = node;
  let isOver = false;
  node.overtakeStart = () => {
    const isWanted = node.applicationTurn === applicationTurn && node.serviceLife === serviceLife;
    if (!isOver && isWanted)
      node.answer({ kind: 'applicationStartFailed', op, message: 'it was given up' });
    isOver = true;
  };
  inService(node, 40 + random.below(200), () => {
    if (node.applicationTurn !== applicationTurn || isOver) return;
    isOver = true;
    if (node.startFails > 0) {
      node.startFails -= 1;
      node.answer({ kind: 'applicationStartFailed', op, message: 'it exits with 1' });
      return;
    }
    if (node.filter === null) return;
    node.isApplicationUp = true;
    node.answer({ kind: 'applicationStarted', op });
  });
}

function stopApplication(node: SimNode, effect: EffectOf<'stopApplication'>): void {
  const { random } = node.world;
  const { op } = effect;
  const { applicationTurn } = node;
  if (node.stopHangs) {
    inService(node, effect.timeoutMs, () =>
      node.answer({ kind: 'applicationStopFailed', op, message: 'it hangs' }),
    );
    return;
  }
  inService(node, 10 + random.below(100), () => {
    if (node.applicationTurn !== applicationTurn) return;
    node.isApplicationUp = false;
    node.isApplicationUnsettled = false;
    node.answer({ kind: 'applicationStopped', op });
  });
}
