// READ, WRITE, FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE: contents of files.
import { recordType, writeU53 } from '../../journal/record.ts';
import { errno, FALLOC, O, RWF, SEEK } from '../../linux/constants.ts';
import { pin, sys } from '../../linux/libc.ts';
import { FILE_END_MAX } from '../../linux/stat.ts';
import type { Request } from '../channel.ts';
import {
  copyFileRangeIn,
  fallocateIn,
  FSYNC_FDATASYNC,
  fsyncIn,
  lseekIn,
  OUT_HEADER_BYTES,
  readIn,
  WRITE_IN_BYTES,
  WRITE_KILL_SUIDGID,
  writeIn,
} from '../fuse-protocol.ts';
import type { Handle } from '../handle-table.ts';
import type { Mount } from '../mount.ts';
import type { Node } from '../node.ts';
import { killPrivileges, recordTruncate } from './attributes.ts';
import { captureRange, forEachDataExtent } from './subtree.ts';

/** One COPY_FILE_RANGE request copies at most this much; the caller goes on with the rest. */
const COPY_BYTES_MAX = 16 * 1024 * 1024;

const iov = new Uint8Array(new ArrayBuffer(16));
const iovView = new DataView(iov.buffer);
const iovAddress = pin(iov);
const copyOffsets = new Uint8Array(new ArrayBuffer(16));
const copyView = new DataView(copyOffsets.buffer);
const copyAddress = pin(copyOffsets);

function handleOf(mount: Mount, request: Request, fh: number): Handle | undefined {
  const handle = mount.handles.get(fh);
  if (handle === undefined) mount.channel.result(request, -errno.EBADF);
  return handle;
}

export function read(mount: Mount, request: Request): void {
  const handle = handleOf(mount, request, request.u64(readIn.fh));
  if (handle === undefined) return;
  const offset = request.u64(readIn.offset);
  if (offset === Infinity) return mount.channel.result(request, -errno.EINVAL);
  const size = request.u32(readIn.size);
  const result = readCached(mount, handle.fd, size, offset);
  if (result === -errno.EAGAIN) {
    if (mount.gate.read(mount.channel.fd, request, handle.fd, { size, offset })) return;
    const blocking = sys.pread(handle.fd, mount.channel.bodyAddress(0), size, offset);
    return blocking < 0
      ? mount.channel.result(request, blocking)
      : mount.channel.success(request, blocking);
  }
  if (result < 0) mount.channel.result(request, result);
  else mount.channel.success(request, result);
}

/** Reads what is in the page cache underneath; EAGAIN when some of it would have to come from disk. */
function readCached(mount: Mount, fd: number, size: number, offset: number): number {
  const first = readNow(mount, fd, 0, { size, offset });
  if (first === size || first === 0) return first;
  if (first === -errno.EOPNOTSUPP) return sys.pread(fd, mount.channel.bodyAddress(0), size, offset);
  if (first < 0) return first;
  // Short: the end of the file, or the first page that is not in memory.
  const more = readNow(mount, fd, first, { size: size - first, offset: offset + first });
  if (more === 0) return first;
  return more === size - first ? size : -errno.EAGAIN;
}

function readNow(
  mount: Mount,
  fd: number,
  at: number,
  range: { size: number; offset: number },
): number {
  writeU53(iovView, 0, mount.channel.bodyAddress(at));
  writeU53(iovView, 8, range.size);
  return sys.preadv2(fd, iovAddress, 1, range.offset, RWF.NOWAIT);
}

export function write(mount: Mount, request: Request): void {
  const handle = handleOf(mount, request, request.u64(writeIn.fh));
  if (handle === undefined) return;
  const offset = request.u64(writeIn.offset);
  const size = request.u32(writeIn.size);
  if (offset + size > FILE_END_MAX) return mount.channel.result(request, -errno.EFBIG);
  const killsPrivileges = (request.u32(writeIn.writeFlags) & WRITE_KILL_SUIDGID) !== 0;
  const written = sys.pwrite(handle.fd, request.address(WRITE_IN_BYTES), size, offset);
  mount.capture.changed.touch(mount.index, handle.node.nodeid, offset, offset + size);
  if (written < 0) {
    recordFailure(mount, handle);
    return mount.channel.result(request, written);
  }
  if (written > 0 && mount.records(handle.node))
    recordWrite(mount, request, handle, { offset, written });
  if (killsPrivileges) killPrivileges(mount, handle.node);
  mount.channel.body.setUint32(OUT_HEADER_BYTES, written, true);
  mount.channel.body.setUint32(OUT_HEADER_BYTES + 4, 0, true);
  mount.channel.success(request, 8);
}

