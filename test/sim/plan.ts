// What goes wrong in a schedule: faults with a beginning and an end, drawn from the seed.
//
// With the arbiter `gateway` only faults of the kind "a host, cable, card or switch is out" are drawn,
// and none but a sleep is shorter than the gateway's own patience: two nodes that both reach the
// gateway reach each other is what that arbiter relies on. With etcd and with fencing anything goes.
import type { Command } from '../../src/cluster/machine/event-types.ts';
import type { MachineState } from '../../src/cluster/machine/state.ts';
import { gatewayLullMs } from '../../src/cluster/machine/timings.ts';
import type { Random } from '../support/random.ts';
import { type Network, type NodeIndex, otherOf } from './network.ts';
import type { World } from './world.ts';

interface Fault {
  readonly name: string;
  /** It is of one host alone and cuts nothing: with a gateway it may be as short as any. */
  readonly isSleep?: true;
  readonly begin: (world: World) => void;
  readonly end: (world: World) => void;
}

function powerCut(node: NodeIndex): Fault {
  return {
    name: `power off ${node}`,
    begin: (world) => {
      world.keptOff[node] += 1;
      world.nodes[node].powerOff('power cut');
    },
    end: (world) => {
      world.keptOff[node] -= 1;
      world.restore(world.nodes[node]);
    },
  };
}

function blackout(): Fault {
  const [a, b] = [powerCut(0), powerCut(1)];
  return {
    name: 'both lose power',
    begin: (world) => {
      a.begin(world);
      b.begin(world);
    },
    end: (world) => {
      const first = world.random.chance(0.5);
      const gap = world.random.below(1500);
      (first ? a : b).end(world);
      world.queue.after(gap, () => (first ? b : a).end(world));
    },
  };
}

function freeze(node: NodeIndex, what: 'freezes' | 'stalls'): Fault {
  return {
    name: `${what === 'freezes' ? 'freeze' : 'stall the service of'} ${node}`,
    isSleep: true,
    begin: (world) => {
      if (world.nodes[node].isOn) world.nodes[node][what] += 1;
    },
    end: (world) => {
      const target = world.nodes[node];
      if (target[what] === 0) return;
      target[what] -= 1;
      target.awake();
    },
  };
}

/**
 * The primary sleeps until the other one has taken over, lost power and come back: it wakes up beside
 * a standby with newer data than its own.
 */
function sleeper(random: Random): Fault {
  const restartAt = 1800 + random.below(900);
  const wakeAt = restartAt + 300 + random.below(500);
  const stopHangs = random.chance(0.5);
  return {
    name: 'the primary sleeps while the other takes over and restarts',
    begin: (world) => {
      const primary = world.nodes.find((node) => node.machine?.role === 'primary');
      if (primary === undefined) return;
      const sleep = freeze(primary.index, 'freezes');
      const restart = powerCut(otherOf(primary.index));
      sleep.begin(world);
      world.queue.after(restartAt, () => restart.begin(world));
      world.queue.after(restartAt + 100, () => restart.end(world));
      world.queue.after(wakeAt, () => {
        primary.stopHangs = stopHangs;
        sleep.end(world);
      });
    },
    end: () => undefined,
  };
}

function clusterCrash(node: NodeIndex): Fault {
  return {
    name: `kill the cluster process of ${node}`,
    begin: (world) => world.nodes[node].crashMachine(),
    end: (world) => world.nodes[node].rebootMachine(),
  };
}

/** The cluster process ends in the middle of a change of roles, and another one begins. */
function clusterCrashAmid(random: Random): Fault {
  const isOrdered = random.chance(0.7);
  const afterMs = random.below(150);
  const absentMs = 100 + random.below(900);
  let isOver = false;
  const look = (world: World): void => {
    const node = world.nodes.find(({ machine }) => machine !== null && isChanging(machine));
    if (node !== undefined) {
      world.queue.after(afterMs, () => node.crashMachine());
      world.queue.after(afterMs + absentMs, () => node.rebootMachine());
    } else if (!isOver) world.queue.after(20, () => look(world));
  };
  return {
    name: 'kill the cluster process amid a change of roles',
    begin: (world) => {
      if (isOrdered) give(world, { kind: 'switchover' });
      look(world);
    },
    end: () => {
      isOver = true;
    },
  };
}

const isChanging = ({ role, demotion }: MachineState): boolean =>
  role === 'promoting' || demotion !== null;

function serviceCrash(node: NodeIndex): Fault {
  return {
    name: `kill the service of ${node}`,
    begin: (world) => world.nodes[node].killService(),
    end: (world) => world.nodes[node].reviveService(),
  };
}

function cutBoth(pick: (world: World) => Network): Fault {
  return {
    name: 'switch out',
    begin: (world) => {
      pick(world).switchOut += 1;
    },
    end: (world) => {
      pick(world).switchOut -= 1;
    },
  };
}

