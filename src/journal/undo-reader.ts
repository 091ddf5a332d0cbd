// Reads an undo log: which batches there are, and what is in them. Changes nothing.
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { MiB } from '../core/units.ts';
import {
  decodeUndoBatch,
  decodeUndoEntry,
  decodeUndoSegment,
  UNDO_HEADER_BYTES,
  undoFlag,
  undoSegmentName,
  undoSegmentNumber,
  type UndoBatchHeader,
  type UndoEntry,
} from './undo-format.ts';

/** A batch and where its entries begin. */
export interface UndoBatch extends UndoBatchHeader {
  readonly segment: number;
  readonly bodyAt: number;
}

/** One segment file, its batches counted up to the first that is not whole. */
export interface UndoSegment {
  readonly segment: number;
  readonly start: number;
  readonly startedAt: number;
  readonly startFlags: number;
  /** State after its last batch; `start` when it has none. */
  readonly last: number;
  readonly lastAt: number;
  readonly lastFlags: number;
  /** Bytes up to the end of the last batch; of an earlier segment than the newest, of its file. */
  readonly bytes: number;
}

/** A state that the copy can be taken back to. */
export interface UndoMoment {
  readonly sequence: number;
  /** Microseconds since the Unix epoch; 0: not known. */
  readonly capturedAt: number;
}

const BUFFER_BYTES = MiB;
/** Clocks of two nodes differ by no more, as far as people can tell. */
const CLOCKS_DIFFER_US = 60_000_000;

/** Numbers of the segment files in `directory`, ascending. A directory that is not there has none. */
export function undoSegmentNumbers(directory: string): number[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .map((name) => undoSegmentNumber(name))
    .filter((number) => number !== undefined)
    .toSorted((a, b) => a - b);
}

/**
 * The segments of a log that follow on each other up to the newest: what comes before a gap or a
 * damaged header cannot be reached any more. `fault` says what was found, for the log file. Only the
 * newest is read; damage within the others is found when they are used. One that was only just begun
 * when the power went is left out.
 */
export function readUndoSegments(
  directory: string,
  groupId: string,
): { segments: UndoSegment[]; fault: string | undefined } {
  const segments: UndoSegment[] = [];
  let fault: string | undefined;
  const numbers = undoSegmentNumbers(directory);
  for (const number of numbers) {
    const found = readSegment(directory, groupId, number);
    if (typeof found === 'string') {
      // Its header is durable before anything is put into it.
      if (number === numbers.at(-1) && isWithoutBatches(directory, number)) break;
      fault = `segment ${undoSegmentName(number)}: ${found}`;
      segments.length = 0;
      continue;
    }
    const before = segments.at(-1);
    if (before !== undefined && before.segment !== found.previous) {
      fault = `segment ${undoSegmentName(number)} does not follow on ${undoSegmentName(before.segment)}`;
      segments.length = 0;
    } else if (before !== undefined) {
      const { start, startedAt, startFlags } = found;
      segments.pop();
      segments.push({ ...before, last: start, lastAt: startedAt, lastFlags: startFlags });
    }
    segments.push(found);
  }
  const newest = segments.pop();
  if (newest !== undefined) segments.push(withEnd(directory, newest));
  return { segments, fault };
}

function readSegment(
  directory: string,
  groupId: string,
  number: number,
): (UndoSegment & { previous: number }) | string {
  const file = new UndoFile(directory, number);
  try {
    const header = decodeUndoSegment(file.read(0, UNDO_HEADER_BYTES));
    if (typeof header === 'string') return `its header has a fault (${header})`;
    if (header.groupId !== groupId) return `it is of another group (${header.groupId})`;
    if (header.segment !== number) return `it was segment ${header.segment}`;
    const { start, startedAt, startFlags, previous } = header;
    const own = { segment: number, start, startedAt, startFlags, previous };
    return { ...own, ...emptySegment(header), bytes: file.size };
  } catch (error) {
    return messageOf(error);
  } finally {
    file.close();
  }
}

function isWithoutBatches(directory: string, number: number): boolean {
  const file = new UndoFile(directory, number);
  try {
    return file.size <= UNDO_HEADER_BYTES;
  } finally {
    file.close();
  }
}

/**
 * The segment with what its batches say of its end, not further than the state `until`. A last batch of
 * which a power cut has left the header alone does not count: it was not acted upon.
 */
