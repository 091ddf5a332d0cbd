// Marks: moments of which this node knows for certain what its data was.
//
// A mark says: at `wallMs` of this node's clock the protected directories held everything up to
// record `sequence` of the stream, nothing after it, and all of that was on the disk. Once true it
// stays true, whatever happens to the data later: a file that has not been changed since then (its
// ctime says so) is as it was at that record. So two nodes that have marks about the same record
// need to compare only what either of them has changed since, after whatever kind of end.
//
//   stream    ──────────────m──────────────────▶
//   primary   ─────mark─────┴───mark───✗          files with ctime ≥ its mark at or before m …
//   standby   ──mark───────mark─▶                  … and those of the standby: compare these only
//
// The file is outside of what a change of role discards, since roles change between mark and use.
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { decodeChecked, encodeChecked } from './checked-json.ts';
import { replaceFile, syncDirectory } from './replace-file.ts';

const id128 = z.string().regex(/^[0-9a-f]{32}$/);
const markSchema = z.strictObject({
  streamId: id128,
  sequence: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  wallMs: z.number().min(0).max(Number.MAX_SAFE_INTEGER),
});

/** Marks kept at most; an older one is of use only when the other node has none that is newer. */
export const MARKS_MAX = 64;

const fileSchema = z.strictObject({
  version: z.literal(1),
  groupId: id128,
  marks: z.array(markSchema).max(MARKS_MAX),
});

/** See above; `wallMs` is in ms since the Unix epoch. */
export type Mark = z.infer<typeof markSchema>;

/**
 * A mark's time is set back by so much: ctimes come from a clock that ticks every few ms, and the file
 * systems' own rounding is finer than this.
 */
export const MARK_SLACK_MS = 1000;

/** A wall clock that was set back by more makes times of changes worthless. */
const STEP_BACK_MS = 250;

/** A point in a stream: everything up to `sequence`. */
export interface MarkedPoint {
  readonly streamId: string;
  readonly sequence: number;
}

export class Marks {
  readonly #path: string;
  readonly #groupId: string;
  readonly #clock: Clock;
  #marks: readonly Mark[];
  /** Wall clock minus monotonic clock when it was looked at last. */
  #offsetMs: number;
  #era = 0;
  /** Why what the file held is not used. */
  readonly fault: string | undefined;

  private constructor(
    { path, groupId, clock }: { path: string; groupId: string; clock: Clock },
    found: readonly Mark[] | string,
  ) {
    this.#path = path;
    this.#groupId = groupId;
    this.#clock = clock;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
    this.#marks = typeof found === 'string' ? [] : found;
    this.fault = typeof found === 'string' ? found : undefined;
  }

  /**
   * Reads the marks of a group at `path`. A file that is damaged, or of another group, counts as
   * empty and `fault` says so: without marks more is compared, nothing is lost. So do marks from
   * the future: the clock was set back, and ctimes say nothing. Those are gone for good: once the clock is right
   * again, what was changed until then would look older than they are.
   */
  static open(path: string, groupId: string, clock: Clock): Marks {
    const own = { path, groupId, clock };
    const found = readMarks(path, groupId);
    const nowMs = clock.wallMs();
    if (typeof found === 'string' || found.every(({ wallMs }) => wallMs <= nowMs))
      return new Marks(own, found);
    try {
      removeDurably(path);
    } catch {
      // The next process finds them again, and looks at its clock. A disk that refuses it is told of by others.
    }
    const why = `${path} had marks of the future: the clock of this node was set back`;
    return new Marks(own, why);
  }

  /** The oldest first. */
  get all(): readonly Mark[] {
    return this.#marks;
  }

  /** To be read before the time of a mark is. */
  get era(): number {
    return this.#era;
  }

  /**
   * Adds a mark; it is durable when this returns. One of another `era` is worthless: everything was forgotten since, also
   * what was certain of it. Errors: STATE_IO.
   */
  add(mark: Mark, era: number): void {
    this.watchClock();
    if (era !== this.#era) return;
    const others = this.#marks.filter(
      ({ streamId, sequence }) => streamId !== mark.streamId || sequence !== mark.sequence,
    );
    this.#write([...others, mark].slice(-MARKS_MAX));
  }

  /**
   * Looks at the clock; to be called every second or so. When it was set back, what is changed now would
   * look older than it is, so everything is forgotten. Returns by how many ms, or 0. Errors: STATE_IO.
   */
  watchClock(): number {
    const offsetMs = this.#clock.wallMs() - this.#clock.monotonicMs();
    const backMs = this.#offsetMs - offsetMs;
    this.#offsetMs = offsetMs;
    if (backMs < STEP_BACK_MS) return 0;
    this.clear();
    return backMs;
  }

  /** Forgets everything: nothing is certain any more. Errors: STATE_IO; forgotten it is all the same, by this process. */
  clear(): void {
    this.#era += 1;
    if (this.#marks.length === 0) return;
    this.#marks = [];
    removeDurably(this.#path);
  }

  /** The newest mark at or before `point`. */
  upTo(point: MarkedPoint): Mark | undefined {
    return this.#marks
      .filter(({ streamId, sequence }) => isWithin(point, { streamId, sequence }))
      .reduce<Mark | undefined>((best, mark) => later(best, mark), undefined);
  }

  #write(marks: readonly Mark[]): void {
    const file = { version: 1, groupId: this.#groupId, marks };
    replaceFile(this.#path, encodeChecked(file));
    this.#marks = marks;
  }
}

function isWithin(point: MarkedPoint, { streamId, sequence }: MarkedPoint): boolean {
  return streamId === point.streamId && sequence <= point.sequence;
}

function later<T extends MarkedPoint>(a: T | undefined, b: T): T {
  return a === undefined || b.sequence >= a.sequence ? b : a;
}

/**
 * The latest point of which both nodes know: each has a mark at or before it, and neither has to go
 * back further than the newest mark of the other. Undefined when there is none.
 */
export function commonPoint(
  ours: readonly MarkedPoint[],
  theirs: readonly MarkedPoint[],
): MarkedPoint | undefined {
  let best: MarkedPoint | undefined;
  for (const point of [...ours, ...theirs]) {
    const isKnown = [ours, theirs].every((marks) => marks.some((mark) => isWithin(point, mark)));
    const isBoth = [ours, theirs].every((marks) =>
      marks.some(
        ({ streamId, sequence }) => streamId === point.streamId && sequence >= point.sequence,
      ),
    );
    if (isKnown && isBoth && (best === undefined || point.sequence > best.sequence)) best = point;
  }
  return best === undefined ? undefined : { streamId: best.streamId, sequence: best.sequence };
}

/** Needs no space. Errors: STATE_IO. */
function removeDurably(path: string): void {
  try {
    rmSync(path, { force: true });
    syncDirectory(dirname(path));
  } catch (cause) {
    const why = `cannot remove ${path}: ${messageOf(cause)}; check that disk`;
    throw new UnderstudyError('STATE_IO', why, { cause });
  }
}

function readMarks(path: string, groupId: string): readonly Mark[] | string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return `${path} cannot be read: ${messageOf(thrown)}`;
  }
  let value: unknown;
  try {
    value = decodeChecked(text);
  } catch (thrown) {
    return `${path} is damaged: ${messageOf(thrown)}`;
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) return `${path} is damaged: ${z.prettifyError(parsed.error)}`;
  if (parsed.data.groupId !== groupId) return `${path} belongs to group ${parsed.data.groupId}`;
  return parsed.data.marks;
}
