// A ring of variable-length items in shared memory: one producer thread, one consumer thread.
//
// Items are contiguous and their sizes are multiples of 8. Where an item would not fit before the
// end of the ring, the producer writes a skip mark and starts again at offset 0. Positions count
// bytes modulo 2^32; the capacity is a power of two, so `position & mask` is an offset.
//
//        released        read (consumer's own)         head
//   ────────┼──────────────────┼─────────────────────────┼────────
//    free   │ read, still held │ published, not yet read │  free
import { assert } from './assert.ts';

const HEAD = 0;
const RELEASED = 1;
const CONSUMER_WAITS = 2;
const PRODUCER_WAITS = 3;
const CONTROL_BYTES = 64;
/** First word of a skip mark: the next item is at offset 0. Never the first word of an item. */
const SKIP = 0x504b_5353;

/** Memory of a ring; structured-cloneable to a worker. */
export interface RingMemory {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

/** Creates ring memory. `capacityBytes` must be a power of two between 4 KiB and 1 GiB. */
export function createRing(capacityBytes: number): RingMemory {
  assert(Number.isInteger(Math.log2(capacityBytes)), 'ring capacity is a power of two');
  assert(capacityBytes >= 4096 && capacityBytes <= 2 ** 30, 'ring capacity is within limits');
  return {
    control: new SharedArrayBuffer(CONTROL_BYTES),
    data: new SharedArrayBuffer(capacityBytes),
  };
}

/** The producer's end. */
export class RingProducer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly #control: Int32Array;
  readonly #mask: number;
  #head: number;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.view = new DataView(memory.data);
    this.capacity = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    this.#mask = this.capacity - 1;
    this.#head = Atomics.load(this.#control, HEAD) >>> 0;
  }

  /** Position behind the last published byte. */
  get head(): number {
    return this.#head;
  }

  /** Bytes published and not yet released. */
  get usedBytes(): number {
    return (this.#head - (Atomics.load(this.#control, RELEASED) >>> 0)) >>> 0;
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
    this.#publish(toEnd);
    return 0;
  }

  /** Publishes the item of `bytes` bytes at the offset that {@link reserve} returned. */
  commit(bytes: number): void {
    assert((bytes & 7) === 0 && bytes > 0, 'item sizes are multiples of 8');
    this.#publish(bytes);
  }

  /** Wakes the consumer when it sleeps. Apart from {@link commit} so that a batch costs one wake-up. */
  wake(): void {
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

  #publish(bytes: number): void {
    this.#head = (this.#head + bytes) >>> 0;
    Atomics.store(this.#control, HEAD, this.#head | 0);
  }
}

/** The consumer's end. Reading and releasing are separate: what was read can be read again. */
export class RingConsumer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly #control: Int32Array;
  readonly #mask: number;
  #released: number;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.view = new DataView(memory.data);
    this.capacity = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    this.#mask = this.capacity - 1;
    this.#released = Atomics.load(this.#control, RELEASED) >>> 0;
  }

  /** Position of the oldest byte still held. */
  get released(): number {
    return this.#released;
  }

  /** Position behind the last published byte. */
  get head(): number {
    return Atomics.load(this.#control, HEAD) >>> 0;
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
    Atomics.store(this.#control, RELEASED, this.#released | 0);
    if (Atomics.load(this.#control, PRODUCER_WAITS) === 1) {
      Atomics.store(this.#control, PRODUCER_WAITS, 0);
      Atomics.notify(this.#control, PRODUCER_WAITS);
    }
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
