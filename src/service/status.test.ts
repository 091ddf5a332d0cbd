import { expect, test } from 'vitest';
import type { GroupView } from './node-protocol.ts';
import { presentView, shownCopy, shownLink } from './status.ts';

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

test('once connected, a copy is up to date when both nodes say so', () => {
  const told = { copy: 'up-to-date' };
  const scanWanted = { link: 'connected', standby: null };
  expect(shownCopy(scanWanted, told)).toBe('catching-up');
  expect(shownCopy({ link: 'connected', standby: { copy: 'syncing' } }, told)).toBe('syncing');
  expect(shownCopy({ link: 'connected', standby: told }, told)).toBe('up-to-date');
});

test('without a connection the standby knows best', () => {
  const told = { copy: 'up-to-date' };
  expect(shownCopy({ link: 'connecting', standby: { copy: 'syncing' } }, told)).toBe('up-to-date');
  expect(shownCopy(null, told)).toBe('up-to-date');
  expect(shownCopy({ link: 'connected', standby: told }, { copy: 'halted' })).toBe('halted');
  expect(shownCopy({ link: 'connecting', standby: told }, null)).toBe('up-to-date');
  expect(shownCopy(null, null)).toBe('unknown');
});

test('a standby that has lost its primary does not say that they are connected, as the primary did last', () => {
  const primaryTold = { link: 'connected' };
  expect(shownLink(primaryTold, { link: 'waiting' })).toBe('waiting');
  expect(shownLink(primaryTold, { link: 'connected' })).toBe('connected');
  expect(shownLink(primaryTold, null)).toBe('connected');
  expect(shownLink({ link: 'refused' }, { link: 'connected' })).toBe('refused');
  expect(shownLink(null, { link: 'waiting' })).toBe('waiting');
  expect(shownLink(null, null)).toBe('unknown');
});
