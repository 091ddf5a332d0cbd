// RENAME, RENAME2: moving names, also into and out of the mirrored set.
import { recordType } from '../../journal/record.ts';
import { errno, RENAME } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import { op, rename2In, renameIn } from '../fuse-protocol.ts';
import type { Node } from '../inode-table.ts';
import type { Mount } from '../mount.ts';
import { isReserved } from './lookup.ts';
import { nameGone } from './namespace.ts';
import { captureSubtree, recordRemoval, settleSubtree } from './subtree.ts';

/** One end of a rename. */
interface End {
  readonly parent: Node;
  readonly name: string;
  readonly address: number;
  readonly node: Node | undefined;
  /** The object has no other name. */
  readonly lastName: boolean;
  /** What lies at this end before the rename, if mirrored. */
  readonly path: string;
  readonly captured: boolean;
}

export function rename(mount: Mount, request: Request): void {
  const wide = request.opcode === op.RENAME2;
  const flags = wide ? request.u32(rename2In.flags) : 0;
  const namesAt = wide ? rename2In.bytes : renameIn.bytes;
  const parent = mount.node(request);
  if (parent === undefined) return;
  const newParent = mount.inodes.get(request.u64(renameIn.newdir));
  if (newParent === undefined) return mount.channel.result(request, -errno.ESTALE);
  if ((flags & RENAME.WHITEOUT) !== 0) return mount.channel.result(request, -errno.EINVAL);
  const name = request.name(namesAt);
  const newName = request.name(namesAt + name.length + 1);
  if (isReserved(mount, parent.nodeid, name) || isReserved(mount, newParent.nodeid, newName)) {
    return mount.channel.result(request, -errno.EPERM);
  }
  const from = describe(mount, parent, name, request.address(namesAt));
  if (from.node === undefined) return mount.channel.result(request, -errno.ENOENT);
  const to = describe(mount, newParent, newName, request.address(namesAt + name.length + 1));
  const result = perform(mount, from, to, flags);
  mount.channel.result(request, result);
}

function describe(mount: Mount, parent: Node, name: string, address: number): End {
  const found = mount.inodes.lookup(parent, address, name);
  const node = typeof found === 'number' ? undefined : found;
  const lastName = node !== undefined && (node.isDirectory || mount.stat.nlink === 1);
  const isDirectory = node?.isDirectory ?? false;
  return {
    parent,
    name,
    address,
    node,
    lastName,
    ...mount.inodes.childPath(parent, name, isDirectory),
  };
}

function perform(mount: Mount, from: End, to: End, flags: number): number {
  const moved = from.node;
  if (moved === undefined) return -errno.ENOENT;
  const exchange = (flags & RENAME.EXCHANGE) !== 0;
  const movedIsCaptured = mount.inodes.childPath(to.parent, to.name, moved.isDirectory).captured;
  if (moved.passthroughOpens > 0 && movedIsCaptured) return -errno.EXDEV;
  if (exchange && (to.node?.passthroughOpens ?? 0) > 0 && from.captured) return -errno.EXDEV;
  const fromFd = mount.inodes.descriptor(from.parent);
  const fromOwned = fromFd;
  const toFd = mount.inodes.descriptor(to.parent);
  if (fromFd < 0) return fromFd;
  if (toFd < 0) return toFd;
  const result = sys.renameat2(fromOwned, from.address, toFd, to.address, flags);
  if (result < 0) return result;
  if (from.node === to.node) return 0;
  if (exchange) exchanged(mount, from, to);
  else replaced(mount, { from, to, moved, movedIsCaptured });
  return 0;
}

interface Replacement {
  readonly from: End;
  readonly to: End;
  readonly moved: Node;
  /** The moved object is mirrored under its new name. */
  readonly movedIsCaptured: boolean;
}

function replaced(mount: Mount, { from, to, moved, movedIsCaptured }: Replacement): void {
  const recording = mount.capture.enabled;
  const target = to.node;
  const knownBefore = from.captured && mount.inodes.isCaptured(moved);
  const before = mount.inodes.patterns.everything ? undefined : from.path;
  if (target !== undefined) {
    // A rename record replaces the target by itself; when none is written, or when the target stays
    // open under another name, its removal is recorded on its own.
    const staysOpen = !to.lastName && target.opens > 0;
    const alone = recording && to.captured && (!(knownBefore && movedIsCaptured) || staysOpen);
    nameGone(mount, {
      node: target,
      parent: to.parent,
      lastName: to.lastName,
      isDirectory: target.isDirectory,
      path: alone ? to.path : undefined,
    });
  }
  mount.inodes.setName(moved, to.parent, to.name);
  if (target !== undefined) mount.inodes.collect(target);
  if (!recording) return;
  if (knownBefore && movedIsCaptured) {
    recordRename(mount, from, to, 0);
    mount.scanner?.revisit(mount, moved);
    if (moved.isDirectory && before !== undefined) settleSubtree(mount, moved, before);
  } else if (knownBefore) {
    recordRemoval(mount, moved, from.path, from.parent);
  } else if (movedIsCaptured) {
    captureSubtree(mount, moved, to.parent);
  }
}

function exchanged(mount: Mount, from: End, to: End): void {
  const a = from.node;
  const b = to.node;
  if (a === undefined || b === undefined) return;
  const aBefore = from.captured && mount.inodes.isCaptured(a);
  const bBefore = to.captured && mount.inodes.isCaptured(b);
  mount.inodes.setName(a, to.parent, to.name);
  mount.inodes.setName(b, from.parent, from.name);
  if (!mount.capture.enabled) return;
  const aAfter = mount.inodes.isCaptured(a);
  const bAfter = mount.inodes.isCaptured(b);
  if (aBefore && bBefore && aAfter && bAfter) {
    recordRename(mount, from, to, RENAME.EXCHANGE);
    mount.scanner?.revisit(mount, a);
    mount.scanner?.revisit(mount, b);
    if (mount.inodes.patterns.everything) return;
    if (a.isDirectory) settleSubtree(mount, a, from.path);
    if (b.isDirectory) settleSubtree(mount, b, to.path);
    return;
  }
  if (aBefore) recordRemoval(mount, a, from.path, from.parent);
  if (bBefore) recordRemoval(mount, b, to.path, to.parent);
  if (aAfter) captureSubtree(mount, a, to.parent);
  if (bAfter) captureSubtree(mount, b, from.parent);
}

function recordRename(mount: Mount, from: End, to: End, flags: number): void {
  const parentStat = mount.refreshParent(from.parent, mount.parentStat);
  const parent2Stat = mount.refreshParent(to.parent, mount.parent2Stat);
  const draft = mount.capture.draft(recordType.rename, mount.index, from.path);
  draft.path2 = to.path;
  draft.aux = flags;
  if (from.node !== undefined) mount.inodes.refresh(from.node);
  mount.capture.publishNamespace(mount.stat, parentStat, parent2Stat);
}
