// Makes marks on the primary (see journal/marks.ts): asks the capture thread for a point, brings the
// data underneath to the disk, waits until the standby has everything up to that point on its disk too.
//
// Nothing waits for this, and nothing breaks without it: fewer marks mean that more is compared when one
// of the nodes comes back after a crash.
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { MARK_SLACK_MS, type Marks } from '../journal/marks.ts';
import { keepsTimesBack } from '../linux/lazytime.ts';
import { Checkpointer, type SyncTarget } from '../mirror/checkpointer.ts';

/** Between two marks. The kernel writes dirty data out after half of it anyway. */
const MARK_INTERVAL_MS = 60_000;
const LOOK_INTERVAL_MS = 1000;
const STANDBY_TIMEOUT_MS = 30_000;

/** A point between two changes; see CaptureReport. */
export interface Point {
  readonly sequence: number;
  readonly wallMs: number;
}

/** What the keeper needs of the group around it. */
export interface MarkedGroup {
  readonly streamId: string;
  readonly roots: readonly SyncTarget[];
  /** The standby has a complete copy and no scan is under way. */
  isComplete(): boolean;
  /** Last record captured. */
  sequence(): number;
  askPoint(): void;
  /** Resolves when the standby has everything up to `sequence` on its disk; rejects when not in time. */
  drained(sequence: number, timeoutMs: number): Promise<void>;
}

export class MarkKeeper {
  readonly #group: MarkedGroup;
  readonly #marks: Marks;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #checkpointer: Checkpointer;
  #timer: NodeJS.Timeout | undefined;
  #isMaking = false;
  #markedSequence = -1;
  #markedAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #isLate = false;
  /** See {@link Marks.era}; of the point that was asked for last. */
  #era: number;

  constructor(
    group: MarkedGroup,
    { marks, clock, logger }: { marks: Marks; clock: Clock; logger: Logger },
  ) {
    this.#group = group;
    this.#marks = marks;
    this.#clock = clock;
    this.#logger = logger;
    this.#era = marks.era;
    this.#checkpointer = new Checkpointer(group.roots);
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#watchClock();
    const now = this.#clock.monotonicMs();
    if (now - this.#lookedAt >= MARK_INTERVAL_MS) {
      this.#lookedAt = now;
      this.#watchTimes();
    }
    const isDue = now - this.#markedAt >= MARK_INTERVAL_MS;
    const isNews = this.#group.sequence() !== this.#markedSequence;
    if (this.#isMaking || !isDue || !isNews || !this.#group.isComplete()) return;
    this.#markedAt = now;
    if (this.#isLate) return;
    this.#isMaking = true;
    this.#era = this.#marks.era;
    this.#group.askPoint();
  }

  /** Times that may be older than the contents prove nothing, also of what was marked while they were not. */
  #watchTimes(): void {
    this.#isLate = this.#group.roots.some(({ fd }) => keepsTimesBack(fd));
    if (!this.#isLate) return;
    try {
      this.#marks.clear();
    } catch (thrown) {
      this.#logger.error({ message: messageOf(thrown) }, 'marks cannot be forgotten');
    }
  }

  /** The capture thread has answered. */
  async make(point: Point): Promise<void> {
    try {
      await this.#checkpointer.sync();
      await this.#group.drained(point.sequence, STANDBY_TIMEOUT_MS);
      if (!this.#group.isComplete()) return;
      const { streamId } = this.#group;
      const wallMs = point.wallMs - MARK_SLACK_MS;
      this.#marks.add({ streamId, sequence: point.sequence, wallMs }, this.#era);
      this.#markedSequence = point.sequence;
    } catch (thrown) {
      this.#logger.info({ message: messageOf(thrown) }, 'no mark');
    } finally {
      this.#isMaking = false;
    }
  }

  #watchClock(): void {
    try {
      const backMs = this.#marks.watchClock();
      if (backMs > 0) this.#logger.warn({ backMs }, 'the clock was set back: marks are forgotten');
    } catch (thrown) {
      this.#logger.error({ message: messageOf(thrown) }, 'marks cannot be forgotten');
    }
  }
}
