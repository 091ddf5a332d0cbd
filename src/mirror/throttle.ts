// The bandwidth limit of a stream: a token bucket over bytes on the wire, with a short memory.
//
// A slice may go when the balance is not negative, and then the balance goes down by all that the slice
// is on the wire: the average is exact, and no burst is longer than BURST_MS plus one slice. Pure
// but for the clock; whoever writes asks, waits, and says what was written.
import type { Clock } from '../core/clock.ts';

/** What an idle stream may save up, in time at its rate: a late timer must not cost throughput. */
const BURST_MS = 40;
/** A slice takes about so long on the wire: the sender wakes this often, others wait no longer. */
const SLICE_MS = 5;
const SLICE_BYTES_MIN = 1400;

/** TLS 1.3: header, type and tag of each record of up to 16 KiB. */
const TLS_RECORD_BYTES = 16_384;
const TLS_OVERHEAD_BYTES = 22;
/** IPv4 and TCP with timestamps, for each segment of an Ethernet network. */
const SEGMENT_BYTES = 1448;
const SEGMENT_OVERHEAD_BYTES = 52;

/** Bytes of IP packets for `bytes` given to the TLS socket at once. */
export function wireBytes(bytes: number): number {
  const encrypted = bytes + Math.ceil(bytes / TLS_RECORD_BYTES) * TLS_OVERHEAD_BYTES;
  return encrypted + Math.ceil(encrypted / SEGMENT_BYTES) * SEGMENT_OVERHEAD_BYTES;
}

export class Throttle {
  readonly #clock: Clock;
  /** Bytes per ms; infinite: no limit. */
  #rate = Number.POSITIVE_INFINITY;
  #balance = 0;
  #at: number;
  #spent = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.monotonicMs();
  }

  get isLimited(): boolean {
    return this.#rate !== Number.POSITIVE_INFINITY;
  }

  /** Bytes on the wire so far. */
  get spentBytes(): number {
    return this.#spent;
  }

  /** null: no limit. Holds from the next slice on. */
  setRate(bytesPerSecond: number | null): void {
    this.#refill();
    const owedMs = this.isLimited ? Math.max(0, -this.#balance / this.#rate) : 0;
    this.#rate = bytesPerSecond === null ? Number.POSITIVE_INFINITY : bytesPerSecond / 1000;
    // What was saved at a higher rate would be a longer burst at this one, and what was owed a longer
    // silence: long enough to be taken for a dead link.
    const saved = Math.min(this.#balance, this.#rate * BURST_MS);
    this.#balance = this.isLimited ? Math.max(saved, -owedMs * this.#rate) : 0;
  }

  /** How much may be written at once. */
  get sliceBytes(): number {
    return Math.max(SLICE_BYTES_MIN, this.bytesIn(SLICE_MS));
  }

  /** Bytes that the limit lets through in `ms`; infinite without one. */
  bytesIn(ms: number): number {
    return Math.floor(this.#rate * ms);
  }

  /** Time until the next slice may be written, ms; 0: now. */
  waitMs(): number {
    this.#refill();
    return this.#balance >= 0 ? 0 : Math.ceil(-this.#balance / this.#rate);
  }

  /** `bytes` have been given to the socket. */
  spend(bytes: number): void {
    const wire = wireBytes(bytes);
    this.#spent += wire;
    if (!this.isLimited) return;
    this.#refill();
    this.#balance -= wire;
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    if (this.isLimited) {
      const earned = (now - this.#at) * this.#rate;
      this.#balance = Math.min(this.#balance + earned, this.#rate * BURST_MS);
    }
    this.#at = now;
  }
}
