// Bytes from the network never throw, and what is authentic comes back as it was.
import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { GroupBeat } from '../machine/types.ts';
import { DATAGRAM_BYTES, decodeDatagram, encodeDatagram } from './datagram.ts';
import { nodeId } from '../../core/ids.ts';
import { decodeServing, encodeServing } from './serving-datagram.ts';
import { datagram, fullBeat, testKey } from './fixtures/beats.ts';

const key = testKey('a to b');
const integer = fc.maxSafeNat();
const position = fc.record({ epoch: integer, sequence: integer });
const mark = fc.option(fc.record({ epoch: integer, count: integer }));
const time = fc.double({ min: 0, max: 1e15, noNaN: true }).map((value) => Math.abs(value));
const health = fc.constantFrom('ok' as const, 'failed' as const);

const beat: fc.Arbitrary<GroupBeat> = fc.record({
  role: fc.constantFrom(
    'standby' as const,
    'promoting' as const,
    'primary' as const,
    'demoting' as const,
  ),
  copy: fc.constantFrom(
    'up-to-date' as const,
    'catching-up' as const,
    'syncing' as const,
    'diverged' as const,
    'failed' as const,
  ),
  epoch: integer,
  tried: integer,
  served: integer,
  data: position,
  stale: fc.boolean(),
  fresh: fc.boolean(),
  asks: fc.boolean(),
  leaving: fc.boolean(),
  alone: mark,
  aloneSeen: mark,
  grant: fc.option(fc.record({ epoch: integer, life: integer, sentAtMs: time })),
  offer: fc.option(fc.record({ epoch: integer, position })),
  declined: fc.option(integer),
  demand: fc.option(integer),
  disk: health,
  network: health,
  application: health,
  paused: fc.record({ on: fc.boolean(), version: integer }),
});

test('what was encoded is decoded', () => {
  fc.assert(
    fc.property(beat, integer, integer, time, (one, life, sequence, sentAtMs) => {
      const value = datagram({ beat: one, life, sequence, sentAtMs });
      expect(decodeDatagram(encodeDatagram(value, key), key)).toEqual(value);
    }),
  );
});

test('any bytes are refused without an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2 * DATAGRAM_BYTES }), (bytes) => {
      expect(typeof decodeDatagram(Buffer.from(bytes), key)).toBe('string');
    }),
  );
});

test('authentic but arbitrary bytes give a whole datagram or a fault, never an exception', () => {
  const seed = encodeDatagram(datagram({ beat: fullBeat }), key);
  const change = fc.tuple(fc.nat(DATAGRAM_BYTES - 33), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const bytes = Buffer.from(seed);
      for (const [at, value] of changes) bytes[at] = value;
      createHmac('sha256', key)
        .update(bytes.subarray(0, -32))
        .digest()
        .copy(bytes, DATAGRAM_BYTES - 32);
      const result = decodeDatagram(bytes, key);
      if (typeof result === 'string') return;
      const again = decodeDatagram(encodeDatagram(result, key), key);
      expect(again).toEqual(result);
    }),
  );
});

function hex(bytes: number): fc.Arbitrary<string> {
  const some = fc.uint8Array({ minLength: bytes, maxLength: bytes });
  return some.map((one) => Buffer.from(one).toString('hex'));
}

test('questions and answers about serving', () => {
  const kind = fc.constantFrom('question' as const, 'answer' as const);
  fc.assert(
    fc.property(kind, hex(16), hex(8), hex(16), (one, groupId, sender, nonce) => {
      const value = { kind: one, groupId, sender: nodeId(sender), nonce };
      const bytes = encodeServing(value, key);
      expect(decodeServing(bytes, key)).toEqual(value);
      expect(decodeServing(bytes, testKey('b to a'))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decodeServing(Buffer.from(bytes), key)).toBeUndefined();
    }),
  );
});
