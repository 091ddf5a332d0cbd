// A lease that a test gives and takes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boottimeMs } from '../../src/linux/boottime.ts';
import { LEASE_CELL } from '../../src/linux/lease-cell.ts';
import { mapSharedCells } from '../../src/linux/shared-cells.ts';

export class TestLease {
  readonly #directory = mkdtempSync(join(tmpdir(), 'lease-'));
  readonly file = join(this.#directory, 'lease');
  readonly #cells = mapSharedCells(this.file, { create: true });
  #renewal: NodeJS.Timeout | undefined;

  /** CLOCK_BOOTTIME, ms. */
  get untilMs(): number {
    return this.#cells[LEASE_CELL] ?? 0;
  }

  set untilMs(untilMs: number) {
    this.#cells[LEASE_CELL] = untilMs;
  }

  /** Valid from now on until {@link end}. */
  renew(): void {
    this.untilMs = Infinity;
  }

  end(): void {
    this.untilMs = 0;
  }

  /** Lets the lease end `leaseMs` after the last renewal; renews it often. */
  keepRenewing(leaseMs: number): void {
    const renew = (): void => {
      this.untilMs = boottimeMs() + leaseMs;
    };
    renew();
    this.#renewal = setInterval(renew, leaseMs / 10);
  }

  stopRenewing(): void {
    clearInterval(this.#renewal);
  }

  remove(): void {
    this.stopRenewing();
    rmSync(this.#directory, { recursive: true });
  }
}
