// RENAME, RENAME2: moving names, also into and out of the mirrored set.
import { attrMask, PATH_BYTES_MAX, recordType } from '../../journal/record.ts';
import { errno, RENAME } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import { op, rename2In, renameIn } from '../fuse-protocol.ts';
import type { Node, NodeName } from '../node.ts';
import type { Mount } from '../mount.ts';
import { completeNamesBelow } from '../names.ts';
import { recordAttributes } from './attributes.ts';
import { isReserved } from './lookup.ts';
import { nameGone } from './namespace.ts';
import { Arrival, captureSubtree, recordRemoval, settleSubtree } from './subtree.ts';

/** One end of a rename. */
interface End extends NodeName {
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
  if (finishRename(mount, request, { parent, name, newParent, newName, namesAt, flags })) return;
  const from = describe(mount, parent, name, request.address(namesAt));
  if (from.node === undefined) return mount.channel.result(request, -errno.ENOENT);
  const to = describe(mount, newParent, newName, request.address(namesAt + name.length + 1));
  const result = perform(mount, request, { from, to }, flags);
  mount.channel.result(request, result);
}

interface RenameNames {
  readonly parent: Node;
  readonly name: string;
  readonly newParent: Node;
  readonly newName: string;
  readonly namesAt: number;
  readonly flags: number;
}

/** Whether a process that died had carried this very request out; then the rest is done here. */
function finishRename(mount: Mount, request: Request, names: RenameNames): boolean {
  const noted = mount.resume(request);
  if (noted === undefined) return false;
  const { parent, name, newParent, newName, namesAt } = names;
  const address = request.address(namesAt);
  const newAddress = request.address(namesAt + name.length + 1);
  const exchange = (names.flags & RENAME.EXCHANGE) !== 0;
  const isDone =
    noted.a !== noted.b &&
    inodeAt(mount, newParent, newAddress) === noted.a &&
    inodeAt(mount, parent, address) === (exchange ? noted.b : 0);
  const found = isDone ? mount.inodes.get(noted.a) : undefined;
  const moved = found ?? (isDone ? mount.inodes.lookup(newParent, newAddress, newName) : 0);
  if (typeof moved === 'number') {
    mount.capture.muted = false;
    return false;
  }
  const target = noted.b === 0 ? undefined : mount.inodes.get(noted.b);
  const end = (at: Node, text: string, nameAddress: number, node: Node | undefined): End => ({
    parent: at,
    name: text,
    address: nameAddress,
    node,
    lastName: noted.c === 1,
    ...mount.inodes.childPath(at, text, node?.isDirectory ?? false),
  });
  settle(mount, {
    from: end(parent, name, address, moved),
    to: end(newParent, newName, newAddress, target),
    moved,
    exchange,
  });
  mount.channel.result(request, 0);
  return true;
}

/** Number of the object under a name; 0 when there is none. */
function inodeAt(mount: Mount, parent: Node, address: number): number {
  const fd = mount.inodes.descriptor(parent);
  return mount.parentStat.at(fd, address) < 0 ? 0 : mount.parentStat.ino;
}

