// The codec of the link against bytes of any kind: it never throws, never keeps more than a frame
// may have, and gives back exactly the frames that were written, however they are cut up.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  COPY_STATES,
  decodeAck,
  encodeAck,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FrameParser,
  frameType,
  primaryFrames,
  standbyFrames,
} from './frame.ts';
import { decodeMessage, helloSchema, needSchema, pingSchema, welcomeSchema } from './messages.ts';

interface Seen {
  readonly type: number;
  readonly body: Buffer;
}

function parserInto(seen: Seen[], limits = primaryFrames): FrameParser {
  return new FrameParser(limits, (type, body) => {
    seen.push({ type, body: Buffer.from(body) });
    return true;
  });
}

const types = [frameType.hello, frameType.records, frameType.ping, frameType.close];
const frames = fc.array(
  fc.record({
    type: fc.constantFrom(...types),
    body: fc.uint8Array({ minLength: 1, maxLength: 2000 }),
  }),
  { maxLength: 20 },
);

describe('frames', () => {
  it('come out as they went in, whatever the pieces', () => {
    const property = fc.property(
      frames,
      fc.infiniteStream(fc.integer({ min: 1, max: 300 })),
      (list, cuts) => {
        const bytes = Buffer.concat(list.map(({ type, body }) => encodeFrame(type, body)));
        const seen: Seen[] = [];
        const parser = parserInto(seen);
        for (let at = 0; at < bytes.length;) {
          const size = cuts.next().value as number;
          expect(parser.push(bytes.subarray(at, at + size))).toBeUndefined();
          at += size;
        }
        expect(seen.map(({ type }) => type)).toEqual(list.map(({ type }) => type));
        expect(seen.every(({ body }, i) => body.equals(list[i]?.body ?? Buffer.alloc(0)))).toBe(
          true,
        );
      },
    );
    fc.assert(property);
  });

  it('of any bytes end in a sentence at most', () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 500 }), { maxLength: 30 });
    const property = fc.property(chunks, (list) => {
      const parser = parserInto([], standbyFrames);
      let fault: string | undefined;
      for (const chunk of list) fault ??= parser.push(Buffer.from(chunk));
      expect(fault === undefined || fault.length > 0).toBe(true);
    });
    fc.assert(property);
  });

  it('longer than allowed are refused before a byte of them is kept', () => {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(0xffff_ffff, 0);
    header.writeUInt32LE(frameType.records, 4);
    const parser = parserInto([]);
    expect(parser.push(header)).toContain('more than');
    const seen: Seen[] = [];
    expect(parserInto(seen).push(encodeFrame(frameType.ack, Buffer.alloc(32)))).toContain(
      'unknown',
    );
    expect(seen).toEqual([]);
  });

  it('after a fault are not looked at', () => {
    const seen: Seen[] = [];
    const parser = parserInto(seen);
    const bad = encodeFrame(99, Buffer.from('x'));
    const good = encodeFrame(frameType.ping, Buffer.from('{}'));
    parser.push(Buffer.concat([bad, good]));
    parser.push(good);
    expect(seen).toEqual([]);
  });
});

describe('messages', () => {
  it('of any bytes are decoded to something valid or nothing', () => {
    const schemas = [helloSchema, welcomeSchema, needSchema, pingSchema];
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(text)),
    );
    const property = fc.property(anything, (body) => {
      for (const schema of schemas) {
        expect(() => decodeMessage<unknown>(schema, body)).not.toThrow();
      }
      expect(() => decodeAck(body)).not.toThrow();
    });
    fc.assert(property);
  });

  it('acknowledge positions in order only', () => {
    const sequences = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat());
    const property = fc.property(sequences, fc.constantFrom(...COPY_STATES), (numbers, copy) => {
      const [a = 0, b = 0, c = 0] = numbers.toSorted((x, y) => x - y);
      const ack = { receivedSequence: c, durableSequence: b, appliedSequence: a, copy };
      const body = encodeAck(ack).subarray(FRAME_HEADER_BYTES);
      expect(decodeAck(body)).toEqual(ack);
      if (b < c) {
        const wrong = { ...ack, receivedSequence: b, durableSequence: c };
        expect(decodeAck(encodeAck(wrong).subarray(FRAME_HEADER_BYTES))).toBeUndefined();
      }
    });
    fc.assert(property);
  });

  it('keep names of any bytes', () => {
    const name = fc.uint8Array({ minLength: 1, maxLength: 200, min: 1 });
    const property = fc.property(name, (bytes) => {
      const path = Buffer.from(bytes).toString('latin1');
      const range = { directory: 1, path, offset: 0, length: 65_536, compare: false };
      const need = { first: 0, ranges: [range] };
      expect(decodeMessage(needSchema, Buffer.from(JSON.stringify(need)))).toEqual(need);
    });
    fc.assert(property);
  });
});
