import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { REPORT_FILE, SalvageStore } from './salvage-store.ts';

let directory = '';
let store: SalvageStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'understudy-salvage-'));
  store = new SalvageStore(directory, 'shop');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const nameOf = (day: number): string => `202601${String(day).padStart(2, '0')}T000000Z-1`;

/** Null: its report is damaged. */
function add(day: number, keptBytes: number | null): void {
  const name = nameOf(day);
  const path = store.begin(name);
  mkdirSync(join(path, 'files'));
  writeFileSync(join(path, 'files', 'commits'), 'x');
  const zero = { paths: 1, whole: 1, ranges: 0, attributes: 0, none: 0, changedBytes: 1, older: 0 };
  const report = {
    version: 1,
    name,
    group: 'shop',
    at: '2026-01-01T00:00:00Z',
    epoch: 1,
    streamId: '0a'.repeat(16),
    own: null,
    since: null,
    directories: ['/srv/shop'],
    counts: { ...zero, keptBytes },
    notListed: 0,
    entries: [],
  };
  writeFileSync(join(path, REPORT_FILE), keptBytes === null ? '{' : JSON.stringify(report));
  store.keep(name);
}

test('of too many the oldest go', () => {
  for (let day = 1; day <= 13; day += 1) add(day, 10);
  const removed = store.prune({ countMax: 10, bytesMax: 1e9 });
  expect(removed).toEqual([nameOf(3), nameOf(2), nameOf(1)]);
  expect(store.names).toHaveLength(10);
  expect(store.names[0]).toBe(nameOf(13));
  // Nothing of them is left, under whatever name.
  expect(readdirSync(directory)).toHaveLength(10);
  expect(store.prune({ countMax: 10, bytesMax: 1e9 })).toEqual([]);
});

test('of too much the oldest go, the newest never', () => {
  for (const [day, bytes] of [50, 40, 30, 20].entries()) add(day + 1, bytes);
  expect(store.prune({ countMax: 10, bytesMax: 60 })).toEqual([nameOf(2), nameOf(1)]);
  expect(store.names).toEqual([nameOf(4), nameOf(3)]);
  expect(store.prune({ countMax: 10, bytesMax: 5 })).toEqual([nameOf(3)]);
  expect(store.prune({ countMax: 0, bytesMax: 0 })).toEqual([]);
  expect(store.names).toEqual([nameOf(4)]);
});

test("one that is damaged counts, and is in nobody's way", () => {
  add(1, 10);
  add(2, null);
  add(3, 10);
  expect(() => store.read(nameOf(2))).toThrow(/cannot be read/);
  expect(store.prune({ countMax: 2, bytesMax: 1e9 })).toEqual([nameOf(1)]);
  expect(store.prune({ countMax: 1, bytesMax: 1e9 })).toEqual([nameOf(2)]);
});

test('what a crash left in parts is removed, what is whole stays; strangers are left alone', () => {
  add(1, 10);
  store.begin(nameOf(2));
  mkdirSync(join(directory, `.removing-${nameOf(3)}`));
  writeFileSync(join(directory, 'notes of somebody'), '');
  store.tidy();
  expect(readdirSync(directory).toSorted()).toEqual([nameOf(1), 'notes of somebody']);
  expect(store.names).toEqual([nameOf(1)]);
  expect(store.prune({ countMax: 0, bytesMax: 0 })).toEqual([]);
});

test('removing and abandoning', () => {
  add(1, 10);
  store.remove(nameOf(1));
  expect(existsSync(join(directory, nameOf(1)))).toBe(false);
  expect(() => store.remove(nameOf(1))).toThrow(/no salvage/);
  expect(() => store.remove('../shop')).toThrow(/no salvage/);
  store.begin(nameOf(2));
  store.abandon(nameOf(2));
  expect(readdirSync(directory)).toEqual([]);
});
