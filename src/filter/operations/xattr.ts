// SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR, and with them POSIX ACLs.
import { attrMask, recordType } from '../../journal/record.ts';
import { errno, S } from '../../linux/constants.ts';
import { pin, cstring, sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import {
  getxattrIn,
  OUT_HEADER_BYTES,
  SETXATTR_ACL_KILL_SGID,
  setxattrIn,
} from '../fuse-protocol.ts';
import type { Node } from '../node.ts';
import type { Mount } from '../mount.ts';
import { changeMode, recordAttributes } from './attributes.ts';

const ACL_ACCESS = 'system.posix_acl_access';
const ACL_DEFAULT = 'system.posix_acl_default';
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const XATTR_BYTES_MAX = 65_536;
const aclAccess = cstring(ACL_ACCESS);
const aclDefault = cstring(ACL_DEFAULT);
const value = Buffer.alloc(XATTR_BYTES_MAX);
const valueAddress = pin(value);

export function getxattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return mount.channel.result(request, fd);
  const size = request.u32(getxattrIn.size);
  const name = request.address(getxattrIn.bytes);
  const target = size === 0 ? 0 : mount.channel.bodyAddress(0);
  replySized(mount, request, size, sys.getxattr(mount.procPath(fd), name, target, size));
}

export function listxattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return mount.channel.result(request, fd);
  const size = request.u32(getxattrIn.size);
  const target = size === 0 ? 0 : mount.channel.bodyAddress(0);
  replySized(mount, request, size, sys.listxattr(mount.procPath(fd), target, size));
}

/** With a size of 0 the caller asks for the length only. */
function replySized(mount: Mount, request: Request, size: number, result: number): void {
  if (result < 0) return mount.channel.result(request, result);
  if (size > 0) return mount.channel.success(request, result);
  mount.channel.body.setUint32(OUT_HEADER_BYTES, result, true);
  mount.channel.body.setUint32(OUT_HEADER_BYTES + 4, 0, true);
  mount.channel.success(request, 8);
}

export function setxattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return mount.channel.result(request, fd);
  const name = request.name(setxattrIn.bytes);
  const size = request.u32(setxattrIn.size);
  const valueAt = setxattrIn.bytes + name.length + 1;
  const nameAddress = request.address(setxattrIn.bytes);
  if (hasNoRoom(mount, fd, nameAddress, name)) return mount.channel.result(request, -errno.ENOSPC);
  const asked = request.u32(setxattrIn.flags);
  const flags = asked === 0 ? 0 : beginXattr(mount, request, fd, nameAddress, asked);
  if (flags < 0) return mount.channel.result(request, flags);
  const result = sys.setxattr(
    mount.procPath(fd),
    nameAddress,
    request.address(valueAt),
    size,
    flags,
  );
  if (result < 0) return mount.channel.result(request, result);
  if ((request.u32(setxattrIn.setxattrFlags) & SETXATTR_ACL_KILL_SGID) !== 0)
    dropSetgid(mount, node);
  if (name === ACL_DEFAULT) node.hasDefaultAcl = true;
  if (mount.records(node)) {
    const from = request.body + valueAt;
    recordXattr(mount, node, name, Buffer.from(request.bytes.subarray(from, from + size)));
    if (name === ACL_ACCESS) recordMode(mount, node);
  }
  mount.channel.result(request, 0);
}

/** Whether a new name would make the list of names longer than any call returns, so that nobody could mirror it any more. */
function hasNoRoom(mount: Mount, fd: number, nameAddress: number, name: string): boolean {
  const listed = sys.listxattr(mount.procPath(fd), 0, 0);
  if (listed !== -errno.E2BIG && listed + name.length + 1 <= XATTR_BYTES_MAX) return false;
  return sys.getxattr(mount.procPath(fd), nameAddress, 0, 0) === -errno.ENODATA;
}

/**
 * Before a change that depends on whether there is such an attribute: the flags to go on with, or a
 * negative errno. A process that died may have carried it out for this very request.
 */
