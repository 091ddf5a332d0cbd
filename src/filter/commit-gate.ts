// Calls that may take long leave the capture thread here: fsync, and reads that must go to disk.
//
// A call is a slot in shared memory. A helper thread does the local part (sync, read). For a commit
// that the standby must confirm, the sender does the remote part. Each sets its bit; whoever sets
// the second bit answers the kernel and frees the slot. A commit is confirmed with a valid lease only:
// a helper waits for it, the sender keeps the answer and looks again.
//
//   capture ──slot──▶ queue ──▶ helper: fdatasync ──▶ LOCAL_DONE ─┐
//        └──slot──▶ waiting ──▶ sender: acknowledged ─▶ REMOTE_DONE ┴─▶ reply
import { assert } from '../core/assert.ts';
import { recordType } from '../journal/record.ts';
import { errno } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { TOO_LATE } from '../linux/timed-write.ts';
import type { FuseChannel, Request } from './channel.ts';
import { LEASE_LOOK_MS, type Lease } from './lease.ts';
import type { Mount } from './mount.ts';

const SLOTS = 256;
const SLOT_WORDS = 16;
const slot = {
  used: 0,
  kind: 1,
  fd: 2,
  fuseFd: 3,
  uniqueLow: 4,
  uniqueHigh: 5,
  done: 6,
  result: 7,
  size: 8,
  offsetLow: 9,
  offsetHigh: 10,
  sequenceLow: 11,
  sequenceHigh: 12,
  since: 13,
  refused: 14,
} as const;
const kind = { fsync: 1, fdatasync: 2, read: 3 } as const;
const LOCAL_DONE = 1;
const REMOTE_DONE = 2;

const QUEUE_HEAD = 0;
const QUEUE_TAIL = 1;
const STOP = 2;
const WAITING_HEAD = 3;
const WAITING_TAIL = 4;
const CLOSED = 5;
const FREED = 6;
/** I/O errors of the file systems underneath: how many, and the last one. */
const FAULTS = 7;
const LAST_FAULT = 8;
const CONTROL_WORDS = 16;
const QUEUE_AT = CONTROL_WORDS;
const WAITING_AT = QUEUE_AT + SLOTS;
const SLOTS_AT = WAITING_AT + SLOTS;

/** Shared memory of a gate. */
export function createGateMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((SLOTS_AT + SLOTS * SLOT_WORDS) * 4);
}

function noteFault(words: Int32Array, result: number): void {
  if (result !== -errno.EIO && result !== -errno.EROFS) return;
  Atomics.store(words, LAST_FAULT, -result);
  Atomics.add(words, FAULTS, 1);
}

const base = (index: number): number => SLOTS_AT + index * SLOT_WORDS;

