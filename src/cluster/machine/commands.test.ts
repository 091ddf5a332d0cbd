// Commands that are refused, with the code and the way out, and pause.
import { expect, test } from 'vitest';
import {
  beatOf,
  configOf,
  DATA,
  primary,
  primaryBeat,
  standby,
  Subject,
  together,
} from './fixtures/subject.ts';
import type { Command } from './event-types.ts';
import { firstMemo } from './state.ts';

const command = (what: Command) => ({ kind: 'command', command: what }) as const;
const takeover = (change: Partial<Extract<Command, { kind: 'takeover' }>> = {}) =>
  command({
    kind: 'takeover',
    force: false,
    acceptStale: false,
    acceptIncomplete: false,
    acceptHalted: false,
    ...change,
  });

test('switchover on a standby: give it on the primary', () => {
  expect(standby().refusalOf(command({ kind: 'switchover' }))).toBe('NOT_PRIMARY');
});

test.each([
  ['syncing', beatOf({ copy: 'syncing' })],
  ['catching up', beatOf({ copy: 'catching-up' })],
])('switchover to a copy that is %s', (_, beat) => {
  const subject = primary();
  subject.hear({ ...beat, epoch: subject.state.epoch });
  expect(subject.refusalOf(command({ kind: 'switchover' }))).toBe('COPY_NOT_UP_TO_DATE');
});

test('switchover to a standby that lacks what was acknowledged alone', () => {
  const subject = primary();
  subject.give({ kind: 'commits', state: 'alone-wanted', request: 3, why: '' });
  expect(subject.refusalOf(command({ kind: 'switchover' }))).toBe('COPY_NOT_UP_TO_DATE');
});

test('switchover twice', () => {
  const subject = primary().give(command({ kind: 'switchover' }));
  expect(subject.refusalOf(command({ kind: 'switchover' }))).toBe('ROLE_CHANGING');
});

test('takeover of a live primary without --force', () => {
  expect(standby().refusalOf(takeover())).toBe('TAKEOVER_PRIMARY_ALIVE');
});

test('takeover without proof', () => {
  const subject = standby({ arbiter: 'none' }).pass(5000);
  expect(subject.refusalOf(takeover())).toBe('TAKEOVER_NEEDS_FORCE');
  subject.give(takeover({ force: true }));
  subject.pass(200);
  expect(subject.last('promote').accepts).not.toContain('syncing');
});

test('takeover that would lose acknowledged commits', () => {
  const subject = standby({ arbiter: 'none' });
  subject.hear(primaryBeat({ alone: { epoch: 3, count: 1 } })).pass(5000);
  expect(subject.refusalOf(takeover({ force: true }))).toBe('TAKEOVER_LOSES_COMMITS');
  subject.give(takeover({ force: true, acceptStale: true }));
  expect(subject.role).toBe('promoting');
});

test('takeover with a copy that was never complete', () => {
  const subject = standby({ arbiter: 'none' });
  subject.give({ kind: 'copy', copy: 'syncing', position: subject.state.data }).pass(5000);
  const most = { force: true, acceptStale: true };
  expect(subject.refusalOf(takeover(most))).toBe('COPY_UNUSABLE');
  subject.give(takeover({ ...most, acceptIncomplete: true })).pass(200);
  expect(subject.last('promote').accepts).toContain('syncing');
});

test('takeover where one is primary already', () => {
  expect(primary().refusalOf(takeover({ force: true }))).toBe('ALREADY_PRIMARY');
});

test('a forced takeover of a live primary waits until that has ceased', () => {
  const subject = standby().give(takeover({ force: true }));
  subject.pass(5000, (each) => each.gateway().hear(primaryBeat()));
  expect(subject.find('promote')).toBeUndefined();
  subject.hear(beatOf());
  expect(subject.last('promote').epoch).toBe(4);
});

test('yield without another primary', () => {
  expect(primary().refusalOf(command({ kind: 'yield' }))).toBe('YIELD_NO_PRIMARY');
});

test('yield to one that was primary before it fell silent, and is not heard any more', () => {
  const subject = primary({ arbiter: 'none' }).hear(primaryBeat()).pass(5000);
  expect(subject.state.peer.beat?.role).toBe('primary');
  expect(subject.refusalOf(command({ kind: 'yield' }))).toBe('YIELD_NO_PRIMARY');
});

test('pause spreads to the other node, and the newer word counts', () => {
  const subject = standby();
  subject.hear(primaryBeat({ paused: { on: true, version: 1 } }));
  expect(subject.state.memo.paused.on).toBe(true);
  subject.give(command({ kind: 'resume' }));
  expect(subject.last('sendBeat').beat.paused).toEqual({ on: false, version: 2 });
  subject.hear(primaryBeat({ paused: { on: true, version: 1 } }));
  expect(subject.state.memo.paused.on).toBe(false);
});

test('a paused primary hands over only when a person says so', () => {
  const subject = primary().give(command({ kind: 'pause' }));
  subject.give({ kind: 'health', part: 'disk', state: 'failed', why: 'EIO' });
  subject.pass(2000, together);
  expect(subject.codes()).not.toContain('HANDING_OVER');
  subject.give(command({ kind: 'switchover' }));
  expect(subject.codes()).toContain('HANDING_OVER');
});

test('leave: a primary hands over, then says goodbye', () => {
  const subject = primary().give(command({ kind: 'leave' }));
  subject.applicationStopped().demoted();
  const { beat } = subject.last('sendBeat');
  expect(beat).toMatchObject({ leaving: true, role: 'standby', asks: false });
  expect(beat.offer).not.toBeNull();
});

test('leave while it is promoted: it hands over as soon as it serves', () => {
  const subject = standby().pass(5000, (each) => each.gateway().addressFree());
  expect(subject.role).toBe('promoting');
  subject.give(command({ kind: 'leave' })).promoted();
  expect(subject.codes()).toContain('HANDING_OVER');
});