/** Of these calls the kernel does not tell whether the caller may keep setuid; root may, as a rule, and others may not. */
function killForOthers(mount: Mount, request: Request, node: Node): void {
  if (request.uid !== 0) killPrivileges(mount, node);
}

/** A change that failed (for want of space) may have moved the end of the file and its mtime. */
function recordFailure(mount: Mount, handle: Handle): void {
  if (mount.records(handle.node) && mount.stat.fd(handle.fd) === 0)
    recordTruncate(mount, handle.node);
}

/** The data already lies in the ring, right where the record's payload belongs. */
function recordWrite(
  mount: Mount,
  request: Request,
  handle: Handle,
  what: { offset: number; written: number },
): void {
  const { capture, stat } = mount;
  const from = request.body + WRITE_IN_BYTES;
  const inRing = request.bytes === capture.ring.bytes;
  const payloadAt = inRing ? from : capture.room(what.written);
  if (!inRing) capture.ring.bytes.set(request.bytes.subarray(from, from + what.written), payloadAt);
  stat.fd(handle.fd);
  const draft = capture.draft(
    recordType.write,
    mount.index,
    mount.inodes.pathOf(handle.node) ?? '',
  );
  draft.offset = what.offset;
  draft.mtimeSec = stat.mtimeSec;
  draft.mtimeNsec = stat.mtimeNsec;
  draft.payloadLength = what.written;
  capture.publish(payloadAt);
}

/**
 * Durability is not waited for here: a helper thread syncs underneath, the standby acknowledges, and
 * whoever is last answers the kernel.
 */
export function fsync(mount: Mount, request: Request): void {
  const handle = handleOf(mount, request, request.u64(fsyncIn.fh));
  if (handle === undefined) return;
  const dataOnly = (request.u32(fsyncIn.flags) & FSYNC_FDATASYNC) !== 0;
  const { fd, node } = handle;
  mount.gate.commit(mount.channel, request, { fd, dataOnly, node, mount });
}

export function fallocate(mount: Mount, request: Request): void {
  const handle = handleOf(mount, request, request.u64(fallocateIn.fh));
  if (handle === undefined) return;
  const offset = request.u64(fallocateIn.offset);
  const length = request.u64(fallocateIn.length);
  if (offset + length > FILE_END_MAX) return mount.channel.result(request, -errno.EFBIG);
  const mode = request.u32(fallocateIn.mode);
  const result = sys.fallocate(handle.fd, mode, offset, length);
  mount.capture.changed.touch(mount.index, handle.node.nodeid, offset, offset + length);
  if (result >= 0 && mount.records(handle.node)) {
    mount.stat.fd(handle.fd);
    const draft = mount.capture.draft(
      recordType.fallocate,
      mount.index,
      mount.inodes.pathOf(handle.node) ?? '',
    );
    draft.aux = mode;
    draft.offset = offset;
    draft.length = length;
    draft.mtimeSec = mount.stat.mtimeSec;
    draft.mtimeNsec = mount.stat.mtimeNsec;
    mount.capture.publishBare();
  } else if (result < 0) {
    recordFailure(mount, handle);
    if (mayHaveZeroed(mode, result) && mount.records(handle.node))
      recordRange(mount, handle.node, offset, offset + length);
  }
  if (result >= 0) killForOthers(mount, request, handle.node);
  mount.channel.result(request, result);
}

