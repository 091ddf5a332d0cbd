// A real PostgreSQL through its agent: up, killed, hung, refused, wrong password, disk full, read-only.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitUntil } from '../../../lab/run.ts';
import { testPlace } from '../../../test/support/agent-context.ts';
import { smallDisk } from '../../../test/support/disks.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import { postgresql } from './postgresql.ts';
import { isStopping, serverProcesses } from './postgresql-server.ts';
import { ownerOf, systemUser } from './support/users.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const PORT = 54_399;
const SHORT_MS = 400;

const place = testPlace();
const disk = smallDisk(join(place.top, 'disk'), 200);
const dataDir = join(disk.path, 'pg');
const sockets = join(place.top, 'sockets');

function asPostgres(program: string, ...args: string[]): string {
  const argv = ['-u', 'postgres', '--', program, ...args];
  return execFileSync('runuser', argv, { cwd: '/', encoding: 'utf8', stdio: 'pipe' });
}

function context(given: Partial<AgentContext> & { timeoutMs?: number } = {}): AgentContext {
  return place.context({ directories: [disk.path], timeoutMs: 30_000, ...given });
}

async function probe(given: object = {}, timeoutMs = 10_000): Promise<ProbeResult> {
  const parsed = postgresql.parameters.parse({ port: PORT, ...given });
  return await postgresql.probe(parsed, context({ timeoutMs }));
}

const start = async (given: object = {}): Promise<void> =>
  await postgresql.start?.(postgresql.parameters.parse(given), context());
const stop = async (given: object = {}): Promise<void> =>
  await postgresql.stop?.(postgresql.parameters.parse(given), context());
const pids = (): number[] => serverProcesses(dataDir).map(({ pid }) => pid);

function signalAll(signal: NodeJS.Signals): void {
  for (const pid of pids()) process.kill(pid, signal);
}

beforeAll(async () => {
  execFileSync('chmod', ['755', place.top]);
  mkdirSync(dataDir, { mode: 0o700 });
  mkdirSync(sockets);
  const { uid, gid } = await systemUser('postgres');
  for (const path of [disk.path, dataDir, sockets]) chownSync(path, uid, gid);
  asPostgres(join(BIN, 'initdb'), '-D', dataDir, '--auth-local=peer', '--no-sync', '--locale=C');
  const settings = [
    `port = ${PORT}`,
    `unix_socket_directories = '${sockets}'`,
    "listen_addresses = '127.0.0.1'",
    'fsync = off',
    'shared_buffers = 8MB',
    'wal_keep_size = 0',
    'max_wal_size = 32MB',
  ];
  appendFileSync(join(dataDir, 'postgresql.conf'), `${settings.join('\n')}\n`);
  writeFileSync(
    join(dataDir, 'pg_hba.conf'),
    'local all postgres peer\nhost all all 127.0.0.1/32 scram-sha-256\n',
  );
}, 60_000);

afterAll(async () => {
  signalAll('SIGKILL');
  await waitUntil(() => pids().length === 0, 10_000, 20);
  disk[Symbol.dispose]();
  place[Symbol.dispose]();
});

beforeEach(async () => {
  disk.free();
  await start();
});