test('leave, and nobody can take over: everything is stopped in order all the same, and not started again', () => {
  const subject = primary()
    .give(command({ kind: 'leave' }))
    .applicationStopped();
  const { op } = subject.last('demote');
  subject.give({ kind: 'demoteFailed', op, isBusy: false, message: 'the standby is gone' });
  expect(subject.last('demote').drain).toBe(false);
  subject.demoted().forget().pass(5000, together);
  expect(subject.role).toBe('standby');
  expect(subject.find('startApplication') ?? subject.find('promote')).toBeUndefined();
});

test('both nodes are shut down: neither offers the group to the other', () => {
  const subject = primary().give(command({ kind: 'leave' }));
  subject
    .applicationStopped()
    .demoted()
    .hear(beatOf({ leaving: true }));
  expect(subject.last('sendBeat').beat.offer).toBeNull();
});

test('both nodes are shut down, the standby first: the primary ends as one, so that it can lead when both are there again', () => {
  const subject = primary().give(command({ kind: 'leave' }));
  subject.hear(beatOf({ epoch: subject.state.epoch, leaving: true })).applicationStopped();
  expect(subject.last('demote').drain).toBe(false);
  subject.demoted(false);
  expect(subject.last('sendBeat').beat).toMatchObject({ role: 'standby', offer: null });
  expect(subject.codes()).not.toContain('HANDOVER_FAILED');
});

test('a node that was to be shut down takes over when a person says so', () => {
  const subject = standby().give(command({ kind: 'leave' }));
  subject.pass(5000, (each) => each.gateway().addressFree());
  expect(subject.role).toBe('standby');
  subject.give(takeover({ force: true })).pass(200);
  expect(subject.last('sendBeat').beat).toMatchObject({ role: 'promoting', leaving: false });
});

test.each(['gateway', 'none'] as const)(
  'a goodbye cannot be taken back by a takeover that counts on silence: the other node serves on because of it (%s)',
  (arbiter) => {
    const subject = standby({ arbiter, fencing: arbiter === 'none' ? 'required' : 'off' });
    subject.give(command({ kind: 'leave' }));
    subject.pass(1200, (each) => each.gateway().addressFree());
    expect(subject.refusalOf(takeover())).toBe('TAKEOVER_NEEDS_FORCE');
  },
);

test('a takeover that was given up after a goodbye: no silence proves anything before the other node is heard', () => {
  const subject = standby().give(command({ kind: 'leave' }));
  subject.pass(5000, (each) => each.gateway().addressFree());
  subject.give(takeover({ force: true })).pass(200, (each) => each.gateway().addressFree());
  const { op } = subject.last('promote');
  subject.give({ kind: 'promoteFailed', op, message: 'busy' }).demoted();
  subject.forget().pass(120_000, (each) => each.gateway().addressFree());
  expect(subject.find('promote')).toBeUndefined();
  expect(subject.codes()).toContain('WAITS_FOR_OPERATOR');
});

test('the other node says goodbye, and is there again without its copy having been away', () => {
  const subject = primary();
  subject.hear(beatOf({ epoch: subject.state.epoch, leaving: true }));
  expect(subject.last('sendBeat').beat.alone).not.toBeNull();
  subject.pass(200, together);
  expect(subject.last('sendBeat').beat.alone).toBeNull();
});

test('leave in maintenance: the group stops and does not move', () => {
  const subject = primary()
    .give(command({ kind: 'pause' }))
    .give(command({ kind: 'leave' }));
  subject.applicationStopped().demoted();
  expect(subject.last('sendBeat').beat).toMatchObject({ leaving: true, offer: null });
});

test('two operators who order a takeover on both nodes in the same moment do not make two primaries', () => {
  const other = { self: configOf().peer, peer: configOf().self };
  // After a double failure neither is known to be complete.
  const boot = { memo: { ...firstMemo(false), epoch: DATA.epoch, stale: true } };
  const nodes = [new Subject({}, boot), new Subject(other, boot)] as const;
  const exchange = (): void => {
    const beats = nodes.map((node) => node.last('sendBeat').beat);
    for (const [index, node] of nodes.entries()) node.gateway().hear(beats[1 - index] ?? beatOf());
  };
  const waits = (node: Subject): unknown => node.gateway().hear(beatOf({ stale: true }));
  for (const node of nodes) node.pass(1000, waits);
  for (const node of nodes) node.give(takeover({ force: true, acceptStale: true }));
  for (let step = 0; step < 10; step += 1) {
    for (const node of nodes) node.pass(20);
    exchange();
    const leased = nodes.filter((node) => node.state.lease.untilMs > node.now);
    expect(leased.length).toBeLessThan(2);
  }
  expect(nodes.map((node) => node.find('promote') !== undefined)).toEqual([true, false]);
});

test('the other node says goodbye before its copy is in step, and takes part again', () => {
  const subject = primary();
  subject.give({ kind: 'commits', state: 'alone-wanted', request: 3, why: 'silence' });
  subject.hear(beatOf({ epoch: subject.state.epoch, leaving: true }));
  subject.pass(200, (each) =>
    each.hear(beatOf({ epoch: each.state.epoch, leaving: true })).gateway(),
  );
  subject.give({ kind: 'commits', state: 'together', request: 4, why: 'in step' });
  subject.pass(500, (each) =>
    each.hear(beatOf({ epoch: each.state.epoch, leaving: true })).gateway(),
  );
  expect(subject.last('sendBeat').beat.alone).not.toBeNull();
  subject.peerLife += 1;
  subject.pass(500, together);
  expect(subject.last('sendBeat').beat.alone).toBeNull();
});
