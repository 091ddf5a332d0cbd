// The cluster thread as seen from the thread that starts it. Everything that a lease depends on is
// inside: machines, heartbeats, questions to arbiters, addresses, watchdog. So neither garbage
// collection nor a long computation nor a full disk in the rest of the process delays a heartbeat;
// and what the rest of the process must do (promote, start the application, …) comes out as effects.
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { UnderstudyError } from '../../core/errors.ts';
import type { Urgency } from '../../linux/scheduling.ts';
import { startThread } from '../../linux/threads.ts';
import type { AddressOptions } from '../address/virtual-addresses.ts';
import { HeartbeatBoard } from '../heartbeat/board.ts';
import type { TransportEvent, TransportOptions } from '../heartbeat/transport.ts';
import type { Refusal } from '../machine/commands.ts';
import type { Boot, Command, MachineEvent } from '../machine/event-types.ts';
import type { MachineConfig } from '../machine/types.ts';
import type { ArbiterSettings } from '../settings.ts';
import type { OuterEffect } from './group-effects.ts';
import type { MachineView } from './machine-view.ts';
import { URGENT_RESOURCE_LIMITS } from './urgent-loop.ts';

export type ClusterOptions = Omit<TransportOptions, 'board'>;
export type WorkerData = ClusterOptions & { readonly buffer: SharedArrayBuffer };
export type NetworkEvent = Extract<TransportEvent, { readonly kind: 'network' }>;

/** One group on this node. */
export interface GroupSetup {
  /** 32 hex digits. */
  readonly groupId: string;
  /** Place on the board; unique among the groups of the node. */
  readonly slot: number;
  readonly config: MachineConfig;
  readonly boot: Boot;
  /**
   * File on tmpfs whose first cell (`LEASE_CELL`) is the lease, for the group's filter process to map
   * (`mapSharedCells`, read only). Null: only the board has it.
   */
  readonly leaseFile: string | null;
  readonly arbiter: ArbiterSettings;
  readonly addresses: AddressOptions | null;
  /** Null: no watchdog is used. */
  readonly watchdogPath: string | null;
}

export type ToWorker =
  | { readonly kind: 'add'; readonly setup: GroupSetup }
  | { readonly kind: 'remove'; readonly groupId: string; readonly giveUp: boolean }
  | { readonly kind: 'event'; readonly groupId: string; readonly event: MachineEvent }
  | {
      readonly kind: 'command';
      readonly id: number;
      readonly groupId: string;
      readonly command: Command;
    }
  | { readonly kind: 'close' };

/** A machine, of which a group may have another one by now. */
export interface MachineRef {
  readonly groupId: string;
  readonly life: number;
}

export type FromWorker =
  | NetworkEvent
  | { readonly kind: 'ready'; readonly urgency: Urgency; readonly lockedMappings: number }
  | { readonly kind: 'added'; readonly groupId: string; readonly fault: string | null }
  | ({ readonly kind: 'effect'; readonly effect: OuterEffect } & MachineRef)
  | ({ readonly kind: 'view'; readonly view: MachineView } & MachineRef)
  | { readonly kind: 'commanded'; readonly id: number; readonly refusal: Refusal | null };

export interface ClusterHandlers {
  /** To be carried out in order; results go back through {@link ClusterThread.deliver}. */
  readonly onEffect: (groupId: string, effect: OuterEffect) => void;
  readonly onView: (groupId: string, view: MachineView) => void;
  readonly onNetwork: (event: NetworkEvent) => void;
  /** The thread ended: leases run out, and the service has to start anew. */
  readonly onFailure: (error: Error) => void;
}

export class ClusterThread {
  readonly board: HeartbeatBoard;
  readonly urgency: Urgency;
  readonly #worker: Worker;
  readonly #handlers: ClusterHandlers;
  readonly #commands = new Map<number, (refusal: Refusal | null) => void>();
  readonly #additions = new Map<string, (fault: string | null) => void>();
  /** Of the machine that each group has, or is about to have. */
  readonly #lives = new Map<string, number>();
  #nextCommand = 1;
  #closing = false;

