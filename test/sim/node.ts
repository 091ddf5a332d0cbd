// One simulated node: power, processes, clock, and the real machine with the real heartbeat inbox.
import { nodeId, type NodeId } from '../../src/core/ids.ts';
import { HeartbeatBoard } from '../../src/cluster/heartbeat/board.ts';
import type { Datagram } from '../../src/cluster/heartbeat/datagram.ts';
import { Inbox } from '../../src/cluster/heartbeat/inbox.ts';
import type { GroupBeat, Memo } from '../../src/cluster/machine/types.ts';
import type { MachineEvent } from '../../src/cluster/machine/event-types.ts';
import {
  ADOPTED_ADDRESS_OP,
  firstMemo,
  initialState,
  type MachineState,
} from '../../src/cluster/machine/state.ts';
import { step } from '../../src/cluster/machine/step.ts';
import type { CopyState, MachineConfig } from '../../src/cluster/machine/types.ts';
import { carryOut, serve, type ServiceEffect } from './effects.ts';
import { type Data, type Filter, isPrefix, positionOf } from './mirror.ts';
import { type NodeIndex, otherOf } from './network.ts';
import type { World } from './world.ts';

const GROUP_ID = '0'.repeat(32);
const INBOX_MAX = 40;
const SETTLE_LOOK_MS = 20;

export class SimNode {
  readonly world: World;
  readonly index: NodeIndex;
  readonly id: NodeId;
  readonly name: string;
  readonly config: MachineConfig;
  /** Local clock: rate × true time + offset. */
  readonly rate: number;
  readonly offsetMs: number;

  // Survives a power cut.
  memo: Memo;
  life = 0;
  readonly data: Data;
  knownEpoch = 0;
  diskFailed = false;
  networkFailed = false;

  isOn = false;
  freezes = 0;
  stalls = 0;
  /** Grows when processes end: what belongs to an older number is gone. */
  processes = 0;
  machine: MachineState | null = null;
  filter: Filter | null = null;
  leaseUntilLocal = 0;
  /** The standby process runs: it ends when the node begins to be promoted. */
  hasStandby = false;
  isApplicationUp = false;
  holdsAddress = false;
  /** Number of the service's start; it is another process than the machine's. */
  serviceLife = 0;
  isServiceUp = true;
  /** Steps of effects that the service has under way. */
  courses = 0;
  /** What the service has not answered; kept by the machine's process. */
  #outstanding: ServiceEffect[] = [];
  /** Grows when a start or stop of the application is given up. */
  applicationTurn = 0;
  /** Gives up the start that is under way: something else is to be done with the application. */
  overtakeStart: () => void = () => undefined;
  /** It was being started or stopped for a machine that is gone. */
  isApplicationUnsettled = false;
  /** What the application does next: hangs on stop, fails on start. */
  stopHangs = false;
  startFails = 0;

  #inbox: Inbox | null = null;
  #sequence = 0;
  #waiting: (() => void)[] = [];
  #timer = 0;
  /** When this life of the timers was asked for a tick, local time; infinite: not at all. */
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #channelFreeMs = 0;
  #toldPosition = -1;
  #toldCopy: CopyState = 'up-to-date';

  constructor(
    world: World,
    index: NodeIndex,
    clock: { readonly rate: number; readonly offsetMs: number },
    config: MachineConfig,
  ) {
    this.world = world;
    this.index = index;
    this.config = config;
    this.memo = firstMemo(index === 0);
    this.data = { log: [], epoch: 1 - index, copy: index === 0 ? 'up-to-date' : 'syncing' };
    this.id = config.self.id;
    this.name = config.self.name;
    this.rate = clock.rate;
    this.offsetMs = clock.offsetMs;
  }

  get other(): SimNode {
    return this.world.nodes[otherOf(this.index)];
  }

  get isFrozen(): boolean {
    return this.freezes > 0;
  }

  get isStandbyUp(): boolean {
    return this.isOn && !this.isFrozen && this.hasStandby && !this.diskFailed;
  }

