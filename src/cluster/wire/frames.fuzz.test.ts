// Frames and messages from the network never throw, and what is no frame of ours is nothing.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { arpProbe, parseArp } from './arp.ts';
import { encodeEcho, parseEchoReply } from './icmp.ts';
import { neighbourAnnouncement, parseNeighbour } from './ndp.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

/** A valid frame with some bytes changed and cut to some length. */
function damaged(frame: Buffer): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(frame.length - 1), fc.nat(255));
  return fc
    .tuple(fc.array(change, { maxLength: 8 }), fc.nat(frame.length))
    .map(([changes, length]) => {
      const copy = Buffer.from(frame);
      for (const [at, value] of changes) copy[at] = value;
      return copy.subarray(0, length);
    });
}

test('damaged frames', () => {
  const arp = arpProbe(new Uint8Array(6), new Uint8Array(4));
  const neighbour = neighbourAnnouncement(new Uint8Array(6), new Uint8Array(16));
  fc.assert(
    fc.property(damaged(arp), damaged(neighbour), (one, other) => {
      expect([undefined, 4]).toContain(parseArp(one)?.targetIp.length);
      expect([undefined, 16]).toContain(parseNeighbour(other)?.target.length);
    }),
  );
});

test('any bytes', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(4 as const, 6 as const),
      (any, family) => {
        const buffer = Buffer.from(any);
        parseArp(buffer);
        parseNeighbour(buffer);
        expect([undefined, 8]).toContain(parseEchoReply(family, buffer)?.token.length);
      },
    ),
  );
});

test('an echo comes back as it was asked, with or without the header around it', () => {
  fc.assert(
    fc.property(fc.nat(65_535), fc.nat(65_535), bytes(8), (identifier, sequence, token) => {
      const echo = { identifier, sequence, token };
      for (const [family, reply, headerBytes] of [
        [4, 0, 24],
        [6, 129, 0],
      ] as const) {
        const message = encodeEcho(family, echo);
        expect(parseEchoReply(family, message)).toBeUndefined();
        message[0] = reply;
        const header = Buffer.alloc(headerBytes);
        if (headerBytes > 0) header[0] = 0x40 | (headerBytes / 4);
        expect(parseEchoReply(family, Buffer.concat([header, message]))).toEqual(echo);
      }
    }),
  );
});
