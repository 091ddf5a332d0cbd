// The effects of one group's machine that are carried out inside the cluster thread, since they must
// not wait for anything else in the process: heartbeats, leases, questions to arbiters, addresses,
// the watchdog. All others go to the thread that started this one.
import type { Clock } from '../../core/clock.ts';
import { silentLogger } from '../../core/logger.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { Turns } from '../../core/turns.ts';
import { LEASE_CELL } from '../../linux/lease-cell.ts';
import { mapSharedCells } from '../../linux/shared-cells.ts';
import { type AddressEvent, VirtualAddresses } from '../address/virtual-addresses.ts';
import type { ArbiterAnswer, RecordArbiter } from '../arbiter/arbiter.ts';
import { GatewayProbe } from '../arbiter/gateway-probe.ts';
import type { NodeWatchdog } from '../fencing/node-watchdog.ts';
import {
  askServing,
  type ServingIdentity,
  type ServingResponder,
} from '../heartbeat/serving-probe.ts';
import type { HeartbeatTransport } from '../heartbeat/transport.ts';
import type { ArbiterRequest, Effect, EffectOf } from '../machine/effect-types.ts';
import type { MachineEvent } from '../machine/event-types.ts';
import { ADOPTED_ADDRESS_OP } from '../machine/state.ts';
import type { GroupSetup } from './cluster-thread.ts';

type InnerKind =
  | 'sendBeat'
  | 'setLease'
  | 'armWatchdog'
  | 'disarmWatchdog'
  | 'probeGateway'
  | 'probeAddress'
  | 'askArbiter'
  | 'takeAddress'
  | 'announceAddress'
  | 'releaseAddress';
export type InnerEffect = EffectOf<InnerKind>;
export type OuterEffect = Exclude<Effect, InnerEffect>;

export interface GroupParts {
  readonly clock: Clock;
  readonly transport: HeartbeatTransport;
  readonly responder: ServingResponder;
  readonly identity: ServingIdentity;
  /** The device at this path, which groups share. */
  readonly watchdogAt: (path: string) => NodeWatchdog;
  /** Of this group, from the machine before this one to the next. */
  readonly hooks: Turns;
  /** Whether it is a virtual address of any group. */
  readonly isVirtual: (ip: string) => boolean;
  readonly deliver: (event: MachineEvent) => void;
  readonly toOuter: (effect: OuterEffect) => void;
}

export class GroupEffects {
  readonly #setup: GroupSetup;
  readonly #parts: GroupParts;
  readonly #leaseCells: Float64Array | undefined;
  readonly #addresses: VirtualAddresses | undefined;
  readonly #gateway: GatewayProbe | undefined;
  readonly #watchdog: NodeWatchdog | undefined;
  #arbiter: Promise<RecordArbiter> | undefined;

  constructor(setup: GroupSetup, parts: GroupParts) {
    this.#setup = setup;
    this.#parts = parts;
    const { leaseFile, addresses, arbiter, watchdogPath } = setup;
    if (addresses !== null) {
      const { clock, hooks } = parts;
      const onEvent = (event: AddressEvent): void => this.#onAddressEvent(event);
      const logger = silentLogger;
      const mayHold = (): boolean => this.#holdsLease;
      this.#addresses = new VirtualAddresses(addresses, { clock, logger, onEvent, mayHold, hooks });
    }
    if (arbiter.kind === 'gateway')
      this.#gateway = new GatewayProbe(arbiter.ip, arbiter.method, parts.isVirtual);
    if (watchdogPath !== null) this.#watchdog = parts.watchdogAt(watchdogPath);
    // The last that may fail: it is there for as long as this process.
    this.#leaseCells = leaseFile === null ? undefined : mapSharedCells(leaseFile, { create: true });
    const { running } = setup.boot;
    // Where nothing serves, nothing may, whatever a machine before this one had allowed. What serves keeps its lease: the machine
    // tells of none that stays as it is.
    this.#setLease(running?.leaseUntilMs ?? 0);
    // Of a cluster process that died, it counts on: this node serves, and must not be reset for that.
    if (running !== null) this.#armWatchdog();
    if (running?.hasAddress === true) void this.#takeAddress(ADOPTED_ADDRESS_OP);
    if (running === null) void this.#releaseLeftAddresses();
  }

  /** Carries `effect` out, or passes it on. */
  perform(effect: Effect, nowMs: number): void {
    switch (effect.kind) {
      case 'sendBeat':
        this.#parts.transport.send(this.#setup.groupId, effect.beat, nowMs);
        return;
      case 'setLease':
        this.#setLease(effect.untilMs);
        return;
      case 'armWatchdog':
        this.#armWatchdog();
        return;
      case 'disarmWatchdog':
        this.#watchdog?.disarm(this.#setup.groupId);
        return;
      case 'probeGateway':
        void this.#probeGateway(effect.sentAtMs);
        return;
      case 'probeAddress':
        void this.#probeAddress(effect.sentAtMs);
        return;
      case 'askArbiter':
        void this.#askArbiter(effect);
        return;
      case 'takeAddress':
        void this.#takeAddress(effect.op, effect.force);
        return;
      case 'announceAddress':
        this.#addresses?.announce();
        return;
      case 'releaseAddress':
        void this.#releaseAddress(effect.op);
        return;
      default:
        this.#parts.toOuter(effect);
    }
  }

  /** To be called after each step: a watchdog is fed while the lease is valid. */
  feedWatchdog(nowMs: number, leaseUntilMs: number): void {
    this.#watchdog?.feed(this.#setup.groupId, nowMs, leaseUntilMs);
  }

