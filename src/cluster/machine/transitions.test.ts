// Every arrow of the diagram in step.ts, by its name.
import { describe, expect, test } from 'vitest';
import {
  beatOf,
  DATA,
  PEER,
  primary,
  primaryBeat,
  recordOf,
  SELF,
  standby,
  Subject,
  together,
} from './fixtures/subject.ts';
import { firstMemo } from './state.ts';

const silentGateway = (subject: Subject): void => {
  subject.gateway();
  subject.addressFree();
};

describe('boot → standby', () => {
  test('a node that has started is a standby and holds no lease', () => {
    const subject = new Subject().give({ kind: 'tick' });
    expect(subject.role).toBe('standby');
    expect(subject.state.lease.untilMs).toBe(0);
  });

  test('alone after a black-out it waits for the other one or a person, and says so once', () => {
    const subject = new Subject().pass(10_000, silentGateway);
    expect(subject.role).toBe('standby');
    expect(subject.codes().filter((code) => code === 'WAITS_FOR_OPERATOR')).toHaveLength(1);
    expect(subject.reason).toMatch(/alpha has started and has not heard beta/);
  });

  test('nobody is called while the other one may just be starting', () => {
    const subject = new Subject().pass(7000, silentGateway);
    expect(subject.codes()).not.toContain('WAITS_FOR_OPERATOR');
  });
});

describe('standby → promoting', () => {
  test('election: the newer data leads', () => {
    const subject = new Subject().pass(400, (each) =>
      each.hear(beatOf({ data: { ...DATA, sequence: DATA.sequence - 1 } })),
    );
    expect(subject.role).toBe('promoting');
    expect(subject.state.promotion?.right).toBe('election');
  });

  test('election: the older data does not', () => {
    const subject = new Subject().pass(3000, (each) =>
      each.hear(beatOf({ data: { ...DATA, sequence: DATA.sequence + 1 } })),
    );
    expect(subject.role).toBe('standby');
  });

  // A newer epoch was tried by the other one, whose copy is no copy now: only who served last is known.
  const tried = { epoch: DATA.epoch + 1, tried: DATA.epoch + 1, copy: 'syncing' } as const;
  const servedHere = {
    memo: { ...firstMemo(true), epoch: DATA.epoch, served: DATA.epoch },
  };

  test('election: the one that served last leads, although the other tried after it', () => {
    const subject = new Subject({}, servedHere).pass(400, (each) =>
      each.hear(beatOf({ ...tried, served: DATA.epoch - 1 })),
    );
    expect(subject.role).toBe('promoting');
  });

  test.each([
    ['the other one served last', DATA.epoch + 1],
    ['the other one does not know any more whether it served', 0],
  ])('election: nobody leads when %s', (_, served) => {
    const subject = new Subject({}, servedHere).pass(3000, (each) =>
      each.hear(beatOf({ ...tried, served })),
    );
    expect(subject.role).toBe('standby');
  });

  // Its promotion was mounted when its lease had ended; meanwhile the other node had begun to follow.
  const overtaken = {
    memo: { ...firstMemo(false), epoch: DATA.epoch - 1 },
    position: DATA,
  };
  const followed = { epoch: DATA.epoch - 1, tried: DATA.epoch, copy: 'syncing' } as const;

  test('election: the one that the other copy is being made from leads', () => {
    const subject = new Subject({}, overtaken).pass(400, (each) =>
      each.hear(beatOf({ ...followed, served: DATA.epoch - 1, data: { ...DATA, sequence: 0 } })),
    );
    expect(subject.role).toBe('promoting');
  });

  test.each([
    ['the other copy is made from other data', DATA.epoch - 1, { ...DATA, epoch: DATA.epoch + 1 }],
    ['the other node served with that epoch itself', DATA.epoch, DATA],
    ['the other node does not know whether it served', 0, DATA],
  ])('election: nobody leads when %s', (_, served, data) => {
    const subject = new Subject({}, overtaken).pass(3000, (each) =>
      each.hear(beatOf({ ...followed, served, data })),
    );
    expect(subject.role).toBe('standby');
  });

  test('takeover: after silence, with the gateway reachable and nobody behind the address', () => {
    const subject = standby();
    const died = subject.now;
    subject.pass(1300, silentGateway);
    expect(subject.role).toBe('promoting');
    expect(subject.reason).toMatch(/beta has been silent for 1\.\d\d s; the gateway answers here/);
    const decided = subject.last('promote');
    expect(decided.epoch).toBe(DATA.epoch + 1);
    expect(subject.state.promotion?.sinceMs).toBeLessThanOrEqual(died + 1150);
  });

  const unready = {
    kind: 'health',
    part: 'readiness',
    state: 'failed',
    why: 'no licence',
  } as const;

  test('takeover: also against the advice of its agents, since nobody else serves', () => {
    const subject = standby().give(unready);
    expect(subject.pass(100).last('sendBeat').beat.application).toBe('failed');
    subject.pass(1300, silentGateway);
    expect(subject.role).toBe('promoting');
    subject.promoted();
    expect(subject.pass(100).last('sendBeat').beat.application).toBe('ok');
  });

  test('election: not against the advice of its agents', () => {
    const lower = { ...DATA, sequence: DATA.sequence - 1 };
    const advised = new Subject().give(unready).pass(3000, (each) => each.hear(beatOf()));
    expect(advised.role).toBe('standby');
    // A reason that has passed is one no more.
    advised
      .give({ ...unready, state: 'ok' })
      .pass(400, (each) => each.hear(beatOf({ data: lower })));
    expect(advised.role).toBe('promoting');
    expect(advised.codes().filter((code) => code === 'HEALTH_CHANGED')).toHaveLength(2);
  });

  test('offer: the primary has stopped and handed over', () => {
    const subject = standby();
    subject.hear(beatOf({ offer: { epoch: DATA.epoch + 1, position: DATA } }));
    expect(subject.state.promotion).toMatchObject({
      right: 'offer',
      base: DATA,
      epoch: DATA.epoch + 1,
    });
  });

  test('forced: an operator has ordered it, and the other one is asked to cease', () => {
    const subject = standby();
    const command = {
      kind: 'takeover',
      force: true,
      acceptStale: true,
      acceptIncomplete: false,
      acceptHalted: false,
    } as const;
    subject.give({ kind: 'command', command });
    expect(subject.last('sendBeat').beat.demand).toBe(DATA.epoch + 1);
  });
});

