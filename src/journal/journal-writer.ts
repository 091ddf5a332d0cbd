// The standby's journal, writing end: appends records, makes them durable in groups, and frees the
// segments whose records the checkpoint covers.
//
// append() writes into the page cache and returns: what was appended survives the death of the
// process. flush() makes it survive a power cut. Only one flush runs at a time.
//
//   new file or free-N ──► spare (next number, name durable) ──► current ──► full ──► free-N
import {
  closeSync,
  fdatasync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  unlink,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { errno, errnoName } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { type JournalPosition, recoverJournal, type RecoveryOptions } from './journal-recovery.ts';
import { recordBytes } from './record.ts';
import { createFilled, createPreallocated } from './segment-file.ts';
import {
  encodeSegmentHeader,
  freeName,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_HEADER_BYTES,
  segmentName,
  sequenceAt,
} from './segment.ts';

const fdatasyncAsync = promisify(fdatasync);
const unlinkAsync = promisify(unlink);
const fsyncAsync = promisify(fsync);
/** A file that is being filled; no name of a segment, so that recovery removes it. */
const FILLED_NAME = 'filling';
/** What the file system itself needs for a new file. */
const SLACK_BYTES = 1024 * 1024;
const FREE_FILES_MAX_DEFAULT = 3;

export interface JournalWriterOptions extends RecoveryOptions {
  /** Size of a segment file; every record has to fit. Default 32 MiB. */
  readonly segmentBytes?: number;
  /** Files kept to be used again. Default 3. */
  readonly freeFilesMax?: number;
}

interface Segment {
  readonly number: number;
  readonly firstSequence: number;
}

export class JournalWriter {
  /** Why the journal ended where it did when it was opened; undefined when that was no fault. */
  readonly fault: string | undefined;
  readonly #directory: string;
  readonly #groupId: string;
  readonly #segmentBytes: number;
  readonly #freeFilesMax: number;
  /** Segments with records, oldest first; the last one is being written. */
  #segments: Segment[];
  #free: string[];
  #position: JournalPosition;
  #durable: number;
  #fd = -1;
  #offset: number;
  #nextNumber: number;
  /** Descriptors of full segments whose contents are not known to be on disk. */
  #unsynced: number[] = [];
  #spare: { readonly fd: number; readonly number: number } | undefined;
  #preparing: Promise<void> = Promise.resolve();
  #isPreparing = false;
  readonly #directoryFd: number;
  /** Counts changes of names, and how many of them are known to be durable. */
  #namesChanged = 0;
  #namesSynced = 0;
  #flushing = false;
  /** Files that are being removed in the background. */
  readonly #removals = new Set<Promise<void>>();
  #closed = false;
  #unflushedBytes = 0;

  /**
   * Opens or creates the journal in a directory and finds its end: the last record up to which all
   * checksums and the order hold. Everything behind the first fault is removed.
   * Errors: JOURNAL_UNREADABLE, JOURNAL_IO.
   */
  constructor(options: JournalWriterOptions) {
    this.#directory = options.directory;
    this.#groupId = options.groupId;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
    this.#freeFilesMax = options.freeFilesMax ?? FREE_FILES_MAX_DEFAULT;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.#directoryFd = openSync(options.directory, 'r');
    const recovered = recoverJournal(options);
    this.fault = recovered.fault;
    this.#position = recovered.position;
    this.#durable = recovered.position.sequence;
    this.#offset = recovered.offset;
    this.#nextNumber = recovered.nextNumber;
    this.#free = [...recovered.free];
    this.#segments = recovered.kept.map((header) => ({
      number: header.segment,
      firstSequence: header.firstSequence,
    }));
    for (const name of recovered.junk) rmSync(join(this.#directory, name), { recursive: true });
    this.#settle();
  }

  /** The last record appended. */
  get position(): JournalPosition {
    return this.#position;
  }

  /** Sequence of the last record that survives a power cut. */
  get durableSequence(): number {
    return this.#durable;
  }

  /** Bytes appended since the last flush began. */
  get unflushedBytes(): number {
    return this.#unflushedBytes;
  }

  get isFlushing(): boolean {
    return this.#flushing;
  }

  /** Bytes of the segments that cannot be freed yet. */
  get bytes(): number {
    return this.#segments.length * this.#segmentBytes;
  }

  /** Whether another segment could be begun: one that is free already, or space on the disk. */
  get hasRoom(): boolean {
    if (this.#free.length > 0 || this.#spare !== undefined) return true;
    try {
      const { bavail, bsize } = statfsSync(this.#directory);
      return bavail * bsize > this.#segmentBytes + SLACK_BYTES;
    } catch {
      // Whatever is wrong with that disk, the next segment meets it.
      return true;
    }
  }

  /** Number of the segment in which a reader that wants the record `sequence` begins. */
  segmentOf(sequence: number): number {
    const segment = this.#segments.findLast((each) => each.firstSequence <= sequence);
    return segment?.number ?? this.#segments[0]?.number ?? this.#upcomingNumber;
  }

  /**
   * Records that follow belong to another stream, which continues this journal's sequences.
   * Errors: JOURNAL_NO_SPACE, JOURNAL_IO; then they do not.
   */
  continueAs(streamId: string, epoch: number): void {
    this.#begin({ streamId, epoch, sequence: this.#position.sequence });
  }

  /**
   * Gives up everything in the journal and goes on behind `position`, which may be in another
   * stream. No reader may be active. Returns the new `firstSegment`: the caller makes it and the
   * position durable in the state file before it appends.
   */
  async reset(position: JournalPosition): Promise<number> {
    assert(!this.#flushing, 'no flush runs while a journal is reset');
    await this.#preparing;
    await Promise.all(this.#removals);
    this.#closeAll();
    // Old contents could be taken for records of the new stream: nothing is used again.
    for (const name of this.#free) this.#remove(name);
    for (const segment of this.#segments) this.#remove(segmentName(segment.number));
    if (this.#spare !== undefined) this.#remove(segmentName(this.#spare.number));
    this.#spare = undefined;
    this.#segments = [];
    this.#free = [];
    this.#unflushedBytes = 0;
    this.#position = position;
    this.#durable = position.sequence;
    return this.#nextNumber;
  }

  /**
   * Appends the checked records `bytes[at … end)`, which carry on from {@link position}.
   * Errors: JOURNAL_NO_SPACE (nothing is lost: {@link position} says what is in), JOURNAL_IO.
   */
  append(bytes: Uint8Array, view: DataView, at: number, end: number): void {
    let from = at;
    let last = at;
    let to = at;
    if (this.#fd < 0) this.#begin();
    while (to < end) {
      const next = to + recordBytes(view, to);
      assert(next - to <= this.#segmentBytes - SEGMENT_HEADER_BYTES, 'a record fits a segment');
      if (next - from > this.#segmentBytes - this.#offset) {
        if (to > from) this.#write(bytes, from, to, sequenceAt(view, last));
        this.#begin();
        from = to;
      }
      last = to;
      to = next;
    }
    assert(to === end, 'only whole records are appended');
    this.#write(bytes, from, end, sequenceAt(view, last));
  }

  /**
   * Like {@link flush}, on this very thread: two changes of thread cost more than a quick disk. Does
   * nothing and returns undefined when more than the present segment has to be synced.
   * Errors: JOURNAL_IO.
   */
  flushNow(): number | undefined {
    assert(!this.#flushing, 'one flush at a time');
    const namesAreSynced = this.#namesChanged === this.#namesSynced;
    if (this.#unsynced.length > 0 || this.#fd < 0 || !namesAreSynced) return undefined;
    this.#unflushedBytes = 0;
    const result = sys.fdatasync(this.#fd);
    if (result < 0) throw this.#flushFailed(new Error(errnoName(result)));
    this.#durable = this.#position.sequence;
    return this.#durable;
  }

  /** Makes everything appended so far durable; resolves with the last durable sequence. */
  async flush(): Promise<number> {
    assert(!this.#flushing, 'one flush at a time');
    this.#flushing = true;
    const upTo = this.#position.sequence;
    const full = this.#unsynced.splice(0);
    const current = this.#fd;
    this.#unflushedBytes = 0;
    try {
      for (const fd of full) await fdatasyncAsync(fd);
      if (current >= 0) await fdatasyncAsync(current);
      await this.#syncNames();
    } catch (cause) {
      throw this.#flushFailed(cause);
    } finally {
      this.#flushing = false;
      for (const fd of full) closeSync(fd);
    }
    this.#durable = upTo;
    return upTo;
  }

  /** Frees segments before number `segment` whose records all have sequences up to `sequence`. */
  free(sequence: number, segment: number): void {
    for (;;) {
      const [first, second] = this.#segments;
      if (first === undefined || second === undefined) return;
      if (second.firstSequence > sequence + 1 || first.number >= segment) return;
      this.#segments.shift();
      this.#retire(first.number);
    }
  }

  /** Ends; what was not flushed stays in the page cache. */
  async close(): Promise<void> {
    assert(!this.#flushing, 'no flush runs while a journal is closed');
    this.#closed = true;
    await this.#preparing;
    await Promise.all(this.#removals);
    this.#closeAll();
    closeSync(this.#directoryFd);
  }

  /** After recovery: the last segment is written on, and all that was found is made durable. */
  #settle(): void {
    try {
      fsyncSync(this.#directoryFd);
      for (const segment of this.#segments) {
        const fd = openSync(join(this.#directory, segmentName(segment.number)), 'r+');
        const result = sys.fdatasync(fd);
        if (segment === this.#segments.at(-1)) this.#fd = fd;
        else closeSync(fd);
        if (result < 0) throw this.#failure('sync', result);
      }
    } catch (cause) {
      if (cause instanceof UnderstudyError) throw cause;
      throw new UnderstudyError('JOURNAL_IO', `cannot open the journal: ${messageOf(cause)}`, {
        cause,
      });
    }
    while (this.#free.length > this.#freeFilesMax) this.#remove(this.#free.pop() ?? '');
  }

  #write(bytes: Uint8Array, from: number, to: number, lastSequence: number): void {
    const address = addressOf(bytes);
    for (let at = from; at < to;) {
      const wrote = sys.pwrite(this.#fd, address + at, to - at, this.#offset + at - from);
      if (wrote <= 0) throw this.#failure('append to', wrote);
      at += wrote;
    }
    this.#offset += to - from;
    this.#unflushedBytes += to - from;
    const { streamId, epoch } = this.#position;
    this.#position = { streamId, epoch, sequence: lastSequence };
  }

  get #upcomingNumber(): number {
    return this.#spare?.number ?? this.#nextNumber;
  }

  /** Begins the next segment behind `position`, in the spare file or, when that is not ready, in a new one. */
  #begin(position = this.#position): void {
    const { streamId, epoch, sequence } = position;
    const { fd, number } = this.#spare ?? this.#createSpare();
    this.#spare = { fd, number };
    const firstSequence = sequence + 1;
    const groupId = this.#groupId;
    const page = encodeSegmentHeader({ groupId, streamId, epoch, segment: number, firstSequence });
    const wrote = sys.pwrite(fd, page, page.length, 0);
    if (wrote !== page.length) throw this.#failure('begin a segment of', wrote);
    this.#spare = undefined;
    // Only now: without a segment of its own, a stream would go on in that of the one before.
    this.#position = position;
    if (this.#fd >= 0) this.#unsynced.push(this.#fd);
    this.#fd = fd;
    this.#offset = SEGMENT_HEADER_BYTES;
    this.#segments.push({ number, firstSequence });
    if (!this.#isPreparing) this.#preparing = this.#prepare();
  }

  #createSpare(): { fd: number; number: number } {
    const number = this.#nextNumber;
    const path = join(this.#directory, segmentName(number));
    const fd = createPreallocated(path, this.#segmentBytes);
    if (fd < 0) {
      // What was allocated before the space ran out must not add to that.
      this.#remove(segmentName(number));
      throw this.#failure('add a segment to', fd);
    }
    this.#nextNumber = number + 1;
    this.#namesChanged += 1;
    return { fd, number };
  }

  /** Gets the next segment's file ready in the background. */
  async #prepare(): Promise<void> {
    this.#isPreparing = true;
    try {
      if (this.#free.length === 0) {
        const path = join(this.#directory, FILLED_NAME);
        await createFilled(path, this.#segmentBytes);
        this.#adopt(FILLED_NAME);
      } else {
        this.#adopt(this.#free.shift() ?? '');
      }
      await this.#syncNames();
    } catch {
      // begin() tries for itself when there is no spare, and reports what is in the way.
    } finally {
      this.#isPreparing = false;
    }
  }

  /** A whole file becomes the spare. Its number is taken only here: numbers must not have gaps. */
  #adopt(name: string): void {
    const from = join(this.#directory, name);
    if (this.#closed || this.#spare !== undefined) {
      rmSync(from, { force: true });
      return;
    }
    const number = this.#nextNumber;
    const to = join(this.#directory, segmentName(number));
    renameSync(from, to);
    this.#nextNumber = number + 1;
    this.#namesChanged += 1;
    this.#spare = { fd: openSync(to, 'r+'), number };
  }

  /** The kernel may have dropped the pages: what was written is not to be trusted any more. */
  #flushFailed(cause: unknown): UnderstudyError {
    const where = `cannot make the journal in ${this.#directory} durable: check that disk`;
    return new UnderstudyError('JOURNAL_IO', where, { cause });
  }

  async #syncNames(): Promise<void> {
    const changed = this.#namesChanged;
    if (changed === this.#namesSynced) return;
    await fsyncAsync(this.#directoryFd);
    this.#namesSynced = Math.max(this.#namesSynced, changed);
  }

  #retire(number: number): void {
    const name = segmentName(number);
    if (this.#free.length >= this.#freeFilesMax) {
      // In the background: giving back the blocks of a large file takes a while. Its number is
      // never used again, so it does not matter when.
      const removal = unlinkAsync(join(this.#directory, name)).catch(() => undefined);
      this.#removals.add(removal);
      void removal.finally(() => this.#removals.delete(removal));
      return;
    }
    renameSync(join(this.#directory, name), join(this.#directory, freeName(number)));
    this.#free.push(freeName(number));
  }

  #remove(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
  }

  #closeAll(): void {
    for (const fd of this.#unsynced.splice(0)) closeSync(fd);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    if (this.#spare !== undefined) closeSync(this.#spare.fd);
  }

  #failure(what: string, negative: number): UnderstudyError {
    const why = negative < 0 ? errnoName(negative) : 'a short write';
    if (negative === -errno.ENOSPC || negative === -errno.EDQUOT || negative >= 0) {
      return new UnderstudyError(
        'JOURNAL_NO_SPACE',
        `cannot ${what} the journal in ${this.#directory} (${why}): free some space there`,
      );
    }
    return new UnderstudyError(
      'JOURNAL_IO',
      `cannot ${what} the journal in ${this.#directory} (${why}): check that disk`,
    );
  }
}
