// The filter process of a primary dies in the same moment in which the other node takes over: the successor that
// the service starts, and the machine that gives the role up, meet. Never do both nodes serve, no acknowledged
// commit is lost, and the old primary becomes a standby by itself.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import type { LabHost } from '../../lab/host.ts';
import { managedGroupYaml } from '../../lab/managed.ts';
import { askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForCopy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { present } from '../../src/core/assert.ts';
import type { GroupStatus } from '../../src/service/status.ts';
import { ManagedPair } from '../support/managed-pair.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const TIMEOUT_MS = 300_000;
const STEP_MS = 120_000;

/** Appends a line, syncs it, and says so; until that fails. */
const WRITER = `const fs = require('node:fs'); const fd = fs.openSync(process.argv[1], 'a');
  for (let n = 1; ; n += 1) { fs.writeSync(fd, n + '\\n'); fs.fdatasyncSync(fd); fs.writeSync(1, n + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); }`;

/** The process that serves the group's mounts on a host, as the machine sees it. */
async function filterOf(host: LabHost): Promise<number> {
  let own: unknown;
  const isKnown = async (): Promise<boolean> => {
    const group = (await askGroup(host, GROUP)) as GroupStatus | undefined;
    own = group?.local.status?.['pid'];
    return typeof own === 'number';
  };
  expect(await waitUntil(isKnown, STEP_MS, 100), 'there is a filter').toBe(true);
  const found = host.group.pids().find((pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return /^NSpid:.*?(\d+)$/m.exec(status)?.[1] === String(own);
  });
  return present(found, 'the filter is a process of the host');
}

interface Round {
  readonly name: string;
  /** Kills the filter and lets the other node take over; the host is frozen when this resolves. */
  readonly break: (host: LabHost) => Promise<void>;
}

const ROUNDS: readonly Round[] = [
  {
    name: 'killed, and the machine stops while the successor starts',
    break: async (host) => {
      process.kill(await filterOf(host), 'SIGKILL');
      await sleep(150);
      await host.freeze();
    },
  },
  {
    name: 'killed while the machine stands still: the successor starts when the lease is gone',
    break: async (host) => {
      const pid = await filterOf(host);
      await host.freeze();
      process.kill(pid, 'SIGKILL');
    },
  },
];

async function round(pair: ManagedPair, { name, break: breakIt }: Round): Promise<void> {
  const { primary, standby } = await pair.settle(STEP_MS);
  const file = join(DIRECTORY, `lines-${primary.name}`);
  const writer = primary.exec([NODE, '-e', WRITER, file], { timeoutMs: TIMEOUT_MS });
  await sleep(1500);
  await breakIt(primary);
  const served = async (): Promise<boolean> =>
    (await standby.must(['cat', '/proc/mounts'])).includes(` ${DIRECTORY} fuse`);
  expect(await waitUntil(served, STEP_MS, 100), `${name}: the other node takes over`).toBe(true);
  await sleep(1000);
  await primary.thaw();
  const roles = await pair.settle(STEP_MS);
  expect(roles.primary.name, name).toBe(standby.name);
  const said = (await writer).stdout.trim().split('\n').map(Number);
  const acknowledged = said.at(-1) ?? 0;
  expect(acknowledged, `${name}: something was written`).toBeGreaterThan(0);
  for (const host of [roles.primary, roles.standby]) {
    const lines = readFileSync(host.pathFromOutside(file), 'utf8').trim().split('\n').map(Number);
    expect(lines, name).toEqual(Array.from({ length: lines.length }, (_, index) => index + 1));
    // One more may have been on its way: nobody was told that it was written.
    expect(lines.length, name).toBeGreaterThanOrEqual(acknowledged);
    expect(lines.length, name).toBeLessThanOrEqual(acknowledged + 1);
  }
  expect(await pair.differences(roles, DIRECTORY), name).toBe('');
}

/**
 * Somebody takes the mount away while a file is open and somebody writes underneath, and the process is told to end: it
 * does, and this node goes on as the primary, with what went past the filter in the copy.
 */
async function takeMountAway(pair: ManagedPair): Promise<void> {
  const { primary } = await pair.settle(STEP_MS);
  const past = join(DIRECTORY, 'past');
  const holder = primary.spawn(['sh', '-c', `exec 3>> ${DIRECTORY}/held; sleep 600`], {
    stdio: 'ignore',
  });
  await sleep(500);
  const pid = await filterOf(primary);
  // Also the cover below the filter of a standby that was promoted, which would refuse it.
  const bare = `while umount -l ${DIRECTORY} 2> /dev/null; do :; done`;
  await primary.must(['sh', '-c', `${bare}; echo past > ${past}`]);
  process.kill(pid, 'SIGTERM');
  const isGone = async (): Promise<boolean> => !existsSync(`/proc/${pid}`);
  expect(await waitUntil(isGone, STEP_MS / 2, 50), 'the process ends').toBe(true);
  holder.kill('SIGKILL');
  const isMounted = async (): Promise<boolean> =>
    (await primary.must(['cat', '/proc/mounts'])).includes(` ${DIRECTORY} fuse`);
  expect(await waitUntil(isMounted, STEP_MS, 100), 'it is mounted anew').toBe(true);
  const roles = await pair.settle(STEP_MS);
  expect(roles.primary.name).toBe(primary.name);
  expect(await pair.differences(roles, DIRECTORY)).toBe('');
  expect(readFileSync(roles.standby.pathFromOutside(past), 'utf8')).toBe('past\n');
}

test(
  'one primary, nothing lost, and the old one follows',
  async () => {
    await PairUnderTest.with(async ({ a, lab }) => {
      const agent = { start: 'true', stop: 'true', probe: 'true' };
      const group = {
        name: GROUP,
        directory: DIRECTORY,
        mode: 'sync',
        profile: 'default',
      } as const;
      const input = managedGroupYaml(lab, { ...group, agent });
      const create = ['group', 'create', '--file', '-', '--allow-empty-match'];
      await understudy(a, create, { input, timeoutMs: 60_000 });
      await waitForCopy(a, GROUP, STEP_MS);
      const pair = new ManagedPair(lab, GROUP);
      for (const each of ROUNDS) await round(pair, each);
      await takeMountAway(pair);
      const codes = (await pair.events(0)).map(({ code }) => code);
      expect(codes).toContain('MOUNT_LOST');
      expect(codes).not.toContain('SPLIT_BRAIN');
    });
  },
  TIMEOUT_MS,
);
