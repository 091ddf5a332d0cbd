// What a helper thread does: the local part of calls that may take long.
import { errno } from '../linux/constants.ts';
import { sys } from '../linux/libc.ts';
import {
  base,
  BUSY,
  kind,
  LOCAL_DONE,
  noteFault,
  QUEUE_AT,
  QUEUE_HEAD,
  QUEUE_TAIL,
  slot,
  SLOTS,
  STOP,
} from './gate-memory.ts';
import type { Lease } from './lease.ts';
import { SlotReplier } from './slot-replier.ts';

/** A helper thread's loop: blocks until `CommitReleaser.stop`. `readBytesMax`: largest read. */
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
    Atomics.add(words, BUSY, 1);
    if (words[base(index) + slot.kind] === kind.read) serveRead(words, replier, index);
    else serveCommit(words, replier, index, lease);
    Atomics.sub(words, BUSY, 1);
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