/** What follows from a rename that was carried out. */
function settle(mount: Mount, done: { from: End; to: End; moved: Node; exchange: boolean }): void {
  const { from, to, moved } = done;
  if (done.exchange) return exchanged(mount, from, to);
  const movedIsCaptured = mount.inodes.childPath(to.parent, to.name, moved.isDirectory).captured;
  replaced(mount, { from, to, moved, movedIsCaptured });
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

function perform(
  mount: Mount,
  request: Request,
  { from, to }: { from: End; to: End },
  flags: number,
): number {
  const moved = from.node;
  if (moved === undefined) return -errno.ENOENT;
  const exchange = (flags & RENAME.EXCHANGE) !== 0;
  const refused = refusal(mount, moved, from, to);
  if (refused < 0) return refused;
  if (exchange && to.node !== undefined) {
    const refusedBack = refusal(mount, to.node, to, from);
    if (refusedBack < 0) return refusedBack;
  }
  // Before the directories: only two descriptors are sure to stay.
  if (!exchange && to.node !== undefined && to.lastName) mount.keep(to.node);
  const fromFd = mount.inodes.descriptor(from.parent);
  const toFd = mount.inodes.descriptor(to.parent);
  if (fromFd < 0) return fromFd;
  if (toFd < 0) return toFd;
  const noted = { a: moved.nodeid, b: to.node?.nodeid ?? 0, c: to.lastName ? 1 : 0 };
  mount.intent.begin(request, mount.capture.sequence, noted);
  const result = sys.renameat2(fromFd, from.address, toFd, to.address, flags);
  if (result < 0) return result;
  if (from.node === to.node) return 0;
  settle(mount, { from, to, moved, exchange });
  return 0;
}

/**
 * Why an object cannot move: the kernel itself writes a file that would become mirrored (the caller
 * is told to copy instead), or a path would become too long for records.
 */
function refusal(mount: Mount, node: Node, from: End, to: End): number {
  const path = mount.inodes.childPath(to.parent, to.name, node.isDirectory).path;
  if (path.length > PATH_BYTES_MAX) return -errno.ENAMETOOLONG;
  if (!node.isDirectory) {
    const { captured } = mount.inodes.childPath(to.parent, to.name, false);
    return node.passthroughOpens > 0 && captured ? -errno.EXDEV : 0;
  }
  if (mount.inodes.wouldExceedPaths(node, path.length - from.path.length))
    return -errno.ENAMETOOLONG;
  return opensBypassingBelow(mount, node, from.path, path) ? -errno.EXDEV : 0;
}

/**
 * Whether a file that has a name below `directory`, at path `from`, is open by passthrough and would be mirrored below `to`,
 * or may be.
 */
function opensBypassingBelow(mount: Mount, directory: Node, from: string, to: string): boolean {
  if (mount.inodes.patterns.everything) return false;
  const bypassing = new Set<Node>();
  for (const { node, passthrough } of mount.handles.all()) if (passthrough) bypassing.add(node);
  // Names in directories that are not mirrored are known only where somebody has looked at them.
  if (completeNamesBelow(mount.inodes, directory, bypassing) < 0) return true;
  for (const node of bypassing) {
    for (const { parent, name } of node.names()) {
      const { path } = mount.inodes.childPath(parent, name, false);
      if (!path.startsWith(`${from}/`)) continue;
      const moved = to + path.slice(from.length);
      if (mount.inodes.patterns.matchesWholly(moved, false)) return true;
    }
  }
  return false;
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
  if (target !== undefined) {
    // A rename record replaces the target by itself; when none is written, or when the target stays
    // open under another name, its removal is recorded on its own.
    const staysOpen = !to.lastName && target.opens > 0;
    const alone = recording && to.captured && (!(from.captured && movedIsCaptured) || staysOpen);
    nameGone(mount, {
      node: target,
      parent: to.parent,
      name: to.name,
      lastName: to.lastName,
      path: alone ? to.path : undefined,
    });
  }
  mount.inodes.moveName(moved, from, to);
  // Contents that are found under another name than before.
  mount.capture.changed.touchAll(mount.index, moved.nodeid);
  if (target !== undefined) mount.inodes.collect(target);
  if (!recording) return;
  if (from.captured && movedIsCaptured) {
    recordRename(mount, from, to, 0);
    mount.scanner?.revisit(mount, moved, to);
    if (!moved.isDirectory || mount.inodes.patterns.everything) return;
    settleSubtree(mount, moved, from.path, arrivalOf(mount, [[to.path, from.path]]));
  } else if (from.captured) {
    recordRemoval(mount, moved, from);
  } else if (movedIsCaptured) {
    captureSubtree(mount, moved, to, arrivalOf(mount, [[to.path, undefined]]));
  }
}

function arrivalOf(mount: Mount, tops: readonly [string, string | undefined][]): Arrival {
  return new Arrival(
    mount,
    tops.map(([path, before]) => ({ path, before })),
  );
}

function exchanged(mount: Mount, from: End, to: End): void {
  const { node: a } = from;
  const { node: b } = to;
  if (a === undefined || b === undefined) return;
  mount.inodes.moveName(a, from, to);
  mount.inodes.moveName(b, to, from);
  for (const { nodeid } of [a, b]) mount.capture.changed.touchAll(mount.index, nodeid);
  if (!mount.capture.enabled) return;
  const aAfter = mount.inodes.childPath(to.parent, to.name, a.isDirectory).captured;
  const bAfter = mount.inodes.childPath(from.parent, from.name, b.isDirectory).captured;
  if (from.captured && to.captured && aAfter && bAfter) {
    const moved = arrivalOf(mount, [
      [to.path, from.path],
      [from.path, to.path],
    ]);
    recordRename(mount, from, to, RENAME.EXCHANGE);
    for (const node of [a, b]) recordDirectoryTime(mount, node);
    mount.scanner?.revisit(mount, a, to);
    mount.scanner?.revisit(mount, b, from);
    if (mount.inodes.patterns.everything) return;
    if (a.isDirectory) settleSubtree(mount, a, from.path, moved);
    if (b.isDirectory) settleSubtree(mount, b, to.path, moved);
    return;
  }
  const arrival = arrivalOf(mount, [
    [to.path, undefined],
    [from.path, undefined],
  ]);
  if (from.captured) recordRemoval(mount, a, from);
  if (to.captured) recordRemoval(mount, b, to);
  if (aAfter) captureSubtree(mount, a, to, arrival);
  if (bAfter) captureSubtree(mount, b, from, arrival);
}

/** XFS modifies a directory that it exchanges. */
function recordDirectoryTime(mount: Mount, node: Node): void {
  if (node.isDirectory && mount.inodes.refresh(node) === 0)
    recordAttributes(mount, node, attrMask.mtime);
}

function recordRename(mount: Mount, from: End, to: End, flags: number): void {
  mount.scanner?.prepare(mount, to.parent);
  if (flags !== 0) mount.scanner?.prepare(mount, from.parent);
  const parentStat = mount.refreshParent(from.parent, mount.parentStat);
  const parent2Stat = mount.refreshParent(to.parent, mount.parent2Stat);
  const draft = mount.capture.draft(recordType.rename, mount.index, from.path);
  draft.path2 = to.path;
  draft.aux = flags;
  if (from.node !== undefined) mount.inodes.refresh(from.node);
  mount.capture.publishNamespace(mount.stat, parentStat, parent2Stat);
}
