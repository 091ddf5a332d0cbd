// Disk backlog of the primary: records that no longer fit the ring while the standby is away or slow.
//
// A queue of chunks, each some whole sealed records, in files that are deleted when all of their
// chunks are acknowledged. It lives no longer than the stream: with an index in memory that outlives the
// process, a successor goes on with it; after a crash of the machine nobody could use what an old stream
// left. So nothing here is ever synced.
import { close, mkdirSync, openSync, read, readdirSync, rmSync, unlink, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert, present } from '../core/assert.ts';
import { formatBytes, MiB } from '../core/units.ts';
import type { SpaceGuard } from './disk-space.ts';
import type { IndexedChunk, SpillIndex } from './spill-index.ts';

const readAsync = promisify(read);
const writeAsync = promisify(write);
const FILE_BYTES = 64 * MiB;

/** Some records in a row, within one file. */
export interface SpillChunk {
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Wall clock of the first record's capture, microseconds. */
  readonly capturedAt: number;
  readonly bytes: number;
}

interface StoredChunk extends SpillChunk {
  readonly file: SpillFile;
  readonly offset: number;
}

/** Lets another process go on with what is held. */
export interface SpillSuccession {
  readonly index: SpillIndex;
  /** Go on with what a process before held, as far as it comes before this record. */
  readonly resumeBefore?: number | undefined;
}

export interface SpillOptions {
  readonly space?: Pick<SpaceGuard, 'hasRoom'> | undefined;
  readonly succession?: SpillSuccession | undefined;
}

interface SpillFile {
  readonly number: number;
  readonly path: string;
  readonly fd: number;
  bytes: number;
  /** Chunks held in it, and reads and appends under way. */
  users: number;
}

export class Spill {
  readonly #directory: string;
  readonly bytesMax: number;
  readonly #space: Pick<SpaceGuard, 'hasRoom'> | undefined;
  #chunks: StoredChunk[] = [];
  /** Index in `#chunks` of the oldest one; the array is cut only now and then. */
  #first = 0;
  #current: SpillFile | undefined;
  #nextFile = 1;
  #bytes = 0;
  #clears = 0;

  readonly #index: SpillIndex | undefined;

  /** Empties `directory`, whose contents belong to a stream that is gone, unless it is resumed. */
  constructor(directory: string, bytesMax: number, options: SpillOptions = {}) {
    this.#directory = directory;
    this.bytesMax = bytesMax;
    this.#space = options.space;
    this.#index = options.succession?.index;
    const before = options.succession?.resumeBefore;
    if (before !== undefined && this.#resume(before)) return;
    this.#index?.clear();
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Takes over the chunks up to the record `before`, all or none. */
  #resume(before: number): boolean {
    const indexed = this.#index?.read()?.filter(({ firstSequence }) => firstSequence < before);
    const last = indexed?.at(-1);
    if (indexed === undefined || (last !== undefined && last.lastSequence + 1 !== before))
      return false;
    const files = new Map<number, SpillFile>();
    try {
      for (const chunk of indexed) this.#adopt(files, chunk);
    } catch {
      for (const { fd } of files.values()) close(fd);
      this.#chunks = [];
      this.#bytes = 0;
      return false;
    }
    this.#nextFile = Math.max(0, ...files.keys()) + 1;
    // Chunks that are in the ring as well, and were not counted yet, are left out.
    this.#index?.clear();
    for (const chunk of indexed) this.#index?.add(chunk);
    this.#removeOthers(files);
    return true;
  }

  #adopt(files: Map<number, SpillFile>, chunk: IndexedChunk): void {
    let file = files.get(chunk.file);
    if (file === undefined) {
      const path = this.#path(chunk.file);
      file = { number: chunk.file, path, fd: openSync(path, 'r'), bytes: FILE_BYTES, users: 0 };
      files.set(chunk.file, file);
    }
    file.users += 1;
    this.#bytes += chunk.bytes;
    const { firstSequence, lastSequence, capturedAt, bytes, offset } = chunk;
    this.#chunks.push({ firstSequence, lastSequence, capturedAt, bytes, file, offset });
  }

