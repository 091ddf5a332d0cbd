// The record: one captured change. The same 80-byte header serves ring, wire and journal.
//
// A record is header ‖ payload ‖ path ‖ path2 ‖ zero padding to a multiple of 8. The payload comes
// first because the header is exactly as long as the two headers that the kernel puts before the
// data of a FUSE write: the filter reads a request into the ring, writes the data underneath, and
// then lays the record header over the kernel's headers. The payload is never copied.
//
// Integers are little endian. Paths are relative to the protected directory, bytes as the file
// system has them (not necessarily UTF-8), without leading or trailing slash; the root is empty.
//
//  offset size field
//   0     4    magic 'USR1'
//   4     1    version
//   5     1    type
//   6     1    flags
//   7     1    directory          index of the protected directory within the group
//   8     4    epoch
//  12     2    path length
//  14     2    path2 length
//  16     8    sequence
//  24     4    payload length
//  28     4    aux                per type: mode bits, valid mask, rename flags …
//  32     8    offset             per type, bytes
//  40     8    length             per type, bytes
//  48     8    mtime seconds      signed; resulting mtime of the file (0 and nsec NO_TIME: none)
//  56     4    mtime nanoseconds
//  60     4    reserved           zero
//  64     8    captured at        wall clock, microseconds since the Unix epoch
//  72     4    body checksum      CRC-32 of payload ‖ path ‖ path2
//  76     4    header checksum    CRC-32 of bytes 0 to 75
//
// Version history
//  1  first
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';

export const RECORD_VERSION = 1;
export const RECORD_MAGIC = 0x31525355;
export const HEADER_BYTES = 80;
export const PAYLOAD_BYTES_MAX = 1024 * 1024;
export const PATH_BYTES_MAX = 4096;
/** Largest record with padding. */
export const RECORD_BYTES_MAX = HEADER_BYTES + PAYLOAD_BYTES_MAX + 2 * PATH_BYTES_MAX + 8;
/** `mtime nanoseconds` of a record that carries no mtime. */
export const NO_TIME = 0xffffffff;

export const field = {
  magic: 0,
  version: 4,
  type: 5,
  flags: 6,
  directory: 7,
  epoch: 8,
  pathLength: 12,
  path2Length: 14,
  sequence: 16,
  payloadLength: 24,
  aux: 28,
  offset: 32,
  length: 40,
  mtimeSec: 48,
  mtimeNsec: 56,
  reserved: 60,
  capturedAt: 64,
  bodyChecksum: 72,
  headerChecksum: 76,
} as const;
assert(field.headerChecksum + 4 === HEADER_BYTES, 'record header fields add up');

/** Record types. Numbers are on disk and on the wire: never reuse one. */
export const recordType = {
  /** `payload` was written at `offset`; `mtime` is the file's mtime afterwards. */
  write: 1,
  /** The file was cut or extended to `offset` bytes; `mtime` afterwards. */
  truncate: 2,
  /** `fallocate(aux, offset, length)`; `mtime` afterwards. */
  fallocate: 3,
  /** Attributes in `payload` (ATTR_BYTES) were set; `aux` is a mask of {@link attrMask}. */
  setattr: 4,
  /** A regular file came to be at `path`; payload NAMESPACE_BYTES. */
  create: 5,
  mkdir: 6,
  /** Fifo, socket or device; the type is in the attribute block's mode, the device in rdev. */
  mknod: 7,
  /** `path` became a symbolic link with target `path2`. */
  symlink: 8,
  /** `path2` became another name of the file at `path`. */
  link: 9,
  /** `path` moved to `path2`; `aux` holds renameat2 flags (1 NOREPLACE, 2 EXCHANGE). */
  rename: 10,
  unlink: 11,
  rmdir: 12,
  /** Extended attribute `path2` of `path` was set to `payload`. */
  setxattr: 13,
  removexattr: 14,
  /** The application asked for durability of everything before this record. */
  commit: 15,
  /** First copy or resync begins: the copy is not usable until `scanEnd`. */
  scanBegin: 20,
  /**
   * The object at `path` has these attributes (payload: NAMESPACE_BYTES, then extended attributes
   * as encoded by {@link encodeXattrs}); `path2` is the target of a symbolic link, `offset` the
   * size of a regular file. Contents follow as `scanData`, `scanHole` and `scanHash`.
   */
  scanObject: 21,
  /** `path2` is another name of the file already scanned at `path`. */
  scanLink: 22,
  /** Bytes of a file at `offset`. */
  scanData: 23,
  /** `length` bytes at `offset` are a hole. */
  scanHole: 24,
  /** `length` bytes at `offset` have the hashes in `payload` (one of HASH_BYTES per HASH_BLOCK_BYTES). */
  scanHash: 25,
  /** Names that are in the directory `path` follow until `scanDirEnd`; others are to be removed. */
  scanDirBegin: 26,
  /** The directory `path` is complete. Payload: NAMESPACE_BYTES with its final attributes. */
  scanDirEnd: 27,
  /** The copy is complete: from here on it equals the primary at this sequence. */
  scanEnd: 28,
  /**
   * A comparison begins: the copy is looked at, nothing of it is changed. Records of a comparison that a
   * restart has to apply again are passed over.
   */
  verifyBegin: 30,
  /** `aux` 1: the last part. The names in directory `path`: `payload`, each with a NUL behind it. */
  verifyNames: 31,
  /**
   * The object at `path` as in `scanObject`; `aux` is a mask of {@link verifyMask}. `path2` is the target
   * of a symbolic link, or another name that a file has to have.
   */
  verifyObject: 32,
  /** As `scanHash`. */
  verifyHash: 33,
  /** `length` bytes at `offset` are zero. */
  verifyZeros: 34,
  /** The comparison is over: `offset` objects, `length` bytes. */
  verifyEnd: 35,
} as const;
export type RecordType = (typeof recordType)[keyof typeof recordType];
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(recordType));

