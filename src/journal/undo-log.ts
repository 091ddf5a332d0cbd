// The undo log, writing end; belongs to the applier's thread. `put…` collect the entries of one batch,
// `commit` makes the batch durable: only then may the records of the batch be applied.
//
// A segment never ends within a batch. Batches that are not whole at the end (a power cut while they
// were written) have not been acted upon and are cut off when the log is opened.
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { KiB, MiB } from '../core/units.ts';
import { AT, errno, O } from '../linux/constants.ts';
import { addressOf, cstring, sys } from '../linux/libc.ts';
import { writeU53 } from './record.ts';
import {
  encodeUndoBatch,
  encodeUndoSegment,
  ENTRY_BYTES,
  ENTRY_BYTES_MAX,
  ENTRY_DATA_MAX,
  entryBytes,
  UNDO_HEADER_BYTES,
  undoFlag,
  undoKind,
  undoSegmentName,
  type UndoBatchHeader,
} from './undo-format.ts';
import {
  emptySegment,
  readUndoSegments,
  undoSegmentNumbers,
  type UndoSegment,
  withEnd,
} from './undo-reader.ts';

export interface UndoLogOptions {
  /** Directory of the segments; made when it is not there. */
  readonly directory: string;
  readonly groupId: string;
  /** A segment that has reached this size is not gone on with. */
  readonly segmentBytes: number;
}

/** What is told of a batch at its end. */
export type UndoCommit = Pick<UndoBatchHeader, 'flags' | 'first' | 'last' | 'capturedAt' | 'epoch'>;

const BUFFER_BYTES = MiB;
/** The file is extended by zeros of this size: an fdatasync within it needs no journal of metadata. */
const EXTENT_BYTES = 256 * KiB;
const ZEROS = Buffer.alloc(EXTENT_BYTES);
const US_PER_MS = 1000;

export class UndoLog {
  readonly directory: string;
  /** Why earlier segments than those kept cannot be used; undefined when there is nothing to say. */
  readonly fault: string | undefined;
  readonly #groupId: string;
  readonly #segmentBytes: number;
  /** Contents are not taken beyond so many bytes in one batch. */
  batchBytesMax = Number.POSITIVE_INFINITY;
  readonly #buffer = Buffer.from(new ArrayBuffer(BUFFER_BYTES));
  readonly #view = new DataView(this.#buffer.buffer);
  readonly #address = addressOf(this.#buffer);
  #segments: UndoSegment[];
  #fd = -1;
  /** File size up to which zeros or batches are written. */
  #extent = 0;
  /** Of the batch under way: bytes in the buffer, bytes written before, checksum of these. */
  #fill = 0;
  #written = 0;
  #checksum = 0;
  #failure = 0;
  #nextSegment: number;

  /** Opens what is there. Throws what the file system says. */
  constructor({ directory, groupId, segmentBytes }: UndoLogOptions) {
    this.directory = directory;
    this.#groupId = groupId;
    this.#segmentBytes = segmentBytes;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { segments, fault } = readUndoSegments(directory, groupId);
    this.fault = fault;
    const kept = new Set(segments.map(({ segment }) => segment));
    const present = undoSegmentNumbers(directory);
    for (const number of present) if (!kept.has(number)) this.#remove(number);
    this.#segments = segments;
    this.#nextSegment = (present.at(-1) ?? 0) + 1;
  }

  /** Oldest first; the last one is written to. */
  get segments(): readonly UndoSegment[] {
    return this.#segments;
  }

  /** Oldest state that can be reached; undefined when the log has not begun. */
  get start(): number | undefined {
    return this.#segments[0]?.start;
  }