describe('promoting → standby', () => {
  test('consent does not come: given up after a while', () => {
    const subject = new Subject().pass(2500, (each) =>
      each.hear(beatOf({ data: { ...DATA, sequence: 1 } })),
    );
    expect(subject.codes()).toContain('TAKEOVER_GIVEN_UP');
  });

  test('the peer is primary after all', () => {
    const subject = new Subject().pass(300, (each) =>
      each.hear(beatOf({ data: { ...DATA, sequence: 1 } })),
    );
    expect(subject.role).toBe('promoting');
    subject.hear(primaryBeat({ epoch: DATA.epoch + 1 }));
    expect(subject.role).toBe('standby');
  });

  test('fencing is required and fails', () => {
    const subject = standby({ fencing: 'required' }).pass(1300, silentGateway);
    expect(subject.state.promotion?.stage).toBe('fence');
    subject.give({ kind: 'fence', op: subject.last('fence').op, off: false, message: 'no answer' });
    expect(subject.role).toBe('standby');
    expect(subject.find('promote')).toBeUndefined();
  });
});

describe('promoting → primary', () => {
  test('mounted: the lease is set before, the application starts when the address is there', () => {
    const subject = standby().pass(1300, silentGateway);
    const kinds = subject.kinds();
    expect(kinds.indexOf('setLease')).toBeLessThan(kinds.indexOf('promote'));
    expect(kinds.indexOf('armWatchdog')).toBeLessThan(kinds.indexOf('promote'));
    subject.promoted();
    expect(subject.role).toBe('primary');
    expect(subject.find('startApplication')).toBeUndefined();
    subject.addressTaken();
    expect(subject.last('startApplication').op).toBeGreaterThan(0);
  });

  test('fenced: the peer is off, the promotion goes on', () => {
    const subject = standby({ fencing: 'required' }).pass(1300, silentGateway);
    subject.give({ kind: 'fence', op: subject.last('fence').op, off: true, message: 'done' });
    expect(subject.last('promote').epoch).toBe(DATA.epoch + 1);
  });

  test('voted: etcd gives the record to the one that asks with the token it watched', () => {
    const subject = standby({ arbiter: 'etcd' });
    subject.pass(1200, (each) => {
      if (each.state.vote.ask !== null) each.answer('done', recordOf());
    });
    expect(subject.last('askArbiter').request).toMatchObject({ kind: 'acquire', token: '1' });
    subject.answer('done', recordOf({ holder: SELF, epoch: DATA.epoch + 1, token: '2' }));
    expect(subject.last('promote').epoch).toBe(DATA.epoch + 1);
    expect(subject.state.lease.untilMs).toBeGreaterThan(subject.now);
  });

  test('a late answer about an attempt that was given up promotes nobody', () => {
    const subject = standby().pass(1300, silentGateway);
    const { op } = subject.last('promote');
    subject.give({ kind: 'promoteFailed', op, message: 'no mount' });
    subject.give({ kind: 'promoted', op, position: DATA });
    expect(subject.role).toBe('demoting');
  });
});

