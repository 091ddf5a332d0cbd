// The two engines say the same of every pattern and every name; only one of them is bounded.
import * as fc from 'fast-check';
import picomatch from 'picomatch';
import { expect, test } from 'vitest';
import { present } from './assert.ts';
import { LinearRegExp } from './linear-regexp.ts';

const OPTIONS = { dot: true, nonegate: true, flags: 's' } as const;
const WILDCARDS = 'a b ab . / * ** **/ /** ? [ab] [!a] [^/b] [a-c] \\* \\b \\. - 1 [[:alpha:]]';
const GROUPS = '{a,b} {a,} {1..3} +(a|b) *(ab) ?(b) @(a|b*) !(a) !(*b) (a|b)+ (a*)* $ ^ | ( ) [';
const piece = fc.constantFrom('\n', ...WILDCARDS.split(' '), ...GROUPS.split(' '));
const letter = fc.constantFrom('a', 'b', 'c', '.', '/', '1', '-', '*', '\n', '(', '[', '\u2028');

test('both say the same', () => {
  let known = 0;
  const patterns = fc.array(piece, { minLength: 1, maxLength: 8 });
  const names = fc.array(fc.array(letter, { minLength: 1, maxLength: 9 }), { minLength: 4 });
  const property = fc.property(patterns, names, (pieces, texts) => {
    const { source } = picomatch.makeRe(pieces.join(''), OPTIONS);
    const linear = LinearRegExp.of(source);
    if (linear === undefined) return;
    known += 1;
    const native = new RegExp(source, 's');
    for (const text of texts.map((letters) => letters.join(''))) {
      expect([source, text, linear.test(text)]).toEqual([source, text, native.test(text)]);
    }
  });
  fc.assert(property, { numRuns: 3000 });
  expect(known).toBeGreaterThan(2000);
});

test.each([
  ['^(?:a+)+b$', 'aab', 'aaa'],
  ['^a{2}b{1,2}c{1,}$', 'aabbccc', 'aabbbc'],
  ['^(?:a|ab)(?:c|bcd)$', 'abcd', 'abcdc'],
  ['^(?=a).(?!b)[^x]\\x41\\u0042$', 'acAB', 'abAB'],
  ['^\\bab\\b-\\d$', 'ab-1', 'ab-a'],
  ['^(?:|a)$', '', 'aa'],
])('%s', (source, right, wrong) => {
  const linear = present(LinearRegExp.of(source), 'known');
  expect([linear.test(right), linear.test(wrong)]).toEqual([true, false]);
});

test.each([
  'a',
  '^(a)\\1$',
  '^(?<=a)b$',
  '^(?<n>a)$',
  '^(?=a)*$',
  `^${'('.repeat(20)}${')'.repeat(20)}$`,
])('%s is not known', (source) => expect(LinearRegExp.of(source)).toBeUndefined());
