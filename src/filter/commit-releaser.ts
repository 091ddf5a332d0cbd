// The sender's side of the commit gate.
import {
  ACK_KNOWN,
  ACKED,
  base,
  CLOSED,
  FAULTS,
  LAST_FAULT,
  QUEUE_HEAD,
  REMOTE_DONE,
  slot,
  SLOTS,
  STOP,
  WAITING_AT,
  WAITING_HEAD,
  WAITING_TAIL,
} from './gate-memory.ts';
import { LEASE_LOOK_MS, type Lease } from './lease.ts';
import { SlotReplier } from './slot-replier.ts';

/** Confirms commits, opens and closes the gate. */
export class CommitReleaser {
  readonly #words: Int32Array;
  readonly #lease: Lease | undefined;
  readonly #replier: SlotReplier;
  /** Slots of commits that are done, but cannot be confirmed without a lease. */
  #unanswered: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(memory: SharedArrayBuffer, lease?: Lease) {
    this.#words = new Int32Array(memory);
    this.#lease = lease;
    this.#replier = new SlotReplier(this.#words, 0, lease);
  }

  /** While closed, commits wait for the standby. Opening lets the waiting ones go. */
  setClosed(closed: boolean): void {
    Atomics.store(this.#words, CLOSED, closed ? 1 : 0);
    if (!closed) this.release(Infinity);
  }

  get closed(): boolean {
    return Atomics.load(this.#words, CLOSED) === 1;
  }

  /** I/O errors of the disk underneath since the start, and the errno of the last one. */
  get faults(): { readonly count: number; readonly last: number } {
    const count = Atomics.load(this.#words, FAULTS);
    return { count, last: Atomics.load(this.#words, LAST_FAULT) };
  }

  /** Commits up to `sequence` are safe on the standby. */
  release(sequence: number): void {
    if (sequence !== Infinity) this.#noteAcked(sequence);
    for (;;) {
      const index = this.#oldest();
      if (index < 0) return;
      const at = base(index);
      const high = this.#words[at + slot.sequenceHigh] ?? 0;
      if (high * 0x1_0000_0000 + ((this.#words[at + slot.sequenceLow] ?? 0) >>> 0) > sequence)
        return;
      Atomics.add(this.#words, WAITING_TAIL, 1);
      this.#confirm(index);
    }
  }

  #noteAcked(sequence: number): void {
    Atomics.store(this.#words, ACKED, sequence | 0);
    Atomics.store(this.#words, ACK_KNOWN, 1);
  }

  #confirm(index: number): void {
    if (this.#replier.done(index, REMOTE_DONE)) this.#answer(index);
  }

  /** This thread must not wait for a lease: it looks again from time to time. */
  #answer(index: number): void {
    if (this.#replier.answerCommit(index, false)) return;
    this.#unanswered.push(index);
    this.#timer ??= setTimeout(() => this.#answerLate(), LEASE_LOOK_MS);
  }

  #answerLate(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const late = this.#unanswered;
    this.#unanswered = [];
    for (const index of late) this.#answer(index);
  }

  /**
   * The filter is being taken away, its lease was given up ({@link Lease.setGivenUp}): commits that
   * wait for a lease or, without one, for the standby fail.
   */
  giveUp(): void {
    this.#answerLate();
    if (this.#lease === undefined || this.#lease.isValid) return;
    for (let index = this.#oldest(); index >= 0; index = this.#oldest()) {
      Atomics.store(this.#words, base(index) + slot.refused, 1);
      Atomics.add(this.#words, WAITING_TAIL, 1);
      this.#confirm(index);
    }
  }

  /** How long the oldest commit has been waiting for the standby, ms; 0 when none is. */
  oldestWaitMs(): number {
    const index = this.#oldest();
    if (index < 0) return 0;
    const now = Math.floor(performance.timeOrigin + performance.now()) | 0;
    return (now - (this.#words[base(index) + slot.since] ?? now)) | 0;
  }

  /** Ends the helper threads. */
  stop(): void {
    clearTimeout(this.#timer);
    Atomics.store(this.#words, STOP, 1);
    Atomics.add(this.#words, QUEUE_HEAD, 0);
    Atomics.notify(this.#words, QUEUE_HEAD);
  }

  #oldest(): number {
    const tail = Atomics.load(this.#words, WAITING_TAIL);
    if (tail === Atomics.load(this.#words, WAITING_HEAD)) return -1;
    return Atomics.load(this.#words, WAITING_AT + (tail & (SLOTS - 1)));
  }
}
