import { expect, test } from 'vitest';
import type { GroupStatus, ServiceStatus } from '../../service/status.ts';
import { fleetOverview, type NodeKnowledge } from './overview.ts';
import { problemsOf } from './problems.ts';

const NOW = Date.UTC(2026, 0, 1);

function view(role: 'primary' | 'standby', change = {}): GroupStatus['local'] {
  return {
    name: 'shop',
    groupId: 'a'.repeat(32),
    role,
    epoch: 3,
    process: 'running',
    changing: false,
    position: null,
    status: {},
    trouble: null,
    failover: null,
    bandwidth: null,
    salvages: [],
    agents: [],
    ...change,
  };
}

function group(change: Partial<GroupStatus> = {}): GroupStatus {
  return {
    name: 'shop',
    groupId: 'a'.repeat(32),
    role: 'primary',
    primary: 'one',
    standby: 'two',
    epoch: 3,
    mode: 'sync',
    copy: 'up-to-date',
    link: 'connected',
    linkReason: null,
    alone: false,
    backlogBytes: 0,
    lagMs: 1,
    halted: null,
    scan: null,
    verifying: null,
    verify: null,
    limit: null,
    compressionRatio: null,
    wireBytesPerSecond: 0,
    directories: ['/srv/shop'],
    salvages: [],
    troubles: [],
    local: view('primary'),
    remote: view('standby'),
    ...change,
  };
}

function node(
  name: string,
  peer: string | null,
  groups: GroupStatus[],
  change = {},
): NodeKnowledge {
  const status: ServiceStatus = {
    node: {
      id: '0'.repeat(16),
      name,
      host: name,
      port: 7440,
      replicationHost: name,
      version: '1',
      protocol: 1,
    },
    peer: peer === null ? null : { name: peer, host: peer, reachable: true, fault: null, ageMs: 0 },
    groups,
  };
  return {
    id: `id-${name}`,
    name,
    where: name,
    isReachable: true,
    fault: null,
    seenMs: NOW,
    status,
    ...change,
  };
}

const codes = (change: Partial<GroupStatus>): string[] =>
  problemsOf(group(change)).map(({ level, code }) => `${level} ${code}`);

test('a group that is well has no problem', () => {
  expect(codes({})).toEqual([]);
});

test.each<[string, Partial<GroupStatus>]>([
  ['error SPLIT_BRAIN', { remote: view('primary') }],
  ['error NO_PRIMARY', { primary: null }],
  ['error NO_STANDBY', { standby: null }],
  ['error ALONE', { alone: true }],
  ['error HALTED', { halted: 'emptied' }],
  ['error COPY_DIVERGED', { copy: 'diverged' }],
  ['warning COPY_INCOMPLETE', { copy: 'syncing' }],
  ['warning COPY_BEHIND', { copy: 'catching-up' }],
  ['warning COPY_UNKNOWN', { copy: 'unknown' }],
  ['warning LINK_DOWN', { link: 'connecting', linkReason: 'refused' }],
  ['error TROUBLE', { troubles: ['one: disk'] }],
  ['error PROCESS_FAILED', { local: view('primary', { process: 'failed' }) }],
  ['error PRIMARY_WAITS', { local: view('primary', { process: 'waiting' }) }],
  ['info PAUSED', { local: view('primary', { failover: { paused: true } }) }],
  [
    'warning NO_TAKEOVER',
    {
      local: view('primary', { failover: {} }),
      remote: view('standby', { failover: { leaving: true } }),
    },
  ],
  ['warning NO_TAKEOVER', { remote: view('standby', { failover: { waiting: 'x', reason: 'y' } }) }],
])('%s', (code, change) => {
  expect(codes(change)).toEqual([code]);
});

test.each<[string, object, string[]]>([
  ['that waits for the promotion there', { process: 'stopped', changing: true }, []],
  ['that has not heard how it ended', { process: 'waiting' }, ['error PRIMARY_WAITS']],
])('a primary by name, %s, is no split brain', (_, change, told) => {
  expect(codes({ remote: view('primary', change) })).toEqual(told);
  expect(codes({ local: view('primary', change), remote: view('primary') })).toEqual(told);
});

test('a group that two nodes tell of is told once, from its primary, with the ids of both', () => {
  const here = node('one', 'two', [group()]);
  const there = node('two', 'one', [
    group({ role: 'standby', local: view('standby'), remote: view('primary') }),
  ]);
  const { groups, counts } = fleetOverview([there, here], NOW + 1000);
  expect(groups).toHaveLength(1);
  expect(groups[0]).toMatchObject({
    seenFrom: 'id-one',
    primaryId: 'id-one',
    standbyId: 'id-two',
    isStale: false,
    ageMs: 1000,
    level: 'ok',
  });
  expect(counts).toMatchObject({ nodes: 2, groups: 1, byLevel: { ok: 1, error: 0 } });
});

test('with the primary gone the standby tells; with both gone the last word stays, as old', () => {
  const gone = { isReachable: false, fault: { code: 'NODE_UNREACHABLE', message: 'x' } };
  const here = node('one', 'two', [group()], { ...gone, seenMs: NOW - 60_000 });
  const seen = group({ role: 'standby', primary: null, local: view('standby'), remote: null });
  const half = fleetOverview([here, node('two', 'one', [seen])], NOW);
  expect(half.groups[0]).toMatchObject({ seenFrom: 'id-two', isStale: false, level: 'error' });
  const both = fleetOverview(
    [here, node('two', 'one', [seen], { ...gone, seenMs: NOW - 50_000 })],
    NOW,
  );
  expect(both.groups[0]).toMatchObject({ seenFrom: 'id-one', isStale: true, ageMs: 60_000 });
  expect(both.groups[0]?.problems.map(({ code }) => code)).toEqual(['STALE']);
  expect(both.nodes.map(({ level, ageMs }) => [level, ageMs])).toEqual([
    ['error', 60_000],
    ['error', 50_000],
  ]);
});

test('worst first, then by name; groups of the same name in other pairs are apart', () => {
  const id = (digit: string): Pick<GroupStatus, 'groupId'> => ({ groupId: digit.repeat(32) });
  const { groups } = fleetOverview(
    [
      node('one', 'two', [group({ ...id('1'), name: 'b' }), group({ ...id('2'), name: 'a' })]),
      node('three', 'four', [group({ ...id('3'), name: 'b', alone: true, primary: 'three' })]),
      node('five', null, [group({ ...id('4'), name: 'c', copy: 'syncing' })]),
    ],
    NOW,
  );
  expect(groups.map(({ name, level }) => `${name} ${level}`)).toEqual([
    'b error',
    'c warning',
    'a ok',
    'b ok',
  ]);
});
