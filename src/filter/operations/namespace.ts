// MKDIR, MKNOD, SYMLINK, LINK, UNLINK, RMDIR, READLINK: what exists under which name.
// RENAME is in `rename.ts`.
import { recordType, type RecordType } from '../../journal/record.ts';
import { AT, errno, S } from '../../linux/constants.ts';
import { EMPTY_NAME, sys } from '../../linux/libc.ts';
import { unpackDevice } from '../../linux/stat.ts';
import type { Request } from '../channel.ts';
import { linkIn, mkdirIn, mknodIn, op } from '../fuse-protocol.ts';
import type { Node, NodeName } from '../node.ts';
import type { Mount } from '../mount.ts';
import {
  adopt,
  ALREADY_MADE,
  beginMaking,
  endOrphan,
  makeOrphan,
  recordCreation,
  setUmask,
} from './creation.ts';
import { isReserved } from './lookup.ts';
import { Arrival, captureSubtree } from './subtree.ts';

/** Shared course of MKDIR, MKNOD and SYMLINK: make, adopt, record, answer. */
interface Creation {
  readonly name: string;
  readonly nameAddress: number;
  readonly mode: number;
  readonly type: RecordType;
  readonly target?: string;
  readonly make: (parentFd: number) => number;
}

function createNamed(mount: Mount, request: Request, parent: Node, creation: Creation): void {
  if (isReserved(mount, request.nodeid, creation.name))
    return mount.channel.result(request, -errno.EPERM);
  const parentFd = mount.inodes.descriptor(parent);
  if (parentFd < 0) return mount.channel.result(request, parentFd);
  const begun = beginMaking(mount, request, parentFd, creation.nameAddress);
  if (begun < 0) return mount.channel.result(request, begun);
  const made = begun === ALREADY_MADE ? 0 : creation.make(parentFd);
  if (made < 0) return mount.channel.result(request, made);
  const node = adopt(mount, request, parent, creation);
  if (typeof node === 'number') return mount.channel.result(request, node);
  recordCreation(mount, parent, node, creation.type, creation.target);
  mount.replyEntry(request, node);
}

export function mkdir(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  const mode = request.u32(mkdirIn.mode) & 0o7777;
  const nameAddress = request.address(mkdirIn.bytes);
  setUmask(request.u32(mkdirIn.umask));
  createNamed(mount, request, parent, {
    name: request.name(mkdirIn.bytes),
    nameAddress,
    mode,
    type: recordType.mkdir,
    make: (parentFd) => sys.mkdirat(parentFd, nameAddress, mode),
  });
}

export function mknod(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  const mode = request.u32(mknodIn.mode);
  const nameAddress = request.address(mknodIn.bytes);
  const device = Number(unpackDevice(request.u32(mknodIn.rdev)));
  setUmask(request.u32(mknodIn.umask));
  createNamed(mount, request, parent, {
    name: request.name(mknodIn.bytes),
    nameAddress,
    mode,
    type: (mode & S.IFMT) === S.IFREG ? recordType.create : recordType.mknod,
    make: (parentFd) => sys.mknodat(parentFd, nameAddress, mode, device),
  });
}

export function symlink(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  const name = request.name(0);
  const targetOffset = name.length + 1;
  const nameAddress = request.address(0);
  const targetAddress = request.address(targetOffset);
  createNamed(mount, request, parent, {
    name,
    nameAddress,
    mode: 0,
    type: recordType.symlink,
    target: request.name(targetOffset),
    make: (parentFd) => sys.symlinkat(targetAddress, parentFd, nameAddress),
  });
}

export function readlink(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const fd = mount.inodes.descriptor(node);
  const result = fd < 0 ? fd : sys.readlinkat(fd, EMPTY_NAME, mount.channel.bodyAddress(0), 4096);
  if (result < 0) mount.channel.result(request, result);
  else mount.channel.success(request, result);
}

export function link(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  const node = mount.inodes.get(request.u64(linkIn.oldNodeid));
  if (parent === undefined) return;
  if (node === undefined) return mount.channel.result(request, -errno.ESTALE);
  const name = request.name(linkIn.bytes);
  if (isReserved(mount, request.nodeid, name)) return mount.channel.result(request, -errno.EPERM);
  const to = mount.inodes.childPath(parent, name, false);
  const recorded = to.captured && mount.capture.enabled;
  const before = recorded ? describeBefore(mount, node) : UNKNOWN;
  // A file that the kernel writes by itself cannot become a mirrored one: the caller is told to copy.
  if (node.passthroughOpens > 0 && to.captured) return mount.channel.result(request, -errno.EXDEV);
  const fd = mount.inodes.descriptor(node);
  const parentFd = mount.inodes.descriptor(parent);
  const nameAddress = request.address(linkIn.bytes);
  if (fd < 0 || parentFd < 0) return mount.channel.result(request, Math.min(fd, parentFd));
  const begun = beginMaking(mount, request, parentFd, nameAddress);
  if (begun < 0) return mount.channel.result(request, begun);
  const result =
    begun === ALREADY_MADE ? 0 : sys.linkat(fd, EMPTY_NAME, parentFd, nameAddress, AT.EMPTY_PATH);
  if (result < 0) return mount.channel.result(request, result);
  const linked = mount.inodes.lookup(parent, nameAddress, name);
  if (typeof linked === 'number') return mount.channel.result(request, linked);
  mount.capture.changed.touchAll(mount.index, linked.nodeid);
  if (recorded) recordLink(mount, parent, linked, { before, path: to.path, name });
  mount.inodes.refresh(linked);
  mount.replyEntry(request, linked);
}

