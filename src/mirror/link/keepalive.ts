// How the ends of a link notice that the other one has fallen silent: when it is due, not at the next ping.
const PING_INTERVAL_MS_MAX = 500;

/** Each end says something so often. */
export function pingIntervalMs(linkTimeoutMs: number): number {
  return Math.min(PING_INTERVAL_MS_MAX, Math.floor(linkTimeoutMs / 4));
}

/** A look at the silence of a peer, planned for the moment when it has lasted too long. */
export class SilenceLook {
  #timer: NodeJS.Timeout | undefined;

  /**
   * To be called with every ping. `dueMs`: how long until silence is too long; `look` is called then,
   * and has to see for itself whether something has come meanwhile.
   */
  plan(dueMs: number, intervalMs: number, look: () => void): void {
    if (dueMs >= intervalMs || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // When this thread itself was held up, what the peer sent waits in the kernel: it is read in between.
      setImmediate(look);
    }, dueMs + 1);
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
