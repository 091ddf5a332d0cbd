import { expect, test } from 'vitest';
import { type CommitConditions, decideCommits } from './commit-policy.ts';

const options = { mode: 'sync', syncTimeoutMs: 2000, onStandbyLoss: 'continue' } as const;
const ack = {
  receivedSequence: 9,
  durableSequence: 9,
  appliedSequence: 9,
  copy: 'up-to-date',
} as const;
const fine: CommitConditions = {
  linkUp: true,
  ack,
  backlogBytes: 0,
  hasAnswered: true,
  hasJoined: false,
  oldestWaitMs: 0,
  linkDownMs: 0,
  sinceProgressMs: 60_000,
  limit: null,
};

test('alone → joining: the standby is in step', () => {
  expect(decideCommits('alone', options, { ...fine, hasJoined: true }).state).toBe('joining');
});

test('joining → together: the standby has all that was let go before commits began to wait', () => {
  expect(decideCommits('joining', options, fine).state).toBe('joining');
  expect(decideCommits('joining', options, { ...fine, hasJoined: true }).state).toBe('together');
});

test.each([
  ['the link is down', { linkDownMs: 2000, linkUp: false }],
  ['a commit waited', { oldestWaitMs: 2000 }],
  ['the standby begins a scan', { ack: { ...ack, copy: 'syncing' as const } }],
])('joining → alone: %s, also for a group that blocks once it was together', (_, change) => {
  const block = { ...options, onStandbyLoss: 'block' } as const;
  expect(decideCommits('joining', options, { ...fine, ...change }).state).toBe('alone');
  expect(decideCommits('joining', block, { ...fine, ...change }).state).toBe('alone');
});

test.each([
  ['no link', { linkUp: false }],
  ['nothing heard yet', { ack: undefined }],
  ['a first copy runs', { ack: { ...ack, copy: 'syncing' as const } }],
  ['it diverged', { ack: { ...ack, copy: 'diverged' as const } }],
  ['it is far behind', { backlogBytes: 64 * 1024 * 1024 }],
  ['it has not confirmed what was there when it was given up', { hasAnswered: false }],
])('alone stays alone: %s', (_, change) => {
  expect(decideCommits('alone', options, { ...fine, ...change }).state).toBe('alone');
});

test('together → alone: a commit waited for syncTimeout', () => {
  expect(decideCommits('together', options, { ...fine, oldestWaitMs: 1999 }).state).toBe(
    'together',
  );
  const decision = decideCommits('together', options, { ...fine, oldestWaitMs: 2000 });
  expect(decision.state).toBe('alone');
  expect(decision.reason).toContain('2000 ms');
});

test('together → alone: the link is down for syncTimeout, though nobody commits', () => {
  const down = { ...fine, linkUp: false, linkDownMs: 2000 };
  expect(decideCommits('together', options, down).state).toBe('alone');
  expect(decideCommits('together', options, { ...down, linkDownMs: 500 }).state).toBe('together');
});

test('together → alone: the standby begins a scan', () => {
  const scanning = { ...fine, ack: { ...ack, copy: 'syncing' as const } };
  expect(decideCommits('together', options, scanning).state).toBe('alone');
});

test('block: commits wait as long as it takes', () => {
  const lost = { ...fine, linkUp: false, linkDownMs: 60_000, oldestWaitMs: 60_000 };
  expect(decideCommits('together', { ...options, onStandbyLoss: 'block' }, lost).state).toBe(
    'together',
  );
});

test('async never waits', () => {
  expect(decideCommits('together', { ...options, mode: 'async' }, fine).state).toBe('alone');
});

test('together → alone under a bandwidth limit: a slow standby is not called a lost one', () => {
  const slow = { ...fine, oldestWaitMs: 2000, sinceProgressMs: 100 };
  const limited = decideCommits('together', options, { ...slow, limit: '10 Mbit/s' });
  expect(limited.state).toBe('alone');
  expect(limited.reason).toMatch(/standby answers.*bandwidth limit lets through \(10 Mbit\/s\)/);
  expect(decideCommits('together', options, slow).reason).toMatch(/standby answers.*link/);
  const silent = { ...slow, sinceProgressMs: 2000, limit: '10 Mbit/s' };
  expect(decideCommits('together', options, silent).reason).toContain('did not confirm');
  const block = { ...options, onStandbyLoss: 'block' } as const;
  expect(decideCommits('together', block, slow).state).toBe('together');
});