/** XFS takes the whole range away first, and looks for space then. */
const mayHaveZeroed = (mode: number, result: number): boolean =>
  (mode & (FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) !== 0 && !REFUSED.has(result);

/** Answers of fallocate(2) before anything is changed. */
const REFUSED: ReadonlySet<number> = new Set([
  -errno.EOPNOTSUPP,
  -errno.EINVAL,
  -errno.EBADF,
  -errno.EPERM,
  -errno.EFBIG,
  -errno.ENODEV,
]);

/** Records what a range of a file is now: its data as writes, holes where it has none. */
function recordRange(mount: Mount, node: Node, from: number, end: number): void {
  const path = mount.inodes.pathOf(node) ?? '';
  const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
  if (fd < 0) return mount.missed(fd);
  let at = from;
  const dataMax = Math.min(end, mount.stat.size);
  const result = forEachDataExtent(fd, { from, to: dataMax }, (dataFrom, dataEnd) => {
    recordHole(mount, path, at, dataFrom);
    captureRange(mount, path, fd, { from: dataFrom, to: dataEnd });
    at = dataEnd;
  });
  if (result < 0) mount.missed(result);
  else recordHole(mount, path, at, end);
  sys.close(fd);
}

function recordHole(mount: Mount, path: string, from: number, end: number): void {
  if (from >= end) return;
  const draft = mount.capture.draft(recordType.fallocate, mount.index, path);
  draft.aux = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE;
  draft.offset = from;
  draft.length = end - from;
  draft.mtimeSec = mount.stat.mtimeSec;
  draft.mtimeNsec = mount.stat.mtimeNsec;
  mount.capture.publishBare();
}

export function lseek(mount: Mount, request: Request): void {
  const handle = handleOf(mount, request, request.u64(lseekIn.fh));
  if (handle === undefined) return;
  const whence = request.u32(lseekIn.whence);
  if (whence !== SEEK.DATA && whence !== SEEK.HOLE)
    return mount.channel.result(request, -errno.EINVAL);
  const offset = request.u64(lseekIn.offset);
  if (offset === Infinity) return mount.channel.result(request, -errno.ENXIO);
  const result = sys.lseek(handle.fd, offset, whence);
  if (result < 0) return mount.channel.result(request, result);
  writeU53(mount.channel.body, OUT_HEADER_BYTES, result);
  mount.channel.success(request, 8);
}

export function copyFileRange(mount: Mount, request: Request): void {
  const from = handleOf(mount, request, request.u64(copyFileRangeIn.fhIn));
  if (from === undefined) return;
  const to = handleOf(mount, request, request.u64(copyFileRangeIn.fhOut));
  if (to === undefined) return;
  const offIn = request.u64(copyFileRangeIn.offIn);
  const offOut = request.u64(copyFileRangeIn.offOut);
  if (offIn === Infinity || offOut >= FILE_END_MAX)
    return mount.channel.result(request, -errno.EFBIG);
  const room = Math.min(COPY_BYTES_MAX, FILE_END_MAX - offOut);
  const length = Math.min(request.u64(copyFileRangeIn.len), room);
  writeU53(copyView, 0, offIn);
  writeU53(copyView, 8, offOut);
  const copied = sys.copyFileRange(from.fd, copyAddress, to.fd, copyAddress + 8, length, 0);
  mount.capture.changed.touch(mount.index, to.node.nodeid, offOut, offOut + length);
  if (copied < 0) {
    recordFailure(mount, to);
    return mount.channel.result(request, copied);
  }
  if (copied > 0 && mount.records(to.node)) recordCopy(mount, to, offOut, offOut + copied);
  if (copied > 0) killForOthers(mount, request, to.node);
  mount.channel.body.setUint32(OUT_HEADER_BYTES, copied, true);
  mount.channel.body.setUint32(OUT_HEADER_BYTES + 4, 0, true);
  mount.channel.success(request, 8);
}

/** Records what a copy within the kernel left in the target: its data as writes, zeros elsewhere. */
function recordCopy(mount: Mount, to: Handle, from: number, end: number): void {
  const path = mount.inodes.pathOf(to.node) ?? '';
  const fd = mount.inodes.open(to.node, O.RDONLY | O.CLOEXEC);
  if (fd < 0) return mount.missed(fd);
  captureRange(mount, path, fd, { from, to: end });
  sys.close(fd);
}
