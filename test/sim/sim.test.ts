// The simulation in CI: thousands of schedules without a violation, and mistakes put in on purpose that
// have to be found. A failure prints its seed: `npm run sim -- --seed N --trace`.
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { SimSummary } from './main.ts';
import { EventQueue } from './queue.ts';
import { runSchedule } from './run.ts';

const SCHEDULES = 10_000;
const PERMITTED_SCHEDULES = 3000;
const FIRST_SEED = 1_000_000;
const root = resolve(import.meta.dirname, '../..');

/** In a process of its own: run by Node itself it is several times as fast as in here. */
async function simulate(...args: string[]): Promise<SimSummary> {
  const program = [join(root, 'test/sim/main.ts'), '--json', '--jobs', '1', ...args];
  const node = join(root, 'node_modules/.bin/node');
  const { stdout } = await promisify(execFile)(node, program).catch((failed: unknown) => {
    // Violations are told by the exit code too.
    if (failed instanceof Error && 'stdout' in failed)
      return failed as unknown as { stdout: string };
    throw failed;
  });
  return JSON.parse(stdout) as SimSummary;
}

test(`${SCHEDULES} schedules without a violation`, { timeout: 240_000 }, async () => {
  const totals = await simulate('--schedules', String(SCHEDULES), '--first', String(FIRST_SEED));
  expect(totals.failures).toEqual([]);
  expect(totals.schedules).toBe(SCHEDULES);
  // The schedules are worth their name: everything that can happen does.
  expect(totals.acknowledged).toBeGreaterThan(SCHEDULES * 50);
  expect(totals.promotions).toBeGreaterThan(SCHEDULES);
  const codes = [
    'GOES_ON_ALONE_RECORDED',
    'GOES_ON_ALONE_UNRECORDED',
    'HANDING_OVER',
    'HANDOVER_FAILED',
    'OFFER_DECLINED',
    'PEER_FENCED',
    'FENCING_FAILED',
    'STEPS_DOWN',
    'STOP_ESCALATED',
    'TAKEOVER_GIVEN_UP',
    'WAITS_FOR_OPERATOR',
  ];
  for (const code of codes) expect(totals.counts[code] ?? 0, code).toBeGreaterThan(5);
  // From power-off of a healthy primary to the other one mounted.
  expect(totals.takeoverMedianMs).toBeLessThan(1400);
  expect(totals.takeoverMaxMs).toBeLessThan(2500);
});

test('no timings that a group may have make a schedule fail', { timeout: 240_000 }, async () => {
  const count = String(PERMITTED_SCHEDULES);
  const totals = await simulate('--timings', 'permitted', '--schedules', count);
  expect(totals.failures).toEqual([]);
  expect(totals.schedules).toBe(PERMITTED_SCHEDULES);
});

describe('mistakes put in on purpose are found within 10,000 schedules', () => {
  test.each([
    ['drop-lease-check', ['one-writer']],
    ['skip-epoch-check', ['no-loss', 'one-primary', 'one-writer', 'undisturbed']],
    ['promote-while-syncing', ['no-loss']],
  ])('%s', { timeout: 240_000 }, async (bug, rules) => {
    const { failures } = await simulate('--schedules', '10000', '--stop', '--bug', bug);
    const [found] = failures;
    expect(rules).toContain(found?.rule);
    // The same schedule without the mistake is fine: it is the mistake that was found.
    expect(runSchedule({ seed: found?.seed ?? 0 }).violation).toBeUndefined();
  });
});

test('a seed replays exactly', () => {
  for (const seed of [7, 77, 777]) {
    const traces: string[][] = [[], []];
    for (const trace of traces) {
      runSchedule({ seed, traceEvents: true, traceTo: (line) => trace.push(line) });
    }
    expect(traces[0]?.length).toBeGreaterThan(100);
    expect(traces[1]).toEqual(traces[0]);
  }
});

test('virtual time runs in order, equal times in the order asked for', () => {
  const queue = new EventQueue();
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${queue.now}`);
  queue.at(30, note('c'));
  queue.at(10, note('a'));
  queue.at(10, () => {
    ran.push('b');
    queue.after(0, note('soon'));
    queue.at(5, note('late'));
  });
  for (let i = 0; i < 100; i += 1) queue.at(50 + ((i * 37) % 100), note('n'));
  queue.run(40);
  expect(ran).toEqual(['a@10', 'b', 'soon@10', 'late@10', 'c@30']);
  expect(queue.now).toBe(40);
  queue.run(200);
  const times = ran.slice(5).map((line) => Number(line.split('@')[1]));
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(times).toHaveLength(100);
});
