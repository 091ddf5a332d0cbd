// Moves the checkpoint on: what was applied before a syncfs began is on the copy's disk after it.
import { Worker } from 'node:worker_threads';
import { present } from '../core/assert.ts';
import { UnderstudyError } from '../core/errors.ts';
import { errnoName } from '../linux/constants.ts';

export interface SyncTarget {
  readonly fd: number;
  readonly dir: string;
}

export class Checkpointer {
  readonly #targets: readonly SyncTarget[];
  #worker: Worker | undefined;
  #running: Promise<void> | undefined;

  /** `targets`: one open descriptor per file system is enough, more do no harm. */
  constructor(targets: readonly SyncTarget[]) {
    this.#targets = targets;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Flushes everything written before the call. Errors: CHECKPOINT_FAILED. */
  async sync(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#running = this.#sync();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  async #sync(): Promise<void> {
    this.#worker ??= new Worker(new URL('checkpoint-worker.ts', import.meta.url), {
      name: 'checkpointer',
    });
    const worker = this.#worker;
    const results = await new Promise<readonly number[]>((resolve, reject) => {
      const failed = (error: Error): void => reject(error);
      worker.once('error', failed);
      worker.once('message', (message: readonly number[]) => {
        worker.off('error', failed);
        resolve(message);
      });
      worker.postMessage(this.#targets.map((target) => target.fd));
    });
    const bad = results.findIndex((result) => result < 0);
    if (bad < 0) return;
    const { dir } = present(this.#targets[bad], 'a target for each result');
    throw new UnderstudyError(
      'CHECKPOINT_FAILED',
      `cannot flush the file system of ${dir} (${errnoName(results[bad] ?? 0)}): check that disk`,
    );
  }
}
