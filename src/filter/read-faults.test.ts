// What is gone, and what only cannot be opened any more.
import { expect, test } from 'vitest';
import { errno, S } from '../linux/constants.ts';
import type { Mount } from './mount.ts';
import { Node } from './node.ts';
import { ReadFaults } from './read-faults.ts';

const mount = { index: 0, inodes: { pathOf: () => 'orders' } } as unknown as Mount;
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
