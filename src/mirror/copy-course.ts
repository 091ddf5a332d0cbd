// The course of a copy: the applier is started and ended here, and here is known how far it is. Whoever
// has to read or change the copy as a whole lets it stand still.
//
//   moving ──paused──▶ standing still ──▶ moving        the journal goes on meanwhile
//     └──close──▶ closed                                nothing is started any more
import { UnderstudyError } from '../core/errors.ts';
import type { UndoSettings } from './applier/undo-keeper.ts';
import type { StandbyParts } from './standby-parts.ts';

/** Between acknowledgements that only tell of applied records. */
const APPLIED_INTERVAL_MS = 10;
/** Without any progress for so long, applying everything is given up. */
const DRAIN_STALL_MS = 60_000;
const WAIT_MS = 500;
const FOREVER_MS = Number.POSITIVE_INFINITY;

export class CopyCourse {
  readonly #parts: StandbyParts;
  readonly #onProgress: () => void;
  /** While the copy stands still: until it moves again. */
  #standing: Promise<void> | undefined;
  #isClosed = false;

  /** `onProgress`: more of the copy is applied. */
  constructor(parts: StandbyParts, onProgress: () => void) {
    this.#parts = parts;
    this.#onProgress = onProgress;
  }

  /** Last record that is in the copy. */
  get applied(): number {
    const { applier, state } = this.#parts;
    return Math.max(applier.control.applied, state.data.checkpoint.sequence);
  }

  /** Last state that may be a checkpoint. */
  get moment(): number {
    const { applier, state } = this.#parts;
    return Math.max(applier.control.moment, state.data.checkpoint.sequence);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing is started any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Starts the applier on the copy as of `applied`; for the rest see {@link UndoSettings}. */
  start(
    applied: number,
    begin: UndoSettings['begin'],
    { ownSinceMs = Number.NaN, redoUntil = applied } = {},
  ): void {
    const { options, journal, gate, bookmarks, undo, applier } = this.#parts;
    const segment = journal.segmentOf(applied + 1);
    const tail = gate.begin(applied, journal.durableSequence);
    const marks = bookmarks.all.map(({ sequence }) => sequence);
    const what = { begin, marks, ownSinceMs, redoUntil };
    const settings = options.undo === undefined ? null : undo.settings(what);
    applier.start({ applied, tail, segment, undo: settings });
    void this.#follow();
  }

  async #follow(): Promise<void> {
    const { applier, receiver } = this.#parts;
    const { control } = applier;
    let seen = control.applied;
    let { moment } = control;
    while (!this.#isClosed && control === applier.control) {
      await control.waitForApplied(seen, FOREVER_MS, moment);
      if (control !== applier.control) return;
      ({ moment } = control);
      seen = control.applied;
      receiver.applied();
      this.#onProgress();
      await sleep(APPLIED_INTERVAL_MS);
    }
  }

  async stop(): Promise<void> {
    await this.#parts.applier.stop();
  }

  /** An applier that is not done may still write until it stops. */
  async stopAndSync(): Promise<void> {
    await this.stop();
    await this.#parts.checkpointer.sync();
  }

  /**
   * Waits until everything durable is applied; false when that does not come about. A copy that is
   * halted is applied up to there.
   */
  async drain(): Promise<boolean> {
    const { applier, clock, gate, journal, state } = this.#parts;
    const { control } = applier;
    let seen = this.applied;
    let since = clock.monotonicMs();
    const { halted } = gate;
    // The number of a halt amid a scan that was given up is above everything there is.
    const until = (): number =>
      Math.min(halted?.sequence ?? Number.MAX_SAFE_INTEGER, journal.durableSequence);
    while (seen < until()) {
      if (!applier.isRunning || state.data.copy === 'diverged') return false;
      if (clock.monotonicMs() - since > DRAIN_STALL_MS) return false;
      await control.waitForApplied(seen, WAIT_MS);
      if (control.applied !== seen) since = clock.monotonicMs();
      seen = control.applied;
    }
    return halted === null;
  }

  /**
   * Resolves when record `sequence` is applied to a complete copy; false when not in time. While a scan runs, the number
   * of its beginning says nothing about the copy.
   */
  async reach(sequence: number, timeoutMs: number): Promise<boolean> {
    const { applier, clock, state } = this.#parts;
    const deadline = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const { control } = applier;
      const seen = this.applied;
      if (seen >= sequence && state.data.copy === 'complete') return true;
      const leftMs = deadline - clock.monotonicMs();
      if (leftMs <= 0 || this.#isClosed) return false;
      await control.waitForApplied(seen, Math.min(leftMs, WAIT_MS));
    }
  }

  /**
   * Runs `work` while the copy stands still; the journal goes on. Errors: REWIND_BUSY while a scan runs,
   * whose course the applier would forget, and what `work` throws.
   */
  async paused<T>(work: () => Promise<T>): Promise<T> {
    const { options, state, journal, receiver } = this.#parts;
    const isPaused = this.#standing !== undefined;
    if (state.data.copy !== 'complete' || isPaused || receiver.isBeginning) {
      const why = isPaused ? 'the copy is being read already' : 'the copy is being made anew';
      throw new UnderstudyError('REWIND_BUSY', `group ${options.group}: ${why}; try again later`);
    }
    const standing = async (): Promise<T> => {
      const { streamId, epoch } = journal.position;
      state.update({ checkpoint: { streamId, epoch, sequence: this.moment } });
      return work();
    };
    return this.#still(standing, () => this.start(state.data.checkpoint.sequence, 'complete'));
  }

  /**
   * As {@link paused}, at the end of a scan, or in a process that begins there and has started nothing yet. To be
   * called before anything more can be received: what comes after the scan is not applied before `work` is done.
   * `work` returns how the undo log goes on.
   */
  async pausedAtScanEnd(work: () => Promise<UndoSettings['begin']>): Promise<void> {
    let begin: UndoSettings['begin'] = 'complete';
    await this.#still(
      async () => {
        begin = await work();
      },
      () => this.start(this.applied, begin),
    );
  }

  async #still<T>(work: () => Promise<T>, goOn: () => void): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#standing = promise;
    await this.#stand();
    try {
      return await work();
    } finally {
      this.#standing = undefined;
      // Whoever ends this standby waits for it, and has the journal applied first.
      if (!this.#isClosed) goOn();
      resolve();
    }
  }

  /** What the disk has lost is not told of again: the next process writes it anew, from the checkpoint on. */
  async #stand(): Promise<void> {
    try {
      await this.stopAndSync();
    } catch (error) {
      this.#parts.handlers.onFatal(error);
      throw error;
    }
  }

  /** Resolves when the copy does not stand still any more. */
  async untilUnpaused(): Promise<void> {
    if (this.#standing === undefined) return;
    if (!this.#parts.receiver.isOpen) this.#parts.undo.abortClone();
    await this.#standing;
  }
}

async function sleep(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });
}
