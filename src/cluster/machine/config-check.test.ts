// Impossible settings are refused with the reason and the way out.
import { expect, test } from 'vitest';
import { checkConfig, checkNewTimings } from './config-check.ts';
import { configOf } from './fixtures/subject.ts';
import {
  defaultTimings,
  DRIFT,
  fastTimings,
  gatewayGapMs,
  gatewayLullMs,
  gatewayWaitMs,
  type Timings,
} from './timings.ts';
import type { MachineConfig } from './types.ts';

const withTimings = (change: Partial<Timings>, config: Partial<MachineConfig> = {}) =>
  configOf({ ...config, timings: { ...defaultTimings, ...change } });

test.each(['etcd', 'gateway', 'none'] as const)('both profiles work with %s', (arbiter) => {
  for (const timings of [defaultTimings, fastTimings]) checkConfig(configOf({ arbiter, timings }));
});

test('the profiles decide in time', () => {
  for (const [timings, limit] of [
    [defaultTimings, 1200],
    [fastTimings, 500],
  ] as const) {
    expect(Math.max(timings.deadAfterMs, gatewayWaitMs(timings))).toBeLessThanOrEqual(limit);
  }
});

// Both may be away one after the other: the primary for a gap that it does not notice, the standby for a lull. What is left of the
// silence after which a primary goes on alone has to have a heartbeat in it.
test.each([
  ['the default profile', defaultTimings],
  ['the profile fast', fastTimings],
  ['many heartbeats', { ...defaultTimings, heartbeatIntervalMs: 30 }],
  ['few heartbeats', { ...defaultTimings, heartbeatIntervalMs: 200, deadAfterMs: 2000 }],
  ['much patience', { ...defaultTimings, deadAfterMs: 5000 }],
])('a lull of the standby is shorter than what a primary waits for: %s', (_, timings) => {
  const lull = gatewayLullMs(timings);
  const { deadAfterMs, marginMs, heartbeatIntervalMs } = timings;
  const beside = deadAfterMs * (1 - DRIFT) - marginMs - lull - gatewayGapMs(timings);
  expect(beside).toBeGreaterThanOrEqual(heartbeatIntervalMs - 1e-6);
});

test.each([
  [
    'dead after fewer than three heartbeats',
    { deadAfterMs: 299 },
    'Set deadAfter to at least 364 ms',
  ],
  ['a lease of fewer than four heartbeats', { leaseMs: 399 }, 'Set lease to at least 400 ms'],
  ['alone before dead', { aloneAfterMs: 900 }, 'Set aloneAfter to at least 1000 ms'],
  ['a lease shorter than the gateway’s gaps', { gatewayIntervalMs: 300 }, 'Set lease above 900 ms'],
  ['an unstable gateway', { gatewayStableMs: 150 }, 'Set gatewayStable to at least 200 ms'],
  ['nonsense', { heartbeatIntervalMs: 0 }, 'has to be from 10 to 5000'],
  ['no number', { leaseMs: Number.NaN }, 'leaseMs is NaN'],
])('%s', (_, change, way) => {
  expect(() => checkConfig(withTimings(change))).toThrow(way);
});

test('a lease too short to ask etcd twice', () => {
  const config = withTimings({ arbiterTimeoutMs: 400 }, { arbiter: 'etcd' });
  expect(() => checkConfig(config)).toThrow('Set lease above 809 ms');
});

test.each([
  [
    'best-effort fencing without arbiter',
    { arbiter: 'none', fencing: 'best-effort' },
    'write "required"',
  ],
  ['failback to nobody', { failback: true }, 'failback needs a preferred node'],
] as const)('%s', (_, change, way) => {
  expect(() => checkConfig(configOf(change))).toThrow(way);
});

test('what works and has a price is said', () => {
  expect(checkConfig(configOf({ arbiter: 'none' })).join()).toMatch(/waits for a person/);
  expect(checkConfig(configOf({ arbiter: 'none', fencing: 'required' })).join()).toMatch(
    /too late to prove/,
  );
  expect(checkConfig(configOf({ arbiter: 'etcd' }))).toEqual([]);
});

test('a new group leaves room for the delay of a heartbeat; one of an earlier version runs without', () => {
  const config = withTimings({ deadAfterMs: 363 }, { arbiter: 'etcd' });
  checkConfig(config);
  expect(() => checkNewTimings(config)).toThrow('Set deadAfter to at least 364 ms');
  checkNewTimings(withTimings({ deadAfterMs: 364 }));
});
