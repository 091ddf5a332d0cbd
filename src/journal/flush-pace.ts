// How long to wait between two flushes of the same file, so that others get the disk, which needs it on a slow or busy
// one above all: a flush takes about a tenth of the time; a third, while little comes.

/** Pauses are so many times as long as the flush before them. */
const PAUSE_PER_FLUSH = 8;
/** The same where little comes: it is in the copy soon. */
const PAUSE_PER_RARE_FLUSH = 2;
const RARE_RECORDS = 8;
const PAUSE_MS_MAX = 40;

/** Times are milliseconds of a monotonic clock. */
export class FlushPace {
  #startedAt = 0;
  #endedAt = 0;
  #isRare = true;

  /**
   * A flush of so many records begins. After one that somebody waited for (`urgent`) the next ones are expected to be waited
   * for as well: another one just before them would be in their way.
   */
  began(nowMs: number, records: number, urgent = false): void {
    this.#startedAt = nowMs;
    this.#endedAt = nowMs;
    this.#isRare = records <= RARE_RECORDS && !urgent;
  }

  ended(nowMs: number): void {
    this.#endedAt = nowMs;
  }

  /** How long the last flush took. */
  get flushMs(): number {
    return this.#endedAt - this.#startedAt;
  }

  /** When the next flush may begin, unless somebody waits for it. */
  get pauseUntilMs(): number {
    const perFlush = this.#isRare ? PAUSE_PER_RARE_FLUSH : PAUSE_PER_FLUSH;
    return this.#endedAt + Math.min(PAUSE_MS_MAX, perFlush * this.flushMs);
  }
}
