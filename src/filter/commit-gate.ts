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
  kind,
  LOCAL_DONE,
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

/** What a slot says. */
interface Call {
  readonly fuseFd: number;
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly kind: number;
  readonly fd: number;
  readonly since: number;
}

interface Commit extends Call {
  /** The record that the standby has to confirm; undefined: none. */
  readonly waitsFor: number | undefined;
  readonly node: Node;
  /** `Capture.period` in which it began. */
  readonly period: number;
}

/** The capture thread's side. */
export class CommitGate {
  readonly #words: Int32Array;
  readonly #onCrowded: () => void;
  #isCrowded = false;
  #cursor = 0;
  /**
   * Commits that came while every slot was taken, the oldest first. Other calls must not wait for them; as many as
   * applications make at a time.
   */
  readonly #deferred: Commit[] = [];
  /** By slot: commits that bring the times of a file to the disk, until it is known what has become of them. */
  readonly #full = new Map<number, Commit>();

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
    for (const index of this.#full.keys()) this.#settle(index);
    const isClosed = Atomics.load(this.#words, CLOSED) === 1;
    const isMirrored = (capture.enabled || isClosed) && call.mount.isMirrored(call.node);
    const isNews = isMirrored && !(capture.enabled && this.#hasStandbyAll(capture.sequence));
    const one: Commit = {
      fuseFd: channel.fd,
      uniqueLow: request.uniqueLow,
      uniqueHigh: request.uniqueHigh,
      kind: call.dataOnly && hasTimes(call.node, capture.period) ? kind.fdatasync : kind.fsync,
      node: call.node,
      period: capture.period,
      fd: call.fd,
      since: now(),
      // Where nothing is recorded, the next record is the beginning of a scan: with that the standby does not
      // take its copy for complete any more.
      waitsFor: isNews && isClosed ? capture.sequence + 1 : undefined,
    };
    const index = this.hasDeferred ? -1 : this.#place(one);
    if (isNews && capture.enabled) {
      capture.draft(recordType.commit, call.mount.index, '');
      capture.publishBare();
      capture.ring.wake();
    }
    if (index < 0) this.#deferred.push(one);
    else this.#enqueue(index);
  }

  /** Commits wait for a slot: {@link admit} has to be called. */
  get hasDeferred(): boolean {
    return this.#deferred.length > 0;
  }

  /** Gives slots that have become free to commits that wait for one. */
  admit(): void {
    while (this.#deferred[0] !== undefined) {
      const index = this.#place(this.#deferred[0]);
      if (index < 0) return;
      this.#deferred.shift();
      this.#enqueue(index);
    }
  }

  /** Puts a commit into a free slot, and among those that wait for the standby; -1: all are taken. */
  #place(one: Commit): number {
    const index = this.#find();
    if (index < 0) return index;
    this.#fill(index, one);
    if (one.kind === kind.fsync) this.#full.set(index, one);
    const isClosed = Atomics.load(this.#words, CLOSED) === 1;
    const gated = isClosed && one.waitsFor !== undefined && !this.#isConfirmed(one.waitsFor);
    Atomics.store(this.#words, base(index) + slot.done, gated ? 0 : REMOTE_DONE);
    if (gated) this.#await(index, one.waitsFor);
    return index;
  }

  #isConfirmed(sequence: number): boolean {
    const isKnown = Atomics.load(this.#words, ACK_KNOWN) === 1;
    return isKnown && ((Atomics.load(this.#words, ACKED) - sequence) | 0) >= 0;
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
    const { uniqueLow, uniqueHigh } = request;
    this.#fill(index, { fuseFd, uniqueLow, uniqueHigh, kind: kind.read, fd, since: now() });
    const at = base(index);
    this.#words[at + slot.size] = range.size;
    this.#words[at + slot.offsetLow] = range.offset | 0;
    this.#words[at + slot.offsetHigh] = Math.floor(range.offset / 0x1_0000_0000);
    Atomics.store(this.#words, at + slot.done, REMOTE_DONE);
    this.#enqueue(index);
    return true;
  }

  #find(): number {
    for (let i = 0; i < SLOTS; i += 1) {
      this.#cursor = (this.#cursor + 1) % SLOTS;
      if (Atomics.load(this.#words, base(this.#cursor) + slot.used) === 0) return this.#cursor;
    }
    return -1;
  }

  /** Looks whether a full sync has ended, and how. */
  #settle(index: number): void {
    const commit = this.#full.get(index);
    const at = base(index);
    if (commit === undefined || (Atomics.load(this.#words, at + slot.done) & LOCAL_DONE) === 0)
      return;
    this.#full.delete(index);
    if (this.#words[at + slot.result] !== 0) return;
    commit.node.timesSyncedIn = Math.max(commit.node.timesSyncedIn, commit.period);
  }

  #fill(index: number, call: Call): void {
    this.#settle(index);
    const at = base(index);
    this.#words[at + slot.kind] = call.kind;
    this.#words[at + slot.fd] = call.fd;
    this.#words[at + slot.fuseFd] = call.fuseFd;
    this.#words[at + slot.uniqueLow] = call.uniqueLow | 0;
    this.#words[at + slot.uniqueHigh] = call.uniqueHigh | 0;
    this.#words[at + slot.result] = 0;
    this.#words[at + slot.refused] = 0;
    this.#words[at + slot.since] = call.since;
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

/**
 * Whether its times are on the disk since the last mark: after a power cut they have to tell that the file was changed since
 * then (journal/marks.ts), and fdatasync leaves them out.
 */
const hasTimes = (node: Node, period: number): boolean => node.timesSyncedIn === period;

/** Milliseconds, modulo 2^32: threads compare them. */
const now = (): number => Math.floor(performance.timeOrigin + performance.now()) | 0;
