// Checkpoints of a copy: what is applied is brought to its disk, the state says so, and the journal is
// freed up to there. The end of a scan is one as well: with it the copy is complete.
import { UnderstudyError, messageOf } from '../core/errors.ts';
import { MiB } from '../core/units.ts';
import { MARK_SLACK_MS, type MarkedPoint } from '../journal/marks.ts';
import type { PersistedCopy } from '../journal/standby-state.ts';
import { keepsTimesBack } from '../linux/lazytime.ts';
import type { CopyCourse } from './copy-course.ts';
import type { CopySalvage } from './copy-salvage.ts';
import type { StandbyParts } from './standby-parts.ts';

const INTERVAL_MS = 20_000;
const BYTES = 256 * MiB;

export class CopyCheckpoints {
  readonly #parts: StandbyParts;
  readonly #course: CopyCourse;
  readonly #salvage: CopySalvage;
  #lastMs: number;
  #lastBytes = 0;
  #isWanted = false;
  /** Scan whose end is applied, and could not be written down yet. */
  #endedScan: number | undefined;

  constructor(parts: StandbyParts, course: CopyCourse, salvage: CopySalvage) {
    this.#parts = parts;
    this.#course = course;
    this.#salvage = salvage;
    this.#lastMs = parts.clock.monotonicMs();
  }

  /** Brings a copy to its disk that was complete before anything was received. */
  async syncFirst(): Promise<void> {
    const { state, checkpointer } = this.#parts;
    if (state.data.unsynced === null) return;
    try {
      await checkpointer.sync();
      if (!this.#course.isClosed) state.update({ unsynced: null });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The journal needs one to be able to free something. */
  want(): void {
    this.#isWanted = true;
    void this.look();
  }

  /** More is applied. */
  onProgress(): void {
    if (this.#isWanted) void this.look();
  }

  /** Makes one when it is due. */
  async look(): Promise<void> {
    const { moment, isClosed } = this.#course;
    const { state, checkpointer, receiver, clock } = this.#parts;
    const isEnded = this.#endedScan === receiver.scanCount;
    const isBehind = moment > state.data.checkpoint.sequence || isEnded;
    if (!isBehind || checkpointer.isRunning || isClosed) return;
    const received = receiver.receivedBytes - this.#lastBytes;
    const sinceMs = clock.monotonicMs() - this.#lastMs;
    const isDue = sinceMs >= INTERVAL_MS || received >= BYTES;
    if (!isDue && !this.#isWanted) return;
    if (isEnded) return this.completeScan();
    try {
      await this.#checkpoint();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The copy is as of `point` and on its disk; every later change comes after `wallMs`. `era`: see {@link Marks.add}. */
  mark(
    { streamId, sequence }: MarkedPoint,
    { wallMs, era }: { readonly wallMs: number; readonly era: number },
  ): void {
    const { state, options, marks, logger } = this.#parts;
    if (state.data.copy !== 'complete') return;
    try {
      // Times that may be older than the contents prove nothing, also of what was marked while they were not.
      if (options.directories.some(({ fd }) => keepsTimesBack(fd))) marks.clear();
      else marks.add({ streamId, sequence, wallMs: wallMs - MARK_SLACK_MS }, era);
    } catch (error) {
      // Without it, more is compared some day.
      logger.warn({ message: messageOf(error) }, 'no mark');
    }
  }

  /**
   * The end of a scan is applied. The checkpoint goes there together with the new copy state: a
   * redo after a crash never begins within a scan, whose course the applier has only in memory.
   */
  async completeScan(): Promise<void> {
    const { handlers, state, receiver } = this.#parts;
    const scan = receiver.scanCount;
    const before = state.data.copy;
    this.#endedScan = undefined;
    try {
      if (this.#salvage.isPending) {
        await this.#course.pausedAtScanEnd(async () => {
          if (scan === receiver.scanCount) this.#completeBeforeSalvage();
          return this.#salvaged();
        });
        // It could not be written to its end.
        if (this.#salvage.isPending) return;
      }
    } catch (error) {
      handlers.onFatal(error);
      return;
    }
    try {
      await this.#checkpoint(scan);
    } catch (error) {
      this.#endedScan = scan;
      this.#failed(error);
    }
    this.#tellComplete(before);
  }

  #tellComplete(before: PersistedCopy): void {
    const { handlers, state, logger, receiver } = this.#parts;
    const { copy } = state.data;
    if (copy !== 'complete' || copy === before) return;
    logger.info({ from: before, to: copy, reason: 'scan applied' }, 'copy');
    handlers.onEvent('info', 'COPY_COMPLETE', 'the copy is complete', {});
    receiver.applied();
  }

  /**
   * The copy stands still at the end of the scan, and is on its disk: it may be promoted. What it replaced is still to
   * be written aside, by this process or the next.
   */
  #completeBeforeSalvage(): void {
    const { journal, state } = this.#parts;
    const { streamId, epoch } = journal.position;
    const { copy } = state.data;
    const checkpoint = { streamId, epoch, sequence: this.#course.moment };
    state.update({ copy: 'complete', staged: null, checkpoint });
    this.#tellComplete(copy);
  }

  /** How the undo log goes on. */
  async #salvaged(): Promise<'salvage' | 'complete'> {
    await this.#salvage.keep();
    return this.#salvage.isPending ? 'salvage' : 'complete';
  }

  /** The process before ended while it wrote the salvage of a complete copy: nothing is applied before it is there. */
  async keepSalvage(): Promise<void> {
    try {
      await this.#course.pausedAtScanEnd(async () => this.#salvaged());
    } catch (error) {
      this.#parts.handlers.onFatal(error);
    }
  }

  #failed(error: unknown): void {
    const { handlers } = this.#parts;
    if (error instanceof UnderstudyError && error.code === 'STATE_IO') {
      // The checkpoint stays where it is, which is safe; it is tried again.
      handlers.onEvent('error', error.code, error.message, {});
      return;
    }
    // The kernel reports a failed write back once: what is on the disk is not known any more.
    handlers.onFatal(error);
  }

  /**
   * Brings what is applied now to the disk, and frees the journal up to there. `endedScan`: the copy is
   * complete, unless another scan has begun since this one.
   */
  async #checkpoint(endedScan?: number): Promise<void> {
    const { applier, clock, receiver, journal, state, checkpointer, marks } = this.#parts;
    this.#isWanted = false;
    this.#lastMs = clock.monotonicMs();
    this.#lastBytes = receiver.receivedBytes;
    const { control } = applier;
    const { era } = marks;
    // In this order: what is applied later is applied after `wallMs`.
    const wallMs = Math.min(clock.wallMs(), control.changedSinceMs || Infinity);
    const sequence = this.#course.moment;
    const { streamId, epoch } = journal.position;
    await checkpointer.sync();
    const isOver = this.#course.isClosed || control !== applier.control;
    if (isOver || !applier.isRunning || sequence < state.data.checkpoint.sequence) return;
    const isComplete = endedScan === receiver.scanCount;
    state.update({
      ...(isComplete ? { copy: 'complete' as const, staged: null } : {}),
      checkpoint: { streamId, epoch, sequence },
    });
    this.mark({ streamId, sequence }, { wallMs, era });
    journal.free(sequence, control.readerSegment);
    receiver.roomMade();
    this.#isWanted = receiver.isFull;
  }
}