  /**
   * Closes what belongs to this thread. Lease and addresses stay as they are, but for a group that is given up: nobody needs a
   * lease there, and the addresses are released. What another machine of the group may have at once is let go before this
   * returns its promise.
   */
  async close({ giveUp }: { giveUp: boolean }): Promise<void> {
    const { groupId } = this.#setup;
    this.#parts.responder.cease(groupId);
    // Nobody feeds it any more for this group, and the others share it.
    this.#watchdog?.disarm(groupId);
    if (giveUp) this.#setLease(Number.POSITIVE_INFINITY);
    const released = giveUp ? this.#addresses?.release() : undefined;
    this.#addresses?.abandon();
    this.#gateway?.close();
    await released;
    await this.#arbiter?.then(async (arbiter) => arbiter.close()).catch(() => undefined);
  }

  get #holdsLease(): boolean {
    const { transport, clock } = this.#parts;
    return clock.monotonicMs() < transport.board.group(this.#setup.slot, 'leaseUntilMs');
  }

  #setLease(untilMs: number): void {
    this.#parts.transport.board.setGroup(this.#setup.slot, 'leaseUntilMs', untilMs);
    if (this.#leaseCells !== undefined) this.#leaseCells[LEASE_CELL] = untilMs;
  }

  #armWatchdog(): void {
    try {
      const { groupId, config } = this.#setup;
      const state = this.#watchdog?.arm(groupId, config.timings.leaseMs);
      if (state?.kind === 'absent') this.#emit('info', 'WATCHDOG_ABSENT', state.why);
      if (state?.kind === 'nowayout') this.#emit('warning', 'WATCHDOG_NOWAYOUT', state.why);
    } catch (thrown) {
      if (!(thrown instanceof UnderstudyError)) throw thrown;
      this.#emit('error', thrown.code, thrown.message);
    }
  }

  async #probeGateway(sentAtMs: number): Promise<void> {
    const timeoutMs = this.#setup.config.timings.gatewayIntervalMs * 1.5;
    const answer = await this.#gateway?.probe(timeoutMs);
    const reachable = answer?.reachable ?? false;
    this.#parts.deliver({ kind: 'gateway', sentAtMs, reachable });
  }

  async #probeAddress(sentAtMs: number): Promise<void> {
    const { groupId, addresses, config } = this.#setup;
    const timeoutMs = config.timings.heartbeatIntervalMs * 1.5;
    const ips = addresses?.addresses.map(({ ip }) => ip) ?? [];
    const answers = await askServing({ groupId, addresses: ips, timeoutMs }, this.#parts.identity);
    this.#parts.deliver({ kind: 'addressProbe', sentAtMs, answers });
  }

  async #askArbiter({ op, request, timeoutMs }: EffectOf<'askArbiter'>): Promise<void> {
    this.#parts.deliver({ kind: 'arbiter', op, ...(await this.#ask(request, timeoutMs)) });
  }

  async #ask(request: ArbiterRequest, timeoutMs: number): Promise<ArbiterAnswer> {
    const opening = (this.#arbiter ??= openEtcd(this.#setup));
    try {
      return await (await opening).ask(request, timeoutMs);
    } catch (thrown) {
      // Its code cannot be loaded now (no descriptors left, a disk that fails): the next question tries again.
      if (this.#arbiter === opening) this.#arbiter = undefined;
      return { result: 'unreachable', record: null, why: messageOf(thrown) };
    }
  }

  async #takeAddress(op: number, force = false): Promise<void> {
    const { groupId, slot, addresses } = this.#setup;
    const result = await this.#addresses?.take({ force });
    if (result?.taken === false) {
      this.#parts.deliver({ kind: 'addressFailed', op, message: result.message });
      return;
    }
    const { board } = this.#parts.transport;
    const ips = addresses?.addresses.map(({ ip }) => ip) ?? [];
    this.#parts.responder.serve(groupId, ips, () => board.group(slot, 'leaseUntilMs'));
    this.#parts.deliver({ kind: 'addressTaken', op });
  }

  async #releaseAddress(op: number): Promise<void> {
    // Before anything is waited for, the addresses are off the interfaces.
    const released = this.#addresses?.release();
    this.#parts.responder.cease(this.#setup.groupId);
    this.#tellNotReleased(await released);
    this.#parts.deliver({ kind: 'addressReleased', op });
  }

  /** What held them was killed: the kernel goes on answering for them, beside the node that serves. */
  async #releaseLeftAddresses(): Promise<void> {
    this.#tellNotReleased(await this.#addresses?.releaseLeft());
  }

  #tellNotReleased(faults: readonly string[] = []): void {
    for (const fault of faults) this.#emit('error', 'ADDRESS_NOT_RELEASED', fault);
  }

  #onAddressEvent(event: AddressEvent): void {
    if (event.kind === 'conflict') {
      const released = event.action === 'released';
      if (released) this.#parts.responder.cease(this.#setup.groupId);
      this.#parts.deliver({ kind: 'addressConflict', why: event.message, released });
      return;
    }
    if (event.kind === 'fault') {
      this.#emit('error', 'ADDRESS_NOT_SET', event.message);
      return;
    }
    const level = event.kind === 'conflictOver' ? 'info' : 'warning';
    this.#emit(level, 'ADDRESS_MENDED', event.message);
  }

  #emit(level: 'info' | 'warning' | 'error', code: string, message: string): void {
    this.#parts.toOuter({ kind: 'emit', level, code, message });
  }
}

/** Loaded only by groups that use it: the HTTP client costs memory. */
async function openEtcd({ arbiter, groupId, config }: GroupSetup): Promise<RecordArbiter> {
  const { EtcdArbiter } = await import('../arbiter/etcd-arbiter.ts');
  if (arbiter.kind !== 'etcd') throw new TypeError('the arbiter is not etcd');
  return new EtcdArbiter({ ...arbiter.etcd, groupId, groupName: config.group, self: config.self });
}
