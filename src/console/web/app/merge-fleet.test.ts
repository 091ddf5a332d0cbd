import { expect, test } from 'vitest';
import type { FleetOverview } from '../../fleet/overview.ts';
import { nodeOf, overviewOf } from '../fixtures/overviews.ts';
import { mergeFleet } from './merge-fleet.ts';

const fleet: FleetOverview = {
  at: '2026-01-01T00:00:00Z',
  counts: {
    nodes: 2,
    nodesUnreachable: 0,
    groups: 2,
    byLevel: { ok: 2, info: 0, warning: 0, error: 0 },
  },
  nodes: [nodeOf({ id: 'a' }), nodeOf({ id: 'b' })],
  groups: [overviewOf({ name: 'mail' }), overviewOf({ name: 'shop' })],
};
const names = (all: readonly { readonly name: string }[]): string[] => all.map(({ name }) => name);

test('a change keeps the worst first, and what has not changed as it was', () => {
  const after = mergeFleet(fleet, {
    name: 'group',
    data: overviewOf({ name: 'shop', level: 'warning' }),
  });
  expect(names(after.groups)).toEqual(['shop', 'mail']);
  expect(after.groups[1]).toBe(fleet.groups[0]);
  expect(after.nodes).toBe(fleet.nodes);
  const worse = mergeFleet(after, {
    name: 'group',
    data: overviewOf({ name: 'mail', level: 'error' }),
  });
  expect(names(worse.groups)).toEqual(['mail', 'shop']);
});

test('what is new is added, what was removed goes', () => {
  const more = mergeFleet(fleet, { name: 'node', data: nodeOf({ id: 'c', level: 'error' }) });
  expect(names(more.nodes)).toEqual(['c', 'a', 'b']);
  const less = mergeFleet(more, {
    name: 'removed',
    data: { nodes: ['a', 'nobody'], groups: ['id-mail'] },
  });
  expect([names(less.nodes), names(less.groups)]).toEqual([['c', 'b'], ['shop']]);
});
