import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { placeForNew, placeOf, requireUsable, spaceWarnings } from './journal-place.ts';

let top = '';
let journals = '';
let own = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-place-'));
  journals = join(top, 'journals');
  own = join(top, 'shop');
  for (const path of [journals, own]) mkdirSync(path);
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

const never = (why: string): void => {
  throw new Error(why);
};

test('without a setting, below the directory of the group, made when it is needed', () => {
  expect(placeForNew(undefined, 'shop', 3, never)).toBeNull();
  expect(placeOf({ own, journals: null }, 3)).toBe(join(own, 'process-3'));
  expect(readdirSync(own)).toEqual(['process-3']);
});

test('with one, on that disk; what has begun there is never begun elsewhere', () => {
  const place = placeForNew(journals, 'shop', 3, never);
  expect(place).toBe(join(journals, 'shop'));
  expect(placeOf({ own, journals: place }, 3)).toBe(join(journals, 'shop', 'process-3'));
  rmSync(journals, { recursive: true });
  mkdirSync(journals);
  expect(() => placeOf({ own, journals: place }, 3)).toThrow(/Mount the disk/);
  expect(readdirSync(own)).toEqual([]);
  expect(readdirSync(journals)).toEqual([]);
});

test('a new generation is not held up by a disk that cannot be used', () => {
  const told: string[] = [];
  const tell = (why: string): void => void told.push(why);
  const file = join(top, 'file');
  writeFileSync(file, '');
  for (const bad of [join(top, 'missing'), file]) {
    expect(placeForNew(bad, 'shop', 2, tell)).toBeNull();
    expect(() => requireUsable('b', bad)).toThrow(/"journals" in the node.yaml of node "b"/);
  }
  expect(told).toEqual([expect.stringContaining('ENOENT'), 'it is no directory']);
  expect(existsSync(join(top, 'missing'))).toBe(false);
});

test('less room than a journal may take is said', () => {
  const replication = { journalBytesMax: 2 ** 50, backlogBytesMax: 1 };
  const at = { node: 'b', directory: journals };
  const warn = (role: 'primary' | 'standby'): string[] =>
    spaceWarnings({ name: 'shop', replication }, { ...at, role });
  expect(warn('primary')).toEqual([]);
  expect(warn('standby')).toEqual([expect.stringContaining('may take 1024.0 TiB on node "b"')]);
});
