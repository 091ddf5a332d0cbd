import { expect, test } from 'vitest';
import type { GroupView } from './node-protocol.ts';
import { presentView } from './status.ts';

const primary = { role: 'primary' } as GroupView;
const standby = { role: 'standby' } as GroupView;

test('a primary that died before this node was promoted is no second one', () => {
  expect(presentView(primary, primary, { ageMs: 1500, sinceRoleMs: 400 })).toBeNull();
  expect(presentView(primary, primary, { ageMs: null, sinceRoleMs: 400 })).toBeNull();
});

test('one that says so after that is', () => {
  expect(presentView(primary, primary, { ageMs: 300, sinceRoleMs: 400 })).toBe(primary);
});

test('what is as of before stays where it is no contradiction', () => {
  expect(presentView(primary, standby, { ageMs: 1500, sinceRoleMs: 400 })).toBe(standby);
  expect(presentView(standby, primary, { ageMs: 1500, sinceRoleMs: 400 })).toBe(primary);
  expect(presentView(primary, null, { ageMs: 1500, sinceRoleMs: 400 })).toBeNull();
});
