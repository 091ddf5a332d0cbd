// When to try again something that failed: soon at first, then with growing pauses.
const DELAYS_MS = [200, 1000, 2000, 5000, 10_000, 30_000] as const;
/** What ran so long counts as sound: the pauses begin anew. */
const STABLE_MS = 60_000;

export class RestartBackoff {
  readonly #attempt: () => void;
  #failures = 0;
  #startedMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(attempt: () => void) {
    this.#attempt = attempt;
  }

  /** It runs: there is nothing to try any more. */
  started(): void {
    this.cancel();
    this.#startedMs = performance.now();
  }

  /** It failed: `attempt` is called after a pause. */
  schedule(): void {
    if (performance.now() - this.#startedMs > STABLE_MS) this.#failures = 0;
    this.#startedMs = Number.POSITIVE_INFINITY;
    const delayMs = DELAYS_MS[Math.min(this.#failures, DELAYS_MS.length - 1)] ?? STABLE_MS;
    this.#failures += 1;
    this.cancel();
    this.#timer = setTimeout(this.#attempt, delayMs);
  }

  /** Another look after `delayMs`, which costs next to nothing. */
  lookIn(delayMs: number): void {
    this.cancel();
    this.#timer = setTimeout(this.#attempt, delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
