// Calls that may take long leave the capture thread here: fsync, and reads that must go to disk.
//
// A call is a slot in shared memory. A helper thread does the local part (sync, read). For a commit
// that the standby must confirm, the sender does the remote part. Each sets its bit; whoever sets
// the second bit answers the kernel and frees the slot. A commit is confirmed with a valid lease only:
// a helper waits for it, the sender keeps the answer and looks again.
//
//   capture ──slot──▶ queue ──▶ helper: fdatasync ──▶ LOCAL_DONE ─┐
//        └──slot──▶ waiting ──▶ sender: acknowledged ─▶ REMOTE_DONE ┴─▶ reply
//
// An fsync when the standby has every record already adds none, and does not wait for the standby. While
// nothing is recorded (the standby needs a scan) it waits all the same as long as the gate is closed:
// whoever would take over with the copy as it was must not lack what an application was told is safe.
//
// The memory is described in gate-memory.ts; helpers are in serve-slots.ts, the sender's side is in
// commit-releaser.ts, answers in slot-replier.ts.
import { recordType } from '../journal/record.ts';
import type { FuseChannel, Request } from './channel.ts';
import {
  ACK_KNOWN,
  ACKED,
  base,
  BUSY,
  CLOSED,
  FREED,
  kind,
  noteFault,
  QUEUE_AT,
  QUEUE_HEAD,
  QUEUE_TAIL,
  REMOTE_DONE,
  slot,
  SLOTS,
  WAITING_AT,
  WAITING_HEAD,
} from './gate-memory.ts';
import type { Mount } from './mount.ts';
import type { Node } from './node.ts';

/** The capture thread's side. */
export class CommitGate {
  readonly #words: Int32Array;
  readonly #onCrowded: () => void;
  #isCrowded = false;
  #cursor = 0;

  /** `onCrowded` is called once, when a call first has to wait for another one in a helper. */
  constructor(memory: SharedArrayBuffer, onCrowded: () => void = () => undefined) {
    this.#words = new Int32Array(memory);
    this.#onCrowded = onCrowded;
  }

  /**
   * Starts an fsync of `node`. When that is mirrored a commit record goes into the stream and, while the
   * gate is closed, the answer waits for the standby as well.
   */
  commit(
    channel: FuseChannel,
    request: Request,
    call: { fd: number; dataOnly: boolean; node: Node; mount: Mount },
  ): void {
    const { capture } = call.mount;
    const isClosed = Atomics.load(this.#words, CLOSED) === 1;
    const index = this.#allocate(
      channel,
      request,
      call.dataOnly ? kind.fdatasync : kind.fsync,
      call.fd,
    );
    const at = base(index);
    const isMirrored = (capture.enabled || isClosed) && call.mount.isMirrored(call.node);
    const isNews = isMirrored && !(capture.enabled && this.#hasStandbyAll(capture.sequence));
    const gated = isNews && isClosed;
    Atomics.store(this.#words, at + slot.done, gated ? 0 : REMOTE_DONE);
    // Where nothing is recorded, the next record is the beginning of a scan: with that the standby does not take
    // its copy for complete any more.
    if (gated) this.#await(index, capture.sequence + 1);
    if (isNews && capture.enabled) {
      capture.draft(recordType.commit, call.mount.index, '');
      capture.publishBare();
      capture.ring.wake();
    }
    this.#enqueue(index);
  }

  /**
   * The standby confirmed the last record, `sequence`. Half of it is enough: that the other half differs
   * would mean 2^32 records on their way.
   */
  #hasStandbyAll(sequence: number): boolean {
    return (
      Atomics.load(this.#words, ACK_KNOWN) === 1 &&
      Atomics.load(this.#words, ACKED) === (sequence | 0)
    );
  }

  /** Counts `result` when it says that the disk underneath fails. */
  noteFault(result: number): void {
    noteFault(this.#words, result);
  }

  /** Hands a read over that would block; false when no slot is free and the caller must do it. */
  read(
    fuseFd: number,
    request: Request,
    fd: number,
    range: { size: number; offset: number },
  ): boolean {
    const index = this.#find();
    if (index < 0) return false;
    this.#fill(index, { fuseFd, request, kind: kind.read, fd });
    const at = base(index);
    this.#words[at + slot.size] = range.size;
    this.#words[at + slot.offsetLow] = range.offset | 0;
    this.#words[at + slot.offsetHigh] = Math.floor(range.offset / 0x1_0000_0000);
    Atomics.store(this.#words, at + slot.done, REMOTE_DONE);
    this.#enqueue(index);
    return true;
  }

  #allocate(channel: FuseChannel, request: Request, what: number, fd: number): number {
    let index = this.#find();
    while (index < 0) {
      const freed = Atomics.load(this.#words, FREED);
      index = this.#find();
      if (index < 0) Atomics.wait(this.#words, FREED, freed, 100);
    }
    this.#fill(index, { fuseFd: channel.fd, request, kind: what, fd });
    return index;
  }

  #find(): number {
    for (let i = 0; i < SLOTS; i += 1) {
      this.#cursor = (this.#cursor + 1) % SLOTS;
      if (Atomics.load(this.#words, base(this.#cursor) + slot.used) === 0) return this.#cursor;
    }
    return -1;
  }

  #fill(index: number, call: { fuseFd: number; request: Request; kind: number; fd: number }): void {
    const at = base(index);
    this.#words[at + slot.kind] = call.kind;
    this.#words[at + slot.fd] = call.fd;
    this.#words[at + slot.fuseFd] = call.fuseFd;
    this.#words[at + slot.uniqueLow] = call.request.uniqueLow | 0;
    this.#words[at + slot.uniqueHigh] = call.request.uniqueHigh | 0;
    this.#words[at + slot.result] = 0;
    this.#words[at + slot.refused] = 0;
    this.#words[at + slot.since] = Math.floor(performance.timeOrigin + performance.now()) | 0;
    Atomics.store(this.#words, at + slot.used, 1);
  }

  /** Before the commit record is published, so that no acknowledgement can come first. */
  #await(index: number, sequence: number): void {
    this.#words[base(index) + slot.sequenceLow] = sequence | 0;
    this.#words[base(index) + slot.sequenceHigh] = Math.floor(sequence / 0x1_0000_0000);
    const head = Atomics.load(this.#words, WAITING_HEAD);
    Atomics.store(this.#words, WAITING_AT + (head & (SLOTS - 1)), index);
    Atomics.store(this.#words, WAITING_HEAD, (head + 1) | 0);
  }

  #enqueue(index: number): void {
    const head = Atomics.load(this.#words, QUEUE_HEAD);
    if (!this.#isCrowded) this.#watchCrowd(head);
    Atomics.store(this.#words, QUEUE_AT + (head & (SLOTS - 1)), index);
    Atomics.store(this.#words, QUEUE_HEAD, (head + 1) | 0);
    Atomics.notify(this.#words, QUEUE_HEAD, 1);
  }

  #watchCrowd(head: number): void {
    const isFree = head === Atomics.load(this.#words, QUEUE_TAIL);
    if (isFree && Atomics.load(this.#words, BUSY) === 0) return;
    this.#isCrowded = true;
    this.#onCrowded();
  }
}