  #removeOthers(files: ReadonlyMap<number, SpillFile>): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const kept = new Set([...files.values()].map(({ path }) => path));
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      if (!kept.has(path)) rmSync(path, { recursive: true, force: true });
    }
  }

  #path(number: number): string {
    return join(this.#directory, `spill-${String(number).padStart(8, '0')}`);
  }

  /** Bytes of the chunks that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): SpillChunk | undefined {
    return this.#chunks[this.#first];
  }

  get newest(): SpillChunk | undefined {
    return this.#first < this.#chunks.length ? this.#chunks.at(-1) : undefined;
  }

  /** Why `bytes` more cannot be taken; undefined when they can. */
  refusal(bytes: number): string | undefined {
    if (this.#bytes + bytes > this.bytesMax)
      return `the disk backlog has reached its limit of ${formatBytes(this.bytesMax)}`;
    if (this.#space === undefined || this.#space.hasRoom(bytes)) return undefined;
    return `the file system of the disk backlog, ${this.#directory}, has too little left for others`;
  }

  /**
   * Stores a chunk behind the newest. `bytes` must not change meanwhile. Resolves with false when
   * everything was let go before it was done. Rejects as fs.write does.
   */
  async append(bytes: Uint8Array, chunk: SpillChunk): Promise<boolean> {
    assert(bytes.length === chunk.bytes, 'a chunk is as long as it says');
    const { newest } = this;
    assert(newest === undefined || newest.lastSequence + 1 === chunk.firstSequence, 'no gap');
    const clears = this.#clears;
    const file = this.#fileFor(chunk.bytes);
    const offset = file.bytes;
    file.users += 1;
    try {
      for (let at = 0; at < bytes.length;) {
        const left = bytes.length - at;
        at += (await writeAsync(file.fd, bytes, at, left, offset + at)).bytesWritten;
      }
    } catch (error) {
      this.#release(file);
      throw error;
    }
    if (clears !== this.#clears) {
      this.#release(file);
      return false;
    }
    file.bytes += bytes.length;
    this.#bytes += bytes.length;
    this.#chunks.push({ ...chunk, file, offset });
    this.#index?.add({ ...chunk, file: file.number, offset });
    return true;
  }

  /** The chunk that holds the record `sequence`; undefined when none does. */
  find(sequence: number): SpillChunk | undefined {
    let low = this.#first;
    let high = this.#chunks.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const chunk = present(this.#chunks[middle], 'a chunk within bounds');
      if (sequence < chunk.firstSequence) high = middle - 1;
      else if (sequence > chunk.lastSequence) low = middle + 1;
      else return chunk;
    }
    return undefined;
  }

  /** Reads a chunk that {@link find} gave, into the front of `target`. Rejects as fs.read does. */
  async read(chunk: SpillChunk, target: Uint8Array): Promise<void> {
    const { file, offset } = chunk as StoredChunk;
    file.users += 1;
    try {
      for (let at = 0; at < chunk.bytes;) {
        const left = chunk.bytes - at;
        const { bytesRead } = await readAsync(file.fd, target, at, left, offset + at);
        if (bytesRead === 0) throw new Error(`${file.path} is shorter than it was`);
        at += bytesRead;
      }
    } finally {
      this.#release(file);
    }
  }

  /** Lets go of chunks whose records all have sequences up to `sequence`. */
  free(sequence: number): void {
    for (;;) {
      const chunk = this.#chunks[this.#first];
      if (chunk === undefined || chunk.lastSequence > sequence) break;
      this.#first += 1;
      this.#index?.drop();
      this.#bytes -= chunk.bytes;
      this.#release(chunk.file);
    }
    if (this.#first > 1024 && this.#first * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Lets go of everything; a read or an append that is under way ends on its own. */
  clear(): void {
    this.#clears += 1;
    this.#index?.clear();
    this.free(Number.MAX_SAFE_INTEGER);
    this.#chunks = [];
    this.#first = 0;
    const current = this.#current;
    this.#current = undefined;
    if (current?.users === 0) this.#delete(current);
  }

  #fileFor(bytes: number): SpillFile {
    const current = this.#current;
    if (current !== undefined && current.bytes + bytes <= FILE_BYTES) return current;
    const number = this.#nextFile;
    const path = this.#path(number);
    this.#nextFile += 1;
    const file = { number, path, fd: openSync(path, 'w+', 0o600), bytes: 0, users: 0 };
    this.#current = file;
    if (current?.users === 0) this.#delete(current);
    return file;
  }

  #release(file: SpillFile): void {
    file.users -= 1;
    if (file.users === 0 && file !== this.#current) this.#delete(file);
  }

  /** In the background: giving back the blocks of a large file takes a while. */
  #delete(file: SpillFile): void {
    unlink(file.path, () => close(file.fd));
  }
}
