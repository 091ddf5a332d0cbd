// Moves the checkpoint on: what was applied before a syncfs began is on the copy's disk after it.
import { UnderstudyError } from '../core/errors.ts';
import { syncFileSystem } from '../linux/syncfs.ts';

export interface SyncTarget {
  readonly fd: number;
  readonly dir: string;
}

export class Checkpointer {
  readonly #targets: readonly SyncTarget[];
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
    // One that runs already may have passed over what was written since it began.
    while (this.#running !== undefined) await this.#running;
    this.#running = this.#sync();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  async #sync(): Promise<void> {
    for (const { fd, dir } of this.#targets) {
      if (await syncFileSystem(fd)) continue;
      throw new UnderstudyError(
        'CHECKPOINT_FAILED',
        `the file system of ${dir} could not write everything to its disk: check that disk`,
      );
    }
  }
}
