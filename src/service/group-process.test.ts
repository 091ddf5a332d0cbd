// One group process after another: prepared ones, those that let go before they end, and accidents in
// between. The programs are stand-ins, which hang, die and linger when a test says so.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StandInBehaviour } from './fixtures/stand-in-process.ts';
import { standInPrograms, until } from './fixtures/two-nodes.ts';
import { GroupProcess, type ProcessExit } from './group-process.ts';
import { type GroupProcessSpec, parseSpec } from './group-spec.ts';
import { descriptorsOf } from './open-files.ts';
import { isLocked, openLock } from './process-lock.ts';
import { type GroupPaths, groupPaths, servicePaths } from './service-paths.ts';

const SHORT_MS = 300;

let top = '';
let paths: GroupPaths;
let exits: ProcessExit[] = [];
let told: string[] = [];
let again: string[][] = [];
const opened: GroupProcess[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-process-'));
  process.env['STAND_IN_DIR'] = top;
  const roots = { UNDERSTUDY_ETC: top, UNDERSTUDY_STATE: top, UNDERSTUDY_RUN: top };
  paths = groupPaths(servicePaths(roots), 'shop');
  mkdirSync(paths.directory, { recursive: true });
  mkdirSync(join(top, 'log'));
  [exits, told, again] = [[], [], []];
});
afterEach(async () => {
  for (const one of opened.splice(0)) {
    one.kill();
    one.release();
  }
  await until('all ended', async () => !isLocked(paths.lock));
  rmSync(top, { recursive: true, force: true });
});

function group(programs = standInPrograms): GroupProcess {
  const made = new GroupProcess({
    group: 'shop',
    paths,
    programs,
    onEvent: ({ code }) => told.push(code),
    onFound: (kept) => again.push(kept.map(({ code }) => code)),
    onNotice: () => undefined,
    onExit: (exit) => exits.push(exit),
  });
  opened.push(made);
  return made;
}

function spec(role: GroupProcessSpec['role']): GroupProcessSpec {
  const text = { group: 'shop', groupId: 'ab'.repeat(16), role, epoch: 1, peer: null };
  return parseSpec(
    {
      ...text,
      node: { id: 'cd'.repeat(8), name: 'a' },
      identity: { certificatePath: '/x', keyPath: '/x' },
      replicationHost: '127.0.0.1',
      replicationPort: 7441,
      controlSocket: paths.controlSocket,
      stateDirectory: join(paths.directory, 'process-1'),
      marksFile: paths.marks,
      directories: [{ dir: '/srv/shop', include: ['**'], exclude: [], seed: false }],
      replication: {
        mode: 'sync',
        syncTimeoutMs: 2000,
        onStandbyLoss: 'continue',
        linkTimeoutMs: 2000,
        ringBytes: 32 * 1024 * 1024,
        backlogBytesMax: 1024,
        journalBytesMax: 64 * 1024 * 1024,
      },
      start: { firstSequence: 1, base: null },
    },
    'the test',
  );
}

function behave(behaviour: StandInBehaviour): void {
  writeFileSync(join(top, 'a.json'), JSON.stringify(behaviour));
}

function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.charAt(0) ?? '?';
  } catch {
    return 'gone';
  }
}

/** How many descriptors of the group's lock this process has. */
function locksOpen(): number {
  return [...descriptorsOf(process.pid)].filter(([, target]) => target === paths.lock).length;
}

/** Prepares, and waits until the prepared process has loaded everything. */
async function prepared(of: GroupProcess): Promise<number> {
  of.prepare();
  await until('it waits', async () => of.isPrepared);
  return of.preparedPid ?? 0;
}

test('a prepared process becomes the primary; it holds no lock before, and the lock is its own after', async () => {
  const one = group();
  const pid = await prepared(one);
  one.prepare();
  expect(one.preparedPid).toBe(pid);
  expect(one.isAlive).toBe(false);
  const status = await one.start(spec('primary'));
  expect(status).toMatchObject({ role: 'primary', pid });
  expect([one.isAlive, one.pid, one.preparedPid]).toEqual([true, pid, undefined]);
  // What a service that is started now would see.
  one.release();
  const next = group();
  expect([next.isAlive, next.pid]).toEqual([true, pid]);
  expect(await next.adopt()).toMatchObject({ role: 'primary', pid });
  await next.call('shutdown', {}, 5000);
  expect(await next.endsWithin(5000)).toBe(true);
  expect(exits).toHaveLength(1);
});