describe('promoting → demoting', () => {
  test('the mount fails: what was begun is undone, and it pauses before the next attempt', () => {
    const subject = standby().pass(1300, silentGateway);
    subject.give({ kind: 'promoteFailed', op: subject.last('promote').op, message: 'no mount' });
    expect(subject.role).toBe('demoting');
    expect(subject.last('setLease').untilMs).toBe(0);
    expect(subject.last('releaseAddress').op).toBeGreaterThan(0);
    expect(subject.last('demote').drain).toBe(false);
    subject.demoted(false);
    expect(subject.state.holdOffUntilMs).toBeGreaterThan(subject.now);
  });

  test('the lease ends before the mount is there', () => {
    const subject = standby().pass(1300, silentGateway);
    subject.pass(1000);
    expect(subject.role).toBe('demoting');
  });
});

describe('primary → standby (handed over, lease kept until unmounted)', () => {
  test('switchover: stop, drain, offer, in this order, with the lease until the end', () => {
    const subject = primary();
    subject.give({ kind: 'command', command: { kind: 'switchover' } });
    expect(subject.role).toBe('primary');
    subject.applicationStopped();
    expect(subject.last('demote').drain).toBe(true);
    expect(subject.state.lease.untilMs).toBeGreaterThan(subject.now);
    subject.demoted();
    expect(subject.role).toBe('standby');
    expect(subject.last('setLease').untilMs).toBe(0);
    expect(subject.last('sendBeat').beat.offer).toMatchObject({ position: subject.state.data });
  });

  test('the other one declines: the group is in service here again', () => {
    const subject = primary();
    subject
      .give({ kind: 'command', command: { kind: 'switchover' } })
      .applicationStopped()
      .demoted();
    const { epoch } = subject.state.offer ?? { epoch: 0 };
    subject.pass(500, (each) => {
      each.gateway();
      each.hearGrant(beatOf({ declined: epoch, application: 'failed', epoch: each.state.epoch }));
    });
    subject.promoted();
    expect(subject.role).toBe('primary');
    expect(subject.state.epoch).toBeGreaterThan(epoch);
  });

  test('it does not end in order: whoever asked for it hears of that', () => {
    const subject = primary();
    subject.give({ kind: 'command', command: { kind: 'switchover' } }).applicationStopped();
    subject.demoted(false);
    expect(subject.state.offer).toBeNull();
    expect(subject.codes()).toContain('HANDOVER_FAILED');
  });

  test('a directory is busy: it stays primary and starts the application again', () => {
    const subject = primary();
    subject.give({ kind: 'command', command: { kind: 'switchover' } }).applicationStopped();
    const { op } = subject.last('demote');
    subject.forget().give({ kind: 'demoteFailed', op, isBusy: true, message: '/srv/shop is busy' });
    expect(subject.role).toBe('primary');
    expect(subject.codes()).toContain('HANDOVER_FAILED');
    subject.give({ kind: 'addressReleased', op: 0 });
    subject.addressTaken();
    expect(subject.kinds()).toContain('startApplication');
  });

  test('a directory is busy where it cannot serve any more: whoever uses it is ended, once, and after that it pauses', () => {
    const subject = primary().pass(200, together);
    subject.give({ kind: 'health', part: 'disk', state: 'failed', why: 'EIO' });
    subject.applicationStopped();
    const busy = (): void => {
      const { op } = subject.last('demote');
      subject
        .forget()
        .give({ kind: 'demoteFailed', op, isBusy: true, message: '/srv/shop is busy' });
    };
    busy();
    expect(subject.codes()).toEqual(['STOP_ESCALATED']);
    const { op } = subject.last('escalateStop');
    subject.give({ kind: 'applicationStopped', op });
    busy();
    expect(subject.codes()).toContain('HANDOVER_FAILED');
    subject.pass(1500, together);
    expect(subject.codes()).not.toContain('HANDING_OVER');
    expect(subject.kinds()).toContain('takeAddress');
    subject.pass(1000, together);
    expect(subject.codes()).toContain('HANDING_OVER');
  });

  test('the application cannot be ended: a new order says that it is to run', () => {
    const subject = primary();
    subject.give({ kind: 'command', command: { kind: 'switchover' } });
    const stop = subject.last('stopApplication');
    subject.give({ kind: 'applicationStopFailed', op: stop.op, message: 'it hangs' });
    const { op } = subject.last('escalateStop');
    subject.forget().give({ kind: 'applicationStopFailed', op, message: 'it hangs still' });
    expect(subject.codes()).toContain('HANDOVER_FAILED');
    expect(subject.kinds()).toContain('startApplication');
    expect(subject.state.service.application).toBe('starting');
  });

  test('its application is being started: that it is given up is no failure, and it is started anew when nobody takes over', () => {
    const subject = standby().pass(1300, silentGateway);
    subject.promoted();
    subject.addressTaken();
    const start = subject.last('startApplication');
    subject.pass(200, together).give({ kind: 'command', command: { kind: 'leave' } });
    const stop = subject.last('stopApplication');
    subject.give({ kind: 'applicationStartFailed', op: start.op, message: 'it was given up' });
    expect(subject.state.health.application).toBe('ok');
    expect(subject.last('stopApplication')).toEqual(stop);
    subject.forget().give({ kind: 'applicationStopFailed', op: stop.op, message: 'it hangs' });
    const { op } = subject.last('escalateStop');
    subject.give({ kind: 'applicationStopFailed', op, message: 'it hangs still' });
    expect(subject.codes()).toContain('HANDOVER_FAILED');
    expect(subject.kinds()).toContain('startApplication');
  });

  test('the disk fails: the peer takes over', () => {
    const subject = primary().pass(200, together);
    subject.give({ kind: 'health', part: 'disk', state: 'failed', why: 'EIO' });
    expect(subject.codes()).toContain('HANDING_OVER');
  });

  test.each(['ok', 'failed'] as const)(
    'the application fails for good, the other one says %s: it gets the group, or not',
    (application) => {
      const { timings } = primary().state.config;
      const hears = (each: Subject): void => {
        each.gateway();
        each.hearGrant(beatOf({ epoch: each.state.epoch, application }));
      };
      const subject = primary({ timings: { ...timings, restartsMax: 0 } }).pass(200, hears);
      subject.give({ kind: 'application', state: 'failed', why: 'no answer' }).pass(300, hears);
      expect(subject.codes().includes('HANDING_OVER')).toBe(application === 'ok');
    },
  );

  test('the network card is out: the peer takes over, after it had the time to say that its own is too', () => {
    const subject = primary();
    subject.give({ kind: 'health', part: 'network', state: 'failed', why: 'no carrier' });
    expect(subject.codes()).not.toContain('HANDING_OVER');
    subject.pass(700, together);
    expect(subject.codes()).toContain('HANDING_OVER');
  });

  test('failback: to the preferred node, when all has been well for long enough', () => {
    const timings = { ...primary().state.config.timings, failbackAfterMs: 5000 };
    const subject = primary({ preferred: PEER, failback: true, timings });
    subject.pass(4000, together);
    expect(subject.codes()).not.toContain('HANDING_OVER');
    subject.pass(1500, together);
    expect(subject.reason).toMatch(/beta is the preferred node/);
  });

  test('failback that is refused interrupts the application rarely: each next one comes later', () => {
    const timings = { ...primary().state.config.timings, failbackAfterMs: 5000 };
    const subject = primary({ preferred: PEER, failback: true, timings });
    const pausesMs = [1, 2, 3].map(() => {
      const since = subject.now;
      subject.forget();
      while (!subject.kinds().includes('stopApplication')) subject.pass(100, together);
      const afterMs = subject.now - since;
      subject.applicationStopped();
      const { op } = subject.last('demote');
      subject.give({ kind: 'demoteFailed', op, isBusy: true, message: '/srv/shop is busy' });
      subject.give({ kind: 'addressReleased', op: 0 });
      subject.addressTaken();
      const start = subject.last('startApplication');
      subject.give({ kind: 'applicationStarted', op: start.op });
      return Math.round(afterMs / 5000);
    });
    expect(pausesMs).toEqual([1, 2, 4]);
  });
});

