import { expect, test } from 'vitest';
import { isBounded, Patterns } from './patterns.ts';

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

test('everything by default, hidden names too', () => {
  const patterns = new Patterns(['**'], []);
  expect(patterns.everything).toBe(true);
  expect(patterns.matches('.git/config', false)).toBe(true);
});

test('an excluded tree keeps its directory when the pattern ends in /**', () => {
  const patterns = new Patterns(['**'], ['cache/**', 'tmp']);
  expect(patterns.matches('cache', true)).toBe(true);
  expect(patterns.matches('cache/a', false)).toBe(false);
  expect(patterns.matches('cache/deep/a', false)).toBe(false);
  expect(patterns.matches('tmp', true)).toBe(false);
});

test('a pattern without a slash counts at the top only, ** counts everywhere', () => {
  const patterns = new Patterns(['**'], ['*.tmp', '**/*.bak']);
  expect(patterns.matches('a.tmp', false)).toBe(false);
  expect(patterns.matches('dir/a.tmp', false)).toBe(true);
  expect(patterns.matches('dir/a.bak', false)).toBe(false);
});

test('single files', () => {
  const patterns = new Patterns(['conf/app.yaml', '*.db'], []);
  expect(patterns.matches('conf/app.yaml', false)).toBe(true);
  expect(patterns.matches('conf/other.yaml', false)).toBe(false);
  expect(patterns.matches('shop.db', false)).toBe(true);
  expect(patterns.matches('conf', true)).toBe(true);
});

test('names are matched as text where they are valid UTF-8', () => {
  const patterns = new Patterns(['**'], ['資料?']);
  expect(patterns.matches(latin1('資料庫'), false)).toBe(false);
  expect(patterns.matches(latin1('資料'), false)).toBe(true);
  expect(patterns.matches('\xff\xfe', false)).toBe(true);
});

test.each(['Icon\r', 'two\nlines', latin1('a\u2028b'), 'dir\nof/file', '\n'])(
  '%j is mirrored like every other name',
  (path) => {
    for (const include of ['**', '**/*']) {
      expect(new Patterns([include], ['*.tmp']).matches(path, false)).toBe(true);
    }
    expect(new Patterns(['**'], ['**/*.tmp']).matches(`${path}/a.tmp`, false)).toBe(false);
    expect(new Patterns(['**'], ['a/**']).matches(`a/${path}`, false)).toBe(false);
  },
);

test.each([
  ['*-*-*-*-*-*.tmp', '-'.repeat(255)],
  ['(a+)+b', 'a'.repeat(255)],
  ['*(a*)b', 'a'.repeat(255)],
  ['*(*a)b', 'a'.repeat(255)],
  ['@(*(*x))y', 'x'.repeat(255)],
  [`${'{a,}'.repeat(40)}b`, 'a'.repeat(40)],
  ['!(*a*a*a*a*b)*a*a*b', 'a'.repeat(255)],
  ['**/a/**/b/**/c/**/d/**/x', `${'a/b/c/d/'.repeat(511)}y`],
  [`**/${'*a'.repeat(300)}b`, 'a/'.repeat(2047)],
])('%s takes no time, whatever a name is', (pattern, path) => {
  const patterns = new Patterns([pattern], []);
  const began = performance.now();
  expect(patterns.matches(path, false)).toBe(false);
  expect(performance.now() - began).toBeLessThan(1000);
  expect(isBounded(pattern)).toBe(true);
});

test('a long name matches what a short one does', () => {
  const patterns = new Patterns(['*-*-*-*.tmp', '+([0-9])*.@(log|txt)', '**/a*/**/b*/**/*.db'], []);
  const dashes = '-'.repeat(200);
  for (const path of [`${dashes}.tmp`, `${'7'.repeat(200)}x.log`, `${'ab/b/'.repeat(50)}x.db`]) {
    expect(patterns.matches(path, false)).toBe(true);
    expect(patterns.matches(`${path}x`, false)).toBe(false);
  }
});

test.each(['(a)\\1', '(?<!a)b', `${'('.repeat(30)}a${')'.repeat(30)}`])(
  '%s is no wildcard',
  (pattern) => expect(isBounded(pattern)).toBe(false),
);

test.each(['', '/absolute', '../up', 'a/../b'])(
  '"%s" is refused: it could never match',
  (pattern) => {
    expect(() => new Patterns([pattern], [])).toThrow(/cannot match/);
  },
);
