import { expect, test } from 'vitest';
import { UnderstudyError } from '../core/errors.ts';
import { defineGroup, type GroupDefinition, parseGroupInput } from './group-definition.ts';
import { changedKeys, editedSettings, needsRenewal, parseGroupEdit } from './group-edit-input.ts';

const WRITTEN = {
  name: 'shop',
  paths: [{ dir: '/srv/shop', standbyDir: '/data/shop', exclude: ['*.tmp'] }],
  replication: { mode: 'sync', undo: { hours: 48, diskPercent: 5 } },
} as const;

const agent = {
  use: 'command',
  name: 'web',
  after: [],
  startTimeoutMs: 60_000,
  stopTimeoutMs: 60_000,
  watchesOnly: false,
  probeIntervalMs: 5000,
  probeTimeoutMs: 5000,
  restarts: { limit: 3, withinMs: 600_000 },
  parameters: { start: 'true', stop: 'true' },
};

function defined(more: Record<string, unknown> = {}): GroupDefinition {
  const input = parseGroupInput({ ...WRITTEN, ...more }, 'test');
  const given = { peerId: '0'.repeat(16), port: 7441, origin: 'test', agents: [agent] };
  return defineGroup(input, given);
}

function edited(value: unknown, before = defined(), agents?: (typeof agent)[]) {
  const edit = parseGroupEdit(value, 'test');
  return editedSettings(before, edit, { origin: 'test', nodes: ['a', 'b'], agents });
}

function refusal(value: unknown, before = defined()): UnderstudyError {
  try {
    edited(value, before);
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) return thrown;
  }
  throw new Error('it was not refused');
}

test('what is left out stays, what is written changes, and names of keys are those of the file', () => {
  const before = defined();
  const after = edited({
    replication: { syncTimeout: '5s', journal: '8 GiB', undo: { hours: 12 }, compression: 'off' },
    safety: { guard: 'halt' },
    verify: 'off',
  });
  expect(after.replication).toEqual({
    ...before.replication,
    syncTimeoutMs: 5000,
    journalBytesMax: 8 * 1024 ** 3,
    undo: { hours: 12, diskPercent: 5 },
    compression: 'off',
  });
  expect(after.safety).toEqual({ ...before.safety, guard: 'halt' });
  expect(changedKeys(before, after)).toEqual([
    'replication.syncTimeout',
    'replication.journal',
    'replication.compression',
    'replication.undo',
    'safety.guard',
    'verify',
  ]);
  expect(edited({ replication: { undo: 'off' } }).replication.undo.hours).toBe(0);
  expect(changedKeys(before, edited({}))).toEqual([]);
});

test('the file of the creation, whole and unchanged, changes nothing; as the other node would write it neither', () => {
  const before = defined();
  expect(changedKeys(before, edited(WRITTEN))).toEqual([]);
  const mirrored = [{ dir: '/data/shop', standbyDir: '/srv/shop', exclude: ['*.tmp'] }];
  // On either node.
  for (const peer of ['a', 'b']) {
    expect(changedKeys(before, edited({ ...WRITTEN, paths: mirrored, peer }))).toEqual([]);
  }
});

test.each([
  [{ name: 'store' }, 'name'],
  [{ peer: 'c' }, 'peer'],
  [{ paths: [{ dir: '/srv/other' }] }, 'paths'],
  [{ paths: [{ ...WRITTEN.paths[0], exclude: [] }] }, 'paths'],
  [{ seed: true }, 'seed'],
  [{ replication: { ring: '64 MiB' } }, 'replication.ring'],
  [{ failover: { automatic: true } }, 'failover'],
  [{ addresses: [{ ip: '192.0.2.10/24', interface: 'eth0' }] }, 'addresses'],
])('%j is of the creation: refused with the way out', (edit, key) => {
  const { code, message, details } = refusal(edit);
  expect([code, details['fields']]).toEqual(['GROUP_KEY_FIXED', [key]]);
  expect(message).toContain('understudy group delete shop');
  expect(message).toContain('seed: true');
});

test('in a managed group the mode is fixed, too; its failover written as before is no change', () => {
  const before = defined({ failover: { automatic: true } });
  expect(refusal({ replication: { mode: 'async' } }, before).details['fields']).toEqual([
    'replication.mode',
  ]);
  const same = { failover: { automatic: true }, replication: { mode: 'sync' } };
  expect(changedKeys(before, edited(same, before))).toEqual([]);
  expect(edited({ replication: { mode: 'async' } }).replication.mode).toBe('async');
});

test('agents: how they are led changes, which there are does not', () => {
  const before = defined();
  const slow = { ...agent, probeIntervalMs: 60_000 };
  const after = edited({ agents: [{ use: 'command' }] }, before, [slow]);
  expect(changedKeys(before, after)).toEqual(['agents']);
  for (const role of ['primary', 'standby'] as const) {
    expect(needsRenewal(role, before, after)).toBe(false);
  }
  for (const others of [[], [{ ...agent, name: 'db' }], [agent, { ...agent, name: 'db' }]]) {
    expect(() => edited({ agents: [] }, before, others)).toThrow(/which agents there are/);
  }
});

test("in a managed group the agents' times of start and stop are fixed, others are not", () => {
  const before = defined({ failover: {} });
  const slow = { ...agent, startTimeoutMs: 90_000 };
  expect(() => edited({ agents: [] }, before, [slow])).toThrow(/"agents.timeout"/);
  const restarts = { ...agent, restarts: { limit: 9, withinMs: 60_000 } };
  expect(edited({ agents: [] }, before, [restarts]).agents).toEqual([restarts]);
});

test.each([
  [{ replication: { mode: 'async' } }, ['primary']],
  [{ replication: { syncTimeout: '1s' } }, ['primary']],
  [{ replication: { onStandbyLoss: 'block' } }, ['primary']],
  [{ replication: { backlog: '1 GiB' } }, ['primary']],
  [{ replication: { compression: 'on' } }, ['primary']],
  [{ replication: { linkTimeout: '9s' } }, ['primary', 'standby']],
  [{ replication: { port: 7555 } }, ['primary', 'standby']],
  [{ replication: { journal: '1 GiB' } }, ['standby']],
  [{ replication: { undo: 'off' } }, ['standby']],
  [{ safety: { deletions: 'off' } }, ['standby']],
  [{ verify: '3d' }, []],
])('%j replaces the process of: %j', (edit, roles) => {
  const before = defined();
  const after = edited(edit, before);
  expect(changedKeys(before, after)).toHaveLength(1);
  const renewed = (['primary', 'standby'] as const).filter((role) =>
    needsRenewal(role, before, after),
  );
  expect(renewed).toEqual(roles);
});

test.each([
  [{ replication: { mode: 'later' } }, 'GROUP_INVALID'],
  [{ replication: { journal: '1 MiB' } }, 'GROUP_INVALID'],
  [{ replication: { syncTimeout: 'soon' } }, 'DURATION_INVALID'],
  [{ replication: { speed: 1 } }, 'GROUP_INVALID'],
  [{ nonsense: 1 }, 'GROUP_INVALID'],
  [{ verify: '1m' }, 'GROUP_INVALID'],
])('%j is refused as at a creation', (edit, code) => {
  expect(refusal(edit).code).toBe(code);
});
