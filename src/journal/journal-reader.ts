// Reads the records of a journal in order, from its files, into a buffer of its own. Used by the
// applier thread behind the writer, and by the writer itself to find the end after a restart.
//
// Every record is checked again: what the disk gives back may differ from what was written.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../core/assert.ts';
import { messageOf } from '../core/errors.ts';
import { KiB, MiB } from '../core/units.ts';
import { errnoName } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { checkRecord, field, RECORD_BYTES_MAX } from './record.ts';
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentName,
  sequenceAt,
  type SegmentHeader,
} from './segment.ts';

export interface JournalReaderOptions {
  /** Directory of the segment files. */
  readonly directory: string;
  readonly groupId: string;
  /** Segment in which the record `sequence` is, or one before it. */
  readonly segment: number;
  /** Sequence of the first record wanted. */
  readonly sequence: number;
  /** Size of the reader's buffer; at least one record. Default 4 MiB. */
  readonly bufferBytes?: number;
}

/** Whole, checked records `bytes[at … end)`. Valid until the next call; one object used again. */
export interface RecordBatch {
  bytes: Uint8Array;
  view: DataView;
  at: number;
  end: number;
  firstSequence: number;
  lastSequence: number;
}

/**
 * `end`: the journal has no further record (yet). `corrupt`: a later segment exists but does not go
 * on at the wanted sequence. `io`: a file cannot be read (`why` names it).
 */
export type ReadOutcome = 'records' | 'end' | 'corrupt' | 'io';

const BUFFER_BYTES_DEFAULT = 4 * MiB;
const FILL_BYTES_MIN = 64 * KiB;

export class JournalReader {
  readonly batch: RecordBatch;
  readonly #directory: string;
  readonly #groupId: string;
  readonly #buffer: Buffer;
  readonly #address: number;
  #fd = -1;
  #segment: number;
  #header: SegmentHeader | undefined;
  #offset = SEGMENT_HEADER_BYTES;
  /** Bytes `#from … #to` of the buffer are read and not yet handed out; `#from` lies at `#offset`. */
  #from = 0;
  #to = 0;
  #fillBytes = FILL_BYTES_MIN;
  #wanted: number;
  #why = '';

