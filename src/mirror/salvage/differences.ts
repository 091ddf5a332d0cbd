// Where two contents of a file differ, to the byte.
import { fstatSync } from 'node:fs';
import { KiB } from '../../core/units.ts';
import { nextData, type OldFile, readAll } from './old-file.ts';

/** from, to */
export type Range = readonly [number, number];

const PIECE_BYTES = 256 * KiB;
/** Differences that are closer to each other are told as one. */
const GAP_BYTES = 64;

const oldPiece = Buffer.from(new ArrayBuffer(PIECE_BYTES));
const newPiece = Buffer.from(new ArrayBuffer(PIECE_BYTES));

/**
 * Ranges of the old file that are not the same in the new one, open as `fd`; what the new one does not
 * reach differs. `isSame`: it is the same file, so only what was changed since can differ.
 */
export function* differences(old: OldFile, fd: number, isSame: boolean): Generator<Range> {
  let pending: [number, number] | undefined;
  for (const [from, to] of differingPieces(old, fd, isSame)) {
    if (pending !== undefined && from - pending[1] <= GAP_BYTES) {
      pending[1] = to;
      continue;
    }
    if (pending !== undefined) yield pending;
    pending = [from, to];
  }
  if (pending !== undefined) yield pending;
}

/** Holes are not read: those of a sparse file may be larger than any disk. */
function* differingPieces(old: OldFile, fd: number, isSame: boolean): Generator<Range> {
  const reach = fstatSync(fd).size;
  for (let at = 0; at < old.size;) {
    const runEnd = isSame ? old.runEnd(at, old.size) : old.size;
    if (isSame && !old.has(at)) {
      at = runEnd;
      continue;
    }
    if (at >= reach) {
      yield [at, runEnd];
      at = runEnd;
      continue;
    }
    const limit = Math.min(runEnd, reach);
    const from = Math.min(old.nextData(at, limit), nextData(fd, at, limit));
    const end = Math.min(from + PIECE_BYTES, limit);
    yield* compare(old, fd, from, end);
    at = end;
  }
}

function* compare(old: OldFile, fd: number, from: number, to: number): Generator<Range> {
  const before = oldPiece.subarray(0, to - from);
  const after = newPiece.subarray(0, to - from);
  old.read(before, from);
  const reached = readAll(fd, after, from);
  const common = before.subarray(0, reached);
  if (!common.equals(after.subarray(0, reached))) {
    let start = -1;
    for (let at = 0; at < reached; at += 1) {
      const isSame = before[at] === after[at];
      if (!isSame && start < 0) start = at;
      if (!isSame || start < 0) continue;
      yield [from + start, from + at];
      start = -1;
    }
    if (start >= 0) yield [from + start, from + reached];
  }
  if (reached < before.length) yield [from + reached, to];
}
