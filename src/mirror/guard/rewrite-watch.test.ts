import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { layRecord, sampleBytes } from '../../../test/support/records.ts';
import { HEADER_BYTES, recordType } from '../../journal/record.ts';
import { RecordView } from '../applier/record-view.ts';
import { kindOf } from './contents.ts';
import type { RewriteAlarm } from './rewrite-alarm.ts';
import { type Peek, RewriteWatch } from './rewrite-watch.ts';

const TEXT = Buffer.from('an ordinary sentence of an ordinary letter. '.repeat(60));
const LIMITS = { files: 25, names: 50, windowMs: 300_000 };

/** A copy in which every file is text. */
const letters: Peek = {
  size: TEXT.length,
  read: (_directory, _path, offset, bytes) => TEXT.copy(bytes, 0, offset, offset + bytes.length),
};

function overwrite(watch: RewriteWatch, path: string, nowMs: number): RewriteAlarm | undefined {
  const fields = { type: recordType.write, sequence: 7, path, payloadBytes: 2000 };
  const bytes = Buffer.from(new ArrayBuffer(sampleBytes(fields)));
  const view = new DataView(bytes.buffer);
  layRecord(bytes, view, 0, fields);
  randomBytes(fields.payloadBytes).copy(bytes, HEADER_BYTES);
  const record = new RecordView();
  record.load(bytes, view, 0);
  watch.examine(record, nowMs);
  return watch.take();
}

/** Overwrites `count` files, `everyMs` apart; the alarms. */
function spoil(
  watch: RewriteWatch,
  name: string,
  { count, everyMs, atMs }: Record<'count' | 'everyMs' | 'atMs', number>,
): RewriteAlarm[] {
  const alarms = Array.from({ length: count }, (_, index) =>
    overwrite(watch, `${name}-${index}`, atMs + index * everyMs),
  );
  return alarms.filter((alarm) => alarm !== undefined);
}

const kind = (bytes: Buffer, isStart = true): string => kindOf(bytes, 0, bytes.length, isStart);

test('text, zeros, noise, and noise that says what it is', () => {
  const noise = randomBytes(1024);
  expect(kind(TEXT)).toBe('plain');
  expect(kind(Buffer.alloc(1024))).toBe('unclear');
  for (const length of [256, 400, 512, 800, 1024])
    expect(kind(noise.subarray(0, length))).toBe('noise');
  expect(kind(noise.subarray(0, 255))).toBe('unclear');
  expect(kind(Buffer.concat([Buffer.from('%PDF'), noise]))).toBe('format');
  expect(kind(Buffer.concat([Buffer.from('%PDF'), noise]), false)).toBe('noise');
});

test('the alarm comes with the 25th file and names the first', () => {
  const watch = new RewriteWatch(LIMITS, letters);
  const alarms = spoil(watch, 'f', { count: 60, everyMs: 200, atMs: 1_000_000 });
  expect(alarms).toEqual([
    {
      sinceMs: 1_000_000,
      sequence: 6,
      count: 25,
      examples: ['f-0', 'f-1', 'f-2'],
      ending: undefined,
    },
  ]);
});

test('one file every 15 s stays below', () => {
  const watch = new RewriteWatch(LIMITS, letters);
  expect(spoil(watch, 'f', { count: 400, everyMs: 15_000, atMs: 0 })).toEqual([]);
});

test('a group that is used to it has fewer alarms, and still one when there is much more', () => {
  const watch = new RewriteWatch(LIMITS, letters);
  let alarms = 0;
  for (let window = 0; window < 100; window += 1) {
    const atMs = window * LIMITS.windowMs;
    alarms += spoil(watch, `w${window}`, { count: 40, everyMs: 100, atMs }).length;
  }
  expect(alarms).toBeGreaterThan(0);
  expect(alarms).toBeLessThan(10);
  const atMs = 101 * LIMITS.windowMs;
  expect(spoil(watch, 'attack', { count: 400, everyMs: 50, atMs })).toHaveLength(1);
});

test('the same file again and again is one', () => {
  const watch = new RewriteWatch(LIMITS, letters);
  for (let round = 0; round < 100; round += 1) {
    expect(overwrite(watch, 'same', round * 100)).toBeUndefined();
  }
  expect(watch.spoiltCount).toBe(1);
});

test('a clock that is set back changes nothing', () => {
  const watch = new RewriteWatch(LIMITS, letters);
  const early = spoil(watch, 'a', { count: 20, everyMs: 1, atMs: 9_000_000 });
  const late = spoil(watch, 'b', { count: 20, everyMs: 1, atMs: 1000 });
  expect([...early, ...late]).toHaveLength(1);
});