  /** Last record whose pre-image is durable; undefined when the log has not begun. */
  get last(): number | undefined {
    return this.#segments.at(-1)?.last;
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Bytes of the batch under way. */
  get batchBytes(): number {
    return this.#written + this.#fill;
  }

  /**
   * Begins anew at a state; everything from before is given up. `startedAt` (µs): when its last change was made, at the
   * latest; where that is not known, it was before now. Throws what the file system says.
   */
  reset(start: number, startedAt = Date.now() * US_PER_MS): void {
    this.#closeFile();
    // Newest first: what remains after a crash is whole from some state on.
    for (const { segment } of this.#segments.toReversed()) this.#remove(segment);
    this.#segments = [];
    this.#addSegment(start, startedAt, 0);
  }

  /** Gives up everything. */
  clear(): void {
    this.#closeFile();
    for (const { segment } of this.#segments.toReversed()) this.#remove(segment);
    this.#segments = [];
    this.#syncDirectory();
  }

  /** Forgets the batches behind the state `sequence`, which has to be one of the log. */
  cutAfter(sequence: number): void {
    this.#closeFile();
    for (const { segment, start } of this.#segments.toReversed()) {
      if (start < sequence || segment === this.#segments[0]?.segment) break;
      this.#remove(segment);
      this.#segments.pop();
    }
    const newest = this.#segments.at(-1);
    if (newest !== undefined) this.#cutSegment(newest, sequence);
    this.#syncDirectory();
  }

  /** Frees the oldest segment, but never the one that is written to. False: there is no other. */
  freeOldest(): boolean {
    const oldest = this.#segments[0];
    if (oldest === undefined || this.#segments.length < 2) return false;
    this.#remove(oldest.segment);
    this.#segments.shift();
    return true;
  }

  /** Attribute block of an object, and when it was changed last (ctime, ms). */
  putObject(directory: number, ino: number, attributes: Uint8Array, changedMs: number): void {
    const offset = Math.max(0, Math.floor(changedMs));
    this.#put({ kind: undoKind.object, directory, ino, offset, name: '' }, attributes);
  }

  /** Extended attributes, encoded; long ones become several entries. */
  putXattrs(directory: number, ino: number, encoded: Buffer): void {
    for (let at = 0; at === 0 || at < encoded.length; at += ENTRY_DATA_MAX) {
      const data = encoded.subarray(at, at + ENTRY_DATA_MAX);
      this.#put({ kind: undoKind.xattrs, directory, ino, offset: at, name: '' }, data);
    }
  }

  /** `name` in the directory with inode `parent` (0: the orphans') led to `ino` (0: to nothing). */
  putName(directory: number, parent: number, name: string, ino: number): void {
    this.#put({ kind: undoKind.name, directory, ino: parent, offset: ino, name }, undefined);
  }

  putHole(directory: number, ino: number, offset: number, length: number): void {
    const data = Buffer.alloc(8);
    writeU53(new DataView(data.buffer, data.byteOffset), 0, length);
    this.#put({ kind: undoKind.hole, directory, ino, offset, name: '' }, data);
  }

  /**
   * Bytes `offset … offset + length` of the file behind `fd`, read into the log at once; what lies
   * beyond its end is left out. Returns 0, the negative errno of a failed read, or -ENOSPC when the batch
   * has become too large.
   */
  putData(
    directory: number,
    ino: number,
    file: { fd: number; offset: number; length: number },
  ): number {
    for (let done = 0; done < file.length;) {
      if (this.batchBytes > this.batchBytesMax) return -errno.ENOSPC;
      const wanted = Math.min(ENTRY_DATA_MAX, file.length - done);
      const offset = file.offset + done;
      this.#room(ENTRY_BYTES + wanted + 8);
      const into = this.#address + this.#fill + ENTRY_BYTES;
      const got = sys.pread(file.fd, into, wanted, offset);
      if (got === 0) return 0;
      if (got < 0) return got;
      this.#head({ kind: undoKind.data, directory, ino, offset, name: '' }, got);
      this.#fill += entryBytes(0, got);
      done += got;
    }
    return 0;
  }

  /**
   * Ends a stretch with the state after record `last`, which can be gone back to from now on. Returns as
   * {@link commit}.
   */
  endStretch({ flags, last, capturedAt, epoch }: Omit<UndoCommit, 'first'>): number {
    const known = this.last ?? last;
    return this.commit({ flags, first: Math.min(known + 1, last), last, capturedAt, epoch });
  }

  /** Makes the batch durable. Returns 0 or the negative errno of what failed; then it is forgotten. */
  commit(batch: UndoCommit): number {
    const segment = this.#segments.at(-1);
    const bodyBytes = this.batchBytes;
    assert(
      segment !== undefined &&
        (batch.first > segment.last || (bodyBytes === 0 && batch.last === segment.last)),
      'batches of undo follow each other',
    );
    this.#flush();
    const header = encodeUndoBatch({ ...batch, bodyBytes, bodyChecksum: this.#checksum });
    const at = segment.bytes;
    let failure = this.#failure;
    if (failure === 0) failure = this.#open(segment);
    if (failure === 0) failure = this.#extend(at + UNDO_HEADER_BYTES);
    if (failure === 0) failure = writeAll(this.#fd, addressOf(header), header.length, at);
    if (failure === 0) failure = sys.fdatasync(this.#fd);
    this.abandon();
    if (failure < 0) return failure;
    const end = at + UNDO_HEADER_BYTES + bodyBytes;
    this.#segments[this.#segments.length - 1] = {
      ...segment,
      last: batch.last,
      lastAt: batch.capturedAt,
      lastFlags: batch.flags,
      bytes: end,
    };
    // A segment begins with a state to go back to, or within a scan.
    const isOpen = (batch.flags & undoFlag.open) !== 0;
    return isOpen || end < this.#segmentBytes ? 0 : this.rotate();
  }

  /** The next batch begins a new segment. Returns 0 or a negative errno. */
  rotate(): number {
    const segment = this.#segments.at(-1);
    if (segment === undefined || segment.last === segment.start) return 0;
    try {
      this.#closeFile();
      this.#addSegment(segment.last, segment.lastAt, segment.lastFlags);
      return 0;
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -errno.EIO;
    }
  }

  /** Forgets the batch under way. */
  abandon(): void {
    this.#fill = 0;
    this.#written = 0;
    this.#checksum = 0;
    this.#failure = 0;
  }

  close(): void {
    this.#closeFile();
  }

  #put(entry: EntryHead, data: Uint8Array | undefined): void {
    const length = data?.length ?? 0;
    this.#room(entryBytes(entry.name.length, length));
    const at = this.#fill;
    this.#head(entry, length);
    const nameAt = at + ENTRY_BYTES;
    this.#buffer.write(entry.name, nameAt, 'latin1');
    if (data !== undefined) this.#buffer.set(data, nameAt + entry.name.length);
    const end = nameAt + entry.name.length + length;
    this.#fill = at + entryBytes(entry.name.length, length);
    this.#buffer.fill(0, end, this.#fill);
  }

  #head({ kind, directory, ino, offset, name }: EntryHead, dataBytes: number): void {
    const at = this.#fill;
    this.#buffer[at] = kind;
    this.#buffer[at + 1] = directory;
    this.#view.setUint16(at + 2, name.length, true);
    this.#view.setUint32(at + 4, dataBytes, true);
    writeU53(this.#view, at + 8, ino);
    writeU53(this.#view, at + 16, offset);
    const padding = entryBytes(name.length, dataBytes) - ENTRY_BYTES - name.length - dataBytes;
    const end = at + ENTRY_BYTES + name.length + dataBytes;
    this.#buffer.fill(0, end, end + padding);
  }

  #room(bytes: number): void {
    assert(bytes <= ENTRY_BYTES_MAX, 'an entry of undo is bounded');
    if (this.#fill + bytes > BUFFER_BYTES) this.#flush();
  }

  /** Writes what is in the buffer behind the place of the batch's header. */
  #flush(): void {
    const segment = this.#segments.at(-1);
    assert(segment !== undefined, 'a log of undo has begun before it is written');
    if (this.#fill === 0) return;
    const at = segment.bytes + UNDO_HEADER_BYTES + this.#written;
    if (this.#failure === 0) this.#failure = this.#open(segment);
    if (this.#failure === 0) this.#failure = this.#extend(at + this.#fill);
    if (this.#failure === 0) this.#failure = writeAll(this.#fd, this.#address, this.#fill, at);
    this.#checksum = crc32(this.#buffer.subarray(0, this.#fill), this.#checksum);
    this.#written += this.#fill;
    this.#fill = 0;
  }

  #extend(end: number): number {
    if (end <= this.#extent) return 0;
    const from = this.#extent;
    const to = Math.ceil(end / EXTENT_BYTES) * EXTENT_BYTES;
    // Large batches write their bytes themselves; only what is beyond them is filled.
    const zerosFrom = Math.max(from, Math.floor(end / EXTENT_BYTES) * EXTENT_BYTES);
    const result = writeAll(this.#fd, addressOf(ZEROS), to - zerosFrom, zerosFrom);
    if (result === 0) this.#extent = to;
    return result;
  }

  #open({ segment, bytes }: UndoSegment): number {
    if (this.#fd >= 0) return 0;
    const path = Buffer.from(join(this.directory, undoSegmentName(segment))).toString('latin1');
    const fd = sys.openat(AT.FDCWD, cstring(path), O.RDWR | O.CLOEXEC, 0);
    if (fd < 0) return fd;
    this.#fd = fd;
    this.#extent = bytes;
    // Whatever is behind the last whole batch must not be taken for one.
    return sys.ftruncate(fd, bytes);
  }

  #addSegment(start: number, startedAt: number, startFlags: number): void {
    const segment = this.#nextSegment;
    this.#nextSegment += 1;
    const path = join(this.directory, undoSegmentName(segment));
    const fd = openSync(path, 'wx', 0o600);
    const own = { segment, start, startedAt, startFlags };
    const previous = this.#segments.at(-1)?.segment ?? 0;
    const header = encodeUndoSegment({ groupId: this.#groupId, ...own, previous });
    const written = writeAll(fd, addressOf(header), header.length, 0);
    if (written < 0) {
      closeSync(fd);
      throw Object.assign(new Error(`cannot write ${path}`), { errno: written });
    }
    fsyncSync(fd);
    this.#syncDirectory();
    this.#fd = fd;
    this.#extent = UNDO_HEADER_BYTES;
    this.#segments.push({ ...own, ...emptySegment(own) });
  }

  #cutSegment(segment: UndoSegment, sequence: number): void {
    const cut = withEnd(this.directory, segment, sequence);
    this.#segments[this.#segments.length - 1] = cut;
    const opened = this.#open(cut);
    if (opened < 0 || sys.fsync(this.#fd) < 0) throw new Error('cannot cut the undo log');
  }

  #remove(segment: number): void {
    rmSync(join(this.directory, undoSegmentName(segment)), { force: true });
  }

  #closeFile(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.abandon();
  }

  #syncDirectory(): void {
    const fd = openSync(this.directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

interface EntryHead {
  readonly kind: number;
  readonly directory: number;
  readonly ino: number;
  readonly offset: number;
  readonly name: string;
}

function writeAll(fd: number, address: number, bytes: number, at: number): number {
  for (let done = 0; done < bytes;) {
    const written = sys.pwrite(fd, address + done, bytes - done, at + done);
    if (written === 0) return -errno.EIO;
    if (written < 0 && written !== -errno.EINTR) return written;
    done += Math.max(0, written);
  }
  return 0;
}
