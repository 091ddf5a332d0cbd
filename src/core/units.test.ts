import { expect, test } from 'vitest';
import { formatBytes, formatDurationMs, parseBytes, parseDurationMs } from './units.ts';

test.each([
  ['4096', 4096],
  ['64 MiB', 64 * 1024 * 1024],
  ['1.5k', 1536],
  ['10GB', 10_000_000_000],
  ['2T', 2 * 1024 ** 4],
])('size %s', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each(['', 'MiB', '5 parsecs', '-1', '1e9'])('"%s" is not a size', (text) => {
  expect(() => parseBytes(text)).toThrow(/is not a size/);
});

test.each([
  ['2s', 2000],
  ['500 ms', 500],
  ['1.5m', 90_000],
  ['1h', 3_600_000],
])('duration %s', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test.each(['2', 'soon', '-2s'])('"%s" is not a duration', (text) => {
  expect(() => parseDurationMs(text)).toThrow(/is not a duration/);
});

test('for people', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(1536)).toBe('1.5 KiB');
  expect(formatBytes(3 * 1024 ** 3)).toBe('3.0 GiB');
  expect(formatDurationMs(250)).toBe('250 ms');
  expect(formatDurationMs(93_000)).toBe('1 min 33 s');
  expect(formatDurationMs(7_260_000)).toBe('2 h 1 min');
});
