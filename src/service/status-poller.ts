// Asks a group process for its status regularly, and keeps the last answer for a moment.
import type { ProcessStatus } from './group-process.ts';

const INTERVAL_MS = 2000;
const FRESH_MS = 300;

export interface StatusPollerOptions {
  /** Undefined while there is no process to ask. */
  readonly ask: () => Promise<ProcessStatus> | undefined;
  readonly onStatus: (status: ProcessStatus) => void;
}

export class StatusPoller {
  readonly #options: StatusPollerOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Counts processes: one that was asked may be another one when it answers. */
  #turn = 0;
  #last: { readonly value: ProcessStatus; readonly atMs: number } | undefined;

  constructor(options: StatusPollerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#poll(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** What was known is no longer true: the process has changed. */
  forget(): void {
    this.#turn += 1;
    this.#last = undefined;
  }

  /** The status of this moment; null when the process does not answer. */
  async now(): Promise<ProcessStatus | null> {
    const turn = this.#turn;
    if (!this.#isFresh) await this.#poll();
    // What was asked has nothing to say any more.
    if (turn !== this.#turn && !this.#isFresh) await this.#poll();
    return this.#last?.value ?? null;
  }

  get #isFresh(): boolean {
    return this.#last !== undefined && performance.now() - this.#last.atMs <= FRESH_MS;
  }

  async #poll(): Promise<void> {
    const turn = this.#turn;
    try {
      const value = await this.#options.ask();
      if (turn !== this.#turn) return;
      this.#last = value === undefined ? undefined : { value, atMs: performance.now() };
      if (value !== undefined) this.#options.onStatus(value);
    } catch {
      // Silence is shown as a missing status; an end is noticed through the lock.
      if (turn === this.#turn) this.#last = undefined;
    }
  }
}
