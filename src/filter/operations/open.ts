// OPEN, CREATE, TMPFILE, RELEASE.
import { recordType, writeU53 } from '../../journal/record.ts';
import { errno, O, S } from '../../linux/constants.ts';
import { pin, cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import type { Request } from '../channel.ts';
import {
  BACKING_CLOSE,
  BACKING_OPEN,
  createIn,
  entryOut,
  openFlag,
  openIn,
  openOut,
  OPEN_KILL_SUIDGID,
  OUT_HEADER_BYTES,
  releaseIn,
} from '../fuse-protocol.ts';
import { Handle } from '../handle-table.ts';
import type { Node } from '../node.ts';
import type { Mount } from '../mount.ts';
import { killPrivileges, recordTruncate } from './attributes.ts';
import { isReserved } from './lookup.ts';
import { defaultAclOf, recordAcls } from './xattr.ts';
import {
  adopt,
  ALREADY_MADE,
  beginMaking,
  endOrphan,
  makeOrphan,
  orphanPathOf,
  recordCreation,
  setUmask,
} from './creation.ts';

/**
 * Flags that the kernel deals with itself (append offsets, direct I/O, the fsync after a synchronous
 * write) or that were dealt with before the file is opened underneath.
 */
const KERNEL_FLAGS =
  O.APPEND |
  O.DIRECT |
  O.SYNC |
  O.DSYNC |
  O.CREAT |
  O.EXCL |
  O.NOCTTY |
  O.TRUNC |
  O.NOFOLLOW |
  O.NONBLOCK |
  O.ASYNC;

const underneath = (flags: number): number => (flags & ~KERNEL_FLAGS) | O.CLOEXEC;

const backingMap = new Uint8Array(new ArrayBuffer(16));
const backingView = new DataView(backingMap.buffer);
const backingAddress = pin(backingMap);
const openStat = new Stat();
const F_GETFL = 3;
const DOT = cstring('.');
const DOT_ADDRESS = pin(DOT);

export function open(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  const flags = request.u32(openIn.flags);
  if (!mount.inodes.descriptors.makeRoom()) return mount.channel.result(request, -errno.ENFILE);
  const fd = mount.inodes.open(node, underneath(flags));
  if (fd < 0) return mount.channel.result(request, fd);
  if ((flags & O.TRUNC) !== 0) {
    const result = truncateOnOpen(
      mount,
      node,
      fd,
      (request.u32(openIn.openFlags) & OPEN_KILL_SUIDGID) !== 0,
    );
    if (result < 0) {
      sys.close(fd);
      return mount.channel.result(request, result);
    }
  }
  replyOpen(mount, request, node, fd, 0);
}

function truncateOnOpen(mount: Mount, node: Node, fd: number, kill: boolean): number {
  const result = truncate(mount, node, fd);
  mount.capture.changed.touchAll(mount.index, node.nodeid);
  if (result >= 0 && kill) killPrivileges(mount, node);
  // Also after a failure, which may have moved the end of the file and its mtime.
  if (mount.records(node) && mount.stat.fd(fd) >= 0) recordTruncate(mount, node);
  return result;
}

/** A file that is opened for reading can be emptied as well. */
function truncate(mount: Mount, node: Node, fd: number): number {
  if ((sys.fcntl(fd, F_GETFL, 0) & O.ACCMODE) !== O.RDONLY) return sys.ftruncate(fd, 0);
  const writer = mount.inodes.open(node, O.WRONLY | O.CLOEXEC);
  if (writer < 0) return writer;
  const result = sys.ftruncate(writer, 0);
  sys.close(writer);
  return result;
}

/** Registers the descriptor and answers with `fuse_open_out` at `offset` of the body. */
function replyOpen(mount: Mount, request: Request, node: Node, fd: number, offset: number): void {
  const passthrough = isSurelyUnmirrored(mount, node, fd) && acquireBacking(mount, node, fd);
  const access = sys.fcntl(fd, F_GETFL, 0) & O.ACCMODE;
  const fh = mount.handles.add(new Handle(node, fd, access | O.CLOEXEC, passthrough));
  node.opens += 1;
  node.openFd = fd;
  replyHandle(mount, request, fh, offset);
}

/** Answers with `fuse_open_out` of an open handle at `offset` of the body. */
export function replyHandle(mount: Mount, request: Request, fh: number, offset: number): void {
  const handle = mount.handles.get(fh);
  const passthrough = handle?.passthrough === true;
  const at = OUT_HEADER_BYTES + offset;
  const body = mount.channel.body;
  writeU53(body, at + openOut.fh, fh);
  body.setUint32(
    at + openOut.openFlags,
    passthrough ? openFlag.PASSTHROUGH : openFlag.KEEP_CACHE,
    true,
  );
  body.setInt32(at + openOut.backingId, passthrough ? (handle?.node.backingId ?? 0) : 0, true);
  mount.channel.success(request, offset + openOut.bytes);
}

/** No name of the file is mirrored. Whoever only reads is not made to wait for a search of names. */
function isSurelyUnmirrored(mount: Mount, node: Node, fd: number): boolean {
  if (!mount.passthrough || mount.inodes.isCaptured(node)) return false;
  const isReader = (sys.fcntl(fd, F_GETFL, 0) & O.ACCMODE) === O.RDONLY;
  if (!isReader || node.namesComplete)
    return !mount.isMirrored(node) && (node.namesComplete || node.deleted);
  return openStat.fd(fd) === 0 && openStat.nlink <= node.nameCount;
}

/** Writing has to clear setuid and setgid, which it does not where the kernel passes it through. */
function isPrivileged(fd: number): boolean {
  return openStat.fd(fd) < 0 || (openStat.mode & (S.ISUID | S.ISGID)) !== 0;
}

/**
 * Lets the kernel read and write an unmirrored file by itself. All opens of one inode must be of one
 * kind, so a file that is already open through the driver stays so.
 */
function acquireBacking(mount: Mount, node: Node, fd: number): boolean {
  if (!mount.passthrough) return false;
  if (node.passthroughOpens > 0) {
    node.passthroughOpens += 1;
    return true;
  }
  if (node.opens > 0 || isPrivileged(fd)) return false;
  backingView.setInt32(0, fd, true);
  backingView.setUint32(4, 0, true);
  backingView.setBigUint64(8, 0n, true);
  const id = sys.ioctl(mount.channel.fd, BACKING_OPEN, backingAddress);
  if (id <= 0) return false;
  node.backingId = id;
  node.passthroughOpens = 1;
  return true;
}

function releaseBacking(mount: Mount, node: Node): void {
  node.passthroughOpens -= 1;
  if (node.passthroughOpens > 0) return;
  backingView.setInt32(0, node.backingId, true);
  sys.ioctl(mount.channel.fd, BACKING_CLOSE, backingAddress);
  node.backingId = 0;
}

export function create(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  const name = request.name(createIn.bytes);
  if (isReserved(mount, request.nodeid, name)) return mount.channel.result(request, -errno.EPERM);
  if (!mount.inodes.descriptors.makeRoom()) return mount.channel.result(request, -errno.ENFILE);
  const parentFd = mount.inodes.descriptor(parent);
  if (parentFd < 0) return mount.channel.result(request, parentFd);
  const flags = request.u32(createIn.flags);
  const mode = request.u32(createIn.mode) & 0o7777;
  setUmask(request.u32(createIn.umask));
  const nameAddress = request.address(createIn.bytes);
  const begun = beginMaking(mount, request, parentFd, nameAddress);
  if (begun < 0) return mount.channel.result(request, begun);
  const making = begun === ALREADY_MADE ? 0 : O.CREAT | O.EXCL;
  const fd = sys.openat(parentFd, nameAddress, underneath(flags) | making | O.NOFOLLOW, mode);
  if (fd < 0) return mount.channel.result(request, fd);
  const node = adopt(mount, request, parent, { name, nameAddress, mode });
  if (typeof node === 'number') {
    sys.close(fd);
    return mount.channel.result(request, node);
  }
  recordCreation(mount, parent, node, recordType.create);
  mount.inodes.told(node);
  mount.channel.entry(0, node, mount.stat);
  replyOpen(mount, request, node, fd, entryOut.bytes);
}

/** A file without a name (O_TMPFILE). On the standby it lives in the orphan directory until linked. */
export function tmpfile(mount: Mount, request: Request): void {
  const parent = mount.node(request);
  if (parent === undefined) return;
  if (!mount.inodes.descriptors.makeRoom()) return mount.channel.result(request, -errno.ENFILE);
  const parentFd = mount.inodes.descriptor(parent);
  if (parentFd < 0) return mount.channel.result(request, parentFd);
  const mode = request.u32(createIn.mode) & 0o7777;
  const access = underneath(request.u32(createIn.flags)) & ~O.TMPFILE;
  setUmask(request.u32(createIn.umask));
  undoTmpfile(mount, request);
  mount.intent.begin(request, mount.capture.sequence);
  const fd = sys.openat(parentFd, DOT_ADDRESS, access | O.TMPFILE, mode);
  if (fd < 0) return mount.channel.result(request, fd);
  const node = adopt(mount, request, parent, { fd, mode });
  if (typeof node === 'number') {
    sys.close(fd);
    return mount.channel.result(request, node);
  }
  mount.keepOpened(node, fd);
  if (mount.inodes.isCaptured(parent)) {
    makeOrphan(mount, node);
    mount.intent.complete(node.nodeid, node.generation);
    if (mount.capture.enabled) {
      mount.capture.draft(recordType.create, mount.index, node.orphanPath ?? '');
      mount.capture.publishNamespace(mount.stat, undefined);
      if (defaultAclOf(mount, parent)) recordAcls(mount, node);
    }
  }
  mount.inodes.told(node);
  mount.channel.entry(0, node, mount.stat);
  replyOpen(mount, request, node, fd, entryOut.bytes);
}

/** A process that died had made a file for this request, which ended with it: its record is taken back. */
function undoTmpfile(mount: Mount, request: Request): void {
  const noted = mount.resume(request);
  mount.capture.muted = false;
  if (noted?.recorded !== true) return;
  const path = orphanPathOf(noted.a, noted.b);
  mount.capture.draft(recordType.unlink, mount.index, path);
  mount.capture.publishNamespace(undefined, undefined);
}

export function release(mount: Mount, request: Request): void {
  mount.resume(request);
  const handle = mount.handles.remove(request.u64(releaseIn.fh));
  if (handle !== undefined) {
    const node = handle.node;
    if (mount.orphans.has(node) && !mount.capture.muted)
      mount.intent.begin(request, mount.capture.sequence);
    node.opens -= 1;
    if (node.openFd === handle.fd)
      node.openFd = node.opens === 0 ? -1 : (mount.handles.another(node)?.fd ?? -1);
    if (handle.passthrough) releaseBacking(mount, node);
    // A file that never got a name ends here; its number may be another's soon.
    if (node.opens === 0 && node.parent === undefined && !node.deleted) {
      if (openStat.fd(handle.fd) === 0 && openStat.nlink === 0) mount.inodes.setDeleted(node);
    }
    sys.close(handle.fd);
    if (node.opens === 0) {
      mount.keepNoLonger(node);
      closed(mount, node);
    }
  }
  mount.channel.result(request, 0);
}

/** Nobody has the file open any more: an orphan ends, a forgotten node goes. */
function closed(mount: Mount, node: Node): void {
  const orphan = mount.orphans.get(node);
  if (orphan !== undefined) {
    endOrphan(mount, node);
    if (mount.capture.enabled) {
      mount.capture.draft(recordType.unlink, mount.index, orphan);
      mount.capture.publishNamespace(undefined, undefined);
    }
  }
  mount.inodes.collect(node);
}
