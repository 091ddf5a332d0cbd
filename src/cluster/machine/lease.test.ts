// The loser stops before the winner may start: the arithmetic, and what does not count.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  beatOf,
  DATA,
  primary,
  primaryBeat,
  recordOf,
  SELF,
  standby,
  Subject,
} from './fixtures/subject.ts';
import {
  defaultTimings,
  DRIFT,
  fastTimings,
  gatewayWaitMs,
  leaseEndMs,
  leaseWaitMs,
} from './timings.ts';

test('a granted lease ends before the one who granted it may begin, whatever the clocks do', () => {
  const rate = fc.double({ min: 1 - DRIFT / 2, max: 1 + DRIFT / 2, noNaN: true });
  const delay = fc.double({ min: 0, max: 5000, noNaN: true });
  const property = fc.property(rate, rate, delay, (primaryRate, standbyRate, delayMs) => {
    for (const timings of [defaultTimings, fastTimings]) {
      // Both clocks show 0 when the primary sends; true times of both ends follow from the rates.
      const ends = leaseEndMs(timings, 0) / primaryRate;
      const begins = delayMs + leaseWaitMs(timings) / standbyRate;
      expect(begins).toBeGreaterThan(ends);
      expect(gatewayWaitMs(timings)).toBeGreaterThan(leaseWaitMs(timings));
    }
  });
  fc.assert(property);
});

test('the lease counts from when the request was sent, not from when the grant came', () => {
  const subject = primary();
  const sentAtMs = subject.now;
  subject.now += 90;
  const grant = { epoch: subject.state.epoch, life: 1, sentAtMs };
  subject.hear(beatOf({ grant }));
  expect(subject.state.lease.byPeerMs).toBe(sentAtMs + 750 * (1 - DRIFT));
});

test.each([
  ['of another life', { life: 7 }],
  ['of another epoch', { epoch: 1 }],
  ['for something sent before the attempt began', { sentAtMs: 0 }],
  ['for something not sent yet', { sentAtMs: 1e9 }],
])('a grant %s does not count', (_, change) => {
  const subject = primary();
  const before = subject.state.lease.byPeerMs;
  const grant = { epoch: subject.state.epoch, life: 1, sentAtMs: subject.now, ...change };
  subject.now += 50;
  subject.hear(beatOf({ grant }));
  expect(subject.state.lease.byPeerMs).toBe(before);
});

test('a standby that has promised does not take over before its promise has ended', () => {
  const subject = standby();
  const heard = subject.state.peer.heardMs;
  expect(subject.state.granted).toEqual({
    epoch: DATA.epoch,
    untilMs: heard + leaseWaitMs(defaultTimings),
  });
});

test('a standby promises nothing to a primary of an older epoch', () => {
  const subject = new Subject();
  subject.hear(primaryBeat({ epoch: DATA.epoch - 1 }));
  expect(subject.last('sendBeat').beat.grant).toBeNull();
});

test('a promoting node promises nothing any more', () => {
  const subject = standby().pass(1300, (each) => each.gateway().addressFree());
  expect(subject.role).toBe('promoting');
  subject.forget().hear(primaryBeat({ epoch: DATA.epoch }));
  const beats = subject.effects.filter((effect) => effect.kind === 'sendBeat');
  for (const { beat } of beats) expect(beat.role === 'standby' || beat.grant === null).toBe(true);
});

test('the gateway renews only after it has answered for a while without a gap', () => {
  const subject = primary();
  subject.pass(500);
  const lastOk = subject.state.gateway.lastOkMs;
  subject.gateway();
  // One answer after a gap: the lease stays what it was.
  expect(subject.state.gateway.lastOkMs).toBeGreaterThan(lastOk);
  expect(subject.state.lease.byVoteMs).toBe(lastOk + 750 * (1 - DRIFT));
});

test('without arbiter the lease has no end', () => {
  const subject = primary({ arbiter: 'none' });
  expect(subject.state.lease.untilMs).toBe(Number.POSITIVE_INFINITY);
  subject.pass(60_000);
  expect(subject.role).toBe('primary');
});

test('a peer that said goodbye will not take over: a lone primary needs no gateway', () => {
  const subject = primary();
  subject.hear(beatOf({ leaving: true, epoch: subject.state.epoch }));
  subject.pass(60_000);
  expect(subject.role).toBe('primary');
  expect(subject.last('sendBeat').beat.alone).not.toBeNull();
});