function cardOut(node: NodeIndex, pick: (world: World) => readonly Network[]): Fault {
  return {
    name: `card out ${node}`,
    begin: (world) => {
      for (const network of pick(world)) network.cardOut[node] += 1;
      world.nodes[node].watchCard();
    },
    end: (world) => {
      for (const network of pick(world)) network.cardOut[node] -= 1;
      world.nodes[node].watchCard();
    },
  };
}

function oneWay(node: NodeIndex, pick: (world: World) => readonly Network[]): Fault {
  return {
    name: `nothing leaves ${node} to the other`,
    begin: (world) => {
      for (const network of pick(world)) network.cutFrom[node] += 1;
    },
    end: (world) => {
      for (const network of pick(world)) network.cutFrom[node] -= 1;
    },
  };
}

function bad(random: Random): Fault {
  const loss = random.below(50) / 100;
  const doubles = random.below(30) / 100;
  const delayMs = random.below(400);
  const set = (world: World, on: boolean): void => {
    for (const network of [world.lan, world.sync]) {
      network.loss = on ? loss : 0;
      network.doubles = on ? doubles : 0;
      network.delayMaxMs = on ? 2 + delayMs : 2;
    }
  };
  const name = `loss ${loss}, doubles ${doubles}, delay ${delayMs} ms`;
  return { name, begin: (world) => set(world, true), end: (world) => set(world, false) };
}

function gatewayOut(): Fault {
  return {
    name: 'gateway out',
    begin: (world) => {
      world.gatewayOut += 1;
    },
    end: (world) => {
      world.gatewayOut -= 1;
    },
  };
}

function etcdCut(which: NodeIndex | 'all'): Fault {
  const add = (world: World, by: number): void => {
    if (which === 'all') world.etcd.out += by;
    else world.etcd.cutFrom[which] += by;
  };
  return {
    name: `etcd away from ${which}`,
    begin: (world) => add(world, 1),
    end: (world) => add(world, -1),
  };
}

/** It has what it had some changes ago, or nothing. */
function etcdForgets(random: Random): Fault {
  const steps = random.pick([1, 3, 10, Number.POSITIVE_INFINITY]);
  return {
    name: `etcd is as it was ${steps} changes ago`,
    begin: (world) => world.etcd.forget(steps),
    end: () => undefined,
  };
}

function etcdSlow(random: Random): Fault {
  const ms = 50 + random.below(900);
  return {
    name: `etcd slow by ${ms} ms`,
    begin: (world) => {
      world.etcd.slowMs = ms;
    },
    end: (world) => {
      world.etcd.slowMs = 0;
    },
  };
}

function fenceBroken(): Fault {
  return {
    name: 'fence device broken',
    begin: (world) => {
      world.fenceWorks = false;
    },
    end: (world) => {
      world.fenceWorks = true;
    },
  };
}

/** The disk fails; at the end an empty new one is there. */
function diskFailure(node: NodeIndex): Fault {
  return {
    name: `disk of ${node} fails`,
    begin: (world) => {
      const target = world.nodes[node];
      target.diskFailed = true;
      target.setCopy('failed');
      target.tellHealth('disk');
      world.disksLost += 1;
    },
    end: (world) => {
      const target = world.nodes[node];
      target.replaceDisk();
    },
  };
}

function applicationTrouble(node: NodeIndex, random: Random): Fault {
  const hangs = random.chance(0.3);
  const startFails = random.below(4);
  return {
    name: `application of ${node} fails, ${startFails} starts fail${hangs ? ', stop hangs' : ''}`,
    begin: (world) => {
      const target = world.nodes[node];
      target.stopHangs = hangs;
      target.startFails = startFails;
      if (!target.isApplicationUp) return;
      target.isApplicationUp = hangs;
      const state = hangs ? 'hung' : 'failed';
      target.toMachine({ kind: 'application', state, why: 'the probe failed' });
    },
    end: (world) => {
      const target = world.nodes[node];
      target.stopHangs = false;
      target.startFails = 0;
      target.toMachine({ kind: 'command', command: { kind: 'clear-failures' } });
    },
  };
}

function give(world: World, given: Command): void {
  const primary = world.nodes.find((node) => node.machine?.role === 'primary');
  const target = given.kind === 'switchover' ? primary : world.random.pick(world.nodes);
  target?.toMachine({ kind: 'command', command: given });
}

function order(what: Command, undo: Command | null): Fault {
  return {
    name: `operator: ${what.kind}`,
    begin: (world) => give(world, what),
    end: (world) => {
      if (undo !== null) give(world, undo);
    },
  };
}

