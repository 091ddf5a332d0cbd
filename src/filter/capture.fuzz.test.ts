// No bytes from the network make the codec throw, read past their end, or pass for a record they
// are not; and the first version's bytes stay what they are.
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRing, RingProducer } from '../core/byte-ring.ts';
import { Capture } from './capture.ts';
import {
  checkRecord,
  decodeXattrs,
  encodeXattrs,
  field,
  HEADER_BYTES,
  isSafePath,
  recordType,
  sealRecord,
} from '../journal/record.ts';

function sample(
  path: string,
  payload: Uint8Array,
): { bytes: Uint8Array; view: DataView; length: number } {
  const ring = new RingProducer(createRing(4 * 1024 * 1024));
  const capture = new Capture(ring, 3, 41);
  const draft = capture.draft(recordType.write, 2, path);
  draft.offset = 4096;
  draft.mtimeSec = 1_700_000_000;
  draft.mtimeNsec = 7;
  capture.publishPayload(payload);
  const length = ring.usedBytes;
  const bytes = ring.bytes.slice(0, length);
  const view = new DataView(bytes.buffer);
  sealRecord(bytes, view, 0);
  return { bytes, view, length };
}

const names = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 });
const safeName = names.map((name) => name.replaceAll(/[/\0.]/g, 'x'));

test('what was sealed is accepted, whole and at its length', () => {
  fc.assert(
    fc.property(safeName, fc.uint8Array({ maxLength: 5000 }), (path, payload) => {
      const { bytes, view, length } = sample(path, payload);
      expect(checkRecord(bytes, view, 0, length)).toBe(length);
      for (const less of [0, 1, HEADER_BYTES - 1, HEADER_BYTES, length - 1]) {
        if (less < length) expect(checkRecord(bytes, view, 0, less)).toBe('short');
      }
    }),
  );
});

test('a flipped bit anywhere that counts is noticed', () => {
  const { bytes, view, length } = sample('dir/file', new Uint8Array(100).fill(9));
  const counted = HEADER_BYTES + 100 + 'dir/file'.length;
  for (let at = 0; at < counted; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      expect(typeof checkRecord(bytes, view, 0, length), `bit ${bit} of byte ${at}`).toBe('string');
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
    }
  }
});

test('arbitrary bytes, and headers with a right checksum and any lengths, never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (noise, forge) => {
      const bytes = new Uint8Array(new ArrayBuffer(512));
      bytes.set(noise);
      const view = new DataView(bytes.buffer);
      if (forge) {
        view.setUint32(field.magic, 0x31525355, true);
        view.setUint8(field.version, 1);
        view.setUint8(field.type, recordType.write);
        view.setUint32(field.headerChecksum, crc32(bytes.subarray(0, field.headerChecksum)), true);
      }
      const result = checkRecord(bytes, view, 0, noise.length);
      if (typeof result === 'number') expect(result).toBeLessThanOrEqual(noise.length);
    }),
  );
});

test.each(['', 'a', 'a/b', '..a/b..', '.hidden', 'a/...'])(
  '"%s" stays below the directory',
  (path) => {
    const bytes = Buffer.from(path, 'latin1');
    expect(isSafePath(bytes, 0, bytes.length)).toBe(true);
  },
);

test.each(['/', '/a', 'a/', 'a//b', '.', '..', 'a/..', '../a', 'a/./b', 'a\0b'])(
  '"%s" could leave it',
  (path) => {
    const bytes = Buffer.from(path, 'latin1');
    expect(isSafePath(bytes, 0, bytes.length)).toBe(false);
  },
);

test('a path that leaves the directory is refused even with right checksums', () => {
  const { bytes, view, length } = sample('a/../../etc/passwd', new Uint8Array(8));
  expect(checkRecord(bytes, view, 0, length)).toBe('path');
});

test('extended attributes survive, and noise in their place does not throw', () => {
  const name = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.dictionary(name, fc.uint8Array({ maxLength: 300 })), (xattrs) => {
      const map = new Map(Object.entries(xattrs));
      const decoded = decodeXattrs(encodeXattrs(map));
      expect([...(decoded ?? [])].map(([key, value]) => [key, [...value]])).toEqual(
        [...map].map(([key, value]) => [key, [...value]]),
      );
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      decodeXattrs(noise);
    }),
  );
});

test('version 1 looks like this', () => {
  const { bytes, length } = sample('a', Uint8Array.of(1, 2, 3));
  const stable = Buffer.from(bytes.subarray(0, length));
  stable.fill(0, field.capturedAt, field.capturedAt + 8);
  stable.fill(0, field.headerChecksum, HEADER_BYTES);
  expect(stable.toString('hex')).toBe(
    '55535231010100020300000001000000' +
      '29000000000000000300000000000000' +
      '0010000000000000' +
      '0000000000000000' +
      '00f15365000000000700000000000000' +
      '0000000000000000' +
      '1a6ee48b00000000' +
      '0102036100000000',
  );
});
