// Group commit of the journal: decides when to flush. Never two flushes at once; what comes while
// one runs waits for the next, and they all share it.
//
//   a commit waits            flush at once
//   4 MiB not durable         flush at once
//   anything not durable      flush, when this takes at most about a tenth of the disk's time: others
//                             need it too, on a slow or busy one above all; a third, while little comes
import type { Clock } from '../core/clock.ts';
import { KiB, MiB } from '../core/units.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';

export const FLUSH_BYTES = 4 * MiB;
/** Pauses are so many times as long as the flush before them. */
const PAUSE_PER_FLUSH = 8;
/** The same after a flush of a few records: what comes rarely is in the copy soon. */
const PAUSE_PER_RARE_FLUSH = 2;
const RARE_RECORDS = 8;
const PAUSE_MS_MAX = 40;
/** A little is flushed on this thread while the disk is quicker than this: no hop and back. */
const QUICK_FLUSH_MS = 8;
const SMALL_FLUSH_BYTES = 256 * KiB;

export interface GroupCommitHandlers {
  /** Everything up to `sequence` is durable. */
  onDurable(sequence: number): void;
  /** A flush failed: what is on the disk is not known any more. */
  onFatal(error: unknown): void;
}

export class GroupCommit {
  readonly #journal: JournalWriter;
  readonly #handlers: GroupCommitHandlers;
  readonly #clock: Clock;
  #startedAt = 0;
  #endedAt = 0;
  /** Records of the last flush. */
  #flushed = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isUrgent = false;
  #hasFailed = false;

  constructor(journal: JournalWriter, handlers: GroupCommitHandlers, clock: Clock) {
    this.#journal = journal;
    this.#handlers = handlers;
    this.#clock = clock;
  }

  /** Something was appended; `urgent` when somebody waits for it. */
  appended(urgent: boolean): void {
    if (urgent) this.#isUrgent = true;
    if (this.#running === undefined) this.#schedule();
  }

  /** Resolves when everything appended so far is durable. */
  async settle(): Promise<void> {
    while (this.#isBehind && !this.#hasFailed) {
      if (this.#running === undefined) this.#begin();
      await this.#running;
    }
  }

  get #isBehind(): boolean {
    return this.#journal.durableSequence < this.#journal.position.sequence;
  }

  get #pauseUntil(): number {
    const flushMs = Math.max(0, this.#endedAt - this.#startedAt);
    const perFlush = this.#flushed <= RARE_RECORDS ? PAUSE_PER_RARE_FLUSH : PAUSE_PER_FLUSH;
    const pauseMs = Math.min(PAUSE_MS_MAX, perFlush * flushMs);
    return this.#endedAt + pauseMs;
  }

  #schedule(): void {
    if (!this.#isBehind || this.#hasFailed) return;
    const waitMs = this.#pauseUntil - this.#clock.monotonicMs();
    if (this.#isUrgent || waitMs <= 0 || this.#journal.unflushedBytes >= FLUSH_BYTES) {
      this.#begin();
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#running === undefined) this.#begin();
    }, waitMs);
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const isQuick = this.#endedAt - this.#startedAt < QUICK_FLUSH_MS;
    const isSmall = this.#journal.unflushedBytes < SMALL_FLUSH_BYTES;
    this.#isUrgent = false;
    this.#flushed = this.#journal.position.sequence - this.#journal.durableSequence;
    this.#startedAt = this.#clock.monotonicMs();
    if (isQuick && isSmall && this.#flushNow()) return;
    this.#running = this.#flush();
  }

  /** False when it cannot be done on this thread. */
  #flushNow(): boolean {
    try {
      const sequence = this.#journal.flushNow();
      if (sequence === undefined) return false;
      this.#endedAt = this.#clock.monotonicMs();
      this.#handlers.onDurable(sequence);
    } catch (error) {
      this.#hasFailed = true;
      this.#handlers.onFatal(error);
    }
    return true;
  }

  async #flush(): Promise<void> {
    try {
      const sequence = await this.#journal.flush();
      this.#handlers.onDurable(sequence);
    } catch (error) {
      this.#hasFailed = true;
      this.#handlers.onFatal(error);
    } finally {
      this.#endedAt = this.#clock.monotonicMs();
      this.#running = undefined;
    }
    this.#schedule();
  }
}