describe('PostgreSQL', () => {
  test('serves: asked over the socket as its own user, with and without heartbeat', async () => {
    const plain = await probe();
    expect(plain).toMatchObject({ state: 'ok', measures: { sessions: expect.any(Number) } });
    expect(plain.sentence).toContain(`${sockets}/.s.PGSQL.${PORT} accepts writes`);
    const beats = [await probe({ heartbeat: true }), await probe({ heartbeat: true })];
    for (const beat of beats) {
      expect(beat).toMatchObject({ state: 'ok', measures: { heartbeatMs: expect.any(Number) } });
    }
    const sql = 'select count(*) from understudy_heartbeat';
    const count = asPostgres('psql', '-h', sockets, '-p', String(PORT), '-Atc', sql);
    expect(count.trim()).toBe('1');
  });

  test('a data directory that is written with a link is the same one', async () => {
    const link = join(place.top, 'link');
    symlinkSync(disk.path, link);
    const given = { dataDir: join(link, 'pg') };
    const file = join(dataDir, 'postmaster.pid');
    const before = readFileSync(file, 'utf8');
    await start(given);
    expect(readFileSync(file, 'utf8')).toBe(before);
    await stop(given);
    expect(pids()).toEqual([]);
  });

  test('started twice, stopped twice; nothing is left', async () => {
    const before = pids();
    await start();
    expect(pids()).toEqual(expect.arrayContaining(before.slice(0, 1)));
    await stop();
    expect(pids()).toEqual([]);
    await stop();
    expect(await probe()).toMatchObject({
      state: 'stopped',
      sentence: expect.stringContaining('no process of it runs'),
    });
  });

  test('login refused: degraded, not failed', async () => {
    const sql = "alter role postgres password 'right'";
    asPostgres('psql', '-h', sockets, '-p', String(PORT), '-qc', sql);
    const tcp = { host: '127.0.0.1' };
    expect(await probe({ ...tcp, password: 'right' })).toMatchObject({ state: 'ok' });
    expect(await probe({ ...tcp, password: 'wrong' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('password authentication failed'),
    });
    expect(await probe({ database: 'nowhere' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('"nowhere" does not exist'),
    });
  });

  test('all sessions taken: degraded', async () => {
    await stop();
    await start({ options: ['max_connections=4', 'superuser_reserved_connections=1'] });
    // Again and again: a probe may have had the last session just now.
    const psql = `psql -h ${sockets} -p ${PORT} -qc 'select pg_sleep(60)'`;
    const keep = `until ${psql}; do sleep 0.05; done`;
    const sessions = Array.from({ length: 4 }, () =>
      spawn(
        'setpriv',
        ['--reuid=postgres', '--regid=postgres', '--init-groups', 'sh', '-c', keep],
        {
          cwd: '/',
          stdio: 'ignore',
          detached: true,
        },
      ),
    );
    try {
      let result = await probe();
      await waitUntil(async () => (result = await probe()).state !== 'ok', 10_000, 50);
      expect(result).toMatchObject({
        state: 'degraded',
        sentence: expect.stringContaining('no session left'),
      });
    } finally {
      for (const { pid = 0 } of sessions) process.kill(-pid, 'SIGKILL');
      await stop();
    }
  });

  test('shutting down while a session is open: failed, by what its pid file says', async () => {
    const argv = ['-u', 'postgres', '--', 'psql', '-h', sockets, '-p', String(PORT)];
    const session = spawn('runuser', argv, { cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] });
    session.stdin.write('select 1;\n');
    await once(session.stdout, 'data');
    asPostgres(join(BIN, 'pg_ctl'), 'stop', '-D', dataDir, '-m', 'smart', '-W');
    expect(await waitUntil(() => isStopping(dataDir), 5000, 20)).toBe(true);
    const found = await probe();
    expect(found.state).toBe('failed');
    expect(found.sentence).toContain('refuses sessions');
    session.stdin.end();
    await once(session, 'close');
    expect(await waitUntil(() => pids().length === 0, 10_000, 20)).toBe(true);
  });

  test('killed: stopped; started again it recovers, whoever the pid file names', async () => {
    await probe({ heartbeat: true });
    const [postmaster = 0] = pids();
    process.kill(postmaster, 'SIGKILL');
    // Its sessions notice by themselves; one that is frozen does not.
    await waitUntil(() => pids().length === 0, 10_000, 20);
    expect(await probe()).toMatchObject({ state: 'stopped' });
    // As it came from the dead node: a number that is somebody else's here.
    writeFileSync(join(dataDir, 'postmaster.pid'), `${process.pid}\n${dataDir}\n1\n${PORT}\n`);
    await start();
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
    expect(place.lines.join('\n')).toContain('names no server of this node and is removed');
  });

  test('killed while its children are frozen: they are in the way of no start', async () => {
    const [postmaster = 0, ...children] = pids();
    for (const child of children) process.kill(child, 'SIGSTOP');
    process.kill(postmaster, 'SIGKILL');
    await waitUntil(() => !pids().includes(postmaster), 5000, 20);
    expect(pids().length).toBeGreaterThan(0);
    await start();
    expect(await probe()).toMatchObject({ state: 'ok' });
  });

  test('frozen: no answer within the time of the probe, and a stop all the same', async () => {
    signalAll('SIGSTOP');
    const from = performance.now();
    await expect(probe({}, SHORT_MS)).rejects.toThrow();
    expect(performance.now() - from).toBeLessThan(SHORT_MS + 1000);
    await stop();
    expect(pids()).toEqual([]);
  });

  test('connections refused while its processes run: failed', async () => {
    rmSync(join(sockets, `.s.PGSQL.${PORT}`));
    expect(await probe()).toMatchObject({
      state: 'failed',
      sentence: expect.stringMatching(/cannot be reached.*processes of it run/),
    });
    await stop();
  });

  test('disk full: at once, though a row can still be written for a while', async () => {
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
    disk.fill();
    expect(await probe({ heartbeat: true })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('is full (0 B free, 16 MiB are needed)'),
      measures: { freeMiB: 0 },
    });
    expect(await probe()).toMatchObject({ state: 'degraded' });
    // What really happens then: a table that grows.
    const sql = "create table filler as select repeat('x', 2000) from generate_series(1, 9000)";
    const grow = (): string => asPostgres('psql', '-h', sockets, '-p', String(PORT), '-qc', sql);
    expect(grow).toThrow(/No space left on device/);
    disk.free();
    await waitUntil(async () => (await probe({ heartbeat: true })).state === 'ok', 10_000, 50);
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
    await stop();
  });

  test('read-only server: degraded', async () => {
    asPostgres(
      'psql',
      '-h',
      sockets,
      '-p',
      String(PORT),
      '-qc',
      'alter system set default_transaction_read_only = on',
      '-c',
      'select pg_reload_conf()',
    );
    await waitUntil(async () => (await probe()).state === 'degraded', 5000, 20);
    expect(await probe()).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('read-only transactions only'),
    });
    rmSync(join(dataDir, 'postgresql.auto.conf'));
    await stop();
  });

  test('quiesced by a checkpoint; not promoted where its version is not installed', async () => {
    const parsed = postgresql.parameters.parse({ port: PORT });
    const redo = (): string => {
      const sql = 'select redo_lsn from pg_control_checkpoint()';
      return asPostgres('psql', '-h', sockets, '-p', String(PORT), '-Atc', sql).trim();
    };
    await probe({ heartbeat: true });
    const before = redo();
    await postgresql.quiesce?.(parsed, context());
    expect(redo()).not.toBe(before);
    expect(await postgresql.promoteCheck?.(parsed, context())).toBeUndefined();
    const other = postgresql.parameters.parse({ binDir: '/nonexistent', dataDir: '/nonexistent' });
    expect(await postgresql.promoteCheck?.(other, context())).toBeUndefined();
    const none = postgresql.parameters.parse({ dataDir: '/nonexistent' });
    expect(await postgresql.promoteCheck?.(none, context())).toContain('/nonexistent');
  });

  test('validate: a version that is not installed, a missing configuration', async () => {
    const findings = async (given: object): Promise<readonly string[]> =>
      (await postgresql.validate?.(postgresql.parameters.parse(given), context())) ?? [];
    expect(await findings({})).toEqual([]);
    expect(await findings({ dataDir: '/nonexistent' })).toHaveLength(1);
    const other = join(place.top, 'other');
    mkdirSync(join(other, 'global'), { recursive: true });
    writeFileSync(join(other, 'PG_VERSION'), '9.3\n');
    expect((await findings({ dataDir: other })).join()).toContain('apt-get install postgresql-9.3');
    expect((await findings({ user: 'nobody-at-all' })).join()).toContain('there is no user');
    expect(await ownerOf(dataDir)).toMatchObject({ name: 'postgres' });
  });
});
