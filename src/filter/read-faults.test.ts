// What is gone, and what only cannot be opened any more.
import { expect, test } from 'vitest';
import { errno, S } from '../linux/constants.ts';
import { CommitGate } from './commit-gate.ts';
import { CommitReleaser } from './commit-releaser.ts';
import { createGateMemory } from './gate-memory.ts';
import type { Mount } from './mount.ts';
import { Node } from './node.ts';
import { ReadFaults } from './read-faults.ts';

const memory = createGateMemory();
const gate = new CommitGate(memory);
const mount = { index: 0, inodes: { pathOf: () => 'orders' }, gate } as unknown as Mount;
const root = new Node(1, 0, S.IFDIR);

function directory(parent: Node | undefined): Node {
  const node = new Node(12, 0, S.IFDIR);
  node.parent = parent;
  return node;
}

test('a directory that has a name and cannot be opened by its handle was not read', () => {
  const faults = new ReadFaults();
  expect(faults.passes(mount, directory(root), -errno.ESTALE)).toBe(false);
  expect(faults.first).toEqual({ directory: 0, path: 'orders', errno: errno.EIO });
  expect(new CommitReleaser(memory).faults).toEqual({ count: 1, last: errno.EIO });
});

test('what was removed is gone', () => {
  const faults = new ReadFaults();
  const removed = directory(root);
  removed.deleted = true;
  for (const node of [removed, directory(undefined)]) {
    expect(faults.passes(mount, node, -errno.ESTALE)).toBe(false);
    expect(faults.first).toBeUndefined();
  }
});
