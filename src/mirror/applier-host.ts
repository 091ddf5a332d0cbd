// Keeps the applier thread: starts it, listens to it, ends it. One thread at a time.
import type { Worker } from 'node:worker_threads';
import { assert } from '../core/assert.ts';
import { messageOf } from '../core/errors.ts';
import { ApplyControl } from '../journal/apply-control.ts';
import { startThread } from '../linux/threads.ts';
import type { ApplierMessage, ApplierWorkerData } from './applier/applier-messages.ts';
import type { VerifyNotice } from './applier/verification.ts';
import type { UndoTold, UndoSettings } from './applier/undo-keeper.ts';
import type { NeedRange } from './link/messages.ts';
import type { StandbyOptions } from './standby-options.ts';

export interface ApplierHostOptions {
  readonly journalDirectory: string;
  readonly groupId: string;
  /** Descriptors of the protected directories, from before they were covered. */
  readonly directories: StandbyOptions['directories'];
}

export interface ApplierHostHandlers {
  onNeed(ranges: readonly NeedRange[]): void;
  onVerify(notices: readonly VerifyNotice[]): void;
  onDiverged(sequence: number, message: string): void;
  onBlocked(sequence: number, message: string): void;
  onUnblocked(sequence: number): void;
  onUndo(news: UndoTold): void;
  /** The thread ended by itself, which is a bug: the process has to restart. */
  onDied(reason: string): void;
}

/** Where an applier begins. */
export interface ApplierStart {
  /** Last record that is in the copy already. */
  readonly applied: number;
  /** Last record that may be applied now. */
  readonly tail: number;
  /** Segment to look for the first record to apply. */
  readonly segment: number;
  /** What is kept to take the copy back; nothing when it is left out. */
  readonly undo?: UndoSettings | null;
}

export class ApplierHost {
  readonly #options: ApplierHostOptions;
  readonly #handlers: ApplierHostHandlers;
  #worker: Worker | undefined;
  #control = ApplyControl.create(0, 1);
  #needsSeen = 0;
  /** Called when the thread has closed everything; set while it is to stop. */
  #onStopped: (() => void) | undefined;

  constructor(options: ApplierHostOptions, handlers: ApplierHostHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  /** Shared words of the present thread, or of the last one. */
  get control(): ApplyControl {
    return this.#control;
  }

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** True when every need that the thread has counted has also arrived here as a message. */
  get hasAllNeeds(): boolean {
    return this.#control.needsPosted === this.#needsSeen;
  }

  /**
   * Starts a thread. No scan is under way at the start: one that was cut short is not gone on with,
   * because needs that were on their way to the primary are lost with the process.
   */
  start(at: ApplierStart): void {
    assert(this.#worker === undefined, 'one applier at a time');
    const { journalDirectory, groupId, directories } = this.#options;
    const control = ApplyControl.create(at.applied, at.segment);
    control.publishTail(at.tail);
    this.#control = control;
    this.#needsSeen = 0;
    const workerData: ApplierWorkerData = {
      control: control.memory,
      journalDirectory,
      groupId,
      segment: at.segment,
      checkpoint: at.applied,
      undo: at.undo ?? null,
      directories: directories.map(({ dir, fd, patterns }) => {
        return { fd, label: dir, ...(patterns === undefined ? {} : { patterns }) };
      }),
    };
    const url = new URL('applier/applier-worker.ts', import.meta.url);
    const worker = startThread(url, { workerData, name: 'applier' });
    this.#worker = worker;
    worker.on('message', (message: ApplierMessage) => {
      if (worker === this.#worker) this.#receive(message);
    });
    worker.on('error', (error) => this.#died(worker, messageOf(error)));
    worker.on('exit', (code) => this.#died(worker, `it ended with code ${code}`));
  }

  /**
   * Ends the thread after the batch it is at; what it posted before is handled first. Resolves when it
   * has closed everything: that the thread itself is gone takes longer, and nobody needs it.
   */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      worker.once('exit', () => resolve());
    });
    this.#control.requestStop();
    await stopped;
    this.#onStopped = undefined;
    this.#worker = undefined;
  }

  #died(worker: Worker, reason: string): void {
    if (worker !== this.#worker || this.#onStopped !== undefined) return;
    this.#worker = undefined;
    this.#handlers.onDied(reason);
  }

  #receive(message: ApplierMessage): void {
    switch (message.type) {
      case 'need':
        this.#needsSeen = (this.#needsSeen + message.needs.length) >>> 0;
        this.#handlers.onNeed(message.needs);
        return;
      case 'fault': {
        const { kind, sequence, message: why } = message.fault;
        if (kind === 'blocked') this.#handlers.onBlocked(sequence, why);
        else this.#handlers.onDiverged(sequence, why);
        return;
      }
      case 'verify':
        this.#handlers.onVerify(message.notices);
        return;
      case 'recovered':
        this.#handlers.onUnblocked(message.sequence);
        return;
      case 'undo':
        this.#handlers.onUndo(message.news);
        return;
      case 'stopped':
        this.#onStopped?.();
    }
  }
}
