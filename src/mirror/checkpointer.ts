// Moves the checkpoint on: what was applied before a syncfs began is on the copy's disk after it.
//
// The kernel reports a failed write back once. What was lost is not known, and the next syncfs succeeds: so nothing is ever on the
// disk again as far as this process knows.
import { UnderstudyError } from '../core/errors.ts';
import { syncFileSystem } from '../linux/syncfs.ts';

export interface SyncTarget {
  readonly fd: number;
  readonly dir: string;
}

export class Checkpointer {
  readonly #targets: readonly SyncTarget[];
  readonly #onLost: () => void;
  #running: Promise<void> | undefined;
  /** The directory whose file system has lost something. */
  #lost: string | undefined;

  /**
   * `targets`: one open descriptor per file system is enough, more do no harm. `onLost`: something was lost, and the
   * call is about to be rejected.
   */
  constructor(targets: readonly SyncTarget[], onLost: () => void = () => undefined) {
    this.#targets = targets;
    this.#onLost = onLost;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Flushes everything written before the call. Errors: CHECKPOINT_FAILED, from then on each time, and those of `onLost`. */
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
      if (this.#lost === undefined && !(await syncFileSystem(fd))) this.#lost = dir;
    }
    if (this.#lost === undefined) return;
    this.#onLost();
    throw new UnderstudyError(
      'CHECKPOINT_FAILED',
      `the file system of ${this.#lost} could not write everything to its disk: check that disk`,
    );
  }
}
