// When a directory counts as another one than before.
import { expect, test } from 'vitest';
import { compareIdentity, type DirectoryIdentity } from './safety-identity.ts';

const BEFORE: DirectoryIdentity = {
  dir: '/srv/shop',
  fileSystem: 'uuid:aa',
  handle: '010000000200000000000000',
  entries: 50,
};

function outcome(change: Partial<DirectoryIdentity>, before: Partial<DirectoryIdentity> = {}) {
  return compareIdentity({ ...BEFORE, ...before }, { ...BEFORE, ...change })?.code;
}

test('the same directory, fuller or emptier, is the same', () => {
  expect(outcome({})).toBeUndefined();
  expect(outcome({ entries: 200 })).toBeUndefined();
  expect(outcome({ entries: 6 })).toBeUndefined();
});

test('another file system or another directory is not', () => {
  expect(outcome({ fileSystem: 'uuid:bb' })).toBe('DIRECTORY_REPLACED');
  expect(outcome({ handle: '010000000300000000000000' })).toBe('DIRECTORY_REPLACED');
});

test('a file system that cannot be told, or was told in another way, is not held against it', () => {
  expect(outcome({ fileSystem: null })).toBeUndefined();
  expect(outcome({ fileSystem: 'fsid:bb' })).toBeUndefined();
  expect(outcome({ fileSystem: 'uuid:bb' }, { fileSystem: null })).toBeUndefined();
});

test('one that lost nearly all its entries was emptied, unless it never had many', () => {
  expect(outcome({ entries: 0 })).toBe('DIRECTORY_EMPTIED');
  expect(outcome({ entries: 5 })).toBe('DIRECTORY_EMPTIED');
  expect(outcome({ entries: 0 }, { entries: 9 })).toBeUndefined();
  expect(outcome({ entries: 0 }, { entries: 0 })).toBeUndefined();
});
