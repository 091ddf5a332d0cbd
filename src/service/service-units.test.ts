// Small pure parts of the service.
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeEvent } from './control-channel.ts';
import { parseKernelVersion } from './doctor.ts';
import { EventLog } from './event-log.ts';
import { firstSequenceAfter } from './group-state.ts';
import { isLocked, lockOwner, tryLock } from './process-lock.ts';
import { RestartBackoff } from './restart-backoff.ts';

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-units-'));
});
afterEach(() => rmSync(top, { recursive: true }));

test('a stream goes on after a clean end, and jumps after an unclean one', () => {
  const base = { streamId: 'ab'.repeat(16), sequence: 41 };
  expect(firstSequenceAfter(base, 7)).toBe(42);
  expect(firstSequenceAfter(null, 0)).toBe(1);
  expect(firstSequenceAfter(null, 41)).toBe(10_000_001);
  expect(firstSequenceAfter(null, 10_000_001)).toBe(20_000_001);
  // The sequence on the disk is up to ten seconds old.
  expect(firstSequenceAfter(null, 9_999_990)).toBeGreaterThan(9_999_990 + 2_000_000);
});

test('events are kept in order, bounded, and survive a torn last line', () => {
  const path = join(top, 'events.jsonl');
  const filler = 'x'.repeat(2000);
  const log = new EventLog(path);
  for (let index = 0; index < 2500; index += 1) {
    log.add(makeEvent('info', 'TICK', `${index}`, { filler }));
  }
  expect(log.last(3).map(({ message }) => message)).toEqual(['2497', '2498', '2499']);
  // More than one file holds: both are read.
  expect(log.last(1500)).toHaveLength(1500);
  expect(statSync(path).size).toBeLessThan(2.2 * 1024 * 1024);
  expect(statSync(`${path}.1`).size).toBeLessThan(2.2 * 1024 * 1024);
  appendFileSync(path, '{"at":"2026-01-');
  const next = new EventLog(path);
  expect(next.last(1)[0]?.message).toBe('2499');
  // The torn line takes nothing with it.
  for (const message of ['2500', '2501']) next.add(makeEvent('info', 'TICK', message));
  expect(next.last(2).map(({ message }) => message)).toEqual(['2500', '2501']);
});

test('events that a process kept are told once, whatever the clock did', () => {
  const log = new EventLog(join(top, 'events.jsonl'));
  const at = (time: string, message: string) => ({
    ...makeEvent('info', 'TICK', message, { group: 'shop' }),
    at: `2026-01-02T${time}.000Z`,
  });
  const [first, ahead] = [at('03:00:00', 'first'), at('04:00:00', 'of a clock that went ahead')];
  for (const event of [first, ahead]) log.add(event);
  const known = log.about('shop');
  expect([first, ahead].map((event) => known.has(event))).toEqual([true, true]);
  expect(known.has(at('03:30:00', 'told while the service was away'))).toBe(false);
  expect(known.has(at('02:59:59', 'forgotten here'))).toBe(true);
  expect(log.about('other').has(first)).toBe(false);
});

test('a lock excludes a second taker until it is released', () => {
  const path = join(top, 'lock');
  const lock = tryLock(path);
  lock?.note(4711);
  expect(tryLock(path)).toBeUndefined();
  expect(isLocked(path)).toBe(true);
  expect(lockOwner(path)).toBe(4711);
  lock?.release();
  expect(isLocked(path)).toBe(false);
  expect(lockOwner(join(top, 'none'))).toBeUndefined();
});

test('what runs by now is not tried again', () => {
  vi.useFakeTimers();
  const attempt = vi.fn<() => void>();
  const retry = new RestartBackoff(attempt);
  retry.schedule();
  retry.started();
  vi.runAllTimers();
  expect(attempt).not.toHaveBeenCalled();
  retry.schedule();
  vi.runAllTimers();
  expect(attempt).toHaveBeenCalledOnce();
  vi.useRealTimers();
});

test('kernel versions', () => {
  expect(parseKernelVersion('6.18.44-fc-v782')).toEqual([6, 18]);
  expect(parseKernelVersion('5.10.0-28-amd64')).toEqual([5, 10]);
  expect(parseKernelVersion('garbage')).toEqual([0, 0]);
});