/** Under an engine that votes, even an operator's word makes no second primary; commits it may cost. */
function forcedTakeover(node: NodeIndex): Fault {
  return {
    name: `operator: takeover --force on ${node}`,
    begin: (world) => {
      if (world.nodes[node].config.arbiter !== 'etcd') return;
      world.lossAllowed = true;
      const command = {
        kind: 'takeover',
        force: true,
        acceptStale: true,
        acceptIncomplete: false,
        acceptHalted: false,
      } as const;
      world.nodes[node].toMachine({ kind: 'command', command });
    },
    end: () => undefined,
  };
}

function leave(node: NodeIndex, random: Random): Fault {
  const isCancelled = random.chance(0.3);
  return isCancelled ? cancelledShutdown(node) : shutdown(node, 200 + random.below(2000));
}

function shutdown(node: NodeIndex, afterMs: number): Fault {
  return {
    name: `shut ${node} down`,
    begin: (world) => {
      const target = world.nodes[node];
      target.toMachine({ kind: 'command', command: { kind: 'leave' } });
      world.keptOff[node] += 1;
      world.queue.after(afterMs, () => target.powerOff('shut down'));
    },
    end: (world) => {
      world.queue.after(afterMs, () => {
        world.keptOff[node] -= 1;
        world.restore(world.nodes[node]);
      });
    },
  };
}

/** The node takes part again with another machine. */
function cancelledShutdown(node: NodeIndex): Fault {
  return {
    name: `shut ${node} down, and not after all`,
    begin: (world) => {
      world.nodes[node].toMachine({ kind: 'command', command: { kind: 'leave' } });
    },
    end: (world) => {
      world.nodes[node].crashMachine();
      world.nodes[node].rebootMachine();
    },
  };
}

const both = (world: World): readonly Network[] => [world.lan, world.sync];
const lan = (world: World): readonly Network[] => [world.lan];

/** Faults that every kind of arbiter has to stand. */
function commonFault(random: Random): Fault {
  const node: NodeIndex = random.chance(0.5) ? 0 : 1;
  const kind = random.below(100);
  if (kind < 18) return powerCut(node);
  if (kind < 24) return blackout();
  if (kind < 36) return freeze(node, 'freezes');
  if (kind < 42) return freeze(node, 'stalls');
  if (kind < 46) return random.chance(0.5) ? clusterCrash(node) : serviceCrash(node);
  if (kind < 49) return random.chance(0.5) ? sleeper(random) : clusterCrashAmid(random);
  if (kind < 56) return applicationTrouble(node, random);
  if (kind < 60) return diskFailure(node);
  if (kind < 66) return order({ kind: 'switchover' }, null);
  if (kind < 69) return order({ kind: 'pause' }, { kind: 'resume' });
  if (kind < 71) return leave(node, random);
  if (kind < 73) return forcedTakeover(node);
  if (kind < 80) return cutBoth((world) => world.sync);
  if (kind < 86) return cutBoth((world) => world.lan);
  if (kind < 92) return cardOut(node, lan);
  return cardOut(node, both);
}

function harshFault(random: Random): Fault {
  const node: NodeIndex = random.chance(0.5) ? 0 : 1;
  const kind = random.below(100);
  if (kind < 25) return oneWay(node, both);
  if (kind < 35) return oneWay(node, lan);
  if (kind < 50) return isolate();
  return bad(random);
}

/** The two nodes do not hear each other at all, and everything else works. */
function isolate(): Fault {
  const [a, b] = [oneWay(0, both), oneWay(1, both)];
  return {
    name: 'the nodes are cut from each other',
    begin: (world) => {
      a.begin(world);
      b.begin(world);
    },
    end: (world) => {
      a.end(world);
      b.end(world);
    },
  };
}

function arbiterFault(random: Random, arbiter: string): Fault {
  if (arbiter === 'gateway') return gatewayOut();
  if (arbiter === 'none') return fenceBroken();
  if (random.chance(0.3)) return etcdSlow(random);
  return etcdCut(random.pick([0, 1, 'all'] as const));
}

function draw(random: Random, arbiter: string): Fault {
  if (random.chance(0.15)) return arbiterFault(random, arbiter);
  if (arbiter !== 'gateway' && random.chance(0.4)) return harshFault(random);
  return commonFault(random);
}

/** Edges of faults of a gateway schedule keep this apart. */
const GRID_MS = 900;

/** Puts faults into the queue, between `from` and `until`; after that everything is whole. */
export function planFaults(world: World, arbiter: string, from: number, until: number): void {
  const { random, queue } = world;
  const count = 1 + random.below(5);
  for (let i = 0; i < count; i += 1) {
    const fault = draw(random, arbiter);
    let start = from + random.below((until - from) * 0.8);
    let length = random.chance(0.4) ? 50 + random.below(1200) : 500 + random.below(5000);
    if (arbiter === 'gateway' && fault.isSleep !== true) {
      start = Math.round(start / GRID_MS) * GRID_MS + random.below(40);
      length = Math.max(1, Math.round(length / GRID_MS)) * GRID_MS;
    }
    const end = Math.min(start + length, until);
    queue.at(start, () => {
      world.trace(null, `>>> ${fault.name} (${Math.round(end - start)} ms)`);
      fault.begin(world);
    });
    queue.at(end, () => {
      world.trace(null, `<<< ${fault.name}`);
      fault.end(world);
    });
  }
}

