// Delete protection at run time: tells the removal of nearly everything from ordinary work, from the
// stream alone. Pure: it is told what the records do and what time it is.
//
//   calm ──many removals at a time──▶ burst ──quiet for a moment──────────────────────▶ calm
//                                       └──more than the share of all files is gone──▶ everything
//
// Applying waits while a burst lasts, so that the copy is still as of before it when the burst turns out
// to have been everything. That costs nothing but a copy that follows a moment later: what was received
// is in the journal. A burst that lasts too long is followed, and still watched.
//
// Removals are counted net of what is created in the same time: temporary files are no loss. Names
// that move are neither.
import { recordType } from '../../journal/record.ts';

export interface DeletionLimits {
  /** Removals within the window below this are never too many. */
  readonly filesMin: number;
  /** Share of all files, above 0 and up to 1, whose removal within the window is too much. */
  readonly share: number;
  readonly windowMs: number;
}

/** So many removals begin a burst. */
const BURST_MIN = 20;
const QUIET_MS = 500;
/** Applying waits no longer for one burst. */
const HOLD_MS_MAX = 30_000;
const BUCKETS = 60;

interface Bucket {
  /** Number of the bucket since time 0. */
  number: number;
  removed: number;
  created: number;
  /** First record that removed something. */
  from: number;
  sinceMs: number;
}

/** What is known at a moment. */
export interface Deletions {
  /** Net removals within the window. */
  readonly removed: number;
  /** First of them, and when it came. */
  readonly from: number;
  readonly sinceMs: number;
  /** Applying is to wait before `from`. */
  readonly isHeld: boolean;
}

const CALM: Deletions = { removed: 0, from: 0, sinceMs: 0, isHeld: false };

const REMOVING: ReadonlySet<number> = new Set([recordType.unlink, recordType.rmdir]);
const CREATING: ReadonlySet<number> = new Set([
  recordType.create,
  recordType.mkdir,
  recordType.mknod,
  recordType.symlink,
  recordType.link,
]);

export class DeletionWatch {
  readonly #limits: DeletionLimits;
  readonly #bucketMs: number;
  readonly #buckets: Bucket[];
  #lastRemovalMs = Number.NEGATIVE_INFINITY;
  /** Since when applying waits for the present burst. */
  #heldSinceMs: number | undefined;
  /** What came up to this record is counted, or does not count. */
  #passed = 0;

  constructor(limits: DeletionLimits) {
    this.#limits = limits;
    this.#bucketMs = limits.windowMs / BUCKETS;
    this.#buckets = Array.from({ length: BUCKETS }, emptyBucket);
  }

  /** Whether records of this type matter here at all. */
  static counts(type: number): boolean {
    return REMOVING.has(type) || CREATING.has(type);
  }

  note(type: number, sequence: number, nowMs: number): void {
    if (sequence <= this.#passed) return;
    this.#passed = sequence;
    const bucket = this.#bucketAt(nowMs);
    if (!REMOVING.has(type)) {
      bucket.created += 1;
      return;
    }
    if (bucket.removed === 0) {
      bucket.from = sequence;
      bucket.sinceMs = nowMs;
    }
    bucket.removed += 1;
    this.#lastRemovalMs = nowMs;
  }

  #bucketAt(nowMs: number): Bucket {
    const number = Math.floor(nowMs / this.#bucketMs);
    const bucket = this.#buckets[number % BUCKETS] ?? emptyBucket();
    if (bucket.number !== number) Object.assign(bucket, emptyBucket(), { number });
    return bucket;
  }

  /** What the window has, and whether applying is to wait. */
  look(nowMs: number): Deletions {
    if (nowMs - this.#lastRemovalMs > this.#limits.windowMs) {
      this.#heldSinceMs = undefined;
      return CALM;
    }
    const oldest = Math.floor(nowMs / this.#bucketMs) - BUCKETS + 1;
    let removed = 0;
    let first: Bucket | undefined;
    for (const bucket of this.#buckets) {
      if (bucket.number < oldest) continue;
      removed += bucket.removed - bucket.created;
      if (bucket.removed > 0 && (first === undefined || bucket.number < first.number))
        first = bucket;
    }
    if (first === undefined || removed < BURST_MIN) {
      this.#heldSinceMs = undefined;
      return { ...CALM, removed: Math.max(0, removed) };
    }
    const { from, sinceMs } = first;
    return { removed, from, sinceMs, isHeld: this.#holds(nowMs) };
  }

  #holds(nowMs: number): boolean {
    if (nowMs - this.#lastRemovalMs > QUIET_MS) return false;
    this.#heldSinceMs ??= nowMs;
    return nowMs - this.#heldSinceMs <= HOLD_MS_MAX;
  }

  /** Of how many files at least the removals are no reason to halt. */
  harmlessFrom({ removed }: Deletions): number {
    if (removed <= this.#limits.filesMin) return 0;
    return Math.floor(removed / this.#limits.share);
  }

  /** Begins anew: records up to `sequence` are all right. */
  pass(sequence: number): void {
    this.#passed = sequence;
    this.#lastRemovalMs = Number.NEGATIVE_INFINITY;
    this.#heldSinceMs = undefined;
    for (const bucket of this.#buckets) Object.assign(bucket, emptyBucket());
  }
}

function emptyBucket(): Bucket {
  return { number: -1, removed: 0, created: 0, from: 0, sinceMs: 0 };
}