function beginXattr(
  mount: Mount,
  request: Request,
  fd: number,
  nameAddress: number,
  flags: number,
): number {
  const noted = mount.resume(request);
  // Setting it once more, and recording it, does no harm.
  mount.capture.muted = false;
  if (noted !== undefined) return 0;
  const found = sys.getxattr(mount.procPath(fd), nameAddress, 0, 0);
  if (found >= 0 && (flags & XATTR_CREATE) !== 0) return -errno.EEXIST;
  if (found < 0 && (flags & XATTR_REPLACE) !== 0) return found;
  mount.intent.begin(request, mount.capture.sequence);
  return flags;
}

function dropSetgid(mount: Mount, node: Node): void {
  if (mount.inodes.refresh(node) === 0) changeMode(mount, node, mount.stat.mode & ~S.ISGID);
}

export function removexattr(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return mount.channel.result(request, fd);
  const name = request.name(0);
  const noted = mount.resume(request);
  if (noted === undefined) {
    const found = sys.getxattr(mount.procPath(fd), request.address(0), 0, 0);
    if (found < 0) return mount.channel.result(request, found);
    mount.intent.begin(request, mount.capture.sequence);
  }
  const result = sys.removexattr(mount.procPath(fd), request.address(0));
  const isDone = noted !== undefined && result === -errno.ENODATA;
  if (result < 0 && !isDone) return mount.channel.result(request, result);
  if (name === ACL_DEFAULT) node.hasDefaultAcl = undefined;
  if (mount.records(node)) {
    const draft = mount.capture.draft(
      recordType.removexattr,
      mount.index,
      mount.inodes.pathOf(node) ?? '',
    );
    draft.path2 = name;
    mount.capture.publishBare();
    if (name === ACL_ACCESS) recordMode(mount, node);
  }
  mount.channel.result(request, 0);
}

function recordXattr(mount: Mount, node: Node, name: string, bytes: Uint8Array): void {
  const draft = mount.capture.draft(
    recordType.setxattr,
    mount.index,
    mount.inodes.pathOf(node) ?? '',
  );
  draft.path2 = name;
  mount.capture.publishPayload(bytes);
}

/** An access ACL changes the mode too. */
function recordMode(mount: Mount, node: Node): void {
  if (mount.inodes.refresh(node) === 0) recordAttributes(mount, node, attrMask.mode);
}

/** Whether new entries of a directory inherit an ACL. */
export function defaultAclOf(mount: Mount, directory: Node): boolean {
  directory.hasDefaultAcl ??= readAcl(mount, directory, aclDefault) > 0;
  return directory.hasDefaultAcl;
}

/** Records the ACLs that a new object inherited. */
export function recordAcls(mount: Mount, node: Node): void {
  const access = readAcl(mount, node, aclAccess);
  if (access > 0) recordXattr(mount, node, ACL_ACCESS, value.subarray(0, access));
  if (!node.isDirectory) return;
  const inherited = readAcl(mount, node, aclDefault);
  if (inherited > 0) recordXattr(mount, node, ACL_DEFAULT, value.subarray(0, inherited));
}

/** Reads an ACL into `value`; its length, or a negative errno (no ACL: ENODATA). */
function readAcl(mount: Mount, node: Node, name: Buffer): number {
  const fd = mount.inodes.descriptor(node);
  if (fd < 0) return fd;
  return sys.getxattr(mount.procPath(fd), name, valueAddress, XATTR_BYTES_MAX);
}

/**
 * All extended attributes of the object behind `fd` (may be O_PATH), by name. `onFault` takes the negative errno for
 * which some are left out; `fd` may be one, too.
 */
export function readXattrs(
  mount: Mount,
  fd: number,
  onFault: (result: number) => void,
): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const length = fd < 0 ? fd : sys.listxattr(mount.procPath(fd), valueAddress, XATTR_BYTES_MAX);
  if (length < 0 && length !== -errno.EOPNOTSUPP) onFault(length);
  if (length <= 0) return found;
  const names = value.toString('latin1', 0, length).split('\0');
  for (const name of names) {
    if (name === '') continue;
    const size = sys.getxattr(mount.procPath(fd), cstring(name), valueAddress, XATTR_BYTES_MAX);
    if (size >= 0) found.set(name, Buffer.from(value.subarray(0, size)));
    else if (size !== -errno.ENODATA) onFault(size);
  }
  return found;
}
