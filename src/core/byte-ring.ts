// A ring of variable-length items in shared memory: one producer thread, one consumer thread.
//
// Items are contiguous and their sizes are multiples of 8. Where an item would not fit before the
// end of the ring, the producer writes a skip mark and starts again at offset 0. Positions count
// bytes modulo 2^32; the capacity is a power of two, so `position & mask` is an offset.
//
//        released        read (consumer's own)         head
//   ────────┼──────────────────┼─────────────────────────┼────────
//    free   │ read, still held │ published, not yet read │  free
//
// Items and positions may lie in memory that outlives the process: then another process goes on where
// this one was. Wake-ups belong to one process.
import { assert } from './assert.ts';

const HEAD = 0;
const RELEASED = 1;
const CONSUMER_WAITS = 2;
const PRODUCER_WAITS = 3;
const CONTROL_BYTES = 64;
/** The consumer's own note: a 64-bit float at this byte of the positions. */
const NOTE = 16;
/** … and a small number, at this word. */
const MODE = 8;
/** First word of a skip mark: the next item is at offset 0. Never the first word of an item. */
const SKIP = 0x504b_5353;

/** Bytes that {@link RingMemory.positions} needs. */
export const RING_POSITIONS_BYTES = CONTROL_BYTES;

/**
 * Memory of a ring. As {@link createRing} makes it, structured-cloneable to a worker; of memory that is
 * shared between processes, each thread has its own view.
 */
export interface RingMemory {
  /** Wake-ups, and the positions too unless these are elsewhere. */
  readonly control: SharedArrayBuffer;
  readonly data: ArrayBufferLike;
  readonly positions?: ArrayBufferLike;
}

/** Creates ring memory. `capacityBytes` must be a power of two between 4 KiB and 1 GiB. */
export function createRing(capacityBytes: number): RingMemory & { data: SharedArrayBuffer } {
  assertCapacity(capacityBytes);
  return { control: createRingControl(), data: new SharedArrayBuffer(capacityBytes) };
}

/** What a process needs of its own for a ring. */
export function createRingControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES);
}

/** Refuses capacities that a ring cannot have. */
export function assertCapacity(capacityBytes: number): void {
  assert(Number.isInteger(Math.log2(capacityBytes)), 'ring capacity is a power of two');
  assert(capacityBytes >= 4096 && capacityBytes <= 2 ** 30, 'ring capacity is within limits');
}

