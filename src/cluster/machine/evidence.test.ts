// The two proofs that a takeover needs, for each kind of arbiter.
import { describe, expect, test } from 'vitest';
import { mayTakeOver } from './evidence.ts';
import { beatOf, DATA, primaryBeat, recordOf, SELF, standby, Subject } from './fixtures/subject.ts';
import { leaseWaitMs } from './timings.ts';
import type { ArbiterRecord, MachineConfig } from './types.ts';

const everything = (subject: Subject): void => {
  subject.gateway();
  subject.addressFree();
};

const answered = (subject: Subject): void => {
  subject.gateway();
  subject.addressFree(true);
};

/** etcd with this record, to those who read. */
const answering =
  (record: ArbiterRecord | null) =>
  (subject: Subject): void => {
    if (subject.state.vote.ask?.kind === 'read') subject.answer('done', record);
  };

/** Lets a peer be silent for `ms`, and returns the verdict's code, or `yes`. */
function verdictAfter(subject: Subject, ms: number, each = everything): string {
  subject.pass(ms, each);
  if (subject.role !== 'standby') return 'yes';
  const verdict = mayTakeOver(subject.state, subject.now);
  return verdict.ok ? 'yes' : verdict.code;
}

describe('any arbiter', () => {
  test('a peer that is heard is not taken over', () => {
    expect(verdictAfter(standby(), 800)).toBe('PEER_HEARD');
  });

  test.each([
    ['a copy that is being made', 'syncing', 'COPY_NOT_PROMOTABLE'],
    ['a copy that is old', 'catching-up', 'COPY_NOT_PROMOTABLE'],
    ['a copy that has diverged', 'diverged', 'COPY_NOT_PROMOTABLE'],
  ] as const)('%s is not promoted', (_, copy, code) => {
    const subject = standby().give({ kind: 'copy', copy, position: DATA });
    expect(verdictAfter(subject, 5000)).toBe(code);
    expect(subject.find('promote')).toBeUndefined();
  });

  test('a paused group waits', () => {
    const subject = standby().give({ kind: 'command', command: { kind: 'pause' } });
    expect(verdictAfter(subject, 5000)).toBe('PAUSED');
    subject.give({ kind: 'command', command: { kind: 'resume' } });
    expect(verdictAfter(subject, 200)).toBe('yes');
  });

  test('without automatic failover a person decides', () => {
    expect(verdictAfter(standby({ automatic: false }), 5000)).toBe('NOT_AUTOMATIC');
  });

  test('a node with a failed disk does not take over', () => {
    const subject = standby().give({ kind: 'health', part: 'disk', state: 'failed', why: 'EIO' });
    expect(verdictAfter(subject, 5000)).toBe('DISK_FAILED');
  });

  test('a primary that went on alone is not taken over', () => {
    const subject = standby().hear(primaryBeat({ alone: { epoch: DATA.epoch, count: 5 } }));
    expect(verdictAfter(subject, 5000)).toBe('COPY_STALE');
    expect(subject.reason).toMatch(/beta has acknowledged commits alone.*takeover shop --force/);
  });

  test('… unless the group chose availability first', () => {
    const subject = standby({ availabilityFirst: true });
    subject.hear(primaryBeat({ alone: { epoch: DATA.epoch, count: 5 } }));
    expect(verdictAfter(subject, 5000)).toBe('yes');
  });
});

describe('gateway', () => {
  test('takes over within 1.3 s', () => {
    expect(verdictAfter(standby(), 1300)).toBe('yes');
  });

  test('a node that does not reach it is the one cut off', () => {
    expect(verdictAfter(standby(), 5000, () => undefined)).toBe('GATEWAY_SILENT');
  });

  test('a node that reaches it again after a gap calls its copy stale', () => {
    const subject = standby().pass(2000);
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
  });

  test('a standby that stood still for a moment while the primary died takes over', () => {
    const subject = standby().pass(500, everything);
    subject.now += 350;
    subject.gateway();
    expect(verdictAfter(subject, 1500)).toBe('yes');
  });

  test('… but not when it stood still for so long that the primary may have gone on alone', () => {
    const subject = standby().pass(500, everything);
    subject.now += 600;
    subject.gateway();
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
  });

  test('… nor when it was there only for moments', () => {
    const subject = standby().pass(500, everything);
    for (let i = 0; i < 3; i += 1) {
      subject.now += 400;
      subject.gateway().pass(200, everything);
    }
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
  });

  test('somebody behind the virtual address stops it', () => {
    expect(verdictAfter(standby(), 5000, answered)).toBe('ADDRESS_ANSWERS');
  });

  test('heartbeats that were sent long ago prove nothing about now', () => {
    const subject = standby();
    subject.now += 3000;
    subject.gateway().hear(primaryBeat(), 3000);
    expect(subject.state.fresh).toBe(false);
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
  });
});