test('… but where availability comes first it takes over when it starts and hears nobody', () => {
  const subject = primary({ availabilityFirst: true });
  subject.hear(beatOf({ leaving: true, epoch: subject.state.epoch }));
  expect(Number.isFinite(subject.state.lease.untilMs)).toBe(true);
  subject.pass(5000);
  expect(subject.role).not.toBe('primary');
});

test('… until it is back: then its lease ends like any other', () => {
  const subject = primary();
  subject.hear(beatOf({ leaving: true, epoch: subject.state.epoch })).pass(5000);
  subject.peerLife = 2;
  subject.hear(beatOf({ epoch: subject.state.epoch }));
  expect(subject.state.lease.untilMs).toBe(subject.now + 750 * (1 - DRIFT));
});

test('… also when the machine was started again meanwhile, and does not know that it was gone', () => {
  const leaseUntilMs = Number.POSITIVE_INFINITY;
  const running = { epoch: 4, leaseUntilMs, hasAddress: true, runsApplication: true };
  const subject = new Subject({}, { running, life: 2 });
  subject.give({ kind: 'tick' });
  expect(subject.state.lease.untilMs).toBe(leaseUntilMs);
  subject.hear(beatOf({ epoch: 4 }));
  expect(subject.state.lease.untilMs).toBe(subject.now + 750 * (1 - DRIFT));
});

test('a service that restarts goes on with the lease its filter still has', () => {
  const running = { epoch: 4, leaseUntilMs: 100_500, hasAddress: true, runsApplication: true };
  const subject = new Subject({}, { running, life: 2 });
  subject.give({ kind: 'tick' });
  expect(subject.role).toBe('primary');
  expect(subject.state.lease.untilMs).toBe(100_500);
  subject.pass(600);
  expect(subject.role).toBe('demoting');
});

test('a service that restarts too late steps down, whatever the gateway says', () => {
  const running = { epoch: 4, leaseUntilMs: 99_999, hasAddress: true, runsApplication: true };
  const subject = new Subject({}, { running, life: 2 }).gateway();
  expect(subject.role).toBe('demoting');
  expect(subject.last('setLease').untilMs).toBe(0);
});

test('etcd: a slow write that was given up counts from when it was sent, once it shows', () => {
  const subject = primary({ arbiter: 'etcd' });
  const { token } = subject.state.vote.record ?? { token: '' };
  // The peer is silent: the machine renews, and the answer does not come in time.
  subject.pass(520, (each) => {
    if (each.state.vote.ask !== null && each.now - each.state.vote.ask.sentAtMs >= 200) {
      each.answer('unreachable', null);
    }
  });
  const sent = subject.state.vote.unansweredMs ?? 0;
  expect(sent).toBeGreaterThan(100_000);
  const own = { holder: SELF, released: false, epoch: subject.state.epoch, alone: false };
  subject.answer('conflict', { ...own, token: `${token}0` });
  expect(subject.state.lease.byVoteMs).toBe(leaseEndMs(defaultTimings, sent));
  // … and another is sent at once.
  expect(subject.state.vote.ask?.sentAtMs).toBe(subject.now);
});

test.each([
  ['is gone', null],
  ['is of before', recordOf({ epoch: DATA.epoch - 1, alone: true, token: '8' })],
])(
  'etcd was set up anew or put back, and the record %s: the primary writes it again',
  (_, record) => {
    const subject = primary({ arbiter: 'etcd' });
    const { epoch } = subject.state;
    const together = (each: Subject): void => {
      each.hearGrant(beatOf({ epoch }));
      if (each.asked?.op !== each.state.vote.ask?.op) return;
      // What it expects is not there.
      if (each.asked?.request.kind === 'renew') each.answer('conflict', record);
      if (each.asked?.request.kind === 'read') each.answer('done', record);
    };
    subject.forget().pass(10_000, together);
    const { request } = subject.last('askArbiter');
    expect(request).toEqual({ kind: 'acquire', epoch, token: record?.token ?? null, alone: false });
    expect(subject.codes()).not.toContain('ARBITER_RECORD_LOST');
    subject.answer('done', recordOf({ holder: SELF, epoch, token: '9' }));
    expect(subject.codes()).toContain('ARBITER_RECORD_LOST');
    // The other one dies: the lease of etcd is enough.
    subject.pass(5000, (each) => {
      const asked = each.state.vote.ask;
      if (asked !== null)
        each.answer('done', recordOf({ holder: SELF, epoch, token: String(each.now) }));
    });
    expect(subject.role).toBe('primary');
  },
);
