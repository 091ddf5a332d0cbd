// Contents of a file as they were before a scan: the file as it is now, and over it, in a sparse file of
// its own, the blocks that were changed since, as they were then.
//
// The undo log is read newest batch first, as for going back: what an older batch says comes on top. A
// block that only a part of an entry is about is taken from the present file before.
import { KiB } from '../../core/units.ts';
import { errno, FALLOC, SEEK } from '../../linux/constants.ts';
import { addressOf, sys } from '../../linux/libc.ts';
import { must } from '../applier/rollback-tree.ts';

export const BLOCK_BYTES = 4 * KiB;
const PIECE_BYTES = 256 * KiB;

const piece = Buffer.from(new ArrayBuffer(PIECE_BYTES));
const pieceAddress = addressOf(piece);
const ZEROS = Buffer.alloc(BLOCK_BYTES);

export interface OldFileOptions {
  /** Size then. */
  readonly size: number;
  /** Opens the file as it is now, for reading. */
  readonly openBase: () => number;
  /** Opens the file for what has changed, for reading and writing; it is made when it is not there. */
  readonly openWork: () => number;
}

export class OldFile {
  readonly size: number;
  readonly #options: OldFileOptions;
  /** One bit per block that is in the sparse file. */
  #changed: Uint8Array | undefined;
  #base = -1;
  #work = -1;

  constructor(options: OldFileOptions) {
    this.size = options.size;
    this.#options = options;
  }

  /** Whether anything of it was changed since. */
  get isChanged(): boolean {
    return this.#changed !== undefined;
  }

  get isOpen(): boolean {
    return this.#base >= 0 || this.#work >= 0;
  }

