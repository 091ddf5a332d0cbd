// What could not be looked through may have a name of a file.
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Patterns } from '../core/patterns.ts';
import { AT, errno, O } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { InodeTable, type NodeLog } from './inode-table.ts';
import { completeNames } from './names.ts';

const nothing = (): void => undefined;
const log: NodeLog = {
  told: nothing,
  untold: nothing,
  nameAdded: nothing,
  nameDropped: nothing,
  gone: nothing,
  deleted: nothing,
  orphan: nothing,
};
let dir: string;
let rootFd: number;
let inodes: InodeTable;

beforeEach(() => {
  dir = mkdtempSync('/dev/shm/names-');
  mkdirSync(join(dir, 'sub'));
  writeFileSync(join(dir, 'sub/in'), 'x');
  linkSync(join(dir, 'sub/in'), join(dir, 'x.tmp'));
  rootFd = sys.openat(AT.FDCWD, cstring(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  inodes = new InodeTable(rootFd, new Patterns(['**'], ['*.tmp']), 16, log);
});
afterEach(() => {
  inodes.close();
  sys.close(rootFd);
  rmSync(dir, { recursive: true });
});

test('a directory that cannot be read: the names are not complete until it can be', () => {
  const node = inodes.lookup(inodes.root, cstring('x.tmp'), 'x.tmp');
  if (typeof node === 'number') throw new Error(`lookup: ${node}`);
  const { open } = inodes;
  inodes.open = (directory, flags) =>
    directory.isRoot ? open.call(inodes, directory, flags) : -errno.EIO;
  const failed = completeNames(inodes, [node]);
  expect([failed, node.namesComplete, inodes.isCaptured(node)]).toEqual([-errno.EIO, false, false]);
  inodes.open = open;
  const found = completeNames(inodes, [node]);
  expect([found, node.namesComplete, inodes.isCaptured(node)]).toEqual([0, true, true]);
});
