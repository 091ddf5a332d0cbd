// The filter's process is stopped at any moment under load, its lease ends, and it goes on: until the
// lease is renewed, not one write, fsync or rename may succeed (guarantee 4).
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { Random } from '../../test/support/random.ts';
import { TestLease } from '../../test/support/test-lease.ts';
import { boottimeMs } from '../linux/boottime.ts';

const ROUNDS = 25;
const LEASE_MS = 60;
const LIFETIME_MS = 100_000;
const DEADLINE_MS = 10_000;

/** One freeze; times are CLOCK_BOOTTIME in ms. */
interface Freeze {
  readonly leaseEndMs: number;
  /** The process goes on without a lease from here … */
  readonly thawedMs: number;
  /** … to here. */
  readonly renewedMs: number;
}

const lease = new TestLease();
let mirror: FilterMirror | undefined;
const writers: ChildProcess[] = [];
afterAll(() => lease.remove());
afterEach(async () => {
  lease.untilMs = Infinity;
  for (const writer of writers.splice(0)) {
    if (writer.exitCode !== null || writer.signalCode !== null) continue;
    const ended = once(writer, 'exit');
    writer.kill('SIGKILL');
    await ended;
  }
  await mirror?.stop();
});

function startWriter(calls: string, dir: string): string {
  const log = `${lease.file}.${calls.replaceAll(',', '-')}.${writers.length}`;
  const script = new URL('../../test/support/lease-writer.ts', import.meta.url);
  const file = `${dir}/written-${writers.length}`;
  const args = [file, log, String(LIFETIME_MS), calls];
  writers.push(fork(script, args, { execArgv: [], env: { PATH: process.env['PATH'] ?? '' } }));
  return log;
}

/** State letter of a process: R runs, S and D wait, T is stopped. */
function stateOf(pid: number): string {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? '?';
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what} has not happened`);
    await sleep(2);
  }
}

const logBytes = (log: string): number => statSync(log, { throwIfNoEntry: false })?.size ?? 0;

/** Whether every writer waits for an answer of the filter, and not for memory or a turn to run. */
const allWait = (): boolean =>
  writers.every(
    ({ pid = 0 }) =>
      'SD'.includes(stateOf(pid)) && readFileSync(`/proc/${pid}/stack`, 'latin1').includes('fuse'),
  );

async function freeze(pid: number, logs: readonly string[], random: Random): Promise<Freeze> {
  const before = logs.map(logBytes);
  lease.keepRenewing(LEASE_MS);
  await until('the load', () => logs.every((log, index) => logBytes(log) > (before[index] ?? 0)));
  await sleep(random.below(60) + random.below(1000) / 1000);
  lease.stopRenewing();
  const leaseEndMs = lease.untilMs;
  process.kill(pid, 'SIGSTOP');
  await until('the stop', () => stateOf(pid) === 'T');
  // A writer that was answered before must have had the time to note it: then it waits again.
  await until('the end of the lease', () => boottimeMs() > leaseEndMs && allWait());
  const thawedMs = boottimeMs();
  process.kill(pid, 'SIGCONT');
  await sleep(10 + random.below(30));
  return { leaseEndMs, thawedMs, renewedMs: boottimeMs() };
}

/** When calls succeeded, from the logs of the writers. */
function successes(logs: readonly string[]): { call: string; atMs: number }[] {
  return logs
    .flatMap((log) => readFileSync(log, 'latin1').trim().split('\n'))
    .map((line) => line.split(' '))
    .map(([call = '', at]) => ({ call, atMs: Number(at) }));
}

it.each([
  ['answered by the threads of the filter', false, 1],
  ['confirmed by the standby', true, 2],
])('freeze and thaw, commits %s', async (_, gated, seed) => {
  lease.untilMs = Infinity;
  const random = new Random(seed);
  mirror = await FilterMirror.start({ leaseFile: lease.file, recordsKept: 0 });
  await mirror.gate(gated, true);
  const logs = [
    startWriter('write,write,write,truncate,rename,write,rename-back', mirror.a),
    startWriter('write,fdatasync,write,fsync', mirror.a),
  ];
  const freezes: Freeze[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    freezes.push(await freeze(mirror.pid, logs, random));
  lease.untilMs = Infinity;
  await sleep(100);
  const done = successes(logs);
  const violations = freezes.flatMap(({ thawedMs, renewedMs }) =>
    done.filter(({ atMs }) => atMs >= thawedMs && atMs < renewedMs),
  );
  expect(violations).toEqual([]);
  expect(freezes.filter(({ leaseEndMs, thawedMs }) => leaseEndMs >= thawedMs)).toEqual([]);
  // The load was there, of all kinds.
  for (const call of ['write', 'truncate', 'rename', 'fdatasync', 'fsync']) {
    expect(done.filter((success) => success.call === call).length, call).toBeGreaterThan(0);
  }
  expect(done.length).toBeGreaterThan(ROUNDS * 10);
  for (const writer of writers) {
    const ended = once(writer, 'exit');
    writer.kill('SIGKILL');
    await ended;
  }
  expect(await mirror.differences()).toEqual([]);
});
