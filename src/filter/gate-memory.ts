// Shared memory of a commit gate: control words, the queue of the helpers, the commits that wait for the
// standby (both rings of slot numbers), and the slots. Indices and sizes are in 32-bit words.
import { errno } from '../linux/constants.ts';

export const SLOTS = 256;
export const SLOT_WORDS = 16;
export const slot = {
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
export const kind = { fsync: 1, fdatasync: 2, read: 3 } as const;
export const LOCAL_DONE = 1;
export const REMOTE_DONE = 2;

export const QUEUE_HEAD = 0;
export const QUEUE_TAIL = 1;
export const STOP = 2;
export const WAITING_HEAD = 3;
export const WAITING_TAIL = 4;
export const CLOSED = 5;
/** I/O errors of the file systems underneath: how many, and the last one. */
export const FAULTS = 7;
export const LAST_FAULT = 8;
/** Lower half of the sequence up to which the standby has everything, once {@link ACK_KNOWN} is 1. */
export const ACKED = 9;
export const ACK_KNOWN = 10;
/** Helpers at work. */
export const BUSY = 11;
export const CONTROL_WORDS = 16;
export const QUEUE_AT = CONTROL_WORDS;
export const WAITING_AT = QUEUE_AT + SLOTS;
export const SLOTS_AT = WAITING_AT + SLOTS;

/** Shared memory of a gate. */
export function createGateMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((SLOTS_AT + SLOTS * SLOT_WORDS) * 4);
}

/** Counts `result` when it says that the disk underneath fails. */
export function noteFault(words: Int32Array, result: number): void {
  if (result !== -errno.EIO && result !== -errno.EROFS) return;
  Atomics.store(words, LAST_FAULT, -result);
  Atomics.add(words, FAULTS, 1);
}

/** First word of a slot. */
export const base = (index: number): number => SLOTS_AT + index * SLOT_WORDS;
