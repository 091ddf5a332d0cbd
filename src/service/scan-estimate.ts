// How much a first copy has before it: counts the tree in the background, for people's progress bars.
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScanProgress } from '../filter/scanner.ts';

export interface ScanTotals {
  /** 0 while still unknown. */
  readonly filesTotal: number;
  readonly bytesTotal: number;
  readonly rateBytesPerSecond: number;
  /** Undefined while it cannot be told. */
  readonly secondsLeft: number | null;
}

/** Counts objects and bytes below directories; runs until it is through or stopped. */
export class ScanEstimate {
  readonly #startedMs = performance.now();
  #files = 0;
  #bytes = 0;
  #complete = false;
  #stopped = false;

  constructor(directories: readonly string[]) {
    void this.#count(directories).catch(() => undefined);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #count(directories: readonly string[]): Promise<void> {
    const pending = [...directories];
    for (let dir = pending.pop(); dir !== undefined && !this.#stopped; dir = pending.pop()) {
      this.#files += 1;
      for await (const entry of await opendir(dir)) {
        if (this.#stopped) return;
        const path = join(dir, entry.name);
        if (entry.isDirectory()) pending.push(path);
        else this.#files += 1;
        if (entry.isFile()) this.#bytes += await sizeOf(path);
      }
    }
    this.#complete = true;
  }

  /** Totals and time left, given how far the scan has come. */
  against(progress: ScanProgress): ScanTotals {
    const seconds = Math.max(0.001, (performance.now() - this.#startedMs) / 1000);
    const rate = progress.bytes / seconds;
    const known = this.#complete;
    const left = Math.max(0, this.#bytes - progress.bytes);
    return {
      filesTotal: known ? Math.max(this.#files, progress.files) : 0,
      bytesTotal: known ? Math.max(this.#bytes, progress.bytes) : 0,
      rateBytesPerSecond: Math.round(rate),
      secondsLeft: known && rate > 0 ? Math.ceil(left / rate) : null,
    };
  }
}

/** Length of a file, 0 when it has gone meanwhile. Bytes. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}