  constructor(options: JournalReaderOptions) {
    this.#directory = options.directory;
    this.#groupId = options.groupId;
    this.#segment = options.segment;
    this.#wanted = options.sequence;
    const bytes = options.bufferBytes ?? BUFFER_BYTES_DEFAULT;
    assert(bytes >= RECORD_BYTES_MAX, 'the buffer of a journal reader holds any record');
    this.#buffer = Buffer.from(new ArrayBuffer(bytes));
    this.#address = addressOf(this.#buffer);
    const view = new DataView(this.#buffer.buffer);
    this.batch = { bytes: this.#buffer, view, at: 0, end: 0, firstSequence: 0, lastSequence: 0 };
  }

  /** Sequence of the record that the next batch begins with. */
  get nextSequence(): number {
    return this.#wanted;
  }

  /** Segment that is being read. */
  get segment(): number {
    return this.#segment;
  }

  /** Byte in the segment at which the next record is expected. */
  get offset(): number {
    return this.#offset;
  }

  /** Header of the segment that is being read; undefined while its file has none. */
  get header(): SegmentHeader | undefined {
    return this.#header;
  }

  /** Sentence for the last outcome `corrupt` or `io`. */
  get why(): string {
    return this.#why;
  }

  /**
   * Reads up to `bytesMax` bytes of records with sequences up to `sequenceMax` into {@link batch}.
   * The caller must know that they are there (the published tail): `end` before `sequenceMax` then
   * means a damaged journal.
   */
  next(bytesMax: number, sequenceMax: number): ReadOutcome {
    if (this.#wanted > sequenceMax) return 'end';
    for (;;) {
      const opened = this.#ensureOpen();
      if (opened !== 'open') return opened;
      const found = this.#readOn(bytesMax, sequenceMax);
      if (found !== 'end') return found;
      const moved = this.#nextSegment();
      if (moved !== 'open') return moved;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Looks for the wanted record in the buffer, then in the rest of the segment. */
  #readOn(bytesMax: number, sequenceMax: number): 'records' | 'end' | 'io' {
    // Near the tail a small read is enough and quick; a large record needs the whole buffer.
    let bytes = this.#fillBytes;
    for (;;) {
      if (this.#collect(bytesMax, sequenceMax)) return 'records';
      const filled = this.#fill(bytes);
      if (filled < 0) return this.#io(`read ${segmentName(this.#segment)}`, filled);
      const before = this.#offset;
      this.#skipEarlier();
      if (this.#collect(bytesMax, sequenceMax)) return 'records';
      if (this.#offset !== before) continue;
      if (bytes === this.#buffer.length) return 'end';
      bytes = this.#buffer.length;
    }
  }

  /** Passes over records of the segment that come before the first one wanted. */
  #skipEarlier(): void {
    const { view } = this.batch;
    for (;;) {
      const total = checkRecord(this.#buffer, view, this.#from, this.#to - this.#from);
      if (typeof total !== 'number' || sequenceAt(view, this.#from) >= this.#wanted) return;
      this.#from += total;
      this.#offset += total;
    }
  }

  /** Hands out the checked records at the front of the buffer; false when there is none. */
  #collect(bytesMax: number, sequenceMax: number): boolean {
    const { batch } = this;
    const { view } = batch;
    const limit = Math.min(this.#to, this.#from + Math.max(bytesMax, RECORD_BYTES_MAX));
    const epoch = this.#header?.epoch;
    let at = this.#from;
    let sequence = this.#wanted;
    while (at < limit && sequence <= sequenceMax) {
      const total = checkRecord(this.#buffer, view, at, this.#to - at);
      if (typeof total !== 'number' || at + total > limit) break;
      if (sequenceAt(view, at) !== sequence) break;
      if (view.getUint32(at + field.epoch, true) !== epoch) break;
      at += total;
      sequence += 1;
    }
    if (at === this.#from) return false;
    const isAtTail = sequence > sequenceMax;
    const doubled = Math.min(this.#fillBytes * 2, this.#buffer.length);
    this.#fillBytes = isAtTail ? FILL_BYTES_MIN : doubled;
    batch.at = this.#from;
    batch.end = at;
    batch.firstSequence = this.#wanted;
    batch.lastSequence = sequence - 1;
    this.#wanted = sequence;
    this.#offset += at - this.#from;
    this.#from = at;
    return true;
  }

  /** Reads on at `#offset`, from the file anew: what was stale before may be written by now. */
  #fill(capacity: number): number {
    let at = 0;
    while (at < capacity) {
      const got = sys.pread(this.#fd, this.#address + at, capacity - at, this.#offset + at);
      if (got < 0) return got;
      if (got === 0) break;
      at += got;
    }
    this.#from = 0;
    this.#to = at;
    return at;
  }

  #ensureOpen(): 'open' | 'end' | 'corrupt' | 'io' {
    return this.#fd >= 0 ? 'open' : this.#open(this.#segment);
  }

  #nextSegment(): 'open' | 'end' | 'corrupt' | 'io' {
    return this.#open(this.#segment + 1);
  }

  /** Moves to a segment; stays where it is when the outcome is not `open`. */
  #open(segment: number): 'open' | 'end' | 'corrupt' | 'io' {
    const name = segmentName(segment);
    let fd: number;
    try {
      fd = openSync(join(this.#directory, name), 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'end';
      this.#why = `cannot open journal segment ${name}: ${messageOf(error)}`;
      return 'io';
    }
    const page = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const got = sys.pread(fd, page, page.length, 0);
    const header = decodeSegmentHeader(page.subarray(0, Math.max(0, got)));
    let outcome: 'open' | 'end' | 'corrupt' | 'io' = 'open';
    if (got < 0) outcome = this.#io(`read ${name}`, got);
    else if (header?.segment !== segment || header.groupId !== this.#groupId) outcome = 'end';
    else if (header.firstSequence > this.#wanted) outcome = this.#gap(header.firstSequence);
    if (outcome !== 'open') {
      closeSync(fd);
      return outcome;
    }
    this.close();
    this.#fd = fd;
    this.#header = header;
    this.#segment = segment;
    this.#offset = SEGMENT_HEADER_BYTES;
    this.#from = 0;
    this.#to = 0;
    return 'open';
  }

  #gap(first: number): 'corrupt' {
    this.#why =
      `the journal in ${this.#directory} is damaged in segment ${segmentName(this.#segment)} at ` +
      `byte ${this.#offset}: record ${this.#wanted} is missing, the next is ${first}`;
    return 'corrupt';
  }

  #io(what: string, negative: number): 'io' {
    this.#why = `cannot ${what} of the journal in ${this.#directory}: ${errnoName(negative)}`;
    return 'io';
  }
}
