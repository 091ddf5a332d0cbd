// The undo log: what records destroyed on the standby, kept so that the copy can be taken back.
//
// A log is a row of segment files. A segment is a header and batches; a batch is a header and entries.
// A batch holds the state before a run of records, of everything that these records change: it is
// durable before the first of them is applied. Entries name objects by inode number, because an inode
// that the log speaks of is never freed as long as the entry is kept (it is moved aside instead of
// removed).
//
// Runs follow each other within a stretch of time. What the stretch has saved once need not be saved again:
// batches are only written where a run changes something else, and the states between them, marked
// `open`, are none that can be gone back to. A batch without entries ends the stretch; if nothing was
// taken since the last batch it has that one's number, as first and last.
//
// So entries say what was, not what to do: putting them back may be repeated, and works from
// any state in which a crash may have left the copy.
//
// Integers are little endian.
//
//  segment header, 64 bytes                    batch header, 64 bytes
//   0  4  magic 'USU1'                          0  4  magic 'USUB'
//   4  4  version                               4  4  flags
//   8 16  group id                              8  8  first record
//  24  4  segment number                       16  8  last record
//  28  4  flags of the state before it         24  8  captured at: of the last record, microseconds
//  32  8  start: state before the first batch  32  8  bytes of entries that follow
//  40  8  captured at of that state, or 0      40  4  epoch of the last record
//  48  4  number of the segment before, or 0   44  4  CRC-32 of the entries
//  52  8  zero                                 48 12  zero
//  60  4  CRC-32 of bytes 0 to 59              60  4  CRC-32 of bytes 0 to 59
//  entry: 24 bytes, name, data, zero padding to a multiple of 8
//   0  1  kind          8  8  inode
//   1  1  directory    16  8  offset
//   2  2  name length
//   4  4  data length
//
// Version history
//  1  first
//  2  stretches
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { padded, readU53, writeU53 } from './record.ts';

export const UNDO_VERSION = 2;
const SEGMENT_MAGIC = 0x31555355;
const BATCH_MAGIC = 0x42555355;
export const UNDO_HEADER_BYTES = 64;
const CHECKSUM_AT = UNDO_HEADER_BYTES - 4;
export const ENTRY_BYTES = 24;
/** Most data in one entry; longer ranges are several. */
export const ENTRY_DATA_MAX = 256 * 1024;
/** Largest entry: a name, data, padding. */
export const ENTRY_BYTES_MAX = ENTRY_BYTES + 0xffff + ENTRY_DATA_MAX + 8;

/** Kinds of entries. Numbers are on disk: never reuse one. */
export const undoKind = {
  /** Attribute block (`ATTR_BYTES`) of the object as it was; `offset`: its ctime in ms, 0: not known. */
  object: 1,
  /** Its extended attributes, as `encodeXattrs` has them. */
  xattrs: 2,
  /** Bytes that were at `offset`. */
  data: 3,
  /** There was a hole at `offset`; the data is its length as 64 bits. */
  hole: 4,
  /** `name` in the directory `inode` (0: that of the orphans) led to inode `offset` (0: to nothing). */
  name: 5,
} as const;

export const undoFlag = {
  /** A scan is under way after this batch: that state is none that the primary had. */
  scanning: 1,
  /** The stretch goes on after this batch: that state cannot be gone back to. */
  open: 2,
} as const;

export interface UndoSegmentHeader {
  readonly groupId: string;
  readonly segment: number;
  readonly start: number;
  readonly startedAt: number;
  /** As the flags of a batch, about the state before the first one. */
  readonly startFlags: number;
  /** Number of the segment that ends with the state `start`; 0: there is none. */
  readonly previous: number;
}

export interface UndoBatchHeader {
  readonly flags: number;
  readonly first: number;
  readonly last: number;
  /** Microseconds since the Unix epoch, by the primary's clock. */
  readonly capturedAt: number;
  readonly bodyBytes: number;
  readonly epoch: number;
  readonly bodyChecksum: number;
}

const NAME = /^(\d{10})\.undo$/;

/** File name of a segment. */
export function undoSegmentName(segment: number): string {
  assert(segment > 0 && segment < 2 ** 31, 'segment numbers fit');
  return `${String(segment).padStart(10, '0')}.undo`;
}

