// The limit on virtual time: held over any second, changed at once, no burst after idleness.
import { expect, it } from 'vitest';
import { Throttle, wireBytes } from './throttle.ts';

function onVirtualTime(): { throttle: Throttle; clock: { now: number } } {
  const clock = { now: 1000 };
  const throttle = new Throttle({ wallMs: () => 0, monotonicMs: () => clock.now });
  return { throttle, clock };
}

/** Writes as much as may be written for `ms`, with timers that are late by up to `lateMs`. */
function run(
  { throttle, clock }: ReturnType<typeof onVirtualTime>,
  ms: number,
  lateMs: number,
): number {
  const before = throttle.spentBytes;
  const end = clock.now + ms;
  while (clock.now < end) {
    const wait = throttle.waitMs();
    if (wait > 0) clock.now += wait + Math.random() * lateMs;
    else throttle.spend(throttle.sliceBytes);
  }
  return throttle.spentBytes - before;
}

it.each([64_000 / 8, 1e6 / 8, 10e6 / 8, 50e6 / 8, 1e9 / 8])('holds %d bytes per second', (rate) => {
  const rig = onVirtualTime();
  rig.throttle.setRate(rate);
  for (let second = 0; second < 5; second += 1) {
    const spent = run(rig, 10_000, 10) / 10;
    expect(spent / rate).toBeGreaterThan(0.95);
    expect(spent / rate).toBeLessThan(1.05);
  }
});

it('takes another rate over at once', () => {
  const rig = onVirtualTime();
  rig.throttle.setRate(50e6 / 8);
  run(rig, 3000, 2);
  rig.throttle.setRate(10e6 / 8);
  expect((run(rig, 1000, 2) * 8) / 10e6).toBeLessThan(1.1);
  rig.throttle.setRate(null);
  rig.throttle.spend(100e6);
  expect(rig.throttle.waitMs()).toBe(0);
});

it('lets no more than a short burst through after idleness', () => {
  const rig = onVirtualTime();
  rig.throttle.setRate(10e6 / 8);
  rig.clock.now += 3_600_000;
  expect(run(rig, 100, 0)).toBeLessThan(rig.throttle.bytesIn(100 + 40 + 10));
});

it('counts what packets and encryption add', () => {
  expect(wireBytes(100)).toBe(100 + 22 + 52);
  expect(wireBytes(262_144) / 262_144).toBeGreaterThan(1.036);
  expect(wireBytes(262_144) / 262_144).toBeLessThan(1.039);
});

it('owes after a change of the rate no longer than before', () => {
  const rig = onVirtualTime();
  rig.throttle.setRate(1e9 / 8);
  rig.throttle.spend(rig.throttle.sliceBytes);
  const owedMs = rig.throttle.waitMs();
  rig.throttle.setRate(64_000 / 8);
  expect(rig.throttle.waitMs()).toBeLessThanOrEqual(owedMs);
  rig.throttle.setRate(1e9 / 8);
  expect(rig.throttle.waitMs()).toBeLessThanOrEqual(owedMs);
});