/** Bits of the header's `flags`. */
export const recordFlag = {
  /** Captured while a scan runs: objects the scan has not reached yet may be missing. */
  duringScan: 1,
  /** `scanObject`: the primary has not changed the file since the point that the scan starts from. */
  unchanged: 2,
  /** `scanObject`: so it is, apart from the ranges whose contents follow. */
  partlyChanged: 4,
} as const;

/** Bits of `aux` in a `verifyObject` record: what it says nothing about. */
export const verifyMask = { xattrs: 1 } as const;

/** Bits of `aux` in a `setattr` record: which fields of the attribute block count. */
export const attrMask = { mode: 1, uid: 2, gid: 4, atime: 8, mtime: 16 } as const;

/**
 * Attribute block: mode u32 (with type bits), uid u32, gid u32, rdev u32, atime sec i64,
 * mtime sec i64, atime nsec u32, mtime nsec u32, size u64.
 */
export const ATTR_BYTES = 48;
/**
 * Namespace block: attribute block of the object, then mtime after the change of the parent of
 * `path` (sec i64, nsec u32) and of the parent of `path2` (nsec u32, sec i64).
 * nsec NO_TIME = does not apply.
 */
export const NAMESPACE_BYTES = 72;
export const attrField = {
  mode: 0,
  uid: 4,
  gid: 8,
  rdev: 12,
  atimeSec: 16,
  mtimeSec: 24,
  atimeNsec: 32,
  mtimeNsec: 36,
  size: 40,
  parentSec: 48,
  parentNsec: 56,
  parent2Nsec: 60,
  parent2Sec: 64,
} as const;
assert(attrField.size + 8 === ATTR_BYTES, 'attribute block fields add up');
assert(attrField.parent2Sec + 8 === NAMESPACE_BYTES, 'namespace block fields add up');

/** Grain of `scanHash`. */
export const HASH_BLOCK_BYTES = 64 * 1024;
/** XXH3-128, little endian. */
export const HASH_BYTES = 16;

/** Directory at the root of a copy for files that lost their last name but are still open. */
export const ORPHAN_DIRECTORY = '.understudy';

export const padded = (bytes: number): number => (bytes + 7) & ~7;

