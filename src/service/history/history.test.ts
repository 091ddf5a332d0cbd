import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GroupView } from '../node-protocol.ts';
import { chooseGrain } from './history.ts';
import { HistoryStore, TIERS } from './history-store.ts';
import { measuresOf } from './measures.ts';

const NOW = 1_800_000_000;
const DAY = 86_400;

let now = NOW;
let top = '';
let path = '';
beforeEach(() => {
  now = NOW;
  top = mkdtempSync(join(tmpdir(), 'understudy-history-'));
  path = join(top, 'history.sqlite');
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function all(store: HistoryStore, tier: number, grainSeconds = TIERS[tier]?.grainSeconds ?? 1) {
  const [fromSeconds, toSeconds] = [NOW - 100 * DAY, NOW + DAY];
  return store.points({ subject: 's', measure: 'm', tier, fromSeconds, toSeconds, grainSeconds });
}

test('a value is in every tier: mean, least and most of its grain', () => {
  const store = new HistoryStore(path, () => now);
  for (let at = 0; at < 120; at += 10) store.add('s', 'm', at, NOW + at);
  expect(all(store, 0)).toHaveLength(12);
  expect(all(store, 1)).toEqual([
    [NOW, 25, 0, 50],
    [NOW + 60, 85, 60, 110],
  ]);
  expect(all(store, 2)).toEqual([[NOW, 55, 0, 110]]);
  // The same in a grain that several points of the tier make up.
  expect(all(store, 0, 60)).toEqual(all(store, 1));
  expect(
    store.points({
      subject: 'x',
      measure: 'm',
      tier: 0,
      fromSeconds: 0,
      toSeconds: NOW,
      grainSeconds: 10,
    }),
  ).toEqual([]);
  store.close();
});

test('it is there after a restart, and what is too old goes', () => {
  const first = new HistoryStore(path, () => now);
  first.add('s', 'm', 1, NOW);
  first.close();
  const second = new HistoryStore(path, () => now);
  second.add('s', 'm', 2, NOW + 7 * 3600);
  now = NOW + 7 * 3600;
  second.flush();
  expect(all(second, 0)).toEqual([[NOW + 7 * 3600, 2, 2, 2]]);
  expect(all(second, 1)).toHaveLength(2);
  second.close();
});

test('a group that is gone is forgotten', () => {
  const store = new HistoryStore(path, () => now);
  store.add('s', 'm', 1, NOW);
  store.flush();
  store.forget('s');
  expect(all(store, 0)).toEqual([]);
  store.close();
});

test('a month of ten-second values of one group stays small', () => {
  const store = new HistoryStore(path, () => now);
  const month = 30 * DAY;
  for (let at = NOW - month; at < NOW; at += 300) {
    store.add('s', 'm', at % 1000, at);
    if (at % 60_000 === 0) {
      now = at;
      store.flush();
    }
  }
  store.close();
  expect(statSync(path).size).toBeLessThan(2 * 1024 * 1024);
});

test('a damaged file is put aside, and the history begins anew', () => {
  writeFileSync(path, 'this is no database, and long enough to be looked at as one'.repeat(100));
  const store = new HistoryStore(path, () => now);
  store.add('s', 'm', 1, NOW);
  store.flush();
  expect(existsSync(`${path}.damaged`)).toBe(true);
  store.add('s', 'm', 2, NOW);
  expect(all(store, 0)).toEqual([[NOW, 2, 2, 2]]);
  store.close();
});

test('the grain follows from how far back and how wide a chart is', () => {
  const wish = (ageSeconds: number, spanSeconds: number) =>
    chooseGrain(TIERS, { ageSeconds, spanSeconds, points: 300 });
  expect(wish(900, 900)).toEqual({ tier: 0, grainSeconds: 10 });
  expect(wish(6 * 3600, 6 * 3600)).toEqual({ tier: 0, grainSeconds: 80 });
  expect(wish(DAY, 3600)).toEqual({ tier: 1, grainSeconds: 60 });
  expect(wish(7 * DAY, 7 * DAY)).toEqual({ tier: 1, grainSeconds: 2040 });
  expect(wish(30 * DAY, 30 * DAY)).toEqual({ tier: 2, grainSeconds: 9000 });
  expect(wish(400 * DAY, DAY)).toEqual({ tier: 2, grainSeconds: 900 });
});

test('what is measured of a primary, of a standby, and of one that does not answer', () => {
  const view = (role: 'primary' | 'standby', status: GroupView['status'], agents: unknown[] = []) =>
    measuresOf({ role, status, agents } as unknown as GroupView, 1000);
  const rates = { bytesPerSecond: 5, wireBytesPerSecond: 3 };
  const seen = { seen: { ms: 12 } };
  expect(view('primary', { lagMs: 1, backlogBytes: 2, rates }, [seen, { seen: null }])).toEqual({
    lagMs: 1,
    backlogBytes: 2,
    recordBytesPerSecond: 5,
    wireBytesPerSecond: 3,
    probeMs: 12,
  });
  expect(view('standby', { journalBytes: 250 })).toEqual({ journalBytes: 250, journalFill: 0.25 });
  expect(view('primary', null)).toEqual({});
});

test('a file that has its full size gives up the oldest, and goes on', () => {
  const store = new HistoryStore(path, () => now, 96 * 1024);
  // A day of one measure: some times more than the file may hold.
  for (let at = 0; at < DAY; at += 10) {
    now = NOW + at;
    store.add('s', 'm', Math.sqrt(at), now);
    if (at % 600 === 0) store.flush();
  }
  store.flush();
  expect(all(store, 0).at(-1)?.[0]).toBe(now);
  expect(all(store, 0).length).toBeGreaterThan(100);
  store.close();
  expect(statSync(path).size).toBeLessThanOrEqual(96 * 1024);
});
