// The lease in the filter: nothing changes, and no change is confirmed, on a node that may not write.
//
// An operation that changes something needs the lease twice: before it is carried out and, since the
// thread may have been stopped in between for any time, again right before it is answered with
// success. Without a lease it waits, for the lease may come back; only a filter that is being taken
// away gives up, and then the operation fails.
//
//   request ──valid?──▶ carried out, recorded ──valid?──▶ answered
//              └ no: waits ─┬─ valid again: goes on       └ no: waits, as before
//                           └─ given up: EIO, no record
//
// The second look and the answer are one: see linux/timed-write.ts. Between the first look and what is
// carried out, a thread can be stopped; then a change that nobody is told of is left underneath, in the
// tail that is undone when this node becomes a standby.
import { LeaseCell } from '../linux/lease-cell.ts';
import { TOO_LATE } from '../linux/timed-write.ts';

/** How often a thread that waits for the lease looks again. */
export const LEASE_LOOK_MS = 2;

/** What the threads of a filter need to know of its lease; structured-cloneable. */
export interface LeaseSource {
  readonly file: string;
  /** Word 0: waiting makes no sense any more. */
  readonly signal: SharedArrayBuffer;
}

/** The source of a lease that is kept in `file`; of no lease when that is null. */
export function createLeaseSource(file: string | null): LeaseSource | null {
  return file === null ? null : { file, signal: new SharedArrayBuffer(4) };
}

/** One thread's view of the lease. */
export class Lease {
  readonly #cell: LeaseCell;
  readonly #signal: Int32Array;
  readonly #beforeWait: () => void;

  /** `beforeWait`: what must not wait with this thread. Errors: SHARED_CELLS_UNAVAILABLE. */
  constructor(source: LeaseSource, beforeWait: () => void = () => undefined) {
    this.#cell = new LeaseCell(source.file);
    this.#signal = new Int32Array(source.signal);
    this.#beforeWait = beforeWait;
  }

  /** A view of the lease, or undefined where none is needed. */
  static open(source: LeaseSource | null, beforeWait?: () => void): Lease | undefined {
    return source === null ? undefined : new Lease(source, beforeWait);
  }

  get isValid(): boolean {
    return this.#cell.isValid;
  }

  /** Operations without a lease are to fail instead of waiting; see {@link setGivenUp}. */
  get isGivenUp(): boolean {
    return Atomics.load(this.#signal, 0) !== 0;
  }

  /** Blocks until the lease is valid (true), or given up while it is not (false). */
  wait(): boolean {
    if (this.#cell.isValid) return true;
    this.#beforeWait();
    while (!this.#cell.isValid) {
      if (this.isGivenUp) return false;
      Atomics.wait(this.#signal, 0, 0, LEASE_LOOK_MS);
    }
    return true;
  }

  /** write(2) while the lease is valid, otherwise TOO_LATE. */
  tryWrite(fd: number, address: number, bytes: number): number {
    return this.#cell.write(fd, address, bytes);
  }

  /** The same, but waits for the lease; TOO_LATE when that was given up. */
  write(fd: number, address: number, bytes: number): number {
    for (;;) {
      const result = this.#cell.write(fd, address, bytes);
      if (result !== TOO_LATE || !this.wait()) return result;
    }
  }

  /** For all threads of the filter: whether operations without a lease fail or wait. */
  setGivenUp(givenUp: boolean): void {
    Atomics.store(this.#signal, 0, givenUp ? 1 : 0);
    Atomics.notify(this.#signal, 0);
  }
}
