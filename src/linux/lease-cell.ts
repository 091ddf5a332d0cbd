// The right to write, given by one process of a machine and used by another: the time until which it
// lasts lies in a shared cell. See filter/lease.ts for what is done with it.
import { boottimeMs } from './boottime.ts';
import { mapSharedCells } from './shared-cells.ts';
import { createTimedWrite, type TimedWrite } from './timed-write.ts';

/** Cell of a lease file: until when the group may write here (CLOCK_BOOTTIME, ms; 0: not at all). */
export const LEASE_CELL = 0;

export class LeaseCell {
  readonly #cells: Float64Array;
  /** write(2), but TOO_LATE without a valid lease: even if this thread is stopped on the way there. */
  readonly write: TimedWrite;

  /** `path`: the lease file, which must exist. Errors: SHARED_CELLS_UNAVAILABLE. */
  constructor(path: string) {
    this.#cells = mapSharedCells(path, { readOnly: true });
    this.write = createTimedWrite(this.#cells.subarray(LEASE_CELL)).write;
  }

  /** Whether the lease is valid at this moment; allocates nothing. */
  get isValid(): boolean {
    // The end first, the time last: a thread that is stopped in between learns the new time.
    const untilMs = this.#cells[LEASE_CELL] ?? 0;
    return untilMs === Infinity || boottimeMs() < untilMs;
  }
}
