import { expect, test } from 'vitest';
import { ConflictWatch, DEFEND_INTERVAL_MS } from './conflict-watch.ts';

const MAC = '02:00:00:00:00:09';

test('quiet → contested → quiet', () => {
  const watch = new ConflictWatch();
  expect(watch.look([], 0)).toBeUndefined();
  expect(watch.look([MAC], 250)).toEqual({ kind: 'conflict', mac: MAC, claims: 1 });
  expect(watch.look([], 500)).toBeUndefined();
  expect(watch.look([], 250 + DEFEND_INTERVAL_MS)).toEqual({ kind: 'over', mac: MAC });
  expect(watch.look([], 30_000)).toBeUndefined();
});

test('a persistent claimant is answered once in ten seconds', () => {
  const watch = new ConflictWatch();
  const answers: number[] = [];
  for (let nowMs = 0; nowMs <= 30_000; nowMs += 250) {
    if (watch.look([MAC, MAC], nowMs)?.kind === 'conflict') answers.push(nowMs);
  }
  expect(answers).toEqual([0, 10_000, 20_000, 30_000]);
});

test('meanwhile neighbours are told once in a second, also of a claim that came within it', () => {
  const watch = new ConflictWatch();
  expect(watch.look([MAC], 0)?.kind).toBe('conflict');
  const told: number[] = [];
  for (let nowMs = 250; nowMs < DEFEND_INTERVAL_MS; nowMs += 250) {
    const claims = nowMs <= 500 || nowMs === 2250 || nowMs === 5000 ? [MAC] : [];
    if (watch.look(claims, nowMs)?.kind === 'claimed') told.push(nowMs);
  }
  expect(told).toEqual([1000, 2250, 5000]);
});

test('a claim that comes too early is answered when its time has come, though nothing follows it', () => {
  const watch = new ConflictWatch();
  expect(watch.look([MAC], 0)?.kind).toBe('conflict');
  expect(watch.look([MAC], 9000)).toEqual({ kind: 'claimed', mac: MAC });
  expect(watch.look([], 9750)).toBeUndefined();
  expect(watch.look([], 10_000)).toEqual({ kind: 'conflict', mac: MAC, claims: 2 });
  expect(watch.look([], 18_750)).toBeUndefined();
  expect(watch.look([], 19_000)).toEqual({ kind: 'over', mac: MAC });
});
