// Compressed frames: what the present version writes stays readable, and nothing that a peer sends costs
// more than a frame may.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleRecords } from '../../../test/support/records.ts';
import {
  encodeAck,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FrameParser,
  frameType,
  LINK_VERSION,
  primaryFrames,
  RECORDS_BODY_BYTES_MAX,
  standbyFrames,
} from './frame.ts';
import { pack, PACKED_HEADER_BYTES, packSync, unpack, writePackedHeader } from './packed.ts';

const records = sampleRecords([
  { sequence: 101, payloadBytes: 300 },
  { sequence: 102, payloadBytes: 5000, path: 'dir/\xff\x01' },
]);
const ack = {
  receivedSequence: 9,
  durableSequence: 8,
  appliedSequence: 7,
  copy: 'up-to-date',
} as const;

function bodyOf(declared: number, packed: Uint8Array): Buffer {
  const body = Buffer.alloc(PACKED_HEADER_BYTES + packed.length);
  writePackedHeader(body, 0, declared);
  body.set(packed, PACKED_HEADER_BYTES);
  return body;
}

function golden(name: string): Buffer {
  const text = readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function parsed(bytes: Buffer, limits = primaryFrames): [number, Buffer][] {
  const frames: [number, Buffer][] = [];
  const parser = new FrameParser(
    limits,
    (type, body) => frames.push([type, Buffer.from(body)]) > 0,
  );
  expect(parser.push(bytes)).toBeUndefined();
  return frames;
}

describe(`the bytes of version ${LINK_VERSION} do not change`, () => {
  it('records and acknowledgements are written as ever', () => {
    expect(encodeFrame(frameType.records, records)).toEqual(golden('records-v3.hex'));
    expect(encodeAck(ack)).toEqual(golden('ack-v3.hex'));
    expect(parsed(golden('records-v3.hex'))).toEqual([[frameType.records, records]]);
    expect(parsed(golden('ack-v3.hex'), standbyFrames)).toHaveLength(1);
  });

  it('a compressed frame of today can be read by any later version of the compressor', () => {
    const [frame] = parsed(golden('packed-v3.hex'));
    expect(frame?.[0]).toBe(frameType.packed);
    expect(unpack(frame?.[1] ?? Buffer.alloc(0))).toEqual(records);
  });
});

describe('compressed records', () => {
  it('come out as they went in, from either thread', async () => {
    const contents = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 600 }),
      fc.nat(100_000).map((bytes) => Buffer.alloc(bytes + 1, 'abcd')),
      fc.nat(100_000).map((bytes) => randomBytes(bytes + 1)),
    );
    const property = fc.asyncProperty(contents, async (bytes) => {
      for (const packed of [packSync(bytes), await pack(bytes)]) {
        const out = unpack(bodyOf(bytes.length, packed));
        expect(Buffer.isBuffer(out) && out.equals(bytes)).toBe(true);
      }
    });
    await fc.assert(property, { numRuns: 60 });
    const longest = Buffer.alloc(RECORDS_BODY_BYTES_MAX, 7);
    const out = unpack(bodyOf(longest.length, packSync(longest)));
    expect(Buffer.isBuffer(out) && out.equals(longest)).toBe(true);
  });

  it('never make more than they declare, nor more than a frame may have', () => {
    // 64 MiB of zeros in a few KiB.
    const swells = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    const before = process.memoryUsage().rss;
    for (const declared of [1, 1000, RECORDS_BODY_BYTES_MAX]) {
      expect(unpack(bodyOf(declared, swells))).toMatch(/cannot be unpacked|that declares/);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
    for (const declared of [0, RECORDS_BODY_BYTES_MAX + 1, 0xffff_ffff]) {
      expect(unpack(bodyOf(declared, swells))).toMatch(/more than .* or none/);
    }
    const wide = {
      [constants.ZSTD_c_windowLog]: 26,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
    };
    const needsWindow = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024, 3), { params: wide });
    expect(unpack(bodyOf(RECORDS_BODY_BYTES_MAX, needsWindow))).toMatch(/cannot be unpacked/);
  });

  it('that are longer or shorter than declared are refused', () => {
    const packed = packSync(records);
    expect(unpack(bodyOf(records.length + 1, packed))).toMatch(/that declares/);
    expect(unpack(bodyOf(records.length - 1, packed))).toMatch(/cannot be unpacked/);
  });

  it('of any other kind end in a sentence', () => {
    const good = bodyOf(records.length, packSync(records));
    for (const length of [0, 1, 7, 8])
      expect(unpack(good.subarray(0, length))).toMatch(/too short/);
    for (const at of [4, 5, 6, 7]) {
      const other = Buffer.from(good);
      other.writeUInt8(9, at);
      expect(unpack(other)).toMatch(/unknown way/);
    }
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    const property = fc.property(damage, fc.nat(good.length), (flips, cut) => {
      const bad = Buffer.from(good.subarray(0, cut));
      for (const [at, bits] of flips) if (at < cut) bad.writeUInt8(bad.readUInt8(at) ^ bits, at);
      const out = unpack(bad);
      // What a flipped bit leaves readable has its length, and its records have checksums.
      expect(typeof out === 'string' || out.length <= RECORDS_BODY_BYTES_MAX).toBe(true);
    });
    fc.assert(property);
    expect(FRAME_HEADER_BYTES).toBe(8);
  });
});
