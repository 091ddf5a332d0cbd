// The heartbeat thread as seen from the thread that starts it. Times that matter are stamped inside:
// when a heartbeat arrived is on the board and in the event before this side is even awake.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Urgency } from '../../linux/scheduling.ts';
import type { GroupBeat } from '../machine/types.ts';
import { HeartbeatBoard } from './board.ts';
import type { TransportEvent, TransportOptions } from './transport.ts';
import { URGENT_RESOURCE_LIMITS } from './urgent-loop.ts';

export type WorkerData = Omit<TransportOptions, 'board'> & { readonly buffer: SharedArrayBuffer };

export type ToWorker =
  | { readonly kind: 'add'; readonly groupId: string; readonly life: number; readonly slot: number }
  | { readonly kind: 'remove'; readonly groupId: string }
  | {
      readonly kind: 'send';
      readonly groupId: string;
      readonly beat: GroupBeat;
      readonly sentAtMs: number;
    }
  | {
      readonly kind: 'serve';
      readonly groupId: string;
      readonly slot: number;
      readonly addresses: readonly string[];
    }
  | { readonly kind: 'cease'; readonly groupId: string }
  | { readonly kind: 'close' };

export type FromWorker =
  | TransportEvent
  | { readonly kind: 'ready'; readonly urgency: Urgency; readonly lockedMappings: number };

export interface ThreadEvents {
  readonly onEvent: (event: TransportEvent) => void;
  /** The thread ended by itself: without it this node is deaf. */
  readonly onFailure: (error: Error) => void;
}

export class HeartbeatThread {
  readonly board: HeartbeatBoard;
  readonly urgency: Urgency;
  readonly #worker: Worker;
  #closing = false;

  private constructor(worker: Worker, board: HeartbeatBoard, urgency: Urgency) {
    this.#worker = worker;
    this.board = board;
    this.urgency = urgency;
  }

  /** Starts the thread and waits until its sockets are being opened. */
  static async start(
    options: Omit<TransportOptions, 'board'>,
    events: ThreadEvents,
  ): Promise<HeartbeatThread> {
    const board = new HeartbeatBoard();
    const data: WorkerData = { ...options, buffer: board.buffer };
    const worker = new Worker(new URL('./heartbeat-worker.ts', import.meta.url), {
      workerData: data,
      resourceLimits: URGENT_RESOURCE_LIMITS,
      name: 'heartbeat',
    });
    const [ready] = (await once(worker, 'message')) as [FromWorker];
    const urgency: Urgency =
      ready.kind === 'ready' ? ready.urgency : { kind: 'normal', why: 'unknown' };
    const thread = new HeartbeatThread(worker, board, urgency);
    worker.on('message', (message: FromWorker) => {
      if (message.kind !== 'ready') events.onEvent(message);
    });
    worker.on('error', (error) => events.onFailure(error as Error));
    worker.on('exit', (code) => {
      if (!thread.#closing) events.onFailure(new Error(`the heartbeat thread ended (${code})`));
    });
    return thread;
  }

  /** See {@link HeartbeatTransport.addGroup}. */
  addGroup(group: { groupId: string; life: number; slot: number }): void {
    this.#post({ kind: 'add', ...group });
  }

  removeGroup(groupId: string): void {
    this.#post({ kind: 'remove', groupId });
  }

  send(groupId: string, beat: GroupBeat, sentAtMs: number): void {
    this.#post({ kind: 'send', groupId, beat, sentAtMs });
  }

  /**
   * Answers the peer's question whether the group is served, on its virtual addresses, while the
   * lease on the board is valid.
   */
  serve(group: { groupId: string; slot: number; addresses: readonly string[] }): void {
    this.#post({ kind: 'serve', ...group });
  }

  cease(groupId: string): void {
    this.#post({ kind: 'cease', groupId });
  }

  async close(): Promise<void> {
    this.#closing = true;
    const exit = once(this.#worker, 'exit');
    this.#post({ kind: 'close' });
    await exit;
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}
