import { expect, test } from 'vitest';
import type { FleetOverview, GroupOverview, NodeOverview } from '../../fleet/overview.ts';
import type { Level } from '../../fleet/problems.ts';
import { mergeFleet } from './merge-fleet.ts';

const node = (id: string, level: Level): NodeOverview => ({
  id,
  name: id,
  where: id,
  isReachable: level !== 'error',
  fault: null,
  seenAt: null,
  ageMs: null,
  version: null,
  nodeId: null,
  peerName: null,
  peerId: null,
  level,
  problems: [],
});

const group = (name: string, level: Level): GroupOverview => ({
  groupId: `id-${name}`,
  name,
  seenFrom: 'a',
  primaryId: 'a',
  standbyId: 'b',
  primary: 'a',
  standby: 'b',
  epoch: 1,
  mode: 'sync',
  copy: 'up-to-date',
  link: 'connected',
  lagMs: 0,
  backlogBytes: 0,
  wireBytesPerSecond: 0,
  scan: null,
  isManaged: false,
  isPaused: false,
  directories: [],
  isStale: false,
  ageMs: 0,
  level,
  problems: [],
});

const fleet: FleetOverview = {
  at: '2026-01-01T00:00:00Z',
  counts: {
    nodes: 2,
    nodesUnreachable: 0,
    groups: 2,
    byLevel: { ok: 2, info: 0, warning: 0, error: 0 },
  },
  nodes: [node('a', 'ok'), node('b', 'ok')],
  groups: [group('mail', 'ok'), group('shop', 'ok')],
};
const names = (all: readonly { readonly name: string }[]): string[] => all.map(({ name }) => name);

test('a change keeps the worst first, and what has not changed as it was', () => {
  const after = mergeFleet(fleet, { name: 'group', data: group('shop', 'warning') });
  expect(names(after.groups)).toEqual(['shop', 'mail']);
  expect(after.groups[1]).toBe(fleet.groups[0]);
  expect(after.nodes).toBe(fleet.nodes);
  const worse = mergeFleet(after, { name: 'group', data: group('mail', 'error') });
  expect(names(worse.groups)).toEqual(['mail', 'shop']);
});

test('what is new is added, what was removed goes', () => {
  const more = mergeFleet(fleet, { name: 'node', data: node('c', 'error') });
  expect(names(more.nodes)).toEqual(['c', 'a', 'b']);
  const less = mergeFleet(more, {
    name: 'removed',
    data: { nodes: ['a', 'nobody'], groups: ['id-mail'] },
  });
  expect([names(less.nodes), names(less.groups)]).toEqual([['c', 'b'], ['shop']]);
});