  get localNow(): number {
    return this.world.queue.now * this.rate + this.offsetMs;
  }

  get isLeased(): boolean {
    return this.isOn && this.leaseUntilLocal > this.localNow;
  }

  /** The true time at which the local clock shows `localMs`. */
  trueTime(localMs: number): number {
    return (localMs - this.offsetMs) / this.rate;
  }

  setCopy(copy: CopyState): void {
    this.data.copy = copy;
  }

  /** Power comes, or the service starts again while a group process (maybe) lives. */
  boot(): void {
    this.life += 1;
    this.#sequence = 0;
    this.#waiting = [];
    this.#inbox = new Inbox({ board: new HeartbeatBoard(), slot: 0, ownLife: this.life });
    const running =
      this.filter === null
        ? null
        : {
            epoch: this.filter.epoch,
            leaseUntilMs: this.leaseUntilLocal,
            hasAddress: this.holdsAddress,
            runsApplication: this.isApplicationUp || this.isApplicationUnsettled,
          };
    if (running === null) {
      this.hasStandby = true;
      // Nothing serves here, so nothing may.
      this.leaseUntilLocal = 0;
    }
    const { life, memo, data } = this;
    const boot = { life, memo, copy: this.#copyToTell(), position: positionOf(data), running };
    this.machine = initialState(this.config, boot, this.localNow);
    this.#toldPosition = -1;
    this.world.trace(this, running === null ? 'starts' : 'goes on as primary');
    if (running !== null) this.world.mirror.tellState(this);
    if (this.diskFailed) this.tellHealth('disk');
    if (this.networkFailed) this.tellHealth('network');
    this.#tick();
    if (running?.hasAddress === true) {
      this.toMachine({ kind: 'addressTaken', op: ADOPTED_ADDRESS_OP });
    }
  }

  powerOn(): void {
    if (this.isOn) return;
    this.isOn = true;
    this.isServiceUp = true;
    this.processes += 1;
    this.boot();
  }

  powerOff(why: string): void {
    if (!this.isOn) return;
    this.world.trace(this, `power off: ${why}`);
    this.isOn = false;
    this.#endService();
    this.#outstanding = [];
    this.isApplicationUnsettled = false;
    const wasPrimary = this.filter !== null;
    this.#endProcesses();
    this.machine = null;
    this.leaseUntilLocal = 0;
    this.isApplicationUp = false;
    this.holdsAddress = false;
    this.freezes = 0;
    this.stalls = 0;
    this.#waiting = [];
    if (wasPrimary) this.world.loseUnsynced(this);
  }

  #endProcesses(): void {
    this.processes += 1;
    this.filter = null;
    this.hasStandby = false;
    this.world.mirror.cut(this);
  }

  /** The cluster process dies; filter, application and address stay as they are, and so does what the service has under way. */
  crashMachine(): void {
    if (!this.isOn || this.machine === null) return;
    this.world.trace(this, 'cluster process killed');
    const { application } = this.machine.service;
    if (application !== 'running' && application !== 'stopped') this.isApplicationUnsettled = true;
    if (this.machine.demotion !== null && application !== 'stopped')
      this.isApplicationUnsettled = true;
    this.machine = null;
    this.#outstanding = [];
    this.applicationTurn += 1;
    this.#waiting = [];
    this.#timer += 1;
  }

  /** Another cluster process: its machine begins when what was under way for the one before has ended. */
  rebootMachine(): void {
    if (!this.isOn || this.machine !== null) return;
    if (this.courses === 0 && this.isServiceUp && !this.isFrozen) this.boot();
    else this.world.queue.after(SETTLE_LOOK_MS, () => this.rebootMachine());
  }

  /** The service dies, and everything that it had under way; the machine goes on. */
  killService(): void {
    if (!this.isOn || !this.isServiceUp) return;
    this.world.trace(this, 'service killed');
    this.#endService();
  }