export function withEnd(
  directory: string,
  { segment, start, startedAt, startFlags }: UndoSegment,
  until = Number.POSITIVE_INFINITY,
): UndoSegment {
  const own = { segment, start, startedAt, startFlags };
  let state = emptySegment(own);
  let before = state;
  let newest: UndoBatch | undefined;
  const file = new UndoFile(directory, segment);
  try {
    for (const batch of file.batches()) {
      if (batch.last > until) return { ...own, ...state };
      const bytes = batch.bodyAt + batch.bodyBytes;
      before = state;
      state = { last: batch.last, lastAt: batch.capturedAt, lastFlags: batch.flags, bytes };
      newest = batch;
    }
    if (newest !== undefined && !file.isWhole(newest)) state = before;
  } finally {
    file.close();
  }
  return { ...own, ...state };
}

/** The end of a segment without batches. */
export function emptySegment({
  start,
  startedAt,
  startFlags,
}: Pick<UndoSegment, 'start' | 'startedAt' | 'startFlags'>): Pick<
  UndoSegment,
  'last' | 'lastAt' | 'lastFlags' | 'bytes'
> {
  return { last: start, lastAt: startedAt, lastFlags: startFlags, bytes: UNDO_HEADER_BYTES };
}

/** An open segment file. Methods throw what the file system says. */
export class UndoFile {
  readonly number: number;
  readonly #fd: number;
  #buffer: Buffer | undefined;

  constructor(directory: string, number: number) {
    this.number = number;
    this.#fd = openSync(join(directory, undoSegmentName(number)), 'r');
  }

