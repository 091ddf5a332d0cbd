// Group commit of the journal: decides when to flush. Never two flushes at once; what comes while
// one runs waits for the next, and they all share it.
//
//   a commit waits            flush at once
//   4 MiB not durable         flush at once
//   anything not durable      flush, when the pace allows it
import type { Clock } from '../core/clock.ts';
import { KiB, MiB } from '../core/units.ts';
import { FlushPace } from '../journal/flush-pace.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';

export const FLUSH_BYTES = 4 * MiB;
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
  readonly #pace = new FlushPace();
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

  #schedule(): void {
    if (!this.#isBehind || this.#hasFailed) return;
    const waitMs = this.#pace.pauseUntilMs - this.#clock.monotonicMs();
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
    const isQuick = this.#pace.flushMs < QUICK_FLUSH_MS;
    const isSmall = this.#journal.unflushedBytes < SMALL_FLUSH_BYTES;
    const records = this.#journal.position.sequence - this.#journal.durableSequence;
    this.#pace.began(this.#clock.monotonicMs(), records, this.#isUrgent);
    this.#isUrgent = false;
    if (isQuick && isSmall && this.#flushNow()) return;
    this.#running = this.#flush();
  }

  /** False when it cannot be done on this thread. */
  #flushNow(): boolean {
    try {
      const sequence = this.#journal.flushNow();
      if (sequence === undefined) return false;
      this.#pace.ended(this.#clock.monotonicMs());
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
      this.#pace.ended(this.#clock.monotonicMs());
      this.#running = undefined;
    }
    this.#schedule();
  }
}
