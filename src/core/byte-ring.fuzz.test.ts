// Whatever producer and consumer do, items come out once, whole and in order, and never overlap.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRing, RingConsumer, RingProducer } from './byte-ring.ts';

const CAPACITY = 4096;

/** Reads the next item (u32 length, u32 number, filler) or undefined. */
function take(
  consumer: RingConsumer,
  position: number,
): { next: number; value: number } | undefined {
  const { position: at, bytes } = consumer.readable(position);
  if (bytes === 0) return undefined;
  const offset = consumer.offsetOf(at);
  const length = consumer.view.getUint32(offset, true);
  const value = consumer.view.getUint32(offset + 4, true);
  for (let i = 8; i < length; i += 1) expect(consumer.bytes[offset + i]).toBe(value & 0xff);
  return { next: (at + length) >>> 0, value };
}

test('items of any size come out once and in order', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('put' as const), words: fc.integer({ min: 1, max: 180 }) }),
      fc.record({ kind: fc.constant('take' as const), words: fc.constant(0) }),
      fc.record({ kind: fc.constant('release' as const), words: fc.constant(0) }),
    ),
    { maxLength: 400 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const memory = createRing(CAPACITY);
      const producer = new RingProducer(memory);
      const consumer = new RingConsumer(memory);
      let position = consumer.released;
      let put = 0;
      let taken = 0;
      for (const { kind, words } of list) {
        if (kind === 'put') {
          const length = words * 8;
          const at = producer.reserve(length + 64);
          if (at < 0) continue;
          expect(at + length + 64).toBeLessThanOrEqual(CAPACITY);
          producer.view.setUint32(at, length, true);
          producer.view.setUint32(at + 4, put, true);
          producer.bytes.fill(put & 0xff, at + 8, at + length);
          producer.commit(length);
          put += 1;
        } else if (kind === 'take') {
          const item = take(consumer, position);
          if (item === undefined) continue;
          expect(item.value).toBe(taken);
          taken += 1;
          position = item.next;
        } else consumer.release(position);
        expect(producer.usedBytes).toBeLessThanOrEqual(CAPACITY);
      }
      for (
        let item = take(consumer, position);
        item !== undefined;
        item = take(consumer, position)
      ) {
        expect(item.value).toBe(taken);
        taken += 1;
        position = item.next;
      }
      expect(taken).toBe(put);
    }),
  );
});

test('positions wrap around 2^32', () => {
  const memory = createRing(CAPACITY);
  const control = new Int32Array(memory.control);
  const start = 0xffff_fff0 - (0xffff_fff0 % CAPACITY);
  control[0] = start | 0;
  control[1] = start | 0;
  const producer = new RingProducer(memory);
  const consumer = new RingConsumer(memory);
  let position = consumer.released;
  for (let i = 0; i < 2000; i += 1) {
    const at = producer.reserve(64);
    expect(at).toBeGreaterThanOrEqual(0);
    producer.view.setUint32(at, 24, true);
    producer.view.setUint32(at + 4, i, true);
    producer.bytes.fill(i & 0xff, at + 8, at + 24);
    producer.commit(24);
    const item = take(consumer, position);
    expect(item?.value).toBe(i);
    position = item?.next ?? position;
    consumer.release(position);
  }
});

test('a full ring refuses until something is released', () => {
  const memory = createRing(CAPACITY);
  const producer = new RingProducer(memory);
  const consumer = new RingConsumer(memory);
  while (producer.reserve(512) >= 0) producer.commit(512);
  expect(producer.waitForRoom(512, 20)).toBe(false);
  consumer.release(consumer.head);
  expect(producer.waitForRoom(512, 20)).toBe(true);
});
