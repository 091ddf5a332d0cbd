// Everything around the two machines, and what is watched all the time.
//
// Checked at every moment:
//   one-writer      at no time two nodes have a valid lease, and no write or acknowledgement happens
//                   without one, or in an older epoch than another before it
//   no-loss         a node that becomes primary by itself has every acknowledged commit (mode sync)
// Checked at the end, when everything has been whole for a while:
//   one-primary     exactly one node serves, unless a person really is needed
//   no-flapping     nobody becomes primary any more
import type { Datagram } from '../../src/cluster/heartbeat/datagram.ts';
import type { EffectOf } from '../../src/cluster/machine/effect-types.ts';
import type { MachineState } from '../../src/cluster/machine/state.ts';
import type { MachineConfig } from '../../src/cluster/machine/types.ts';
import { Random } from '../support/random.ts';
import { Etcd } from './etcd.ts';
import { Mirror } from './mirror.ts';
import { Network, type NodeIndex } from './network.ts';
import { SimNode } from './node.ts';
import { EventQueue } from './queue.ts';

/** Mistakes put in on purpose, to see that they are found. */
export interface Bugs {
  readonly dropLeaseCheck: boolean;
  readonly skipEpochCheck: boolean;
  readonly promoteWhileSyncing: boolean;
}
export const noBugs: Bugs = {
  dropLeaseCheck: false,
  skipEpochCheck: false,
  promoteWhileSyncing: false,
};

export class Violation extends Error {
  readonly rule: string;
  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

export interface WorldOptions {
  readonly random: Random;
  readonly bugs: Bugs;
  readonly mode: 'sync' | 'async';
  readonly configs: readonly [MachineConfig, MachineConfig];
  readonly clocks: readonly [
    { readonly rate: number; readonly offsetMs: number },
    { readonly rate: number; readonly offsetMs: number },
  ];
  readonly traceTo: ((line: string) => void) | null;
  readonly traceEvents: boolean;
}

export class World {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly bugs: Bugs;
  readonly mode: 'sync' | 'async';
  readonly lan = new Network('lan');
  readonly sync = new Network('sync');
  readonly etcd: Etcd;
  readonly mirror: Mirror;
  readonly nodes: readonly [SimNode, SimNode];
  gatewayOut = 0;
  fenceWorks = true;
  /** Chance that a promotion fails. */
  promoteFails = 0.02;
  /** Nodes that faults keep off. */
  readonly keptOff: [number, number] = [0, 0];

  /** Name of the only fault of a schedule that has just one. */
  single = '';
  /** The standby stood still for a moment in it. */
  hasNap = false;
  /** Every fault has ended, and everything was switched on again. */
  isWhole = false;
  readonly counts = new Map<string, number>();
  /** Disks that were replaced by empty ones. */
  disksLost = 0;
  commits = 0;
  lossAllowed: boolean;
  promotions: number[] = [];
  readonly #ackedCommits: number[] = [];
  readonly #ackedIndexes: number[] = [];
  readonly #availabilityFirst: boolean;
  #newestWriter = 0;
  readonly tracesEvents: boolean;
  readonly #traceTo: ((line: string) => void) | null;

  constructor(options: WorldOptions) {
    this.random = options.random;
    this.bugs = options.bugs;
    this.mode = options.mode;
    this.#availabilityFirst = options.configs[0].availabilityFirst;
    this.lossAllowed = options.mode !== 'sync' || this.#availabilityFirst;
    this.#traceTo = options.traceTo;
    this.tracesEvents = options.traceEvents;
    this.etcd = new Etcd(this.queue, this.random);
    this.mirror = new Mirror(this);
    const { configs, clocks } = options;
    this.nodes = [
      new SimNode(this, 0, clocks[0], configs[0]),
      new SimNode(this, 1, clocks[1], configs[1]),
    ];
  }

