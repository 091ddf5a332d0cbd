import { expect, test } from 'vitest';
import type { GroupOverview } from '../../../fleet/overview.ts';
import { overviewOf } from '../../fixtures/overviews.ts';
import { epochOf, hindranceOf, OPERATION_KINDS, OPERATION_RULES, targetsOf } from './operations.ts';
import { NO_OPTIONS, optionsOf, requestOf } from './requests.ts';

const pair = [
  { id: 'a', name: 'a' },
  { id: 'b', name: 'b' },
];
const managed = overviewOf({ isManaged: true });
const possible = (change: Partial<GroupOverview>) =>
  OPERATION_KINDS.filter((kind) => hindranceOf(kind, overviewOf(change)) === null);

test('what is offered depends on what there is', () => {
  expect(possible({})).toEqual(['switchover', 'takeover', 'verify', 'mark', 'delete']);
  expect(possible({ isManaged: true })).toContain('pause');
  expect(possible({ isManaged: true, isPaused: true })).not.toContain('pause');
  expect(possible({ isManaged: true, isPaused: true })).toContain('resume');
  expect(possible({ standby: null, standbyId: null })).toEqual(['verify', 'delete']);
  expect(possible({ primary: null, primaryId: null })).toEqual(['takeover', 'mark', 'delete']);
  const split = { problems: [{ code: 'SPLIT_BRAIN', level: 'error', params: {} }] } as const;
  expect(possible(split)).toContain('yield');
});

test('each operation goes to the node that has to do it', () => {
  const idsOf = (kind: (typeof OPERATION_KINDS)[number], group = managed): string[] =>
    targetsOf(kind, group, pair).map(({ id }) => id);
  expect([idsOf('switchover'), idsOf('takeover'), idsOf('verify')]).toEqual([['a'], ['b'], ['a']]);
  expect(idsOf('accept')).toEqual(['b', 'a']);
  // The console does not have that node: nothing is sent to another one instead.
  expect(idsOf('takeover', overviewOf({ standbyId: null }))).toEqual([]);
  const split = overviewOf({ standby: null, standbyId: null });
  expect(idsOf('yield', split)).toEqual(['a', 'b']);
  const waiting = { ...split, problems: [{ code: 'PRIMARY_WAITS', level: 'error', params: {} }] };
  expect(idsOf('takeover', waiting as typeof split)).toEqual(['a']);
});

test('what is dangerous says which state it was decided on', () => {
  const status = { local: { epoch: 7 }, remote: { epoch: 6 } } as Parameters<typeof epochOf>[2];
  const [primary, standby] = [
    { id: 'a', name: 'a' },
    { id: 'b', name: 'b' },
  ];
  expect(epochOf(primary, managed, status)).toBe(7);
  expect(epochOf(standby, managed, status)).toBe(6);
  expect(epochOf(standby, managed, undefined)).toBe(managed.epoch);
  const dangerous = OPERATION_KINDS.filter((kind) => OPERATION_RULES[kind].isDangerous);
  expect(dangerous).toEqual(['switchover', 'takeover', 'yield', 'accept', 'delete']);
  for (const kind of dangerous) {
    const { body, query } = requestOf(kind, { group: 'shop', options: NO_OPTIONS, expectEpoch: 7 });
    expect([kind, { ...(body as object), ...query }]).toEqual([
      kind,
      expect.objectContaining({ expectEpoch: 7 }),
    ]);
  }
});

test('a takeover offers what its copy needs, and nothing else', () => {
  expect(optionsOf('takeover', overviewOf({}))).toEqual(['force']);
  expect(optionsOf('takeover', managed)).toEqual(['force', 'acceptStale']);
  const worse = overviewOf({
    copy: 'syncing',
    problems: [{ code: 'HALTED', level: 'error', params: {} }],
  });
  expect(optionsOf('takeover', worse)).toEqual(['force', 'acceptIncomplete', 'acceptHalted']);
});