  close(): void {
    if (this.#base >= 0) sys.close(this.#base);
    if (this.#work >= 0) sys.close(this.#work);
    this.#base = -1;
    this.#work = -1;
  }

  /** There were these bytes at `offset`. Throws RollbackFailure. */
  put(offset: number, bytes: Buffer): void {
    const length = Math.min(bytes.length, this.size - offset);
    if (length <= 0) return;
    this.#takeEdges(offset, offset + length);
    writeAll(this.#openWork(), bytes.subarray(0, length), offset);
    this.#mark(offset, offset + length);
  }

  /** There was a hole. */
  putHole(offset: number, length: number): void {
    const end = Math.min(offset + length, this.size);
    if (offset >= end) return;
    this.#takeEdges(offset, end);
    const fd = this.#openWork();
    const result = sys.fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, offset, end - offset);
    if (result === -errno.EOPNOTSUPP) {
      for (let at = offset; at < end; at += ZEROS.length)
        writeAll(fd, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
    } else must(result, 'punch a hole');
    this.#mark(offset, end);
  }

  /** Whether the block at `offset` is in the sparse file. */
  has(offset: number): boolean {
    const block = Math.floor(offset / BLOCK_BYTES);
    return ((this.#changed?.[block >> 3] ?? 0) & (1 << (block & 7))) !== 0;
  }

  /** End of the run of blocks like the one at `offset`, not behind `limit`. */
  runEnd(offset: number, limit: number): number {
    const first = this.has(offset);
    const eight = first ? 0xff : 0;
    let block = Math.floor(offset / BLOCK_BYTES) + 1;
    const end = Math.ceil(limit / BLOCK_BYTES);
    while (block < end && this.has(block * BLOCK_BYTES) === first) {
      const isAllLike = block % 8 === 0 && (this.#changed?.[block >> 3] ?? 0) === eight;
      block += isAllLike ? 8 : 1;
    }
    return Math.min(block * BLOCK_BYTES, limit);
  }

  /** Where the first data at or behind `from` are; `limit`: nothing but holes before it. */
  nextData(from: number, limit: number): number {
    for (let at = from; at < limit;) {
      const end = this.runEnd(at, limit);
      const found = nextData(this.has(at) ? this.#openWork() : this.#openBase(), at, end);
      if (found < end) return found;
      at = end;
    }
    return limit;
  }

  /** Fills `into` with the bytes at `offset` then; it must not reach beyond the size. */
  read(into: Buffer, offset: number): void {
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const end = this.runEnd(at, offset + into.length);
      const fd = this.has(at) ? this.#openWork() : this.#openBase();
      readAll(fd, into.subarray(done, end - offset), at);
      done = end - offset;
    }
  }

  /** Bytes of disk that the whole file takes, about. */
  get allocatedBytes(): number {
    let bytes = 0;
    for (const [from, to] of this.#segments()) bytes += to - from;
    return bytes;
  }

  /** The sparse file becomes the whole one. */
  complete(): void {
    const work = this.#openWork();
    must(sys.ftruncate(work, this.size), 'size a file');
    for (const [from, to] of this.#segments()) {
      for (let at = from; at < to;) {
        const end = Math.min(this.runEnd(at, to), at + PIECE_BYTES);
        if (!this.has(at)) copy(this.#openBase(), work, at, end - at);
        at = end;
      }
    }
  }

  /** The sparse file loses the blocks that lie within `from … to` as a whole: nothing is read of them later. */
  drop(from: number, to: number): void {
    const first = Math.ceil(from / BLOCK_BYTES) * BLOCK_BYTES;
    const end = to === this.size ? to : to - (to % BLOCK_BYTES);
    if (first >= end) return;
    const mode = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE;
    const result = sys.fallocate(this.#openWork(), mode, first, end - first);
    // Then it takes the room.
    if (result !== -errno.EOPNOTSUPP) must(result, 'punch a hole');
  }

  /** The sparse file gets what lies in `from … to` too. */
  take(from: number, to: number): void {
    const work = this.#openWork();
    for (let at = from; at < to;) {
      const end = Math.min(this.runEnd(at, to), at + PIECE_BYTES);
      if (!this.has(at)) copy(this.#openBase(), work, at, end - at);
      at = end;
    }
  }

  /** Sizes the sparse file, and closes it. */
  finish(): void {
    must(sys.ftruncate(this.#openWork(), this.size), 'size a file');
    this.close();
  }

  /** Where there are data, in the present file or in the sparse one. */
  *#segments(): Generator<[number, number]> {
    for (let at = 0; at < this.size;) {
      const end = this.runEnd(at, this.size);
      const fd = this.has(at) ? this.#openWork() : this.#openBase();
      yield* dataIn(fd, at, end);
      at = end;
    }
  }

  /** Blocks at both ends of a range that it covers only in part are taken over before. */
  #takeEdges(from: number, to: number): void {
    const first = from - (from % BLOCK_BYTES);
    const last = to - (to % BLOCK_BYTES);
    if (from % BLOCK_BYTES !== 0) this.#takeBlock(first);
    const isAtEnd = to === this.size;
    if (to % BLOCK_BYTES !== 0 && !isAtEnd) this.#takeBlock(last);
  }

  #takeBlock(at: number): void {
    if (this.has(at)) return;
    const end = Math.min(at + BLOCK_BYTES, this.size);
    copy(this.#openBase(), this.#openWork(), at, end - at);
    this.#mark(at, end);
  }

  #mark(from: number, to: number): void {
    this.#changed ??= new Uint8Array(Math.ceil(this.size / BLOCK_BYTES / 8));
    const end = Math.ceil(to / BLOCK_BYTES);
    for (let block = Math.floor(from / BLOCK_BYTES); block < end; block += 1) {
      this.#changed[block >> 3] = (this.#changed[block >> 3] ?? 0) | (1 << (block & 7));
    }
  }

  #openBase(): number {
    if (this.#base < 0) this.#base = must(this.#options.openBase(), 'open a file');
    return this.#base;
  }

  #openWork(): number {
    if (this.#work < 0) this.#work = must(this.#options.openWork(), 'make a file');
    return this.#work;
  }
}

function* dataIn(fd: number, from: number, to: number): Generator<[number, number]> {
  for (let at = from; at < to;) {
    const data = nextData(fd, at, to);
    if (data >= to) return;
    const hole = sys.lseek(fd, data, SEEK.HOLE);
    const end = hole < 0 ? to : Math.min(hole, to);
    yield [data, end];
    at = end;
  }
}

/** Where the first data at or behind `from` are; `limit`: nothing but a hole, or the end of the file, before it. */
export function nextData(fd: number, from: number, limit: number): number {
  const data = sys.lseek(fd, from, SEEK.DATA);
  return data === -errno.ENXIO ? limit : Math.min(must(data, 'read a file'), limit);
}

/** What lies beyond the end of the file are zeros. */
export function readAll(fd: number, into: Buffer, offset: number): number {
  const address = addressOf(into);
  let done = 0;
  while (done < into.length) {
    const got = sys.pread(fd, address + done, into.length - done, offset + done);
    if (got === -errno.EINTR) continue;
    if (must(got, 'read a file') === 0) break;
    done += got;
  }
  into.fill(0, done);
  return done;
}

function writeAll(fd: number, bytes: Buffer, offset: number): void {
  const address = addressOf(bytes);
  for (let done = 0; done < bytes.length;) {
    const written = sys.pwrite(fd, address + done, bytes.length - done, offset + done);
    if (written === -errno.EINTR) continue;
    done += must(written === 0 ? -errno.EIO : written, 'write a file');
  }
}

function copy(from: number, to: number, offset: number, length: number): void {
  for (let done = 0; done < length;) {
    const wanted = Math.min(PIECE_BYTES, length - done);
    const got = sys.pread(from, pieceAddress, wanted, offset + done);
    if (got === -errno.EINTR) continue;
    if (must(got, 'read a file') === 0) return;
    writeAll(to, piece.subarray(0, got), offset + done);
    done += got;
  }
}
