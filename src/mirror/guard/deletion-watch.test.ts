import { expect, test } from 'vitest';
import { recordType } from '../../journal/record.ts';
import { DeletionWatch } from './deletion-watch.ts';

const LIMITS = { filesMin: 100, share: 0.5, windowMs: 60_000 };
const { create, unlink, rename } = recordType;

/** `count` records of one type, `everyMs` apart; returns the time after them. */
function feed(
  watch: DeletionWatch,
  {
    type,
    count,
    from,
    atMs,
    everyMs,
  }: Record<'type' | 'count' | 'from' | 'atMs' | 'everyMs', number>,
): number {
  for (let index = 0; index < count; index += 1) {
    watch.note(type, from + index, atMs + index * everyMs);
  }
  return atMs + count * everyMs;
}

test('a burst is held from its first removal until it is quiet', () => {
  const watch = new DeletionWatch(LIMITS);
  const endMs = feed(watch, { type: unlink, count: 30, from: 7, atMs: 1000, everyMs: 1 });
  expect(watch.look(endMs)).toEqual({ removed: 30, from: 7, sinceMs: 1000, isHeld: true });
  expect(watch.look(endMs + 400).isHeld).toBe(true);
  expect(watch.look(endMs + 600)).toMatchObject({ removed: 30, isHeld: false });
  expect(watch.look(endMs + 70_000)).toMatchObject({ removed: 0, isHeld: false });
});

test('a few removals are nobody’s business', () => {
  const watch = new DeletionWatch(LIMITS);
  const endMs = feed(watch, { type: unlink, count: 19, from: 1, atMs: 0, everyMs: 1 });
  expect(watch.look(endMs)).toMatchObject({ removed: 19, isHeld: false });
});

test('files that come and go are not counted, nor are names that move', () => {
  const watch = new DeletionWatch(LIMITS);
  for (let index = 0; index < 500; index += 1) {
    watch.note(create, index * 3, index);
    watch.note(rename, index * 3 + 1, index);
    watch.note(unlink, index * 3 + 2, index);
  }
  expect(watch.look(500)).toMatchObject({ removed: 0, isHeld: false });
});

test('a burst that goes on for too long is followed, and still counted', () => {
  const watch = new DeletionWatch(LIMITS);
  let held = 0;
  for (let atMs = 0; atMs < 50_000; atMs += 100) {
    watch.note(unlink, 1 + atMs, atMs);
    if (watch.look(atMs).isHeld) held += 100;
  }
  expect(held).toBeGreaterThan(25_000);
  expect(held).toBeLessThan(31_000);
  expect(watch.look(50_000).removed).toBe(500);
});

test('removals that lie apart leave the window one after the other', () => {
  const watch = new DeletionWatch(LIMITS);
  const endMs = feed(watch, { type: unlink, count: 300, from: 1, atMs: 0, everyMs: 1000 });
  const { removed } = watch.look(endMs);
  expect(removed).toBeGreaterThan(55);
  expect(removed).toBeLessThanOrEqual(60);
});

test('how many files make removals harmless', () => {
  const watch = new DeletionWatch(LIMITS);
  const of = (removed: number): number =>
    watch.harmlessFrom({ removed, from: 1, sinceMs: 0, isHeld: true });
  expect([of(100), of(101), of(1000)]).toEqual([0, 202, 2000]);
});

test('what comes again, because the journal had no room for it, is not counted twice', () => {
  const watch = new DeletionWatch(LIMITS);
  for (let turn = 0; turn < 3; turn += 1)
    feed(watch, { type: unlink, count: 50, from: 7, atMs: turn * 1000, everyMs: 1 });
  const endMs = feed(watch, { type: unlink, count: 10, from: 57, atMs: 3000, everyMs: 1 });
  expect(watch.look(endMs)).toMatchObject({ removed: 60, from: 7, sinceMs: 0 });
});

test('what was accepted is not counted again', () => {
  const watch = new DeletionWatch(LIMITS);
  feed(watch, { type: unlink, count: 300, from: 1, atMs: 0, everyMs: 1 });
  watch.pass(250);
  feed(watch, { type: unlink, count: 40, from: 231, atMs: 300, everyMs: 1 });
  expect(watch.look(340)).toMatchObject({ removed: 20, from: 251 });
});