describe('etcd', () => {
  const config: Partial<MachineConfig> = { arbiter: 'etcd' };

  test('takes over when the record is not renewed for a lease', () => {
    const subject = standby(config);
    subject.pass(300, answering(recordOf({ token: '9' })));
    const seen = subject.state.vote.observedMs;
    subject.pass(1000, answering(recordOf({ token: '9' })));
    expect(subject.asked?.request).toMatchObject({ kind: 'acquire', token: '9' });
    const decided = subject.state.promotion?.sinceMs ?? 0;
    const { timings } = subject.state.config;
    expect(decided - seen).toBeGreaterThanOrEqual(leaseWaitMs(timings));
  });

  test('a record that is renewed keeps it a standby', () => {
    let token = 10;
    const code = verdictAfter(standby(config), 10_000, (each) => {
      token += 1;
      answering(recordOf({ token: String(token) }))(each);
    });
    expect(code).toBe('LEASE_RUNS');
  });

  test('a record that says "alone" keeps it a standby', () => {
    const code = verdictAfter(standby(config), 10_000, answering(recordOf({ alone: true })));
    expect(code).toBe('COPY_STALE');
  });

  test('etcd that does not answer keeps it a standby', () => {
    expect(verdictAfter(standby(config), 10_000)).toBe('ARBITER_SILENT');
  });

  test('even after a black-out, alone, when the record says that nothing is missing', () => {
    const booted = new Subject(config);
    expect(verdictAfter(booted, 1500, answering(recordOf()))).toBe('yes');
    expect(booted.state.booting).toBe(true);
  });

  test.each([
    ['from before', DATA.epoch - 1, 'ARBITER_EMPTY'],
    ['of today', DATA.epoch, 'yes'],
  ])(
    'etcd was put back to an earlier state, in which this node held the group: a record %s',
    (_, epoch, code) => {
      const record = recordOf({ holder: SELF, epoch });
      expect(verdictAfter(standby(config), 1500, answering(record))).toBe(code);
    },
  );

  test('what the record says last counts: the vote is not asked for over "alone"', () => {
    const subject = standby(config).pass(1200, answering(recordOf({ token: '9' })));
    expect(subject.asked?.request.kind).toBe('acquire');
    subject.forget().answer('conflict', recordOf({ token: '10', alone: true }));
    subject.pass(300, answering(recordOf({ token: '10', alone: true })));
    expect(subject.role).toBe('standby');
    expect(subject.find('promote')).toBeUndefined();
  });
});

describe('none', () => {
  const config: Partial<MachineConfig> = { arbiter: 'none' };

  test('silence alone is no proof: a person is called, with the command to give', () => {
    const subject = standby(config);
    expect(verdictAfter(subject, 60_000)).toBe('NO_PROOF');
    expect(subject.codes()).toContain('WAITS_FOR_OPERATOR');
    expect(subject.reason).toMatch(/run "understudy takeover shop --force" on alpha/);
  });

  test('a goodbye with everything handed over is', () => {
    const subject = standby(config);
    subject.hear(beatOf({ leaving: true, epoch: DATA.epoch }));
    expect(verdictAfter(subject, 200)).toBe('yes');
  });

  test('a goodbye with more data than is here is not', () => {
    const subject = standby(config);
    const data = { ...DATA, sequence: DATA.sequence + 1 };
    subject.hear(beatOf({ leaving: true, epoch: DATA.epoch, data }));
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
  });

  test('fencing is asked in time, and its word is enough', () => {
    const subject = standby({ ...config, fencing: 'required' }).pass(1200);
    const { op } = subject.last('fence');
    subject.give({ kind: 'fence', op, off: true, message: 'off' });
    expect(subject.last('promote').epoch).toBe(DATA.epoch + 1);
  });

  test('a shot whose confirmation comes too late leaves the copy in doubt', () => {
    const subject = standby({ ...config, fencing: 'required' }).pass(1200);
    const { op } = subject.last('fence');
    subject.pass(2000).give({ kind: 'fence', op, off: true, message: 'off' });
    expect(subject.find('promote')).toBeUndefined();
    expect(subject.codes()).toContain('TAKEOVER_GIVEN_UP');
  });

  test('a primary that cannot be shot in time is not shot', () => {
    const subject = standby({ ...config, fencing: 'required' });
    subject.hear(primaryBeat(), 5000);
    expect(verdictAfter(subject, 5000)).toBe('COPY_MAY_BE_STALE');
    expect(subject.find('fence')).toBeUndefined();
  });
});

test('a standby that slept does not take its own sleep for the silence of the other one', () => {
  const subject = standby({ arbiter: 'none', fencing: 'required' });
  subject.now += 1300;
  subject.give({ kind: 'tick' });
  expect(subject.find('fence')).toBeUndefined();
  subject.pass(500);
  expect(subject.find('fence')).toBeDefined();
});
