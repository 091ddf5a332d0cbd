// Finds out, after a restart, what the files in a journal's directory are worth.
//
//   kept   consecutive segments from the one that holds the record behind the checkpoint to the one
//          with the last good record
//   free   whole files that may be used again: of the present life of the journal only
//   junk   everything else: torn, left behind, of a stream that was given up
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../core/errors.ts';
import { JournalReader } from './journal-reader.ts';
import {
  decodeSegmentHeader,
  freeNumber,
  SEGMENT_HEADER_BYTES,
  segmentName,
  segmentNumber,
  type SegmentHeader,
} from './segment.ts';

/** Where a journal stands: the last record it has, or the one before its first. */
export interface JournalPosition {
  readonly streamId: string;
  readonly epoch: number;
  readonly sequence: number;
}

export interface RecoveryOptions {
  readonly directory: string;
  readonly groupId: string;
  readonly checkpoint: JournalPosition;
  /** Files with lower numbers belong to a stream that was given up. */
  readonly firstSegment: number;
}

export interface Recovered {
  readonly position: JournalPosition;
  /** Segments in use, oldest first. Empty: the journal has no record behind the checkpoint. */
  readonly kept: readonly SegmentHeader[];
  /** Byte in the last kept segment where writing goes on. */
  readonly offset: number;
  readonly free: readonly string[];
  readonly junk: readonly string[];
  /** Follows the last kept segment; without any, it is higher than that of any file found. */
  readonly nextNumber: number;
  /** Why the journal ends where it does, when that was a fault rather than its end. */
  readonly fault: string | undefined;
}

/** Reads through the journal from its checkpoint. Errors: JOURNAL_UNREADABLE. */
export function recoverJournal(options: RecoveryOptions): Recovered {
  const { directory, firstSegment } = options;
  const names = readdirSync(directory);
  const headers = readHeaders(options, names);
  const free = names.filter((name) => (freeNumber(name) ?? 0) >= Math.max(1, firstSegment));
  const walked = walk(options, headers);
  const numbers = names.map((name) => segmentNumber(name) ?? freeNumber(name) ?? 0);
  const lastNumber = walked.kept.at(-1)?.segment ?? Math.max(firstSegment - 1, ...numbers);
  const keep = new Set([...free, ...walked.kept.map((header) => segmentName(header.segment))]);
  const junk = names.filter((name) => !keep.has(name));
  return { ...walked, free, junk, nextNumber: lastNumber + 1 };
}

type Walked = Pick<Recovered, 'position' | 'kept' | 'offset' | 'fault'>;

function walk(options: RecoveryOptions, headers: readonly SegmentHeader[]): Walked {
  const { checkpoint, directory, groupId } = options;
  const wanted = checkpoint.sequence + 1;
  const start = headers.findLast((header) => header.firstSequence <= wanted);
  if (start === undefined) {
    const fault = headers.length > 0 ? `no segment holds record ${wanted}` : undefined;
    return { position: checkpoint, kept: [], offset: 0, fault };
  }
  const { segment } = start;
  const reader = new JournalReader({ directory, groupId, segment, sequence: wanted });
  try {
    let outcome = reader.next(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    while (outcome === 'records') {
      outcome = reader.next(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    }
    if (outcome === 'io') throw new UnderstudyError('JOURNAL_UNREADABLE', reader.why);
    return ended(reader, headers, start, outcome === 'corrupt');
  } finally {
    reader.close();
  }
}

function ended(
  reader: JournalReader,
  headers: readonly SegmentHeader[],
  start: SegmentHeader,
  corrupt: boolean,
): Walked {
  const { segment, offset } = reader;
  const kept = headers.filter(
    (header) => header.segment >= start.segment && header.segment <= segment,
  );
  const last = kept.at(-1) ?? start;
  const sequence = reader.nextSequence - 1;
  const position = { streamId: last.streamId, epoch: last.epoch, sequence };
  return { position, kept, offset, fault: corrupt ? reader.why : undefined };
}

/** Valid headers of the present life of the journal, by number. */
function readHeaders(options: RecoveryOptions, names: readonly string[]): SegmentHeader[] {
  const headers: SegmentHeader[] = [];
  for (const name of names) {
    const number = segmentNumber(name);
    if (number === undefined || number < options.firstSegment) continue;
    const header = readHeader(join(options.directory, name));
    if (header?.segment === number && header.groupId === options.groupId) headers.push(header);
  }
  return headers.sort((a, b) => a.segment - b.segment);
}

function readHeader(path: string): SegmentHeader | undefined {
  const page = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const fd = openSync(path, 'r');
  try {
    return decodeSegmentHeader(page.subarray(0, readSync(fd, page, 0, page.length, 0)));
  } catch (cause) {
    throw new UnderstudyError('JOURNAL_UNREADABLE', `cannot read ${path}: check that disk`, {
      cause,
    });
  } finally {
    closeSync(fd);
  }
}