/** The producer's end. */
export class RingProducer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly #control: Int32Array;
  readonly #positions: Int32Array;
  readonly #mask: number;
  /** Behind the last item, be it published or held. */
  #head: number;
  #published: number;
  /** What the consumer was last woken for; -1: it was not yet. */
  #woken = -1;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.view = new DataView(memory.data);
    this.capacity = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    this.#positions = new Int32Array(memory.positions ?? memory.control);
    this.#mask = this.capacity - 1;
    this.#head = Atomics.load(this.#positions, HEAD) >>> 0;
    this.#published = this.#head;
  }

  /** Position behind the last byte, published or held. */
  get head(): number {
    return this.#head;
  }

  /** Bytes published or held, and not yet released. */
  get usedBytes(): number {
    return (this.#head - (Atomics.load(this.#positions, RELEASED) >>> 0)) >>> 0;
  }

  /** Items wait for {@link flush}. */
  get isHolding(): boolean {
    return this.#head !== this.#published;
  }

  /**
   * Finds room for an item of up to `bytes` contiguous bytes and returns its offset, or -1 when the
   * consumer has to release something first. Nothing is published; may be repeated at no cost.
   */
  reserve(bytes: number): number {
    const offset = this.#head & this.#mask;
    const free = this.capacity - this.usedBytes;
    const toEnd = this.capacity - offset;
    if (toEnd >= bytes) return free > bytes ? offset : -1;
    if (free <= toEnd + bytes) return -1;
    if (toEnd >= 4) this.view.setUint32(offset, SKIP, true);
    // The consumer learns of the mark together with the item behind it.
    this.#head = (this.#head + toEnd) >>> 0;
    return 0;
  }

  /** Publishes the item of `bytes` bytes at the offset that {@link reserve} returned. */
  commit(bytes: number): void {
    this.hold(bytes);
    this.flush();
  }

  /**
   * Like {@link commit}, but the consumer does not see the item before {@link flush}: several items become
   * visible at once, or none of them.
   */
  hold(bytes: number): void {
    assert((bytes & 7) === 0 && bytes > 0, 'item sizes are multiples of 8');
    this.#head = (this.#head + bytes) >>> 0;
  }

  /** Publishes every item that was held. */
  flush(): void {
    if (this.#head === this.#published) return;
    this.#published = this.#head;
    Atomics.store(this.#positions, HEAD, this.#head | 0);
  }

  /** Publishes what was held, and wakes the consumer when it sleeps: once for a batch, never for nothing. */
  wake(): void {
    this.flush();
    if (this.#published === this.#woken) return;
    this.#woken = this.#published;
    if (Atomics.load(this.#control, CONSUMER_WAITS) === 0) return;
    if (Atomics.exchange(this.#control, CONSUMER_WAITS, 0) === 1) {
      Atomics.notify(this.#control, CONSUMER_WAITS);
    }
  }

  /** Blocks until `reserve(bytes)` may succeed or `timeoutMs` has passed; true when there is room. */
  waitForRoom(bytes: number, timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    while (this.reserve(bytes) < 0) {
      this.wake();
      const left = deadline - performance.now();
      if (left <= 0) return false;
      Atomics.store(this.#control, PRODUCER_WAITS, 1);
      if (this.reserve(bytes) >= 0) break;
      Atomics.wait(this.#control, PRODUCER_WAITS, 1, Math.min(left, 100));
    }
    Atomics.store(this.#control, PRODUCER_WAITS, 0);
    return true;
  }
}

/** The consumer's end. Reading and releasing are separate: what was read can be read again. */
export class RingConsumer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly #control: Int32Array;
  readonly #positions: Int32Array;
  readonly #notes: DataView;
  readonly #mask: number;
  #released: number;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.view = new DataView(memory.data);
    this.capacity = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    const positions = memory.positions ?? memory.control;
    this.#positions = new Int32Array(positions);
    this.#notes = new DataView(positions);
    this.#mask = this.capacity - 1;
    this.#released = Atomics.load(this.#positions, RELEASED) >>> 0;
  }

  /** Position of the oldest byte still held. */
  get released(): number {
    return this.#released;
  }

  /** Position behind the last published byte. */
  get head(): number {
    return Atomics.load(this.#positions, HEAD) >>> 0;
  }

  offsetOf(position: number): number {
    return position & this.#mask;
  }

  /** Contiguous published bytes from `position`; skips a skip mark and returns the true position. */
  readable(position: number): { position: number; bytes: number } {
    const head = this.head;
    let at = position;
    let available = (head - at) >>> 0;
    const toEnd = this.capacity - (at & this.#mask);
    if (available > 0 && this.#isSkip(at, toEnd)) {
      at = (at + toEnd) >>> 0;
      available = (head - at) >>> 0;
    }
    return { position: at, bytes: Math.min(available, this.capacity - (at & this.#mask)) };
  }

  /** True when the item at offset `at` within a contiguous stretch is a skip mark. */
  isSkipAt(offset: number): boolean {
    return this.view.getUint32(offset, true) === SKIP;
  }

  /** Frees everything before `position`. */
  release(position: number): void {
    this.#released = position >>> 0;
    Atomics.store(this.#positions, RELEASED, this.#released | 0);
    if (Atomics.load(this.#control, PRODUCER_WAITS) === 1) {
      Atomics.store(this.#control, PRODUCER_WAITS, 0);
      Atomics.notify(this.#control, PRODUCER_WAITS);
    }
  }

  /**
   * A number that the consumer keeps beside its position, to find it again in another life. To be written
   * before the {@link release} that it belongs to.
   */
  get note(): number {
    return this.#notes.getFloat64(NOTE, true);
  }
  set note(value: number) {
    this.#notes.setFloat64(NOTE, value, true);
  }

  /** Another one, of 32 bits. */
  get mode(): number {
    return Atomics.load(this.#positions, MODE);
  }
  set mode(value: number) {
    Atomics.store(this.#positions, MODE, value);
  }

  /** Resolves when something was published after `position`, or after `timeoutMs`. */
  async waitForItem(position: number, timeoutMs: number): Promise<void> {
    Atomics.store(this.#control, CONSUMER_WAITS, 1);
    if (this.head !== position) {
      Atomics.store(this.#control, CONSUMER_WAITS, 0);
      return;
    }
    const wait = Atomics.waitAsync(this.#control, CONSUMER_WAITS, 1, timeoutMs);
    if (wait.async) await wait.value;
    Atomics.store(this.#control, CONSUMER_WAITS, 0);
  }

  /** Blocking form of {@link waitForItem}, for a consumer without an event loop. */
  waitForItemSync(position: number, timeoutMs: number): void {
    Atomics.store(this.#control, CONSUMER_WAITS, 1);
    if (this.head === position) Atomics.wait(this.#control, CONSUMER_WAITS, 1, timeoutMs);
    Atomics.store(this.#control, CONSUMER_WAITS, 0);
  }

  #isSkip(position: number, toEnd: number): boolean {
    return toEnd < 4 || this.isSkipAt(position & this.#mask);
  }
}
