import { expect, test } from 'vitest';
import { formatBytes, formatDuration, formatPercent } from './format.ts';
import { languageFor } from './languages.ts';

test('sizes in binary units', () => {
  expect([0, 1023, 1024, 1536, 150 * 1024 ** 2, 2 * 1024 ** 4].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '150 MiB',
    '2.0 TiB',
  ]);
});

test('durations in two units at most, in the words of the language', () => {
  const minutes = 60_000;
  const english = [0, 12.4, 999, 1234, 42_000, 125_000, 120_000, 200 * minutes, 3000 * minutes];
  expect(english.map((ms) => formatDuration(ms, 'en'))).toEqual([
    '0 ms',
    '12 ms',
    '999 ms',
    '1.2 sec',
    '42 sec',
    '2 min 5 sec',
    '2 min',
    '3 hr 20 min',
    '2 days 2 hr',
  ]);
  expect(formatDuration(125_000, 'zh-CN')).toMatch(/^2.*5/);
  expect(formatDuration(-5, 'en')).toBe('0 ms');
});

test('a share is not rounded up to the whole', () => {
  expect([0.999, 1, 1.2, -1].map(formatPercent)).toEqual(['99 %', '100 %', '100 %', '0 %']);
});

test.each([
  [['zh-Hant-HK'], 'zh-TW'],
  [['zh-TW', 'en'], 'zh-TW'],
  [['zh'], 'zh-CN'],
  [['zh-SG'], 'zh-CN'],
  [['de', 'fr', 'zh-CN'], 'zh-CN'],
  [['', 'en-GB'], 'en'],
  [['de'], 'en'],
] as const)('%j → %s', (wishes, language) => {
  expect(languageFor(wishes)).toBe(language);
});
