// INIT, STATFS: the file system as a whole.
import { errno } from '../../linux/constants.ts';
import { pin, sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import {
  IN_HEADER_BYTES,
  initFlag,
  initFlag2,
  initIn,
  initOut,
  MAX_WRITE_BYTES,
  OUT_HEADER_BYTES,
} from '../fuse-protocol.ts';
import type { Mount } from '../mount.ts';
import { mountInfo } from '../shared-state.ts';

const PROTOCOL_MAJOR = 7;
const PROTOCOL_MINOR = 41;
const MINOR_MIN = 31;

const WANTED =
  initFlag.ASYNC_READ |
  initFlag.ATOMIC_O_TRUNC |
  initFlag.EXPORT_SUPPORT |
  initFlag.BIG_WRITES |
  initFlag.DONT_MASK |
  initFlag.DO_READDIRPLUS |
  initFlag.READDIRPLUS_AUTO |
  initFlag.ASYNC_DIO |
  initFlag.PARALLEL_DIROPS |
  initFlag.POSIX_ACL |
  initFlag.MAX_PAGES |
  initFlag.CACHE_SYMLINKS |
  initFlag.HANDLE_KILLPRIV_V2 |
  initFlag.SETXATTR_EXT |
  initFlag.INIT_EXT;
const WANTED2 = initFlag2.PASSTHROUGH | initFlag2.HAS_RESEND | initFlag2.DIRECT_IO_ALLOW_MMAP;

const statfsBytes = new Uint8Array(new ArrayBuffer(256));
const statfsView = new DataView(statfsBytes.buffer);
const statfsAddress = pin(statfsBytes);

export function init(mount: Mount, request: Request): void {
  if (request.u32(initIn.major) !== PROTOCOL_MAJOR || request.u32(initIn.minor) < MINOR_MIN) {
    return mount.channel.result(request, -errno.EIO);
  }
  const offered = request.u32(initIn.flags);
  const offered2 =
    request.bodyBytes + IN_HEADER_BYTES >= IN_HEADER_BYTES + 64 ? request.u32(initIn.flags2) : 0;
  const flags = offered & WANTED;
  const flags2 = (flags & initFlag.INIT_EXT) === 0 ? 0 : offered2 & WANTED2;
  mount.log.info =
    mountInfo.initialised |
    ((flags2 & initFlag2.PASSTHROUGH) === 0 ? 0 : mountInfo.passthrough) |
    ((flags2 & initFlag2.HAS_RESEND) === 0 ? 0 : mountInfo.resend);
  const body = mount.channel.body;
  mount.channel.bytes.fill(0, OUT_HEADER_BYTES, OUT_HEADER_BYTES + initOut.bytes);
  const put = OUT_HEADER_BYTES;
  body.setUint32(put + initOut.major, PROTOCOL_MAJOR, true);
  body.setUint32(put + initOut.minor, PROTOCOL_MINOR, true);
  body.setUint32(put + initOut.maxReadahead, request.u32(initIn.maxReadahead), true);
  body.setUint32(put + initOut.flags, flags, true);
  body.setUint16(put + initOut.maxBackground, 64, true);
  body.setUint16(put + initOut.congestionThreshold, 48, true);
  body.setUint32(put + initOut.maxWrite, MAX_WRITE_BYTES, true);
  body.setUint32(put + initOut.timeGran, 1, true);
  body.setUint16(put + initOut.maxPages, MAX_WRITE_BYTES / 4096, true);
  body.setUint32(put + initOut.flags2, flags2, true);
  body.setUint32(put + initOut.maxStackDepth, mount.passthrough ? 1 : 0, true);
  mount.channel.success(request, initOut.bytes);
}

/** struct statfs (x86-64 and arm64) into struct fuse_kstatfs. */
export function statfs(mount: Mount, request: Request): void {
  const result = sys.statfs(mount.inodes.rootFd, statfsAddress);
  if (result < 0) return mount.channel.result(request, result);
  const body = mount.channel.body;
  const put = OUT_HEADER_BYTES;
  mount.channel.bytes.fill(0, put, put + 80);
  for (let i = 0; i < 5; i += 1) {
    body.setUint32(put + i * 8, statfsView.getUint32(16 + i * 8, true), true);
    body.setUint32(put + i * 8 + 4, statfsView.getUint32(20 + i * 8, true), true);
  }
  body.setUint32(put + 40, statfsView.getUint32(8, true), true);
  body.setUint32(put + 44, statfsView.getUint32(64, true), true);
  body.setUint32(put + 48, statfsView.getUint32(72, true), true);
  mount.channel.success(request, 80);
}
