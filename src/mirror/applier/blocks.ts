// Contents of a file of the copy, block by block, held against the hashes of a record.
import { xxh3 } from '@node-rs/xxhash';
import { HASH_BLOCK_BYTES, HASH_BYTES } from '../../journal/record.ts';
import { errno } from '../../linux/constants.ts';
import { addressOf, sys } from '../../linux/libc.ts';
import type { RecordView } from './record-view.ts';

const block = Buffer.from(new ArrayBuffer(HASH_BLOCK_BYTES));
const blockAddress = addressOf(block);
/** A block of zeros. */
export const ZEROS: Buffer = Buffer.alloc(HASH_BLOCK_BYTES);

/**
 * Up to `length` bytes of `fd` at `offset`, fewer at the end of the file, or a negative errno. `length` is at
 * most a block; what is returned lasts until the next call.
 */
export function readBlock(fd: number, length: number, offset: number): Buffer | number {
  let bytes = 0;
  while (bytes < length) {
    const got = sys.pread(fd, blockAddress + bytes, length - bytes, offset + bytes);
    if (got === -errno.EINTR) continue;
    if (got < 0) return got;
    if (got === 0) break;
    bytes += got;
  }
  return block.subarray(0, bytes);
}

export function isZero(bytes: Buffer): boolean {
  return bytes[0] === 0 && ZEROS.subarray(0, bytes.length).equals(bytes);
}

/** Whether `bytes` have the hash that the record has for the block at `at` of its range. */
export function hasHash(record: RecordView, at: number, bytes: Buffer): boolean {
  const wantedAt = record.payloadAt + (at / HASH_BLOCK_BYTES) * HASH_BYTES;
  const low = record.view.getBigUint64(wantedAt, true);
  const high = record.view.getBigUint64(wantedAt + 8, true);
  return xxh3.xxh128(bytes) === ((high << 64n) | low);
}