describe('primary → demoting', () => {
  test('lease over: writes end first, then the address, then the application', () => {
    const subject = primary();
    const { untilMs } = subject.state.lease;
    subject.pass(1500);
    expect(subject.role).toBe('demoting');
    expect(subject.effects.find(({ kind }) => kind === 'setLease')).toEqual({
      kind: 'setLease',
      untilMs: 0,
    });
    const kinds = subject.kinds();
    expect(kinds.indexOf('setLease')).toBeLessThan(kinds.indexOf('releaseAddress'));
    expect(kinds.indexOf('releaseAddress')).toBeLessThan(kinds.indexOf('stopApplication'));
    expect(untilMs).toBeLessThan(subject.now);
    expect(subject.reason).toMatch(/alpha lost the right to serve/);
  });

  test('a frozen primary that wakes up finds its lease gone, whatever it hears first', () => {
    const subject = primary();
    subject.now += 60_000;
    subject.hearGrant(beatOf());
    expect(subject.role).toBe('demoting');
    expect(subject.state.lease.untilMs).toBe(0);
  });

  test('superseded: the peer is primary with a higher epoch', () => {
    const subject = primary();
    subject.hear(primaryBeat({ epoch: subject.state.epoch + 1 }));
    expect(subject.role).toBe('demoting');
  });

  test('superseded: etcd gave the group away', () => {
    const subject = primary({ arbiter: 'etcd' });
    subject.pass(2100, (each) => {
      each.hearGrant(beatOf());
      if (each.state.vote.ask !== null)
        each.answer('conflict', recordOf({ epoch: 99, token: '77' }));
    });
    expect(subject.role).toBe('demoting');
  });

  test('yield: an operator wants the other one', () => {
    const subject = primary();
    subject.hear(beatOf({ role: 'promoting', asks: true, demand: 50, epoch: 50 }));
    expect(subject.role).toBe('demoting');
    expect(subject.reason).toMatch(/an operator wants beta/);
  });
});

