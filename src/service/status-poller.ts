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
    this.#last = undefined;
  }

  /** The status of this moment; null when the process does not answer. */
  async now(): Promise<ProcessStatus | null> {
    const last = this.#last;
    if (last === undefined || performance.now() - last.atMs > FRESH_MS) await this.#poll();
    return this.#last?.value ?? null;
  }

  async #poll(): Promise<void> {
    try {
      const value = await this.#options.ask();
      this.#last = value === undefined ? undefined : { value, atMs: performance.now() };
      if (value !== undefined) this.#options.onStatus(value);
    } catch {
      // Silence is shown as a missing status; an end is noticed through the lock.
      this.#last = undefined;
    }
  }
}
