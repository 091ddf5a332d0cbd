// Where the records are that a sender put aside on disk, in memory that outlives its process: a queue of
// entries. A chunk counts when its bytes are in its file, and no longer when it was let go.
//
//  offset size field (native order)
//   0     4    first           how many entries were let go so far
//   4     4    end             how many were added so far
//   8     4    overrun         1: there were more than fit, and some are missing
//  64  40 each entry: first sequence f64, last sequence f64, captured at f64, bytes u32, file u32, offset u32
import type { SpillChunk } from './sender-spill.ts';

const HEAD_BYTES = 64;
const ENTRY_BYTES = 40;

/** A chunk and where it lies. */
export interface IndexedChunk extends SpillChunk {
  /** Number of the file. */
  readonly file: number;
  readonly offset: number;
}

export class SpillIndex {
  readonly #words: Int32Array;
  readonly #view: DataView;
  readonly #capacity: number;

  constructor(memory: ArrayBufferLike) {
    this.#words = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.#view = new DataView(memory);
    this.#capacity = Math.floor((memory.byteLength - HEAD_BYTES) / ENTRY_BYTES);
  }

  add(chunk: IndexedChunk): void {
    const first = Atomics.load(this.#words, 0);
    const end = Atomics.load(this.#words, 1);
    if (end - first >= this.#capacity) {
      Atomics.store(this.#words, 2, 1);
      return;
    }
    const at = this.#at(end);
    this.#view.setFloat64(at, chunk.firstSequence, true);
    this.#view.setFloat64(at + 8, chunk.lastSequence, true);
    this.#view.setFloat64(at + 16, chunk.capturedAt, true);
    this.#view.setUint32(at + 24, chunk.bytes, true);
    this.#view.setUint32(at + 28, chunk.file, true);
    this.#view.setUint32(at + 32, chunk.offset, true);
    Atomics.store(this.#words, 1, end + 1);
  }

  /** The oldest one was let go. */
  drop(): void {
    Atomics.add(this.#words, 0, 1);
  }

  clear(): void {
    Atomics.store(this.#words, 0, Atomics.load(this.#words, 1));
    Atomics.store(this.#words, 2, 0);
  }

  /** Everything that is held, the oldest first; undefined when that is not known. */
  read(): IndexedChunk[] | undefined {
    if (Atomics.load(this.#words, 2) !== 0) return undefined;
    const chunks: IndexedChunk[] = [];
    const end = Atomics.load(this.#words, 1);
    for (let index = Atomics.load(this.#words, 0); index < end; index += 1) {
      const at = this.#at(index);
      chunks.push({
        firstSequence: this.#view.getFloat64(at, true),
        lastSequence: this.#view.getFloat64(at + 8, true),
        capturedAt: this.#view.getFloat64(at + 16, true),
        bytes: this.#view.getUint32(at + 24, true),
        file: this.#view.getUint32(at + 28, true),
        offset: this.#view.getUint32(at + 32, true),
      });
    }
    return chunks;
  }

  #at(index: number): number {
    return HEAD_BYTES + (index % this.#capacity) * ENTRY_BYTES;
  }
}