  get acknowledged(): number {
    return this.#ackedCommits.length;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  trace(node: SimNode | null, text: string): void {
    if (this.#traceTo === null) return;
    const at = (this.queue.now / 1000).toFixed(4).padStart(9);
    this.#traceTo(`${at}  ${(node?.name ?? '').padEnd(5)} ${text}`);
  }

  transmit(from: SimNode, datagram: Datagram): void {
    this.#transmitOver(this.lan, from, datagram, 0);
    this.#transmitOver(this.sync, from, datagram, 1);
  }

  #transmitOver(network: Network, from: SimNode, datagram: Datagram, path: number): void {
    const { random, queue } = this;
    if (!network.carries(from.index)) return;
    if (network.loss > 0 && random.chance(network.loss)) return;
    const to = from.other;
    const deliver = (): void => to.receive(datagram, path);
    queue.after(network.delay(random), deliver);
    if (network.doubles > 0 && random.chance(network.doubles)) {
      queue.after(network.delay(random) + random.below(200), deliver);
    }
  }

  reachesGateway(node: NodeIndex): boolean {
    return this.gatewayOut === 0 && this.lan.isPlugged(node);
  }

  restore(node: SimNode): void {
    if (this.keptOff[node.index] === 0) node.powerOn();
  }

  /** What had not reached the disk of a primary is gone; what was acknowledged is not. */
  loseUnsynced(node: SimNode): void {
    const { log } = node.data;
    const acked = this.#ackedIndexes.at(-1) ?? 0;
    const isOwn = acked > 0 && log[acked - 1] === this.#ackedCommits.at(-1);
    let durable = log.length;
    while (durable > 0 && this.random.chance(0.5)) durable -= 1;
    log.length = Math.max(durable, isOwn ? acked : 0);
  }

  mayWrite(node: SimNode): boolean {
    return node.isOn && node.filter !== null && (node.isLeased || this.bugs.dropLeaseCheck);
  }

  noteWrite(node: SimNode): void {
    this.#checkWriter(node, 'writes');
  }

  noteAcknowledged(node: SimNode, commit: number, index: number): void {
    this.#checkWriter(node, 'acknowledges');
    this.#ackedCommits.push(commit);
    this.#ackedIndexes.push(index);
  }

  #checkWriter(node: SimNode, what: string): void {
    const epoch = node.filter?.epoch ?? 0;
    if (node.other.isLeased && node.other.filter !== null) {
      throw new Violation('one-writer', `${node.name} ${what} while ${node.other.name} may write`);
    }
    // With availability first, two histories may have begun behind each other's back.
    if (epoch < this.#newestWriter && !this.#availabilityFirst) {
      const message = `${node.name} ${what} in epoch ${epoch} after epoch ${this.#newestWriter}`;
      throw new Violation('one-writer', message);
    }
    this.#newestWriter = epoch;
  }

  /** Called whenever a lease changes. */
  checkLease(node: SimNode): void {
    if (node.isLeased && node.other.isLeased) {
      throw new Violation('one-writer', `${node.name} and ${node.other.name} both hold a lease`);
    }
  }

  notePromoted(node: SimNode, effect: EffectOf<'promote'>): void {
    this.trace(node, `mounted, epoch ${effect.epoch}, ${node.data.log.length} commits`);
    if (node.data.copy === 'syncing') {
      throw new Violation('no-loss', `${node.name} was promoted while its copy was incomplete`);
    }
    // One that slept through its lease appears late, and cannot write.
    if (node.isLeased) this.checkAcknowledged(node, 'was promoted');
  }

  checkAcknowledged(node: SimNode, what: string): void {
    if (this.lossAllowed) return;
    const { log } = node.data;
    for (let i = 0; i < this.#ackedCommits.length; i += 1) {
      const index = this.#ackedIndexes[i] ?? 0;
      if (log[index - 1] === this.#ackedCommits[i]) continue;
      const message = `${node.name} ${what} without commit ${this.#ackedCommits[i] ?? 0}, which was acknowledged`;
      throw new Violation('no-loss', message);
    }
  }

  hasAcknowledged(node: SimNode): boolean {
    const { log } = node.data;
    return this.#ackedCommits.every(
      (commit, i) => log[(this.#ackedIndexes[i] ?? 0) - 1] === commit,
    );
  }

  /** An operator gave commits up. */
  forgetAcknowledged(): void {
    this.#ackedCommits.length = 0;
    this.#ackedIndexes.length = 0;
  }

  noteRole(node: SimNode, before: MachineState, after: MachineState): void {
    this.trace(node, `${before.role} → ${after.role}: ${after.reason}`);
    if (after.role === 'primary') this.promotions.push(this.queue.now);
  }
}
