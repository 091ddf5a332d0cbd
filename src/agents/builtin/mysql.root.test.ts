// A real MariaDB through its agent: up, killed, hung, refused, wrong password, disk full, read-only.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitUntil } from '../../../lab/run.ts';
import { testPlace } from '../../../test/support/agent-context.ts';
import { smallDisk } from '../../../test/support/disks.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import { mysql } from './mysql.ts';
import { isReadOnly } from './mysql-probe.ts';
import { serverProcesses } from './mysql-server.ts';
import { systemUser } from './support/users.ts';

const PORT = 33_099;
const SHORT_MS = 400;

const place = testPlace();
const disk = smallDisk(join(place.top, 'disk'), 200);
const dataDir = join(disk.path, 'mysql');
const socket = join(place.top, 'sockets', 'mysqld.sock');
const common = {
  port: PORT,
  socket,
  configFile: '/dev/null',
  options: [
    '--bind-address=127.0.0.1',
    '--innodb-log-file-size=4M',
    '--innodb-buffer-pool-size=8M',
    '--innodb-flush-log-at-trx-commit=0',
    '--max-connections=10',
  ],
};

function context(given: Partial<AgentContext> & { timeoutMs?: number } = {}): AgentContext {
  return place.context({ directories: [disk.path], timeoutMs: 30_000, ...given });
}

async function probe(given: object = {}, timeoutMs = 10_000): Promise<ProbeResult> {
  const parsed = mysql.parameters.parse({ ...common, ...given });
  return await mysql.probe(parsed, context({ timeoutMs }));
}

const start = async (): Promise<void> =>
  await mysql.start?.(mysql.parameters.parse(common), context());
const stop = async (): Promise<void> =>
  await mysql.stop?.(mysql.parameters.parse(common), context());
