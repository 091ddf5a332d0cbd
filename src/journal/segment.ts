// A segment: one file of the standby's journal. A header page, then records exactly as they came
// over the wire, back to back, none across the end. The size never changes and files are used
// again, so that fdatasync need not write metadata.
//
//  offset size field of the header (little endian)
//   0      4   magic 'USJ1'
//   4      4   format version
//   8     16   group id
//  24     16   stream id
//  40      4   epoch
//  44      4   segment number      also in the file's name; a used-again file still has its old one
//  48      8   first sequence      of the first record
//  56      4   CRC-32 of bytes 0 to 55
//  …4096       zero
//
// Where a segment ends is not written anywhere. The journal goes on as long as the next record has
// valid checksums, the header's epoch and the next sequence; else in the segment with the next
// number, if its header is valid and names that sequence as its first. Old contents of a
// used-again file always have lower sequences of the same stream: files never cross streams whose
// sequences are unrelated (JournalWriter.reset deletes them).
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { field, readU53, writeU53 } from './record.ts';

export const SEGMENT_MAGIC = 0x314a_5355;
export const SEGMENT_VERSION = 1;
/** Records begin here. */
export const SEGMENT_HEADER_BYTES = 4096;
export const SEGMENT_BYTES_DEFAULT = 32 * 1024 * 1024;
const CHECKED_BYTES = 56;

/** What a segment's header says. Ids are 32 hex digits. */
export interface SegmentHeader {
  readonly groupId: string;
  readonly streamId: string;
  readonly epoch: number;
  readonly segment: number;
  readonly firstSequence: number;
}

const NAME = /^(\d{10})\.seg$/;
const FREE_NAME = /^free-(\d{10})$/;

/** File name of segment `segment` (1 to 2^31 - 1). */
export function segmentName(segment: number): string {
  assert(segment > 0 && segment < 2 ** 31, 'segment numbers fit');
  return `${String(segment).padStart(10, '0')}.seg`;
}

/** File name of a segment file that waits to be used again; `segment` is the number it had. */
export function freeName(segment: number): string {
  return `free-${String(segment).padStart(10, '0')}`;
}

/** Number of the segment with this file name; undefined when it is another file. */
export function segmentNumber(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Number that the free file with this name had as a segment. */
export function freeNumber(name: string): number | undefined {
  const digits = FREE_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The header page of a segment. */
export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const page = Buffer.alloc(SEGMENT_HEADER_BYTES);
  page.writeUInt32LE(SEGMENT_MAGIC, 0);
  page.writeUInt32LE(SEGMENT_VERSION, 4);
  assert(page.write(header.groupId, 8, 'hex') === 16, 'a group id is 32 hex digits');
  assert(page.write(header.streamId, 24, 'hex') === 16, 'a stream id is 32 hex digits');
  page.writeUInt32LE(header.epoch, 40);
  page.writeUInt32LE(header.segment, 44);
  writeU53(new DataView(page.buffer, page.byteOffset), 48, header.firstSequence);
  page.writeUInt32LE(crc32(page.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
  return page;
}

/** Reads a header page; undefined when the bytes are not a valid one of this version. */
export function decodeSegmentHeader(page: Buffer): SegmentHeader | undefined {
  if (page.length < CHECKED_BYTES + 4) return undefined;
  if (page.readUInt32LE(0) !== SEGMENT_MAGIC) return undefined;
  if (page.readUInt32LE(4) !== SEGMENT_VERSION) return undefined;
  if (page.readUInt32LE(CHECKED_BYTES) !== crc32(page.subarray(0, CHECKED_BYTES))) return undefined;
  return {
    groupId: page.toString('hex', 8, 24),
    streamId: page.toString('hex', 24, 40),
    epoch: page.readUInt32LE(40),
    segment: page.readUInt32LE(44),
    firstSequence: readU53(new DataView(page.buffer, page.byteOffset), 48),
  };
}

/** Sequence of the record whose header is at `at`. */
export function sequenceAt(view: DataView, at: number): number {
  return readU53(view, at + field.sequence);
}
