// Objects that enter or leave the mirrored set as a whole: renamed across a pattern, linked in.
import { attrMask, PAYLOAD_BYTES_MAX, recordType } from '../../journal/record.ts';
import { O, S, SEEK } from '../../linux/constants.ts';
import { openDirectory, readDirectory } from '../../linux/dirents.ts';
import { addressOf, cstring, EMPTY_NAME, pin, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import type { Node } from '../inode-table.ts';
import type { Mount } from '../mount.ts';
import { recordAttributes } from './attributes.ts';
import { readXattrs } from './xattr.ts';

const target = Buffer.alloc(4096);
const targetAddress = pin(target);

/**
 * Records `node` and everything mirrored below it as newly created, contents included. The caller's
 * operation waits for it: the object must be complete on the standby before anything else happens.
 */
export function captureSubtree(mount: Mount, node: Node, parent: Node): void {
  if (!mount.inodes.isCaptured(node)) return;
  if (mount.inodes.refresh(node) < 0) return;
  if (node.isDirectory) return captureDirectory(mount, node, parent);
  if (node.type === S.IFREG) return captureFile(mount, node, parent);
  captureSpecial(mount, node, parent);
}

function draftCreation(mount: Mount, node: Node, parent: Node, type: number, path2: string): void {
  const draft = mount.capture.draft(
    recordType.create,
    mount.index,
    mount.inodes.pathOf(node) ?? '',
  );
  draft.type = type;
  draft.path2 = path2;
  mount.capture.publishNamespace(mount.stat, mount.refreshParent(parent, mount.parentStat));
}

function captureSpecial(mount: Mount, node: Node, parent: Node): void {
  if (node.type !== S.IFLNK) draftCreation(mount, node, parent, recordType.mknod, '');
  else {
    const length = sys.readlinkat(
      mount.inodes.descriptor(node),
      EMPTY_NAME,
      targetAddress,
      target.length,
    );
    draftCreation(
      mount,
      node,
      parent,
      recordType.symlink,
      target.toString('latin1', 0, Math.max(0, length)),
    );
  }
  finishAttributes(mount, node);
}

function captureDirectory(mount: Mount, node: Node, parent: Node): void {
  draftCreation(mount, node, parent, recordType.mkdir, '');
  for (const entry of childrenOf(mount, node)) {
    const child = mount.inodes.lookup(node, cstring(entry), entry);
    if (typeof child === 'number') continue;
    captureSubtree(mount, child, node);
    mount.inodes.collect(child);
  }
  finishAttributes(mount, node);
}

function captureFile(mount: Mount, node: Node, parent: Node): void {
  draftCreation(mount, node, parent, recordType.create, '');
  const path = mount.inodes.pathOf(node) ?? '';
  const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
  if (fd >= 0) {
    const size = mount.stat.size;
    forEachDataExtent(fd, size, (from, to) => captureRange(mount, path, fd, { from, to }));
    sys.close(fd);
    const draft = mount.capture.draft(recordType.truncate, mount.index, path);
    draft.offset = size;
    mount.capture.publishBare();
  }
  finishAttributes(mount, node);
}

/** Calls back with each range of `fd` that holds data, in order. */
export function forEachDataExtent(
  fd: number,
  size: number,
  visit: (from: number, to: number) => void,
): void {
  let at = 0;
  while (at < size) {
    const from = sys.lseek(fd, at, SEEK.DATA);
    if (from < 0) return;
    const hole = sys.lseek(fd, from, SEEK.HOLE);
    const to = hole < 0 ? size : Math.min(hole, size);
    visit(from, to);
    at = to;
  }
}

/** Records the bytes of a file between two offsets as writes; its current mtime goes with them. */
export function captureRange(
  mount: Mount,
  path: string,
  fd: number,
  range: { from: number; to: number },
): void {
  for (let at = range.from; at < range.to;) {
    const wanted = Math.min(PAYLOAD_BYTES_MAX, range.to - at);
    const payloadAt = mount.capture.room(wanted);
    const read = sys.pread(fd, ringAddress(mount) + payloadAt, wanted, at);
    if (read <= 0) return;
    rangeStat.fd(fd);
    const draft = mount.capture.draft(recordType.write, mount.index, path);
    draft.offset = at;
    draft.mtimeSec = rangeStat.mtimeSec;
    draft.mtimeNsec = rangeStat.mtimeNsec;
    draft.payloadLength = read;
    mount.capture.publish(payloadAt);
    at += read;
  }
}

const rangeStat = new Stat();
const ringAddresses = new WeakMap<Uint8Array, number>();

/** Address of the ring's memory. */
export function ringAddress(mount: Mount): number {
  const bytes = mount.capture.ring.bytes;
  let address = ringAddresses.get(bytes);
  if (address === undefined) {
    address = addressOf(bytes);
    ringAddresses.set(bytes, address);
  }
  return address;
}

/** Extended attributes, owner, mode and times, after everything else about the object was recorded. */
function finishAttributes(mount: Mount, node: Node): void {
  const path = mount.inodes.pathOf(node) ?? '';
  for (const [name, value] of readXattrs(mount, mount.inodes.descriptor(node))) {
    const draft = mount.capture.draft(recordType.setxattr, mount.index, path);
    draft.path2 = name;
    mount.capture.publishPayload(value);
  }
  if (mount.inodes.refresh(node) < 0) return;
  recordAttributes(
    mount,
    node,
    attrMask.mode | attrMask.uid | attrMask.gid | attrMask.atime | attrMask.mtime,
  );
}

function childrenOf(mount: Mount, node: Node): string[] {
  const fd = openDirectory(mount.inodes.descriptor(node), '.');
  if (fd < 0) return [];
  const entries = readDirectory(fd);
  sys.close(fd);
  return typeof entries === 'number' ? [] : entries.map((entry) => entry.name);
}

/** Records that the mirrored part of what is now `node` is no longer at `path` in `parent`. */
export function recordRemoval(mount: Mount, node: Node, path: string, parent: Node): void {
  if (node.isDirectory) removeChildren(mount, node, path);
  const type = node.isDirectory ? recordType.rmdir : recordType.unlink;
  mount.capture.draft(type, mount.index, path);
  mount.capture.publishNamespace(undefined, mount.refreshParent(parent, mount.parentStat));
}

function removeChildren(mount: Mount, node: Node, path: string): void {
  for (const name of childrenOf(mount, node)) {
    const child = mount.inodes.lookup(node, cstring(name), name);
    if (typeof child === 'number') continue;
    const childPath = path === '' ? name : `${path}/${name}`;
    if (mount.inodes.patterns.matches(childPath, child.isDirectory)) {
      if (child.isDirectory) removeChildren(mount, child, childPath);
      const type = child.isDirectory ? recordType.rmdir : recordType.unlink;
      mount.capture.draft(type, mount.index, childPath);
      mount.capture.publishNamespace(undefined, undefined);
    }
    mount.inodes.collect(child);
  }
}

/**
 * A mirrored directory moved from `oldPath` to where `node` is now, and its contents with it. Some of
 * them may match the patterns at one place only: those are removed from the copy or captured anew.
 */
export function settleSubtree(mount: Mount, node: Node, oldPath: string): void {
  for (const name of childrenOf(mount, node)) {
    const child = mount.inodes.lookup(node, cstring(name), name);
    if (typeof child === 'number') continue;
    const childOldPath = oldPath === '' ? name : `${oldPath}/${name}`;
    const before = mount.inodes.patterns.matches(childOldPath, child.isDirectory);
    const after = mount.inodes.isCaptured(child);
    if (before && !after) recordRemoval(mount, child, mount.inodes.pathOf(child) ?? '', node);
    else if (!before && after) captureSubtree(mount, child, node);
    else if (before && after && child.isDirectory) settleSubtree(mount, child, childOldPath);
    mount.inodes.collect(child);
  }
}