  private constructor(
    worker: Worker,
    board: HeartbeatBoard,
    options: { urgency: Urgency; handlers: ClusterHandlers },
  ) {
    this.#worker = worker;
    this.board = board;
    this.urgency = options.urgency;
    this.#handlers = options.handlers;
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error as Error));
    worker.on('exit', (code) => this.#fail(new Error(`the cluster thread ended (${code})`)));
  }

  static async start(options: ClusterOptions, handlers: ClusterHandlers): Promise<ClusterThread> {
    const board = new HeartbeatBoard();
    const workerData: WorkerData = { ...options, buffer: board.buffer };
    const worker = startThread(new URL('./cluster-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: URGENT_RESOURCE_LIMITS,
      name: 'cluster',
    });
    const [ready] = (await once(worker, 'message')) as [FromWorker];
    const urgency: Urgency =
      ready.kind === 'ready' ? ready.urgency : { kind: 'normal', why: 'unknown' };
    return new ClusterThread(worker, board, { urgency, handlers });
  }

  /** Starts the machine of a group. Errors: GROUP_MACHINE_FAILED. */
  async addGroup(setup: GroupSetup): Promise<void> {
    const { groupId, config, boot } = setup;
    this.#lives.set(groupId, boot.life);
    const added = new Promise<string | null>((resolve) => {
      this.#additions.set(groupId, resolve);
    });
    this.#post({ kind: 'add', setup });
    const fault = await added;
    if (fault === null) return;
    throw new UnderstudyError(
      'GROUP_MACHINE_FAILED',
      `failover of group "${config.group}" cannot be run: ${fault}`,
    );
  }

  /**
   * Stops the machine, of which nothing is heard any more. Lease and addresses stay as they are; with `giveUp` the group is
   * no longer managed: the addresses are released, and its process may write without a lease.
   */
  removeGroup(groupId: string, { giveUp = false }: { giveUp?: boolean } = {}): void {
    this.#lives.delete(groupId);
    this.#post({ kind: 'remove', groupId, giveUp });
  }

  /** Tells a machine what has happened. */
  deliver(groupId: string, event: MachineEvent): void {
    this.#post({ kind: 'event', groupId, event });
  }

  /** Gives a command; null when it was accepted. */
  async command(groupId: string, command: Command): Promise<Refusal | null> {
    const id = this.#nextCommand++;
    const answer = new Promise<Refusal | null>((resolve) => {
      this.#commands.set(id, resolve);
    });
    this.#post({ kind: 'command', id, groupId, command });
    return answer;
  }

  async close(): Promise<void> {
    this.#closing = true;
    const exit = once(this.#worker, 'exit');
    this.#post({ kind: 'close' });
    await exit;
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'effect':
        if (this.#isPresent(message)) this.#handlers.onEffect(message.groupId, message.effect);
        return;
      case 'view':
        if (this.#isPresent(message)) this.#handlers.onView(message.groupId, message.view);
        return;
      case 'network':
        this.#handlers.onNetwork(message);
        return;
      case 'commanded':
        this.#commands.get(message.id)?.(message.refusal);
        this.#commands.delete(message.id);
        return;
      case 'added':
        this.#additions.get(message.groupId)?.(message.fault);
        this.#additions.delete(message.groupId);
        return;
      case 'ready':
        return;
    }
  }

  /** Versions of memos, for one, begin anew with each machine: what a former one wanted kept would pass for newer. */
  #isPresent({ groupId, life }: MachineRef): boolean {
    return this.#lives.get(groupId) === life;
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.#closing = true;
    const gone = { code: 'CLUSTER_THREAD_ENDED', reason: error.message };
    for (const settle of this.#commands.values()) settle(gone);
    for (const settle of this.#additions.values()) settle(error.message);
    this.#handlers.onFailure(error);
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}
