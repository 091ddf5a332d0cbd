// Slows down whoever guesses secrets: after some failures within a minute an address is refused until they are old.
// Bounded: of more addresses than fit, the oldest are forgotten.
const ADDRESSES_MAX = 4096;

export class FailureLimit {
  readonly #failuresMax: number;
  readonly #windowMs: number;
  readonly #failures = new Map<string, number[]>();

  constructor({ failuresMax, windowMs }: { failuresMax: number; windowMs: number }) {
    this.#failuresMax = failuresMax;
    this.#windowMs = windowMs;
  }

  /** Milliseconds until `key` may try again; 0: now. `nowMs`: monotonic. */
  waitMs(key: string, nowMs: number): number {
    const recent = this.#recent(key, nowMs);
    if (recent.length < this.#failuresMax) return 0;
    return Math.max(0, (recent.at(-this.#failuresMax) ?? 0) + this.#windowMs - nowMs);
  }

  failed(key: string, nowMs: number): void {
    const recent = [...this.#recent(key, nowMs), nowMs].slice(-this.#failuresMax);
    this.#failures.delete(key);
    this.#failures.set(key, recent);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > ADDRESSES_MAX && oldest !== undefined) this.#failures.delete(oldest);
  }

  /** The last failure was none. */
  forgive(key: string): void {
    const left = this.#failures.get(key)?.slice(0, -1) ?? [];
    if (left.length === 0) this.#failures.delete(key);
    else this.#failures.set(key, left);
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }

  #recent(key: string, nowMs: number): number[] {
    return (this.#failures.get(key) ?? []).filter((at) => nowMs - at < this.#windowMs);
  }
}