  #endService(): void {
    this.isServiceUp = false;
    this.serviceLife += 1;
    this.courses = 0;
  }

  /** The next service: carries out what the machine still waits for, and tells it what it does not know. */
  reviveService(): void {
    if (!this.isOn || this.isServiceUp) return;
    this.world.trace(this, 'service starts again');
    this.isServiceUp = true;
    if (this.filter === null) this.hasStandby = true;
    this.#toldPosition = -1;
    for (const effect of this.#outstanding) serve(this, effect);
    this.world.mirror.tellState(this);
    this.tellHealth('disk');
    this.tellHealth('network');
  }

  /** An effect for the service: it is kept until it is answered. */
  pass(effect: ServiceEffect): void {
    const isDemote = effect.kind === 'demote';
    this.#outstanding = this.#outstanding.filter(({ kind }) => !isDemote || kind !== 'demote');
    this.#outstanding.push(effect);
    if (this.isServiceUp) serve(this, effect);
  }

  /** The service's answer to an effect. */
  answer(event: Extract<MachineEvent, { readonly op: number }>): void {
    this.#outstanding = this.#outstanding.filter(({ op }) => op !== event.op);
    this.toMachine(event);
  }

  /** Runs when the node is neither frozen nor stalled any more, in the order asked for. */
  whenAwake(work: () => void): void {
    this.#waiting.push(work);
  }

  /** A freeze or a stall has ended. */
  awake(): void {
    if (!this.isOn || this.freezes > 0 || this.stalls > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    // An event loop may look at its timers before it reads what came in meanwhile.
    const timersFirst = this.world.random.chance(0.5);
    if (timersFirst && this.machine !== null) this.#tick();
    for (const work of waiting) work();
    if (!timersFirst && this.machine !== null) this.#tick();
  }

  /** An empty disk in place of the failed one. */
  replaceDisk(): void {
    this.diskFailed = false;
    if (this.filter !== null) this.powerOff('its disk is replaced');
    this.world.mirror.cut(this);
    this.processes += 1;
    this.data.log = [];
    this.data.epoch = 0;
    this.data.copy = 'syncing';
    this.tellHealth('disk');
    this.world.queue.after(500, () => this.world.restore(this));
  }

  /** What the agent's probe sees. */
  probeApplication(): void {
    if (this.machine?.service.application !== 'running' || this.isApplicationUp) return;
    if (!this.isServiceUp) return;
    this.toMachine({ kind: 'application', state: 'failed', why: 'the probe gets no answer' });
  }

  /** The carrier of the card that clients come in through. */
  watchCard(): void {
    const failed = this.world.lan.cardOut[this.index] > 0;
    if (failed === this.networkFailed) return;
    this.networkFailed = failed;
    this.tellHealth('network');
  }

  tellHealth(part: 'disk' | 'network'): void {
    if (!this.isServiceUp) return;
    const failed = part === 'disk' ? this.diskFailed : this.networkFailed;
    const state = failed ? 'failed' : 'ok';
    this.toMachine({ kind: 'health', part, state, why: 'said the simulation' });
  }

  /** A datagram comes in from network `path`. */
  receive(datagram: Datagram, path: number): void {
    if (!this.isOn || this.machine === null) return;
    if (this.freezes > 0 || this.stalls > 0) {
      // As a socket's buffer does: the newest are lost when it is full.
      if (this.#waiting.length < INBOX_MAX) this.whenAwake(() => this.receive(datagram, path));
      return;
    }
    const heard = this.#inbox?.accept(datagram, path, this.localNow);
    if (heard === undefined) return;
    this.toMachine(this.world.bugs.skipEpochCheck ? this.#withoutEpoch(heard) : heard);
  }

  /** Injected mistake: whatever epoch the peer names counts as this node's own. */
  #withoutEpoch<T extends { readonly beat: GroupBeat }>(heard: T): T {
    const epoch = this.machine?.epoch ?? 0;
    if (heard.beat.role !== 'primary') return heard;
    return { ...heard, beat: { ...heard.beat, epoch } };
  }

  toMachine(event: MachineEvent): void {
    if (!this.isOn || this.machine === null) return;
    if (this.freezes > 0 || this.stalls > 0) {
      this.whenAwake(() => this.toMachine(event));
      return;
    }
    const before = this.machine;
    const result = step(before, event, this.localNow);
    if (result.refused) {
      this.world.trace(this, `refused: ${result.code} ${result.reason}`);
      return;
    }
    this.machine = result.state;
    if (this.world.tracesEvents && event.kind !== 'tick') {
      this.world.trace(this, `  ${JSON.stringify(event)}`);
    }
    if (before.role !== result.state.role) this.world.noteRole(this, before, result.state);
    for (const effect of result.effects) carryOut(this, effect);
    const { wakeAtMs } = result.state;
    if (wakeAtMs < this.#wakeAtMs || wakeAtMs > this.#wakeAtMs) this.#wakeAt(wakeAtMs);
  }

  /**
   * Between service and group process: messages take their time and keep their order, and are gone
   * when the service that sent them, or was to get them, is.
   */
  overControlChannel(work: () => void): void {
    const { queue, random } = this.world;
    const { life, serviceLife } = this;
    const at = Math.max(this.#channelFreeMs, queue.now + random.below(random.chance(0.9) ? 3 : 60));
    this.#channelFreeMs = at;
    queue.at(at, () => {
      if (this.life === life && this.serviceLife === serviceLife && this.isServiceUp) work();
    });
  }

  /** Sends the heartbeat over both networks with one sequence number. */
  send(beat: GroupBeat): void {
    const { world } = this;
    this.#sequence += 1;
    const echo = this.#inbox?.echo(0, this.localNow);
    const datagram: Datagram = {
      groupId: GROUP_ID,
      sender: this.id,
      life: this.life,
      sequence: this.#sequence,
      sentAtMs: this.localNow,
      heardLife: echo?.heardLife ?? 0,
      heardAtMs: echo?.heardAtMs ?? 0,
      echoMs: 0,
      echoAgeUs: 0,
      pathTag: 0,
      beat,
    };
    world.transmit(this, datagram);
  }

  #tick(): void {
    this.#timer += 1;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#tickLoop(this.#timer);
  }

  #tickLoop(timer: number): void {
    if (timer !== this.#timer || !this.isOn || this.machine === null) return;
    if (this.freezes > 0 || this.stalls > 0) return;
    this.tellCopy();
    this.toMachine({ kind: 'tick' });
    const interval = this.config.timings.heartbeatIntervalMs / this.rate;
    this.world.queue.after(interval, () => this.#tickLoop(timer));
  }

  #wakeAt(localMs: number): void {
    this.#wakeAtMs = localMs;
    if (!Number.isFinite(localMs)) return;
    const timer = this.#timer;
    // A tick of the loop comes anyway soon; only what is due before is worth an event.
    const due = this.trueTime(localMs) + 0.01;
    if (due > this.world.queue.now + this.config.timings.heartbeatIntervalMs) return;
    this.world.queue.at(due, () => {
      if (timer === this.#timer) this.toMachine({ kind: 'tick' });
    });
  }

  #copyToTell(): CopyState {
    if (this.diskFailed) return 'failed';
    const { copy } = this.data;
    return this.world.bugs.promoteWhileSyncing && copy === 'syncing' ? 'up-to-date' : copy;
  }

  /** The mirror's word on the data here, when it is another than before. */
  tellCopy(): void {
    if (!this.isServiceUp) return;
    const copy = this.#copyToTell();
    const position = positionOf(this.data);
    const mark = position.epoch * 1e9 + position.sequence;
    if (mark === this.#toldPosition && copy === this.#toldCopy) return;
    this.#toldPosition = mark;
    this.#toldCopy = copy;
    this.toMachine({ kind: 'copy', copy, position });
  }

  /** Has everything that `log` has. */
  hasAll(log: readonly number[]): boolean {
    return isPrefix(log, this.data.log);
  }
}

export const simNodeId = (index: NodeIndex): NodeId =>
  nodeId(index === 0 ? 'aaaaaaaaaaaaaaaa' : 'bbbbbbbbbbbbbbbb');