/** Number of the segment with this file name; undefined when it is another file. */
export function undoSegmentNumber(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function encodeUndoSegment(header: UndoSegmentHeader): Buffer {
  const bytes = Buffer.alloc(UNDO_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  bytes.writeUInt32LE(SEGMENT_MAGIC, 0);
  bytes.writeUInt32LE(UNDO_VERSION, 4);
  assert(bytes.write(header.groupId, 8, 'hex') === 16, 'a group id is 32 hex digits');
  bytes.writeUInt32LE(header.segment, 24);
  bytes.writeUInt32LE(header.startFlags, 28);
  writeU53(view, 32, header.start);
  writeU53(view, 40, header.startedAt);
  bytes.writeUInt32LE(header.previous, 48);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** Why bytes are no header. */
export type UndoFault = 'short' | 'magic' | 'version' | 'checksum' | 'length';

/** Reads a segment header. Never throws. */
export function decodeUndoSegment(bytes: Buffer): UndoSegmentHeader | UndoFault {
  const fault = checkHeader(bytes, SEGMENT_MAGIC);
  if (fault !== undefined) return fault;
  if (bytes.readUInt32LE(4) !== UNDO_VERSION) return 'version';
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    groupId: bytes.toString('hex', 8, 24),
    segment: bytes.readUInt32LE(24),
    startFlags: bytes.readUInt32LE(28),
    start: readU53(view, 32),
    startedAt: readU53(view, 40),
    previous: bytes.readUInt32LE(48),
  };
}

export function encodeUndoBatch(header: UndoBatchHeader): Buffer {
  const bytes = Buffer.alloc(UNDO_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  bytes.writeUInt32LE(BATCH_MAGIC, 0);
  bytes.writeUInt32LE(header.flags, 4);
  writeU53(view, 8, header.first);
  writeU53(view, 16, header.last);
  writeU53(view, 24, header.capturedAt);
  writeU53(view, 32, header.bodyBytes);
  bytes.writeUInt32LE(header.epoch, 40);
  bytes.writeUInt32LE(header.bodyChecksum, 44);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** Reads a batch header. Never throws. */
export function decodeUndoBatch(bytes: Buffer): UndoBatchHeader | UndoFault {
  const fault = checkHeader(bytes, BATCH_MAGIC);
  if (fault !== undefined) return fault;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const first = readU53(view, 8);
  const last = readU53(view, 16);
  const bodyBytes = readU53(view, 32);
  if (last < first || bodyBytes > Number.MAX_SAFE_INTEGER / 2) return 'length';
  return {
    flags: bytes.readUInt32LE(4),
    first,
    last,
    capturedAt: readU53(view, 24),
    bodyBytes,
    epoch: bytes.readUInt32LE(40),
    bodyChecksum: bytes.readUInt32LE(44),
  };
}

function checkHeader(bytes: Buffer, magic: number): UndoFault | undefined {
  if (bytes.length < UNDO_HEADER_BYTES) return 'short';
  if (bytes.readUInt32LE(0) !== magic) return 'magic';
  const checksum = crc32(bytes.subarray(0, CHECKSUM_AT));
  return bytes.readUInt32LE(CHECKSUM_AT) === checksum ? undefined : 'checksum';
}

/** Bytes of an entry with padding. */
export function entryBytes(nameBytes: number, dataBytes: number): number {
  return padded(ENTRY_BYTES + nameBytes + dataBytes);
}

/** One entry as read from the log; `data` is valid until the next one is read. */
export interface UndoEntry {
  readonly kind: number;
  readonly directory: number;
  readonly ino: number;
  readonly offset: number;
  /** Latin1. */
  readonly name: string;
  readonly data: Buffer;
}

/**
 * The entry at `at` of which `available` bytes are there, and its length. `short`: more bytes are
 * needed. `length`: no entry has such lengths. Never throws.
 */
export function decodeUndoEntry(
  bytes: Buffer,
  at: number,
  available: number,
): { entry: UndoEntry; bytes: number } | 'short' | 'length' {
  if (available < ENTRY_BYTES) return 'short';
  const nameBytes = bytes.readUInt16LE(at + 2);
  const dataBytes = bytes.readUInt32LE(at + 4);
  if (dataBytes > ENTRY_DATA_MAX) return 'length';
  const total = entryBytes(nameBytes, dataBytes);
  if (available < total) return 'short';
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const nameAt = at + ENTRY_BYTES;
  const dataAt = nameAt + nameBytes;
  const entry = {
    kind: bytes.readUInt8(at),
    directory: bytes.readUInt8(at + 1),
    ino: readU53(view, at + 8),
    offset: readU53(view, at + 16),
    name: bytes.toString('latin1', nameAt, dataAt),
    data: bytes.subarray(dataAt, dataAt + dataBytes),
  };
  return { entry, bytes: total };
}
