import { expect, it } from 'vitest';
import { stateText } from './rewind-commands.ts';

it('a state of whose time nothing is known says so: it may be younger than what was asked for', () => {
  expect(stateText({ sequence: 210, at: null })).toBe('record 210, of a time that is not known');
  expect(stateText({ sequence: 213, at: '2026-03-01T14:05:00.000Z' })).toBe(
    '2026-03-01T14:05:00.000Z (record 213)',
  );
});