/** How the standby knows the file so far: by a path, as an orphan without another name, or not at all. */
interface Before {
  readonly path: string | undefined;
  readonly orphan: boolean;
}

const UNKNOWN: Before = { path: undefined, orphan: false };

function describeBefore(mount: Mount, node: Node): Before {
  const path = mount.isMirrored(node) ? mount.inodes.pathOf(node) : undefined;
  return { path, orphan: path !== undefined && path === node.orphanPath };
}

function recordLink(
  mount: Mount,
  parent: Node,
  node: Node,
  made: { before: Before; path: string; name: string },
): void {
  const at = { parent, name: made.name };
  // Named by itself: it was linked by a process that died, and nobody knew it before.
  if (made.before.path === undefined || made.before.path === made.path) {
    const arrival = new Arrival(mount, [{ path: made.path, before: undefined }]);
    return captureSubtree(mount, node, at, arrival);
  }
  const type = made.before.orphan ? recordType.rename : recordType.link;
  if (made.before.orphan) endOrphan(mount, node);
  mount.scanner?.prepare(mount, parent);
  mount.inodes.refresh(node);
  const draft = mount.capture.draft(type, mount.index, made.before.path);
  draft.path2 = made.path;
  const parentStat = mount.refreshParent(parent, mount.parent2Stat);
  mount.capture.publishNamespace(mount.stat, undefined, parentStat);
  mount.scanner?.revisit(mount, node, at);
}

export function unlink(mount: Mount, request: Request): void {
  removeName(mount, request, 0);
}

export function rmdir(mount: Mount, request: Request): void {
  removeName(mount, request, AT.REMOVEDIR);
}

function removeName(mount: Mount, request: Request, flags: number): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  const name = request.name(0);
  if (isReserved(mount, request.nodeid, name)) return mount.channel.result(request, -errno.ENOENT);
  const parentFd = mount.inodes.descriptor(parent);
  if (parentFd < 0) return mount.channel.result(request, parentFd);
  const found = mount.inodes.lookup(parent, request.address(0), name);
  if (typeof found === 'number') {
    if (found === -errno.ENOENT && finishRemoval(mount, request, parent, name)) return;
    return mount.channel.result(request, found);
  }
  const isDirectory = flags !== 0;
  const lastName = isDirectory || mount.stat.nlink === 1;
  mount.intent.begin(request, mount.capture.sequence, { a: found.nodeid, c: lastName ? 1 : 0 });
  if (lastName) mount.keep(found);
  const result = sys.unlinkat(parentFd, request.address(0), flags);
  if (result < 0) return mount.channel.result(request, result);
  removed(mount, { node: found, parent, name }, lastName);
  mount.channel.result(request, 0);
}

/** What follows from the removal of a name. */
function removed(
  mount: Mount,
  { node, parent, name }: NodeName & { node: Node },
  lastName: boolean,
): void {
  const { path, captured } = mount.inodes.childPath(parent, name, node.isDirectory);
  const recorded = captured && mount.capture.enabled;
  nameGone(mount, { node, parent, name, lastName, path: recorded ? path : undefined });
  mount.inodes.collect(node);
}

/** The name was there when this request was begun by a process that died: what is left to do. */
function finishRemoval(mount: Mount, request: Request, parent: Node, name: string): boolean {
  const noted = mount.resume(request);
  if (noted === undefined) return false;
  const node = mount.inodes.get(noted.a);
  if (node !== undefined) removed(mount, { node, parent, name }, noted.c === 1);
  else recordUnknownRemoval(mount, request, parent, name);
  mount.channel.result(request, 0);
  return true;
}

function recordUnknownRemoval(mount: Mount, request: Request, parent: Node, name: string): void {
  const isDirectory = request.opcode === op.RMDIR;
  const { path, captured } = mount.inodes.childPath(parent, name, isDirectory);
  if (!captured || !mount.capture.enabled) return;
  mount.capture.draft(isDirectory ? recordType.rmdir : recordType.unlink, mount.index, path);
  mount.capture.publishNamespace(undefined, mount.refreshParent(parent, mount.parentStat));
}

/** A name that was removed, by unlinking it or by renaming something over it. */
export interface GoneName extends NodeName {
  readonly node: Node;
  readonly lastName: boolean;
  /** Path to record, undefined when the removal is not to be recorded. */
  readonly path: string | undefined;
}

/** Records the removal and settles what becomes of the node. */
export function nameGone(mount: Mount, gone: GoneName): void {
  const { node } = gone;
  const wasFirst = node.parent === gone.parent && node.name === gone.name;
  if (gone.lastName) mount.inodes.setDeleted(node);
  else mount.inodes.dropName(node, gone.parent, gone.name);
  if (wasFirst && !gone.lastName) mount.scanner?.firstNameGone(mount, node);
  if (gone.path === undefined) return;
  // Open under no name that is known, though there is another: the standby keeps it as an orphan.
  const staysOpen = !gone.lastName && node.opens > 0 && !mount.inodes.isCaptured(node);
  const type = node.isDirectory
    ? recordType.rmdir
    : staysOpen
      ? recordType.rename
      : recordType.unlink;
  const orphan = staysOpen ? makeOrphan(mount, node) : '';
  mount.capture.draft(type, mount.index, gone.path).path2 = orphan;
  mount.capture.publishNamespace(undefined, mount.refreshParent(gone.parent, mount.parentStat));
}