const pids = (): number[] => serverProcesses(dataDir).map(({ pid }) => pid);
const sql = (text: string): string =>
  execFileSync('mariadb', ['--no-defaults', '-S', socket, '-NBe', text], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

beforeAll(async () => {
  chmodSync(place.top, 0o755);
  const { uid, gid } = await systemUser('mysql');
  for (const path of [join(place.top, 'sockets'), dataDir]) mkdirSync(path);
  for (const path of [join(place.top, 'sockets'), disk.path, dataDir]) chownSync(path, uid, gid);
  execFileSync(
    'mariadb-install-db',
    [
      '--no-defaults',
      `--datadir=${dataDir}`,
      '--user=mysql',
      '--skip-test-db',
      '--auth-root-authentication-method=socket',
      '--innodb-log-file-size=4M',
    ],
    { stdio: 'pipe' },
  );
}, 60_000);

afterAll(async () => {
  for (const pid of pids()) process.kill(pid, 'SIGKILL');
  await waitUntil(() => pids().length === 0, 10_000, 20);
  disk[Symbol.dispose]();
  place[Symbol.dispose]();
});

beforeEach(async () => {
  disk.free();
  await start();
});

describe('MariaDB', () => {
  test('serves, with and without heartbeat; the data directory is found', async () => {
    expect(await probe()).toMatchObject({
      state: 'ok',
      sentence: expect.stringContaining(`MariaDB at ${socket} accepts writes`),
      measures: { connectMs: expect.any(Number), sessions: expect.any(Number) },
    });
    for (let beat = 0; beat < 2; beat += 1) {
      expect(await probe({ heartbeat: true })).toMatchObject({
        state: 'ok',
        measures: { heartbeatMs: expect.any(Number) },
      });
    }
    expect(sql('select count(*) from understudy.heartbeat').trim()).toBe('1');
  });

  test('an InnoDB that takes no writes is read-only, whatever read_only says', async () => {
    await stop();
    const options = [...common.options, '--innodb-read-only'];
    await mysql.start?.(mysql.parameters.parse({ ...common, options }), context());
    try {
      expect(await probe()).toMatchObject({
        state: 'degraded',
        sentence: expect.stringContaining('is read-only'),
      });
    } finally {
      await stop();
    }
  });

  test.each([
    [{ read_only: 'OFF', innodb_read_only: 'OFF' }, false],
    [{ read_only: 'ON' }, true],
    [{ read_only: 'NO_LOCK_NO_ADMIN' }, true],
    [{ read_only: '0', innodb_read_only: 'ON' }, true],
  ])('read-only as versions tell it: %o', (variables, isSo) => {
    expect(isReadOnly(Object.entries(variables))).toBe(isSo);
  });

  test('a data directory that is written with a link, or a slash at its end, is the same one', async () => {
    const link = join(place.top, 'link');
    symlinkSync(disk.path, link);
    for (const written of [join(link, 'mysql'), `${dataDir}/`]) {
      await start();
      const before = pids();
      const given = mysql.parameters.parse({ ...common, dataDir: written });
      await mysql.start?.(given, context());
      expect(pids()).toEqual(before);
      await mysql.stop?.(given, context());
      expect(pids()).toEqual([]);
    }
  }, 30_000);

  test('started twice, stopped twice; nothing is left', async () => {
    const before = pids();
    await start();
    expect(pids()).toEqual(before);
    await stop();
    expect(pids()).toEqual([]);
    await stop();
    expect(await probe()).toMatchObject({ state: 'stopped' });
  });

  test('login refused: degraded, not failed', async () => {
    sql("create or replace user watch@localhost identified by 'right'");
    expect(await probe({ login: 'watch', password: 'right' })).toMatchObject({ state: 'ok' });
    const tcp = { host: '127.0.0.1', login: 'watch', password: 'right' };
    expect(await probe(tcp)).toMatchObject({ state: 'ok' });
    expect(await probe({ login: 'watch', password: 'wrong' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining("Access denied for user 'watch'"),
    });
    // It may log in and not write.
    expect(await probe({ login: 'watch', password: 'right', heartbeat: true })).toMatchObject({
      state: 'degraded',
    });
  });

  test('read-only: degraded', async () => {
    sql('set global read_only = 1');
    expect(await probe()).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('is read-only'),
    });
    sql('set global read_only = 0');
  });

  test('killed: stopped; started again it recovers', async () => {
    sql('create or replace table understudy.kept (id int); insert into understudy.kept values (7)');
    const [server = 0] = pids();
    process.kill(server, 'SIGKILL');
    // While the kernel takes it apart its socket answers in other ways.
    await waitUntil(async () => (await probe()).state === 'stopped', 10_000, 20);
    expect(await probe()).toMatchObject({ state: 'stopped' });
    await start();
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
  });

  test('frozen: no answer within the time of the probe, and a stop all the same', async () => {
    for (const pid of pids()) process.kill(pid, 'SIGSTOP');
    const from = performance.now();
    await expect(probe({}, SHORT_MS)).rejects.toThrow();
    expect(performance.now() - from).toBeLessThan(SHORT_MS + 1000);
    await stop();
    expect(pids()).toEqual([]);
  });

  test('connections refused while its process runs: failed', async () => {
    rmSync(socket);
    expect(await probe()).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('its process runs'),
    });
    await stop();
  });

  test('disk full: at once', async () => {
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
    disk.fill();
    expect(await probe({ heartbeat: true })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('is full'),
    });
    expect(await probe()).toMatchObject({ state: 'degraded' });
    disk.free();
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
  });

  test('validate', async () => {
    const findings = async (given: object): Promise<readonly string[]> =>
      (await mysql.validate?.(mysql.parameters.parse(given), context())) ?? [];
    expect(await findings(common)).toEqual([]);
    expect((await findings({ program: '/nonexistent/mysqld' })).length).toBe(1);
    expect((await findings({ configFile: '/nonexistent.cnf' })).join()).toContain('copy it');
  });
});