test('it waits beside the standby, and takes over when the standby has let go', async () => {
  const one = group();
  const standby = (await one.start(spec('standby')))['pid'] as number;
  const pid = await prepared(one);
  expect(one.pid).toBe(standby);
  await expect(one.start(spec('primary'))).rejects.toMatchObject({ code: 'GROUP_PROCESS_RUNNING' });
  expect(one.preparedPid).toBe(pid);
  behave({ lingerMs: 1500 });
  await one.call('finish', { accepts: ['up-to-date'] }, 5000);
  expect(one.isAlive).toBe(false);
  await one.waitForEnd(1000);
  expect(stateOf(standby)).not.toBe('gone');
  expect(exits).toEqual([{ how: 'it let go', logTail: '' }]);
  expect(await one.start(spec('primary'))).toMatchObject({ role: 'primary', pid });
  // The late end of the standby is nobody's business any more, and does not take the new socket away.
  await until('the standby has ended', async () => stateOf(standby) === 'gone');
  expect(exits).toHaveLength(1);
  expect(await one.status()).toMatchObject({ role: 'primary', pid: one.pid });
});

test('one that let go and does not end is killed', async () => {
  const one = group();
  const pid = (await one.start(spec('standby')))['pid'] as number;
  behave({ lingerMs: 60_000 });
  await one.call('shutdown', {}, 5000);
  await one.waitForEnd(1000);
  await until('it is gone', async () => stateOf(pid) === 'gone', 10_000);
});

test('the last answer of one that was adopted counts, though its lock was seen free before', async () => {
  const before = group();
  await before.start(spec('primary'));
  before.release();
  const one = group();
  await one.adopt();
  behave({ shutdownDelayMs: 1200 });
  const answered = one.call('shutdown', {}, 5000);
  await until('its end is seen', async () => exits.length === 1);
  expect(await answered).toBeNull();
});

test('one that dies while it is adopted is not taken for one that runs', async () => {
  const before = group();
  await before.start(spec('primary'));
  before.release();
  behave({ lastStatusMs: 1200 });
  await expect(group().adopt()).rejects.toMatchObject({ code: 'GROUP_PROCESS_START_FAILED' });
});

/** The process ends the connection of whoever says something that is no request. */
async function loseConnection(to: GroupProcess): Promise<void> {
  const noMethod = 'x'.repeat(65);
  await expect(to.call(noMethod, {}, 5000)).rejects.toMatchObject({ code: 'CONTROL_CLOSED' });
}

test('a connection that is lost is made again, and nothing is told twice', async () => {
  const one = group();
  const { pid } = await one.start(spec('standby'));
  await loseConnection(one);
  await until('it is asked anew', async () => again.length === 1);
  expect(await one.status()).toMatchObject({ pid });
  await loseConnection(one);
  await until('it is asked anew', async () => again.length === 2);
  expect(told).toEqual(['STAND_IN']);
  expect(again).toEqual([['STAND_IN'], ['STAND_IN']]);
  expect(exits).toEqual([]);
});

test('a connection that is lost for good is not made again', async () => {
  const one = group();
  await one.start(spec('standby'));
  one.release();
  const next = group();
  await next.adopt();
  next.kill();
  await until('its end is told', async () => exits.length === 1);
  await sleep(SHORT_MS);
  // What the one that was found had said before.
  expect(again).toEqual([['STAND_IN']]);
});

test('a prepared process that dies is replaced', async () => {
  const one = group();
  const first = await prepared(one);
  process.kill(first, 'SIGKILL');
  const second = await until('another', async () => {
    return one.preparedPid !== first && one.preparedPid;
  });
  expect(exits).toEqual([]);
  // Used at once, while it still loads its code.
  expect(one.isPrepared).toBe(false);
  expect(await one.start(spec('primary'))).toMatchObject({ pid: second });
});