/** Reads an unsigned 64-bit field that is known to fit 53 bits. */
export function readU53(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

/** Writes a number of at most 53 bits as unsigned 64-bit. */
export function writeU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads a signed 64-bit field that is known to fit 53 bits. */
export function readI53(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

/** Writes a signed number of at most 53 bits. */
export function writeI53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Why bytes are not a record. `short` means that more bytes may make it one. */
export type RecordFault =
  | 'short'
  | 'magic'
  | 'version'
  | 'type'
  | 'header-checksum'
  | 'body-checksum'
  | 'padding'
  | 'length'
  | 'path';

/** Total bytes of the record whose header starts at `at`, padding included. The header must be valid. */
export function recordBytes(view: DataView, at: number): number {
  return padded(
    HEADER_BYTES +
      view.getUint32(at + field.payloadLength, true) +
      view.getUint16(at + field.pathLength, true) +
      view.getUint16(at + field.path2Length, true),
  );
}

/** Fills in both checksums of the record at `at`. */
export function sealRecord(bytes: Uint8Array, view: DataView, at: number): void {
  const body = at + HEADER_BYTES;
  const end = body + bodyLength(view, at);
  view.setUint32(at + field.bodyChecksum, crc32(bytes.subarray(body, end)), true);
  const header = bytes.subarray(at, at + field.headerChecksum);
  view.setUint32(at + field.headerChecksum, crc32(header), true);
}

/**
 * Checks the record at `at`, of which `available` bytes are there. Returns its padded length, or
 * why it is not a record. Never throws and never reads past `at + available`.
 */
export function checkRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  available: number,
): number | RecordFault {
  if (available < HEADER_BYTES) return 'short';
  if (view.getUint32(at + field.magic, true) !== RECORD_MAGIC) return 'magic';
  const header = bytes.subarray(at, at + field.headerChecksum);
  if (view.getUint32(at + field.headerChecksum, true) !== crc32(header)) return 'header-checksum';
  if (view.getUint8(at + field.version) !== RECORD_VERSION) return 'version';
  if (!KNOWN_TYPES.has(view.getUint8(at + field.type))) return 'type';
  if (view.getUint32(at + field.payloadLength, true) > PAYLOAD_BYTES_MAX) return 'length';
  const pathLength = view.getUint16(at + field.pathLength, true);
  const path2Length = view.getUint16(at + field.path2Length, true);
  if (pathLength > PATH_BYTES_MAX || path2Length > PATH_BYTES_MAX) return 'length';
  if (view.getUint32(at + field.sequence + 4, true) >= 0x20_0000) return 'length';
  const total = recordBytes(view, at);
  if (available < total) return 'short';
  const body = at + HEADER_BYTES;
  const end = body + bodyLength(view, at);
  if (view.getUint32(at + field.bodyChecksum, true) !== crc32(bytes.subarray(body, end)))
    return 'body-checksum';
  // No checksum has it; but a record is the same bytes everywhere.
  for (let i = end; i < at + total; i += 1) if (bytes[i] !== 0) return 'padding';
  const path = body + view.getUint32(at + field.payloadLength, true);
  if (!isSafePath(bytes, path, pathLength)) return 'path';
  const type = view.getUint8(at + field.type);
  const path2IsPath =
    type === recordType.link || type === recordType.rename || type === recordType.scanLink;
  if (path2IsPath && !isSafePath(bytes, path + pathLength, path2Length)) return 'path';
  return total;
}

function bodyLength(view: DataView, at: number): number {
  return (
    view.getUint32(at + field.payloadLength, true) +
    view.getUint16(at + field.pathLength, true) +
    view.getUint16(at + field.path2Length, true)
  );
}

const SLASH = 0x2f;
const DOT = 0x2e;

/** A relative path without empty, `.` or `..` components and without NUL: cannot leave the directory. */
export function isSafePath(bytes: Uint8Array, from: number, length: number): boolean {
  let start = from;
  const end = from + length;
  for (let i = from; i <= end; i += 1) {
    if (i < end && bytes[i] === 0) return false;
    if (i < end && bytes[i] !== SLASH) continue;
    const size = i - start;
    if (size === 0 && length > 0) return false;
    if (size === 1 && bytes[start] === DOT) return false;
    if (size === 2 && bytes[start] === DOT && bytes[start + 1] === DOT) return false;
    start = i + 1;
  }
  return true;
}

/** Encodes extended attributes: per attribute u16 name length, u32 value length, name, value. */
export function encodeXattrs(xattrs: ReadonlyMap<string, Uint8Array>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of xattrs) {
    const nameBytes = Buffer.from(name, 'latin1');
    const head = Buffer.alloc(6);
    head.writeUInt16LE(nameBytes.length, 0);
    head.writeUInt32LE(value.length, 2);
    parts.push(head, nameBytes, Buffer.from(value));
  }
  return Buffer.concat(parts);
}

/** Reverse of {@link encodeXattrs}; undefined when the bytes are not such an encoding. */
export function decodeXattrs(bytes: Uint8Array): Map<string, Buffer> | undefined {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const xattrs = new Map<string, Buffer>();
  let at = 0;
  while (at < input.length) {
    if (at + 6 > input.length) return undefined;
    const nameLength = input.readUInt16LE(at);
    const valueLength = input.readUInt32LE(at + 2);
    at += 6;
    if (nameLength === 0 || at + nameLength + valueLength > input.length) return undefined;
    const name = input.toString('latin1', at, at + nameLength);
    xattrs.set(name, Buffer.from(input.subarray(at + nameLength, at + nameLength + valueLength)));
    at += nameLength + valueLength;
  }
  return xattrs;
}
