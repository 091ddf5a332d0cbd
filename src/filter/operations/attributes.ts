// GETATTR, SETATTR: owner, mode, times, size.
import { attrMask, recordType } from '../../journal/record.ts';
import { AT, errno, O, S, UTIME } from '../../linux/constants.ts';
import { EMPTY_NAME, pin, sys } from '../../linux/libc.ts';
import { FILE_END_MAX } from '../../linux/stat.ts';
import type { Request } from '../channel.ts';
import { attrOut, fattr, getattrIn, GETATTR_FH, setattrIn } from '../fuse-protocol.ts';
import type { Node } from '../node.ts';
import type { Mount } from '../mount.ts';

const UNCHANGED = 0xffffffff;
const times = new Uint8Array(new ArrayBuffer(32));
const timesView = new DataView(times.buffer);
const timesAddress = pin(times);

export function getattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const handle =
    (request.u32(getattrIn.flags) & GETATTR_FH) === 0
      ? undefined
      : mount.handles.get(request.u64(getattrIn.fh));
  const result = handle === undefined ? mount.inodes.refresh(node) : mount.stat.fd(handle.fd);
  if (result < 0) return mount.channel.result(request, result);
  mount.channel.attributes(mount.stat);
  mount.channel.success(request, attrOut.bytes);
}

export function setattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const valid = request.u32(setattrIn.valid);
  const result = apply(mount, request, node, valid);
  const refreshed = mount.inodes.refresh(node);
  // Also after a failure: what came before it has been changed.
  if (refreshed >= 0 && mount.records(node)) record(mount, node, valid);
  if (result < 0) return mount.channel.result(request, result);
  if (refreshed < 0) return mount.channel.result(request, refreshed);
  mount.channel.attributes(mount.stat);
  mount.channel.success(request, attrOut.bytes);
}

function apply(mount: Mount, request: Request, node: Node, valid: number): number {
  let result = 0;
  if ((valid & fattr.SIZE) !== 0) result = truncate(mount, request, node, valid);
  if (result >= 0 && (valid & fattr.MODE) !== 0)
    result = changeMode(mount, node, request.u32(setattrIn.mode));
  if (result >= 0 && (valid & (fattr.UID | fattr.GID)) !== 0)
    result = changeOwner(mount, request, node, valid);
  if (result >= 0 && (valid & (fattr.ATIME | fattr.MTIME)) !== 0)
    result = changeTimes(mount, request, node, valid);
  return result;
}

function truncate(mount: Mount, request: Request, node: Node, valid: number): number {
  const size = request.u64(setattrIn.size);
  if (size > FILE_END_MAX) return -errno.EFBIG;
  const handle =
    (valid & fattr.FH) === 0 ? undefined : mount.handles.get(request.u64(setattrIn.fh));
  const fd = handle?.fd ?? mount.inodes.open(node, O.WRONLY | O.CLOEXEC);
  if (fd < 0) return fd;
  const result = sys.ftruncate(fd, size);
  mount.capture.changed.touchAll(mount.index, node.nodeid);
  if (handle === undefined) sys.close(fd);
  if (result >= 0 && (valid & fattr.KILL_SUIDGID) !== 0) killPrivileges(mount, node);
  return result;
}

/** chmod(2) through /proc, which unlike fchmod(2) works on O_PATH descriptors. */
export function changeMode(mount: Mount, node: Node, mode: number): number {
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return fd;
  return sys.fchmodat(AT.FDCWD, mount.procPath(fd), mode & 0o7777, 0);
}

function changeOwner(mount: Mount, request: Request, node: Node, valid: number): number {
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return fd;
  const uid = (valid & fattr.UID) === 0 ? UNCHANGED : request.u32(setattrIn.uid);
  const gid = (valid & fattr.GID) === 0 ? UNCHANGED : request.u32(setattrIn.gid);
  return sys.fchownat(fd, EMPTY_NAME, uid, gid, AT.EMPTY_PATH);
}

function changeTimes(mount: Mount, request: Request, node: Node, valid: number): number {
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return fd;
  setTime(request, 0, (valid & fattr.ATIME) !== 0, (valid & fattr.ATIME_NOW) !== 0);
  setTime(request, 1, (valid & fattr.MTIME) !== 0, (valid & fattr.MTIME_NOW) !== 0);
  return sys.utimensat(fd, EMPTY_NAME, timesAddress, AT.EMPTY_PATH);
}

function setTime(request: Request, which: 0 | 1, change: boolean, now: boolean): void {
  const at = which * 16;
  const field = which === 0 ? setattrIn.atime : setattrIn.mtime;
  const nsecField = which === 0 ? setattrIn.atimeNsec : setattrIn.mtimeNsec;
  timesView.setUint32(at, request.u32(field), true);
  timesView.setUint32(at + 4, request.u32(field + 4), true);
  const nsec = !change ? UTIME.OMIT : now ? UTIME.NOW : request.u32(nsecField);
  timesView.setUint32(at + 8, nsec, true);
  timesView.setUint32(at + 12, 0, true);
}

/**
 * Clears setuid, and setgid where it means execution, as the kernel leaves to us
 * (FUSE_HANDLE_KILLPRIV_V2). Records the new mode. File capabilities go by themselves underneath.
 */
export function killPrivileges(mount: Mount, node: Node): void {
  if (mount.inodes.refresh(node) < 0) return;
  const mode = mount.stat.mode;
  const clear = S.ISUID | ((mode & S.IXGRP) === 0 ? 0 : S.ISGID);
  if ((mode & clear) === 0) return;
  if (changeMode(mount, node, mode & ~clear) < 0 || mount.inodes.refresh(node) < 0) return;
  // It takes the mode for unchanged by whatever changes contents, and would go on executing it as setuid.
  mount.channel.forgetAttributes(node.nodeid);
  if (mount.records(node)) recordAttributes(mount, node, attrMask.mode);
}

function record(mount: Mount, node: Node, valid: number): void {
  if ((valid & fattr.SIZE) !== 0) recordTruncate(mount, node);
  let mask = 0;
  if ((valid & fattr.MODE) !== 0) mask |= attrMask.mode;
  if ((valid & (fattr.UID | fattr.GID)) !== 0) mask |= attrMask.uid | attrMask.gid | attrMask.mode;
  if ((valid & fattr.ATIME) !== 0) mask |= attrMask.atime;
  if ((valid & fattr.MTIME) !== 0) mask |= attrMask.mtime;
  if (mask !== 0) recordAttributes(mount, node, mask);
}

/** Records the size in `stat` as a truncation. */
export function recordTruncate(mount: Mount, node: Node): void {
  const draft = mount.capture.draft(
    recordType.truncate,
    mount.index,
    mount.inodes.pathOf(node) ?? '',
  );
  draft.offset = mount.stat.size;
  draft.mtimeSec = mount.stat.mtimeSec;
  draft.mtimeNsec = mount.stat.mtimeNsec;
  mount.capture.publishBare();
}

/** Records the attributes in `stat` that `mask` names. */
export function recordAttributes(mount: Mount, node: Node, mask: number): void {
  recordAttributesAt(mount, mount.inodes.pathOf(node) ?? '', mask);
}

/** The same under a certain name of the object. */
export function recordAttributesAt(mount: Mount, path: string, mask: number): void {
  const draft = mount.capture.draft(recordType.setattr, mount.index, path);
  draft.aux = mask;
  mount.capture.publishAttributes(mount.stat);
}
