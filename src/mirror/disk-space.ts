// Free space of the file system that a journal or backlog lies on: when to warn, and when to stop.
//
//   free   30 %        20 %         10 %          min(10 %, 4 GiB)
//   ───────┼───────────┼────────────┼─────────────┼───────────────▶ fuller
//        warning     warning      error         nothing more is put there
//
// Each warning comes once; again only after the space was well above it (REARM).
import { statfsSync } from 'node:fs';
import { formatBytes, GiB } from '../core/units.ts';

export interface DiskSpace {
  readonly totalBytes: number;
  /** What ordinary programs may still use. */
  readonly freeBytes: number;
}

export interface SpaceAlert extends DiskSpace {
  /** The threshold that was passed, percent. */
  readonly percent: number;
}

const THRESHOLDS = [30, 20, 10] as const;
/** Percentage points above a threshold from which on it is warned of again. */
const REARM = 3;
const KEEP_FREE_PART = 0.1;
const KEEP_FREE_BYTES_MAX = 4 * GiB;
/** What was seen of a file system is good for so long, or so much written. */
const LOOK_INTERVAL_MS = 1000;
const LOOK_BYTES = 16 * 1024 * 1024;

/** Errors: those of statfs. */
export function readDiskSpace(path: string): DiskSpace {
  const { blocks, bavail, bsize } = statfsSync(path);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

/** What has to stay free for others. */
export function keptFree({ totalBytes }: DiskSpace): number {
  return Math.min(totalBytes * KEEP_FREE_PART, KEEP_FREE_BYTES_MAX);
}

/** `the file system of /x has less than 20 % free (3.1 GiB)`. */
export function spaceText(path: string, { percent, freeBytes }: SpaceAlert): string {
  return `the file system of ${path} has less than ${percent} % free (${formatBytes(freeBytes)})`;
}

/** Remembers which warnings were given. */
export class SpaceAlerts {
  readonly #given = new Set<number>();

  /** The lowest threshold that was newly passed, if any. */
  look(space: DiskSpace): SpaceAlert | undefined {
    const free = (space.freeBytes / space.totalBytes) * 100;
    let passed: number | undefined;
    for (const percent of THRESHOLDS) {
      if (free >= percent + REARM) this.#given.delete(percent);
      if (free >= percent || this.#given.has(percent)) continue;
      this.#given.add(percent);
      passed = percent;
    }
    return passed === undefined ? undefined : { ...space, percent: passed };
  }
}

export interface SpaceGuardOptions {
  readonly path: string;
  readonly onAlert: (alert: SpaceAlert) => void;
  /** For tests. */
  readonly read?: ((path: string) => DiskSpace) | undefined;
}

/** Watches the file system of files that this process writes. */
export class SpaceGuard {
  readonly #options: SpaceGuardOptions;
  readonly #alerts = new SpaceAlerts();
  #space: DiskSpace | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #writtenSince = 0;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
  }

  /** True when `bytes` more leave enough for others. What cannot be known is left to the write. */
  hasRoom(bytes: number): boolean {
    const now = performance.now();
    if (now - this.#lookedAtMs >= LOOK_INTERVAL_MS || this.#writtenSince >= LOOK_BYTES) this.look();
    const space = this.#space;
    if (space === undefined) return true;
    const has = space.freeBytes - this.#writtenSince - bytes >= keptFree(space);
    if (has) this.#writtenSince += bytes;
    return has;
  }

  /** Looks now, and warns. */
  look(): void {
    this.#lookedAtMs = performance.now();
    this.#writtenSince = 0;
    try {
      this.#space = (this.#options.read ?? readDiskSpace)(this.#options.path);
    } catch {
      this.#space = undefined;
      return;
    }
    const alert = this.#alerts.look(this.#space);
    if (alert !== undefined) this.#options.onAlert(alert);
  }
}