test('a prepared process that cannot be started now is tried again, and nobody is disturbed', async () => {
  const away = `${top}-away`;
  renameSync(top, away);
  const one = group();
  one.prepare();
  one.prepare();
  expect(one.preparedPid).toBeUndefined();
  renameSync(away, top);
  await until('one waits', async () => one.isPrepared);
});

test('attempts to prepare one that fail keep no descriptor', () => {
  const impossible = '/no\0program';
  const one = group({ primary: impossible, standby: impossible });
  for (let tries = 0; tries < 5; tries += 1) {
    one.prepare();
    one.unprepare();
  }
  expect(locksOpen()).toBe(0);
});

test.each(['prepared', 'fresh'])(
  'a %s process that cannot be noted is ended: nobody could end it later',
  async (kind) => {
    // It can be locked, and keeps nothing.
    symlinkSync('/dev/null', paths.lock);
    const one = group();
    const pid = kind === 'prepared' ? await prepared(one) : undefined;
    await expect(one.start(spec('primary'))).rejects.toThrow('ftruncate');
    expect(one.isAlive).toBe(false);
    if (pid !== undefined) expect(stateOf(pid)).toBe('gone');
  },
);

test('a prepared process that is stuck is given up for a fresh one', async () => {
  const one = group();
  const pid = await prepared(one);
  process.kill(pid, 'SIGSTOP');
  const status = await one.start(spec('primary'));
  expect(status).toMatchObject({ role: 'primary' });
  expect(status['pid']).not.toBe(pid);
  expect(one.pid).toBe(status['pid']);
  expect(stateOf(pid)).toBe('gone');
  expect(exits).toEqual([]);
});

test('a lock file that was replaced makes the prepared process useless, not the group', async () => {
  const one = group();
  const pid = await prepared(one);
  openLock(`${paths.lock}.new`).release();
  renameSync(`${paths.lock}.new`, paths.lock);
  const status = await one.start(spec('primary'));
  expect(status['pid']).not.toBe(pid);
  expect([one.isAlive, one.pid]).toEqual([true, status['pid']]);
  await until('the useless one ends', async () => stateOf(pid) === 'gone');
});

test('a prepared process that cannot become primary: the end of its log is told', async () => {
  const one = group();
  await prepared(one);
  behave({ dieAtStart: 'primary' });
  await expect(one.start(spec('primary'))).rejects.toMatchObject({
    code: 'GROUP_PROCESS_START_FAILED',
    message: expect.stringContaining('told to die at start'),
  });
  expect(one.isAlive).toBe(false);
  expect(exits).toHaveLength(1);
});

test('it ends when it is not wanted any more, or the service stops', async () => {
  const one = group();
  const first = await prepared(one);
  one.unprepare();
  await until('it ends', async () => stateOf(first) === 'gone');
  const second = await prepared(one);
  one.release();
  await until('it ends', async () => stateOf(second) === 'gone');
  expect(one.preparedPid).toBeUndefined();
});

test.each(['refused', 'not agreed'] as const)(
  'mounts that cannot be held at first are held later: %s',
  async (mounts) => {
    behave({ mounts });
    const one = group();
    await one.start(spec('primary'));
    await sleep(SHORT_MS);
    expect(one.held).toBeNull();
    behave({ mounts: 'shared' });
    await until('they are held', async () => one.held !== null);
  },
);

test("mounts that are let go before they are held stay nobody's", async () => {
  behave({ mounts: 'not agreed' });
  const one = group();
  await one.start(spec('primary'));
  one.letGo();
  behave({ mounts: 'shared' });
  await sleep(SHORT_MS);
  expect(one.held).toBeNull();
});

test('it ends when the service is killed', async () => {
  const service = spawn(
    process.execPath,
    [
      join(import.meta.dirname, 'fixtures', 'preparing-service.ts'),
      standInPrograms.primary,
      paths.log,
      paths.lock,
      paths.spec,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(createInterface(service.stdout), 'line')) as [string];
  const pid = Number(line);
  expect(stateOf(pid)).toMatch(/[SRD]/);
  service.kill('SIGKILL');
  await until('it ends', async () => stateOf(pid) === 'gone');
});
