// Decides whether the next frame is compressed. Pure but for what it is told about times.
//
//   off   never
//   on    always, and sent plain only when that does not make it shorter
//   auto  when it takes less time altogether:  raw / compressor + packed / link  <  raw / link
//
// The speed of the link is what frames took to get away, or the bandwidth limit. The ratio and the
// compressor's speed are what they were last. While data cannot be compressed, tries go on, for an
// application may begin to write something else; they take a hundredth of the link's time at most.
export type Compression = 'off' | 'auto' | 'on';

/** Shorter ones gain less than what a frame costs anyway. */
const BYTES_MIN = 512;
/** Shorter frames say nothing about the link. */
export const LINK_SAMPLE_BYTES_MIN = 4096;
/** The kernel takes many frames at once and lets one wait for all of them: so many are averaged. */
const LINK_WEIGHT = 0.1;
/** Compression has to save this part of the time: both nodes have other work. */
const GAIN_MIN = 0.2;
/** Weight of what was seen last. */
const WEIGHT = 0.2;
/** Part of the link's time that tries may take while nothing can be gained. */
const TRIES_SHARE_MAX = 0.01;

export interface PackerStatus {
  readonly mode: Compression;
  /** Bytes of records since the start, and what was sent for them. */
  readonly recordsBytes: number;
  readonly sentBytes: number;
  /** Frames sent compressed and plain. */
  readonly packedFrames: number;
  readonly plainFrames: number;
}

export class Packer {
  readonly #mode: Compression;
  /** Bytes per ms. */
  #linkRate = Number.POSITIVE_INFINITY;
  #limitRate = Number.POSITIVE_INFINITY;
  #packRate = 150_000;
  #ratio = 0.5;
  /** Bytes of records since the last try. */
  #untriedBytes = 0;
  #recordsBytes = 0;
  #sentBytes = 0;
  #packedFrames = 0;
  #plainFrames = 0;

  constructor(mode: Compression) {
    this.#mode = mode;
  }

  get status(): PackerStatus {
    return {
      mode: this.#mode,
      recordsBytes: this.#recordsBytes,
      sentBytes: this.#sentBytes,
      packedFrames: this.#packedFrames,
      plainFrames: this.#plainFrames,
    };
  }

  /** What the link takes in `ms`, as far as is known; infinite: more than it was ever given. */
  bytesIn(ms: number): number {
    return this.#linkRate * ms;
  }

  /** Bytes per second; null: none. */
  setLimit(bytesPerSecond: number | null): void {
    this.#limitRate = bytesPerSecond === null ? Number.POSITIVE_INFINITY : bytesPerSecond / 1000;
  }

  /** Whether a frame with so many bytes of records is to be compressed. */
  wants(bytes: number): boolean {
    if (this.#mode === 'off' || bytes < BYTES_MIN) return false;
    if (this.#mode === 'on' || this.#pays(this.#ratio, this.#packRate)) return true;
    // Might it pay with other data, and with a compressor that is faster than thought?
    if (!this.#pays(0.5, this.#packRate * 4)) return false;
    this.#untriedBytes += bytes;
    const linkMs = this.#untriedBytes / this.#bytesPerMs;
    if (bytes / this.#packRate > linkMs * TRIES_SHARE_MAX) return false;
    this.#untriedBytes = 0;
    return true;
  }

  get #bytesPerMs(): number {
    return Math.min(this.#linkRate, this.#limitRate);
  }

  #pays(ratio: number, packRate: number): boolean {
    return this.#bytesPerMs / packRate + ratio < 1 - GAIN_MIN;
  }

  /** `bytes` of records became `packed` in `ms`. True: send it so. */
  packed(bytes: number, packed: number, ms: number): boolean {
    const ratio = packed / bytes;
    this.#ratio += (ratio - this.#ratio) * WEIGHT;
    if (ms > 0) this.#packRate += (bytes / ms - this.#packRate) * WEIGHT;
    const isShorter = ratio < 1 - GAIN_MIN / 2;
    if (isShorter && this.#pays(ratio, this.#packRate) && ratio < this.#ratio) {
      // One good try after many bad ones is enough to go on trying.
      this.#ratio = (this.#ratio + ratio) / 2;
    }
    return packed < bytes && (isShorter || this.#mode === 'on');
  }

  /**
   * A frame for `recordsBytes` of records went out as `sentBytes`, compressed or plain; it waited `ms` for
   * the link, 0 when the kernel took it at once.
   */
  sent(recordsBytes: number, sentBytes: number, ms: number): void {
    this.#recordsBytes += recordsBytes;
    this.#sentBytes += sentBytes;
    if (sentBytes < recordsBytes) this.#packedFrames += 1;
    else this.#plainFrames += 1;
    if (sentBytes < LINK_SAMPLE_BYTES_MIN) return;
    const rate = sentBytes / Math.max(ms, 0.01);
    if (this.#linkRate === Number.POSITIVE_INFINITY) this.#linkRate = rate;
    // In times, not in rates: a frame that buffers took at once says little, one that had to wait a lot.
    else this.#linkRate = 1 / (1 / this.#linkRate + (1 / rate - 1 / this.#linkRate) * LINK_WEIGHT);
  }
}