  close(): void {
    closeSync(this.#fd);
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  /** Up to `bytes` bytes at `at`; fewer at the end of the file. */
  read(at: number, bytes: number, into: Buffer = Buffer.alloc(bytes)): Buffer {
    let done = 0;
    while (done < bytes) {
      const got = readSync(this.#fd, into, done, bytes - done, at + done);
      if (got === 0) break;
      done += got;
    }
    return into.subarray(0, done);
  }

  /** Headers of the batches up to the first that is not whole or does not go on. Bodies are not read. */
  *batches(): Generator<UndoBatch> {
    let at = UNDO_HEADER_BYTES;
    let last = -1;
    const end = this.size;
    for (;;) {
      const header = decodeUndoBatch(this.read(at, UNDO_HEADER_BYTES));
      if (typeof header === 'string') return;
      const isEnd = header.bodyBytes === 0 && header.first === last && header.last === last;
      if (header.first <= last && !isEnd) return;
      const bodyAt = at + UNDO_HEADER_BYTES;
      if (bodyAt + header.bodyBytes > end) return;
      yield { ...header, segment: this.number, bodyAt };
      last = header.last;
      at = bodyAt + header.bodyBytes;
    }
  }

  /** True when the entries of a batch are what was written. */
  isWhole(batch: UndoBatch): boolean {
    const buffer = this.#bufferOnce();
    let checksum = 0;
    for (let done = 0; done < batch.bodyBytes;) {
      const wanted = Math.min(buffer.length, batch.bodyBytes - done);
      const got = this.read(batch.bodyAt + done, wanted, buffer);
      if (got.length < wanted) return false;
      checksum = crc32(got, checksum);
      done += wanted;
    }
    return checksum === batch.bodyChecksum;
  }

  /** The entries of a batch. Errors: UNDO_DAMAGED. */
  *entries(batch: UndoBatch): Generator<UndoEntry> {
    const buffer = this.#bufferOnce();
    for (let done = 0; done < batch.bodyBytes;) {
      const wanted = Math.min(buffer.length, batch.bodyBytes - done);
      const got = this.read(batch.bodyAt + done, wanted, buffer);
      let at = 0;
      for (;;) {
        const next = decodeUndoEntry(got, at, got.length - at);
        if (next === 'short') break;
        if (next === 'length') throw damaged(batch);
        yield next.entry;
        at += next.bytes;
      }
      if (at === 0) throw damaged(batch);
      done += at;
    }
  }

  #bufferOnce(): Buffer {
    this.#buffer ??= Buffer.alloc(BUFFER_BYTES);
    return this.#buffer;
  }
}

export function damaged({ first, last }: Pick<UndoBatch, 'first' | 'last'>): UnderstudyError {
  return new UnderstudyError(
    'UNDO_DAMAGED',
    `the undo log is damaged at records ${first} to ${last}: ` +
      'nothing from before them can be reached; choose a later moment',
    { details: { first, last } },
  );
}

/** The batches behind the state `sequence`, oldest first, from the segments that have them. */
export function* batchesAfter(
  directory: string,
  segments: readonly UndoSegment[],
  sequence: number,
): Generator<{ file: UndoFile; batch: UndoBatch }> {
  for (const { segment, last } of segments) {
    if (last <= sequence) continue;
    const file = new UndoFile(directory, segment);
    try {
      for (const batch of file.batches()) if (batch.last > sequence) yield { file, batch };
    } finally {
      file.close();
    }
  }
}

/** The same, newest first. */
export function* batchesBackwards(
  directory: string,
  segments: readonly UndoSegment[],
  sequence: number,
): Generator<{ file: UndoFile; batch: UndoBatch }> {
  for (const { segment, last } of segments.toReversed()) {
    if (last <= sequence) return;
    const file = new UndoFile(directory, segment);
    try {
      const batches = [...file.batches()].filter((batch) => batch.last > sequence);
      for (const batch of batches.toReversed()) yield { file, batch };
    } finally {
      file.close();
    }
  }
}

/** The states that `segments` can be taken back to, oldest first; those within a scan or stretch are none. */
export function* momentsOf(
  directory: string,
  segments: readonly UndoSegment[],
): Generator<UndoMoment> {
  let known = -1;
  for (const { segment, start, startedAt, startFlags } of segments) {
    if (isMoment(startFlags) && start !== known) yield { sequence: start, capturedAt: startedAt };
    const file = new UndoFile(directory, segment);
    try {
      for (const { flags, last, capturedAt } of file.batches()) {
        known = last;
        if (isMoment(flags)) yield { sequence: last, capturedAt };
      }
    } finally {
      file.close();
    }
  }
}

/** Whether the state with these flags is one to go back to. */
export function isMoment(flags: number): boolean {
  return (flags & (undoFlag.scanning | undoFlag.open)) === 0;
}

/**
 * The latest state in which every change is from a time (µs, the primary's clock) or earlier; undefined: none is kept.
 * Errors: REWIND_AMBIGUOUS when that clock was set back and the time was twice.
 */
export function momentAtTime(
  directory: string,
  segments: readonly UndoSegment[],
  timeUs: number,
): UndoMoment | undefined {
  const isReached = ({ capturedAt }: UndoMoment): boolean => capturedAt <= timeUs;
  const again = segments.findIndex(({ segment, startedAt }, index) => {
    // The log may have begun at a time of this node.
    const latest = startedAt - (index === 0 ? CLOCKS_DIFFER_US : 0);
    return latest > timeUs && (firstTime(directory, segment) ?? startedAt) <= timeUs;
  });
  if (again < 0) return lastMoment(directory, segments, isReached);
  const before = lastMoment(directory, segments.slice(0, again), isReached);
  let after = before;
  for (const segment of segments.slice(again)) {
    for (const moment of momentsOf(directory, [segment])) if (isReached(moment)) after = moment;
  }
  const tell = (moment: UndoMoment | undefined): string =>
    moment === undefined ? 'one that is not kept' : `record ${moment.sequence}`;
  throw new UnderstudyError(
    'REWIND_AMBIGUOUS',
    `the clock of the primary was set back: that time means ${tell(before)} or ${tell(after)}; name the record, look at it first`,
  );
}

/** When the first batch of a segment was captured; a segment begins where the clock was set back. */
function firstTime(directory: string, segment: number): number | undefined {
  const file = new UndoFile(directory, segment);
  try {
    for (const { capturedAt } of file.batches()) return capturedAt;
    return undefined;
  } finally {
    file.close();
  }
}

/** The latest state for which `isReached` holds, looking only at the segment where that changes. */
export function lastMoment(
  directory: string,
  segments: readonly UndoSegment[],
  isReached: (moment: UndoMoment) => boolean,
): UndoMoment | undefined {
  for (const segment of segments.toReversed()) {
    const { start, startedAt } = segment;
    if (!isReached({ sequence: start, capturedAt: startedAt })) continue;
    let found: UndoMoment | undefined;
    for (const moment of momentsOf(directory, [segment])) {
      if (!isReached(moment)) break;
      found = moment;
    }
    if (found !== undefined) return found;
  }
  return undefined;
}