describe('demoting → standby', () => {
  test('unmounted: standby, without knowing whether the other one went on', () => {
    const subject = primary().pass(1500).applicationStopped().demoted(false);
    expect(subject.role).toBe('standby');
    expect(subject.state.fresh).toBe(false);
    expect(subject.find('promote')).toBeUndefined();
  });

  test('the application hangs: ended by force, then the machine ends itself', () => {
    const subject = primary().pass(1500);
    const stop = subject.last('stopApplication');
    subject.give({ kind: 'applicationStopFailed', op: stop.op, message: 'it hangs' });
    const force = subject.last('escalateStop');
    subject.give({ kind: 'applicationStopFailed', op: force.op, message: 'it hangs still' });
    expect(subject.kinds()).toContain('fenceSelf');
    expect(subject.role).toBe('demoting');
  });
});

describe('rejoin', () => {
  test('the old primary comes back as standby only, and does not lead against newer data', () => {
    const memo = { ...firstMemo(true), epoch: DATA.epoch, served: DATA.epoch };
    const subject = new Subject({}, { memo }).pass(3000, (each) => {
      each.gateway();
      each.hear(primaryBeat({ epoch: DATA.epoch + 1 }));
    });
    expect(subject.role).toBe('standby');
    expect(subject.state.epoch).toBe(DATA.epoch + 1);
    expect(subject.last('sendBeat').beat.grant?.epoch).toBe(DATA.epoch + 1);
  });
});

