import { expect, test } from 'vitest';
import { isVerifyDue } from './verification.ts';

const DAY = 86_400_000;
const report = {
  version: 1 as const,
  state: 'equal' as const,
  beganAtMs: 10 * DAY,
  endedAtMs: 10 * DAY + 5000,
  objects: 1,
  bytes: 1,
  count: 0,
  differences: [],
};
const group = {
  role: 'primary' as const,
  copy: 'up-to-date',
  scan: null,
  verifying: null,
  verify: report,
};
const going = {
  files: 1,
  filesTotal: 2,
  bytes: 1,
  bytesTotal: 2,
  rateBytesPerSecond: 1,
  secondsLeft: 1,
};
const weekly = { everyMs: 7 * DAY, since: 0 };

test('a comparison is due when the last one is old, and only while there is something to compare', () => {
  expect(isVerifyDue(group, weekly, 17 * DAY)).toBe(false);
  expect(isVerifyDue(group, weekly, 17 * DAY + 5000)).toBe(true);
  const later = 30 * DAY;
  expect(isVerifyDue(group, { ...weekly, everyMs: null }, later)).toBe(false);
  expect(isVerifyDue({ ...group, role: 'standby' }, weekly, later)).toBe(false);
  expect(isVerifyDue({ ...group, copy: 'syncing' }, weekly, later)).toBe(false);
  expect(isVerifyDue({ ...group, scan: going }, weekly, later)).toBe(false);
  expect(isVerifyDue({ ...group, verifying: going }, weekly, later)).toBe(false);
  expect(isVerifyDue({ ...group, verify: null }, weekly, later)).toBe(false);
});

test('a clock that was set back does not put comparisons off for years', () => {
  expect(isVerifyDue(group, weekly, 10 * DAY - 60_000)).toBe(false);
  expect(isVerifyDue(group, weekly, 9 * DAY)).toBe(true);
});

test('the first one is due so long after the group was made', () => {
  const none = { ...report, state: 'none' as const, beganAtMs: 0, endedAtMs: 0 };
  const fresh = { ...group, verify: none };
  expect(isVerifyDue(fresh, { ...weekly, since: 20 * DAY }, 26 * DAY)).toBe(false);
  expect(isVerifyDue(fresh, { ...weekly, since: 20 * DAY }, 27 * DAY)).toBe(true);
});
