// Records on the wire in compressed form: the body of a frame of type `packed`.
//
//  offset size field (little endian)
//   0      4   bytes of records
//   4      1   algorithm: 1 = zstd
//   5      3   zero
//   8      …   one zstd frame (RFC 8878)
//
// What the sender declares is checked before anything is allocated, and nothing longer comes out: a small
// frame that would swell without end is refused, and so is one that needs a large window.
import { constants, zstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { promisify } from 'node:util';
import { messageOf } from '../../core/errors.ts';
import { RECORDS_BODY_BYTES_MAX } from './frame.ts';

const compress = promisify(zstdCompress);

export const PACKED_HEADER_BYTES = 8;
const ALGORITHM_ZSTD = 1;
/** Level 1: see decision 16. */
const LEVEL = 1;
/** 2 MiB: as long as a frame's records may be. */
const WINDOW_LOG_MAX = 21;
/** What incompressible data becomes longer by, at most. */
const SLACK_BYTES = 1024;

function compressing(bytes: number): Parameters<typeof zstdCompressSync>[1] {
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
  // One piece of output, whatever comes.
  return { params, chunkSize: bytes + SLACK_BYTES };
}

/** The records of a frame in compressed form, without the header above. */
export function packSync(records: Uint8Array): Buffer {
  return zstdCompressSync(records, compressing(records.length));
}

/** As {@link packSync}, on another thread; `records` must not change meanwhile. */
export async function pack(records: Uint8Array): Promise<Buffer> {
  return compress(records, compressing(records.length));
}

/** Writes the header above at `at`. */
export function writePackedHeader(target: Buffer, at: number, recordsBytes: number): void {
  target.writeUInt32LE(recordsBytes, at);
  target.writeUInt32LE(ALGORITHM_ZSTD, at + 4);
}

/** The records of a packed body; a sentence when it is not one. */
export function unpack(body: Buffer): Buffer | string {
  if (body.length <= PACKED_HEADER_BYTES) return 'a packed frame that is too short';
  const bytes = body.readUInt32LE(0);
  const algorithm = body.readUInt32LE(4);
  if (algorithm !== ALGORITHM_ZSTD) return `a frame packed in an unknown way (${algorithm})`;
  if (bytes === 0 || bytes > RECORDS_BODY_BYTES_MAX)
    return `a packed frame of ${bytes} bytes, more than ${RECORDS_BODY_BYTES_MAX} or none`;
  try {
    const records = zstdDecompressSync(body.subarray(PACKED_HEADER_BYTES), {
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      maxOutputLength: bytes,
      chunkSize: Math.max(bytes, constants.Z_MIN_CHUNK),
    });
    if (records.length === bytes) return records;
    return `a packed frame of ${records.length} bytes that declares ${bytes}`;
  } catch (thrown) {
    return `a packed frame that cannot be unpacked (${messageOf(thrown)})`;
  }
}