/** Nothing of the node gets out any more, to nobody. */
function isolation(node: NodeIndex): Fault {
  const [cards, etcd] = [cardOut(node, both), etcdCut(node)];
  return {
    name: `${node} is cut off from everything`,
    begin: (world) => {
      cards.begin(world);
      etcd.begin(world);
    },
    end: (world) => {
      cards.end(world);
      etcd.end(world);
    },
  };
}

/** Asleep for a while: what it did not hear meanwhile is no silence of the other one. */
function nap(node: NodeIndex, random: Random): Fault {
  const what = random.chance(0.5) ? 'freezes' : 'stalls';
  const sleep = freeze(node, what);
  const ms = 300 + random.below(3000);
  return {
    name: `${sleep.name}, for ${ms} ms`,
    begin: (world) => {
      sleep.begin(world);
      world.queue.after(ms, () => sleep.end(world));
    },
    end: () => undefined,
  };
}

function primaryLost(random: Random, primary: NodeIndex, arbiter: string): Fault {
  const kind = random.below(100);
  if (kind < 40 || (arbiter === 'none' && kind < 70)) return powerCut(primary);
  if (kind < 55) return freeze(primary, 'freezes');
  if (kind < 70) return isolation(primary);
  if (kind < 85) return cardOut(primary, lan);
  return diskFailure(primary);
}

function otherLost(random: Random, standby: NodeIndex, arbiter: string): Fault {
  const kind = random.below(100);
  if (kind < 20) return powerCut(standby);
  if (kind < 28) return freeze(standby, 'freezes');
  if (kind < 40) return nap(standby, random);
  if (kind < 50) return isolation(standby);
  if (kind < 60) return cutBoth((world) => world.sync);
  if (kind < 70) return diskFailure(standby);
  if (kind < 75) return clusterCrash(standby);
  if (kind < 80) return serviceCrash(standby);
  if (arbiter === 'none') return powerCut(standby);
  if (arbiter === 'gateway') return gatewayOut();
  return random.chance(0.3) ? etcdForgets(random) : etcdCut(random.pick([0, 1, 'all'] as const));
}

const NAP_MS_MIN = 50;

/** A sleep of the standby so short that its copy counts as complete all the same. */
function shortNap(world: World, standby: NodeIndex, afterMs: number): void {
  const { timings } = world.nodes[standby].config;
  const longest = gatewayLullMs(timings) - timings.gatewayIntervalMs * 1.5;
  if (longest <= NAP_MS_MIN) return;
  const ms = NAP_MS_MIN + world.random.below(longest - NAP_MS_MIN);
  const sleep = freeze(standby, world.random.chance(0.5) ? 'freezes' : 'stalls');
  world.hasNap = true;
  world.queue.after(afterMs, () => {
    world.trace(null, `>>> ${sleep.name}, for ${Math.round(ms)} ms`);
    sleep.begin(world);
    world.queue.after(ms, () => sleep.end(world));
  });
}

/** So long before the primary is lost that it has noticed. */
const FORGETS_BEFORE_MS = 3000;

/** One fault in good times, and for good, as the accident table has them. */
export function planSingle(world: World, lost: 'primary' | 'other', at: number): void {
  const { random, queue } = world;
  world.promoteFails = 0;
  if (lost === 'primary' && world.nodes[0].config.arbiter === 'etcd' && random.chance(0.1)) {
    queue.at(at - FORGETS_BEFORE_MS, () => {
      world.etcd.isPrompt = true;
      etcdForgets(random).begin(world);
    });
  }
  queue.at(at, () => {
    const primary = world.nodes.find((node) => node.machine?.role === 'primary');
    if (primary === undefined) return;
    const { index } = primary;
    const { arbiter } = primary.config;
    const fault =
      lost === 'primary'
        ? primaryLost(random, index, arbiter)
        : otherLost(random, otherOf(index), arbiter);
    world.single = fault.name;
    world.etcd.isPrompt = true;
    world.trace(null, `>>> ${fault.name}, for good`);
    fault.begin(world);
    // Fencing without an arbiter proves by time alone that nothing is missing: a sleep may be too long.
    if (lost === 'primary' && arbiter !== 'none' && random.chance(0.3)) {
      shortNap(world, otherOf(index), random.below(1500));
    }
  });
}
