// Whatever comes in whatever order: the machine never breaks its own invariants (they are asserted in
// `step`), never holds a lease in a role that must not, and never goes back in epochs.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Command, MachineEvent } from './event-types.ts';
import { BOOT_MS, bootOf, configOf, PEER, SELF } from './fixtures/subject.ts';
import { firstOp, initialState, type MachineState } from './state.ts';
import { step } from './step.ts';
import type { ArbiterRecord, GroupBeat } from './types.ts';

const epoch = fc.integer({ min: 0, max: 8 });
const op = fc.integer({ min: 0, max: 30 }).map((number) => firstOp(bootOf().life) + number);
const position = fc.record({ epoch, sequence: fc.integer({ min: 0, max: 3 }) });
const health = fc.constantFrom('ok' as const, 'failed' as const);
const copy = fc.constantFrom('up-to-date', 'catching-up', 'syncing', 'diverged', 'failed');
const mark = fc.option(fc.record({ epoch, count: fc.integer({ min: 0, max: 3 }) }));

const beat: fc.Arbitrary<GroupBeat> = fc.record({
  role: fc.constantFrom('standby', 'promoting', 'primary', 'demoting'),
  epoch,
  tried: epoch,
  served: epoch,
  data: position,
  copy,
  stale: fc.boolean(),
  fresh: fc.boolean(),
  alone: mark,
  aloneSeen: mark,
  asks: fc.boolean(),
  grant: fc.option(
    fc.record({
      epoch,
      life: fc.constant(1),
      sentAtMs: fc.integer({ min: BOOT_MS, max: BOOT_MS + 9000 }),
    }),
  ),
  offer: fc.option(fc.record({ epoch, position })),
  declined: fc.option(epoch),
  demand: fc.option(epoch),
  disk: health,
  network: health,
  application: health,
  paused: fc.record({ on: fc.boolean(), version: fc.integer({ min: 0, max: 3 }) }),
  leaving: fc.boolean(),
});

const record: fc.Arbitrary<ArbiterRecord | null> = fc.option(
  fc.record({
    holder: fc.constantFrom(SELF, PEER),
    released: fc.boolean(),
    epoch,
    alone: fc.boolean(),
    token: fc.constantFrom('1', '2', '3'),
  }),
);

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.constantFrom<Command>(
    { kind: 'switchover' },
    { kind: 'pause' },
    { kind: 'resume' },
    { kind: 'yield' },
    { kind: 'clear-failures' },
    { kind: 'leave' },
  ),
  fc.record({
    kind: fc.constant('takeover' as const),
    force: fc.boolean(),
    acceptStale: fc.boolean(),
    acceptIncomplete: fc.boolean(),
    acceptHalted: fc.boolean(),
  }),
);

const sentAgo = fc.integer({ min: 0, max: 2000 });
type Timed = (now: number) => MachineEvent;
const fixed = (arbitrary: fc.Arbitrary<MachineEvent>): fc.Arbitrary<Timed> =>
  arbitrary.map((event) => () => event);

const event: fc.Arbitrary<Timed> = fc.oneof(
  { arbitrary: fixed(fc.constant({ kind: 'tick' })), weight: 6 },
  {
    arbitrary: fc
      .tuple(beat, sentAgo, fc.integer({ min: 1, max: 3 }))
      .map(([said, ago, life]): Timed => (now) => ({
        kind: 'heartbeat',
        life,
        sentAtMs: now,
        heardBackMs: now - ago,
        beat: said,
      })),
    weight: 6,
  },
  sentAgo.map((ago): Timed => (now) => ({ kind: 'gateway', sentAtMs: now - ago, reachable: true })),
  fc.boolean().map((answers): Timed => (now) => ({ kind: 'addressProbe', sentAtMs: now, answers })),
  fixed(fc.record({ kind: fc.constant('command' as const), command })),
  fixed(
    fc.record({
      kind: fc.constant('arbiter' as const),
      op,
      result: fc.constantFrom('done', 'conflict', 'unreachable'),
      record,
      why: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constant('fence' as const),
      op,
      off: fc.boolean(),
      message: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constant('health' as const),
      part: fc.constantFrom('disk', 'network', 'readiness'),
      state: health,
      why: fc.constant(''),
    }),
  ),
  fixed(fc.record({ kind: fc.constant('copy' as const), copy, position })),
  fixed(
    fc.record({
      kind: fc.constant('commits' as const),
      state: fc.constantFrom('alone-wanted', 'together'),
      request: fc.integer({ min: 0, max: 5 }),
      why: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constant('application' as const),
      state: fc.constantFrom('ok', 'failed', 'hung'),
      why: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constant('addressConflict' as const),
      why: fc.constant(''),
      released: fc.boolean(),
    }),
  ),
  fixed(fc.record({ kind: fc.constant('promoted' as const), op, position })),
  fixed(
    fc.record({ kind: fc.constant('demoted' as const), op, clean: fc.boolean(), copy, position }),
  ),
  fixed(
    fc.record({
      kind: fc.constantFrom('promoteFailed' as const, 'addressFailed' as const),
      op,
      message: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constant('demoteFailed' as const),
      op,
      isBusy: fc.boolean(),
      message: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constantFrom('applicationStopFailed' as const, 'applicationStartFailed' as const),
      op,
      message: fc.constant(''),
    }),
  ),
  fixed(
    fc.record({
      kind: fc.constantFrom(
        'applicationStarted' as const,
        'applicationStopped' as const,
        'addressTaken' as const,
        'addressReleased' as const,
      ),
      op,
    }),
  ),
);

const config = fc.record({
  arbiter: fc.constantFrom('etcd' as const, 'gateway' as const, 'none' as const),
  fencing: fc.constantFrom('off' as const, 'required' as const),
  availabilityFirst: fc.boolean(),
  hasAddress: fc.boolean(),
  hasApplication: fc.boolean(),
});

function check(before: MachineState, after: MachineState, now: number): void {
  if (after.role === 'standby' || after.role === 'demoting') expect(after.lease.untilMs).toBe(0);
  if (before.role === 'primary' && before.lease.untilMs <= now) {
    expect(after.role).not.toBe('primary');
  }
  if (before.role === 'standby' && after.role === 'standby') {
    expect(after.epoch).toBeGreaterThanOrEqual(before.epoch);
  }
  expect(after.triedEpoch).toBeGreaterThanOrEqual(before.triedEpoch);
}

test('any events in any order', () => {
  const step1 = fc.tuple(fc.integer({ min: 0, max: 700 }), event);
  const property = fc.property(config, fc.array(step1, { maxLength: 80 }), (change, events) => {
    let state = initialState(configOf(change), bootOf(), BOOT_MS);
    let now = BOOT_MS;
    for (const [passes, make] of events) {
      now += passes;
      const result = step(state, make(now), now);
      if (result.refused) continue;
      check(state, result.state, now);
      expect(result.reason).not.toBe('');
      state = result.state;
    }
  });
  fc.assert(property, { numRuns: 3000 });
});

test('the state that went in is not changed', () => {
  const property = fc.property(fc.array(event, { maxLength: 30 }), (events) => {
    let state = initialState(configOf(), bootOf(), BOOT_MS);
    let now = BOOT_MS;
    for (const make of events) {
      now += 100;
      const before = JSON.stringify(state);
      const result = step(state, make(now), now);
      expect(JSON.stringify(state)).toBe(before);
      if (!result.refused) state = result.state;
    }
  });
  fc.assert(property, { numRuns: 300 });
});