/** The capture thread's side. */
export class CommitGate {
  readonly #words: Int32Array;
  #cursor = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /**
   * Starts an fsync. `recorded`: the file is mirrored, so a commit record goes into the stream and,
   * while the gate is closed, the answer waits for the standby as well.
   */
  commit(
    channel: FuseChannel,
    request: Request,
    call: { fd: number; dataOnly: boolean; recorded: boolean; mount: Mount },
  ): void {
    const { capture } = call.mount;
    const index = this.#allocate(
      channel,
      request,
      call.dataOnly ? kind.fdatasync : kind.fsync,
      call.fd,
    );
    const at = base(index);
    const gated = call.recorded && Atomics.load(this.#words, CLOSED) === 1;
    Atomics.store(this.#words, at + slot.done, gated ? 0 : REMOTE_DONE);
    if (gated) this.#await(index, capture.sequence + 1);
    if (call.recorded) {
      capture.draft(recordType.commit, call.mount.index, '');
      capture.publishBare();
      capture.ring.wake();
    }
    this.#enqueue(index);
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
    Atomics.store(this.#words, QUEUE_AT + (head & (SLOTS - 1)), index);
    Atomics.store(this.#words, QUEUE_HEAD, (head + 1) | 0);
    Atomics.notify(this.#words, QUEUE_HEAD, 1);
  }
}

/** Writes replies of finished slots; each thread has its own. */
class SlotReplier {
  readonly #words: Int32Array;
  readonly #lease: Lease | undefined;
  readonly #reply: Uint8Array;
  readonly #view: DataView;
  readonly address: number;

  constructor(words: Int32Array, bodyBytes: number, lease: Lease | undefined) {
    this.#words = words;
    this.#lease = lease;
    this.#reply = new Uint8Array(new ArrayBuffer(16 + bodyBytes));
    this.#view = new DataView(this.#reply.buffer);
    this.address = addressOf(this.#reply);
  }

  /** Marks one part of the slot done; true when it was the last, and the caller has to answer. */
  done(index: number, part: number): boolean {
    const old = Atomics.or(this.#words, base(index) + slot.done, part);
    const both = LOCAL_DONE | REMOTE_DONE;
    return (old | part) === both && old !== both;
  }

  /**
   * Answers a commit of which both parts are done. False: it has to be repeated, because there is no
   * lease; with `mayBlock` it waits for one instead.
   */
  answerCommit(index: number, mayBlock: boolean): boolean {
    const at = base(index);
    const refused = this.#words[at + slot.refused] === 1;
    this.#prepare(index, refused ? -errno.EIO : (this.#words[at + slot.result] ?? 0), 0);
    const lease = this.#view.getInt32(4, true) === 0 ? this.#lease : undefined;
    if (lease !== undefined) {
      const fuseFd = this.#words[at + slot.fuseFd] ?? -1;
      const written = mayBlock
        ? lease.write(fuseFd, this.address, 16)
        : lease.tryWrite(fuseFd, this.address, 16);
      if (written !== TOO_LATE) {
        this.#free(index, written);
        return true;
      }
      if (!mayBlock && !lease.isGivenUp) return false;
      this.#view.setInt32(4, -errno.EIO, true);
    }
    this.#send(index, 0);
    return true;
  }

  /** Answers a read with `bodyBytes` of body or a negative errno. */
  answerRead(index: number, result: number): void {
    const bodyBytes = Math.max(result, 0);
    this.#prepare(index, Math.min(result, 0), bodyBytes);
    this.#send(index, bodyBytes);
  }

  #prepare(index: number, error: number, bodyBytes: number): void {
    const at = base(index);
    this.#view.setUint32(0, 16 + bodyBytes, true);
    this.#view.setInt32(4, error, true);
    this.#view.setInt32(8, this.#words[at + slot.uniqueLow] ?? 0, true);
    this.#view.setInt32(12, this.#words[at + slot.uniqueHigh] ?? 0, true);
  }

  #send(index: number, bodyBytes: number): void {
    const fuseFd = this.#words[base(index) + slot.fuseFd] ?? -1;
    this.#free(index, sys.write(fuseFd, this.address, 16 + bodyBytes));
  }

  /** After an answer, of which `written` is the result. */
  #free(index: number, written: number): void {
    Atomics.store(this.#words, base(index) + slot.used, 0);
    Atomics.add(this.#words, FREED, 1);
    Atomics.notify(this.#words, FREED);
    assert(
      written >= 0 ||
        written === -errno.ENOENT ||
        written === -errno.ENODEV ||
        written === -errno.EBADF,
      `the kernel takes a deferred reply (${written})`,
    );
  }
}

/** A helper thread's loop: blocks until {@link CommitReleaser.stop}. `readBytesMax`: largest read. */
export function serveSlots(memory: SharedArrayBuffer, readBytesMax: number, lease?: Lease): void {
  const words = new Int32Array(memory);
  const replier = new SlotReplier(words, readBytesMax, lease);
  while (Atomics.load(words, STOP) === 0) {
    const tail = Atomics.load(words, QUEUE_TAIL);
    const head = Atomics.load(words, QUEUE_HEAD);
    if (tail === head) {
      Atomics.wait(words, QUEUE_HEAD, head, 5000);
      continue;
    }
    const index = Atomics.load(words, QUEUE_AT + (tail & (SLOTS - 1)));
    if (Atomics.compareExchange(words, QUEUE_TAIL, tail, (tail + 1) | 0) !== tail) continue;
    if (words[base(index) + slot.kind] === kind.read) serveRead(words, replier, index);
    else serveCommit(words, replier, index, lease);
  }
}

function serveRead(words: Int32Array, replier: SlotReplier, index: number): void {
  const at = base(index);
  const fd = words[at + slot.fd] ?? -1;
  const offset =
    (words[at + slot.offsetHigh] ?? 0) * 0x1_0000_0000 + ((words[at + slot.offsetLow] ?? 0) >>> 0);
  const size = words[at + slot.size] ?? 0;
  const result = sys.pread(fd, replier.address + 16, size, offset);
  noteFault(words, result);
  replier.answerRead(index, result);
}

function serveCommit(
  words: Int32Array,
  replier: SlotReplier,
  index: number,
  lease: Lease | undefined,
): void {
  const at = base(index);
  const fd = words[at + slot.fd] ?? -1;
  if (lease === undefined || lease.wait()) {
    const isFull = words[at + slot.kind] === kind.fsync;
    words[at + slot.result] = isFull ? sys.fsync(fd) : sys.fdatasync(fd);
    noteFault(words, words[at + slot.result] ?? 0);
  } else {
    words[at + slot.result] = -errno.EIO;
  }
  if (replier.done(index, LOCAL_DONE)) replier.answerCommit(index, true);
}

/** The sender's side: confirms commits, opens and closes the gate. */
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
