// How many requests an address may make: so many within each minute. Small, since every idle node carries it.
const ADDRESSES_MAX = 4096;

export class RequestLimit {
  readonly #requestsMax: number;
  readonly #windowMs: number;
  readonly #counts = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor({ requestsMax, windowMs }: { requestsMax: number; windowMs: number }) {
    this.#requestsMax = requestsMax;
    this.#windowMs = windowMs;
  }

  /** Counts a request. Seconds until `key` may make another one; 0: this one was permitted. */
  take(key: string, nowMs: number): number {
    const known = this.#counts.get(key);
    if (known === undefined || nowMs - known.sinceMs >= this.#windowMs) {
      this.#counts.delete(key);
      this.#counts.set(key, { count: 1, sinceMs: nowMs });
      const [oldest] = this.#counts.keys();
      if (this.#counts.size > ADDRESSES_MAX && oldest !== undefined) this.#counts.delete(oldest);
      return 0;
    }
    known.count += 1;
    if (known.count <= this.#requestsMax) return 0;
    return Math.ceil((known.sinceMs + this.#windowMs - nowMs) / 1000);
  }
}
