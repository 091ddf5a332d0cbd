import { expect, test } from 'vitest';
import { defineBandwidth } from '../../../service/bandwidth-input.ts';
import {
  bandwidthDraft,
  bandwidthInput,
  blocksOf,
  minutesOf,
  newWindow,
  ownField,
  rateDraft,
} from './bandwidth-draft.ts';

test.each([
  [null, false, 50, 'Mbit/s'],
  [8000, true, 64, 'kbit/s'],
  [6_250_000, true, 50, 'Mbit/s'],
  [125_000_000, true, 1, 'Gbit/s'],
])('%s bytes per second in a form', (rate, isLimited, value, unit) => {
  expect(rateDraft(rate)).toEqual({ isLimited, value, unit });
});

test('what the form sends is what was there, as the service reads it', () => {
  for (const limit of [
    { rate: null, schedule: [] },
    { rate: 1_250_000, schedule: [] },
    {
      rate: null,
      schedule: [
        { days: [0, 1, 2, 3, 4], from: 480, to: 1080, rate: 6_250_000 },
        { days: [5], from: 1320, to: 360, rate: null },
      ],
    },
  ]) {
    expect(defineBandwidth(bandwidthInput(bandwidthDraft(limit)), 'test')).toEqual(limit);
  }
});

test('a new window has a key of its own, and is one that the service takes', () => {
  const draft = bandwidthDraft({ rate: null, schedule: [] });
  const first = newWindow(draft.schedule);
  const second = newWindow([first]);
  expect(second.key).not.toBe(first.key);
  const { schedule } = defineBandwidth(bandwidthInput({ ...draft, schedule: [first] }), 'test');
  expect(schedule).toHaveLength(1);
});

test('a window over midnight is two blocks; one that is half typed is none', () => {
  const window = newWindow([]);
  expect(blocksOf([{ ...window, days: [6], from: '22:00', to: '06:00' }])).toEqual([
    { day: 6, from: 1320, to: 1440, rate: 6_250_000, index: 0 },
    { day: 0, from: 0, to: 360, rate: 6_250_000, index: 0 },
  ]);
  expect(blocksOf([{ ...window, from: '8' }])).toEqual([]);
  expect([minutesOf('24:00'), minutesOf('24:01'), minutesOf('09:60')]).toEqual([1440, null, null]);
});

test.each([
  ['bandwidth', 'default'],
  ['default', 'default'],
  ['bandwidth.schedule[1].days', 'schedule[1].days'],
  ['replication.bandwidth', 'default'],
  ['schedule[0].to', 'schedule[0].to'],
])('the fault at %s is shown at %s', (field, own) => {
  expect(ownField(field)).toBe(own);
});