describe('goodbye', () => {
  test('a primary that leaves and offers: taken at once, without waiting for its consent', () => {
    const subject = standby({ arbiter: 'none' });
    subject.hear(beatOf({ leaving: true, offer: { epoch: DATA.epoch + 1, position: DATA } }));
    expect(subject.last('promote')).toMatchObject({ base: DATA, epoch: DATA.epoch + 1 });
    expect(subject.last('takeAddress').force).toBe(false);
  });

  test('… also when the gateway is out', () => {
    const subject = standby().pass(900, (each) => each.hear(primaryBeat()));
    subject.hear(beatOf({ leaving: true, offer: { epoch: DATA.epoch + 1, position: DATA } }));
    expect(subject.last('promote').base).toEqual(DATA);
  });
});

test('after a takeover the address is taken, whoever answers for it', () => {
  const subject = standby().pass(1300, silentGateway);
  expect(subject.last('takeAddress').force).toBe(true);
});

test('an epoch that was heard of survives a restart', () => {
  const subject = new Subject().hear(primaryBeat({ epoch: 9 }));
  expect(subject.last('persist').memo.epoch).toBe(9);
});

describe('the address of a primary', () => {
  const conflict = (subject: Subject, released: boolean): Subject =>
    subject.give({ kind: 'addressConflict', why: 'claimed by 02:…', released });

  test('defended: it stays, and is announced', () => {
    const subject = conflict(primary(), false);
    expect(subject.kinds()).toContain('announceAddress');
    expect(subject.state.service.address).toBe('held');
  });

  test('given up: taken again when nobody answers for it, and the application goes on', () => {
    const subject = conflict(primary(), true);
    expect(subject.state.service.address).toBe('released');
    const { holdOffMs } = subject.state.config.timings;
    subject.pass(holdOffMs - 100, together);
    expect(subject.find('takeAddress')).toBeUndefined();
    subject.pass(200, together);
    expect(subject.last('takeAddress').force).toBe(false);
    const inUse = (): void => {
      const { op } = subject.last('takeAddress');
      subject.give({ kind: 'addressFailed', op, message: 'in use' });
    };
    // Told once, however often it is tried.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      inUse();
      subject.pass(holdOffMs + 100, together);
    }
    expect(subject.codes().filter((code) => code === 'ADDRESS_FAILED')).toHaveLength(1);
    subject.addressTaken();
    expect(subject.codes()).toContain('ADDRESS_MENDED');
    expect(subject.state.service).toMatchObject({ address: 'held', application: 'running' });
    expect(subject.find('startApplication')).toBeUndefined();
  });
});

test('what a machine before this one had begun ends for nobody', () => {
  const takesOver = (life: number): Subject =>
    standby({}, { life }).pass(1300, (each) => each.gateway().addressFree());
  const { op } = takesOver(1).last('promote');
  const subject = takesOver(2);
  subject.give({ kind: 'promoted', op, position: DATA });
  expect(subject.role).toBe('promoting');
  expect(subject.promoted().role).toBe('primary');
});
