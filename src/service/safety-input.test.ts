import { expect, test } from 'vitest';
import { SAFETY_DEFAULT } from './group-spec.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { defineSafety, safetyInputSchema } from './safety-input.ts';

const define = (input: unknown) => defineSafety(safetyInputSchema.parse(input), 'test');

test('defaults, single values and off', () => {
  expect(define({})).toEqual(SAFETY_DEFAULT);
  expect(define({ deletions: { percent: 80 } }).deletions).toEqual({
    filesMin: 100,
    share: 0.8,
    windowMs: 60_000,
  });
  expect(define({ deletions: { files: 5, within: '10m' } }).deletions).toEqual({
    filesMin: 5,
    share: 0.5,
    windowMs: 600_000,
  });
  expect(define({ deletions: 'off' }).deletions).toBeNull();
});

test.each([
  { deletions: { percent: 0 } },
  { deletions: { percent: 101 } },
  { deletions: { files: 0 } },
  { deletions: { within: '5h' } },
  { deletions: { within: 'soon' } },
  { deletions: 'on' },
  { deletion: 'off' },
])('refuses %j', (input) => {
  expect(() => define(input)).toThrow();
});

test('a value that is of none of the kinds there are: these are named', () => {
  const options = { code: 'GROUP_INVALID', origin: 'g.yaml' };
  expect(() => parseStrictly(safetyInputSchema, { guard: 'on' }, options)).toThrow(
    /"off"\|"alarm"\|"halt".* in "guard"/,
  );
});
