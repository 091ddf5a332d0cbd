import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { UnderstudyError } from '../core/errors.ts';
import { decodeToken, encodeToken } from './pairing-token.ts';

const hex = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((value) => Buffer.from(value).toString('hex'));

const token = fc.record({
  host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
  port: fc.integer({ min: 1, max: 65_535 }),
  fingerprint: hex(32),
  secret: hex(16),
  expiresSec: fc.integer({ min: 0, max: 0xffff_ffff }),
});

test('a token says the same after a round trip, also with spaces around it', () => {
  fc.assert(
    fc.property(token, (value) => {
      expect(decodeToken(encodeToken(value))).toEqual(value);
      expect(decodeToken(` ${encodeToken(value)}\n`)).toEqual(value);
    }),
  );
});

test('a token with any character lost or changed is refused', () => {
  fc.assert(
    fc.property(token, fc.nat(), fc.constantFrom('A', 'b', '7', '-', '_'), (value, at, other) => {
      const text = encodeToken(value);
      const index = at % text.length;
      const cut = text.slice(0, index) + text.slice(index + 1);
      const changed = text.slice(0, index) + other + text.slice(index + 1);
      for (const damaged of [cut, changed]) {
        // The last character may carry bits that mean nothing.
        if (decodesLike(damaged, text)) continue;
        expect(() => decodeToken(damaged)).toThrow(UnderstudyError);
      }
    }),
  );
});

function decodesLike(damaged: string, text: string): boolean {
  return bytesOf(damaged) === bytesOf(text);
}

function bytesOf(text: string): string {
  return text.startsWith('usy1.') ? Buffer.from(text.slice(5), 'base64url').toString('hex') : text;
}

test('arbitrary text never does anything but throw TOKEN_MALFORMED', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `usy1.${text}`),
      ),
      (text) => {
        try {
          decodeToken(text);
          expect.unreachable();
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'TOKEN_MALFORMED' });
        }
      },
    ),
  );
});
