// OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR.
//
// The position cookies are those of the file system underneath, passed through as opaque 64-bit
// values: they stay valid while entries come and go, in directories of any size.
import { ORPHAN_DIRECTORY, writeU53 } from '../../journal/record.ts';
import { errno, O, SEEK } from '../../linux/constants.ts';
import { addressOf, sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import {
  dirent,
  entryOut,
  fsyncIn,
  FSYNC_FDATASYNC,
  openFlag,
  openOut,
  OUT_HEADER_BYTES,
  readIn,
  releaseIn,
} from '../fuse-protocol.ts';
import { Handle, type Listing } from '../handle-table.ts';
import type { Mount } from '../mount.ts';

const LISTING_BYTES = 32 * 1024;
/** struct linux_dirent64 */
const D_INO = 0;
const D_OFF = 8;
const D_RECLEN = 16;
const D_TYPE = 18;
const D_NAME = 19;

export function opendir(mount: Mount, request: Request): void {
  const node = mount.node(request);
  if (node === undefined) return;
  if (!mount.inodes.descriptors.makeRoom()) return mount.channel.result(request, -errno.ENFILE);
  const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
  const fd = mount.inodes.open(node, flags);
  if (fd < 0) return mount.channel.result(request, fd);
  const fh = mount.handles.add(new Handle(node, fd, flags, false));
  node.opens += 1;
  replyOpendir(mount, request, fh);
}

export function replyOpendir(mount: Mount, request: Request, fh: number): void {
  const body = mount.channel.body;
  writeU53(body, OUT_HEADER_BYTES + openOut.fh, fh);
  body.setUint32(
    OUT_HEADER_BYTES + openOut.openFlags,
    openFlag.KEEP_CACHE | openFlag.CACHE_DIR,
    true,
  );
  body.setInt32(OUT_HEADER_BYTES + openOut.backingId, 0, true);
  mount.channel.success(request, openOut.bytes);
}

export function releasedir(mount: Mount, request: Request): void {
  const handle = mount.handles.remove(request.u64(releaseIn.fh));
  if (handle !== undefined) {
    sys.close(handle.fd);
    if (handle.listing !== undefined && spareListings.length < SPARE_LISTINGS_MAX)
      spareListings.push(handle.listing);
    handle.node.opens -= 1;
    if (handle.node.opens === 0) mount.keepNoLonger(handle.node);
    mount.inodes.collect(handle.node);
  }
  mount.channel.result(request, 0);
}

export function fsyncdir(mount: Mount, request: Request): void {
  const handle = mount.handles.get(request.u64(fsyncIn.fh));
  if (handle === undefined) return mount.channel.result(request, -errno.EBADF);
  const dataOnly = (request.u32(fsyncIn.flags) & FSYNC_FDATASYNC) !== 0;
  const { fd, node } = handle;
  mount.gate.commit(mount.channel, request, { fd, dataOnly, node, mount });
}

export function readdir(mount: Mount, request: Request): void {
  fill(mount, request, false);
}

export function readdirplus(mount: Mount, request: Request): void {
  fill(mount, request, true);
}

function fill(mount: Mount, request: Request, plus: boolean): void {
  const handle = mount.handles.get(request.u64(readIn.fh));
  if (handle === undefined) return mount.channel.result(request, -errno.EBADF);
  const listing = (handle.listing ??= takeListing());
  const positioned = seek(
    handle,
    listing,
    request.u32(readIn.offset),
    request.u32(readIn.offset + 4),
  );
  if (positioned < 0) return mount.channel.result(request, positioned);
  const room = request.u32(readIn.size);
  let used = 0;
  for (;;) {
    if (listing.at >= listing.length) {
      const read = sys.getdents64(handle.fd, listing.address, LISTING_BYTES);
      if (read < 0 && used === 0) return mount.channel.result(request, read);
      if (read <= 0) break;
      listing.length = read;
      listing.at = 0;
    }
    const added = addEntry(mount, handle, { at: used, room, plus });
    if (added < 0) break;
    used += added;
    advance(listing);
  }
  mount.channel.success(request, used);
}

/** Listings of closed directories, to be used again: buffers of that size are dear. */
const spareListings: Listing[] = [];
const SPARE_LISTINGS_MAX = 16;

function takeListing(): Listing {
  const spare = spareListings.pop();
  if (spare === undefined) return createListing();
  spare.length = 0;
  spare.at = 0;
  spare.nextLow = 0;
  spare.nextHigh = 0;
  return spare;
}

function createListing(): Listing {
  const bytes = Buffer.alloc(LISTING_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { bytes, view, address: addressOf(bytes), length: 0, at: 0, nextLow: 0, nextHigh: 0 };
}

/** Makes the listing continue at the cookie the kernel asks for. */
function seek(handle: Handle, listing: Listing, low: number, high: number): number {
  if (
    listing.nextLow === low &&
    listing.nextHigh === high &&
    (listing.length > 0 || (low === 0 && high === 0))
  ) {
    if (low !== 0 || high !== 0) return 0;
  }
  const cookie = (BigInt(high) << 32n) | BigInt(low);
  const result = sys.lseek(
    handle.fd,
    Number(cookie) <= Number.MAX_SAFE_INTEGER ? Number(cookie) : cookieArgument(cookie),
    SEEK.SET,
  );
  if (result < 0) return result;
  listing.length = 0;
  listing.at = 0;
  listing.nextLow = low;
  listing.nextHigh = high;
  return 0;
}

/** koffi takes 64-bit integers as bigint too; the pointer-or-number type of `sys` does not say so. */
function cookieArgument(cookie: bigint): number {
  return cookie as unknown as number;
}

function advance(listing: Listing): void {
  listing.nextLow = listing.view.getUint32(listing.at + D_OFF, true);
  listing.nextHigh = listing.view.getUint32(listing.at + D_OFF + 4, true);
  listing.at += listing.view.getUint16(listing.at + D_RECLEN, true);
}

/** Adds the listing's current entry to the reply at `at`; its size, or -1 when it does not fit. */
function addEntry(
  mount: Mount,
  handle: Handle,
  into: { at: number; room: number; plus: boolean },
): number {
  const listing = handle.listing as Listing;
  const start = listing.at;
  const nameEnd = listing.bytes.indexOf(0, start + D_NAME);
  const nameLength = nameEnd - start - D_NAME;
  const head = into.plus ? entryOut.bytes : 0;
  const size = head + ((dirent.bytes + nameLength + 7) & ~7);
  if (into.at + size > into.room) return -1;
  const name = listing.bytes.toString('latin1', start + D_NAME, nameEnd);
  if (handle.node === mount.inodes.root && name === ORPHAN_DIRECTORY) return 0;
  const body = mount.channel.body;
  const at = OUT_HEADER_BYTES + into.at + head;
  body.setUint32(at + dirent.ino, listing.view.getUint32(start + D_INO, true), true);
  body.setUint32(at + dirent.ino + 4, listing.view.getUint32(start + D_INO + 4, true), true);
  body.setUint32(at + dirent.off, listing.view.getUint32(start + D_OFF, true), true);
  body.setUint32(at + dirent.off + 4, listing.view.getUint32(start + D_OFF + 4, true), true);
  body.setUint32(at + dirent.namelen, nameLength, true);
  body.setUint32(at + dirent.type, listing.bytes[start + D_TYPE] ?? 0, true);
  const replyBytes = mount.channel.bytes;
  replyBytes.set(listing.bytes.subarray(start + D_NAME, nameEnd), at + dirent.bytes);
  replyBytes.fill(0, at + dirent.bytes + nameLength, OUT_HEADER_BYTES + into.at + size);
  if (into.plus) addLookup(mount, handle, name, into.at);
  return size;
}

/** The lookup that comes with an entry of READDIRPLUS; a node id of 0 says that there is none. */
function addLookup(mount: Mount, handle: Handle, name: string, at: number): void {
  const listing = handle.listing as Listing;
  const found =
    name === '.' || name === '..'
      ? -errno.ENOENT
      : mount.inodes.lookup(handle.node, listing.address + listing.at + D_NAME, name);
  if (typeof found === 'number') {
    mount.channel.bytes.fill(0, OUT_HEADER_BYTES + at, OUT_HEADER_BYTES + at + entryOut.bytes);
    return;
  }
  mount.inodes.told(found);
  mount.channel.entry(at, found, mount.stat);
}
