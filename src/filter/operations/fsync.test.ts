// Which commits bring the times of a file to the disk, too.
import { expect, test } from 'vitest';
import { errno, S } from '../../linux/constants.ts';
import type { Request } from '../channel.ts';
import { CommitGate } from '../commit-gate.ts';
import { FSYNC_FDATASYNC, fsyncIn } from '../fuse-protocol.ts';
import {
  base,
  createGateMemory,
  kind,
  LOCAL_DONE,
  QUEUE_AT,
  QUEUE_HEAD,
  slot,
  SLOTS,
} from '../gate-memory.ts';
import type { Mount } from '../mount.ts';
import { Node } from '../node.ts';
import { fsync } from './io.ts';

const words = new Int32Array(createGateMemory());
const gate = new CommitGate(words.buffer as SharedArrayBuffer);
const node = new Node(7, 0, S.IFREG);
const capture = { period: 0, enabled: false };
const mount = {
  capture,
  gate,
  channel: { fd: 3 },
  handles: { get: () => ({ fd: 4, node }) },
} as unknown as Mount;

/** An fdatasync; the slot that a helper finds. */
function fdatasync(): number {
  const u32 = (at: number): number => (at === fsyncIn.flags ? FSYNC_FDATASYNC : 0);
  fsync(mount, { uniqueLow: 8, uniqueHigh: 0, u64: () => 0, u32 } as unknown as Request);
  const last = (words[QUEUE_HEAD] ?? 0) - 1;
  return words[QUEUE_AT + (last & (SLOTS - 1))] ?? -1;
}

const isFull = (index: number): boolean => words[base(index) + slot.kind] === kind.fsync;

/** What a helper does. */
function end(index: number, result: number): void {
  words[base(index) + slot.result] = result;
  Atomics.or(words, base(index) + slot.done, LOCAL_DONE);
  words[base(index) + slot.used] = 0;
}

test('all of a file after a mark, until one of them has succeeded', () => {
  const [first, beside] = [fdatasync(), fdatasync()];
  expect([first, beside].map(isFull)).toEqual([true, true]);
  end(first, -errno.EIO);
  const again = fdatasync();
  expect(isFull(again)).toBe(true);
  end(again, 0);
  end(beside, -errno.EIO);
  expect(isFull(fdatasync())).toBe(false);
  capture.period += 1;
  expect(isFull(fdatasync())).toBe(true);
});
