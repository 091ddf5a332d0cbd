// A real Redis through its agent: up, killed, hung, refused, wrong password, disk full.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitUntil } from '../../../lab/run.ts';
import { testPlace } from '../../../test/support/agent-context.ts';
import { smallDisk } from '../../../test/support/disks.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import { redis } from './redis.ts';
import { systemUser } from './support/users.ts';

const PORT = 63_799;
const SHORT_MS = 400;

const place = testPlace();
const disk = smallDisk(join(place.top, 'disk'), 40);
const dataDir = join(disk.path, 'redis');

function context(given: Partial<AgentContext> & { timeoutMs?: number } = {}): AgentContext {
  return place.context({ directories: [dataDir], timeoutMs: 20_000, ...given });
}

async function probe(given: object = {}, timeoutMs = 10_000): Promise<ProbeResult> {
  const parsed = redis.parameters.parse({ port: PORT, ...given });
  return await redis.probe(parsed, context({ timeoutMs }));
}

const parsed = redis.parameters.parse({ port: PORT });
const start = async (): Promise<void> => await redis.start?.(parsed, context());
const stop = async (): Promise<void> => await redis.stop?.(parsed, context());
const pids = async (): Promise<readonly number[]> =>
  (await redis.processes?.(parsed, context())) ?? [];
const cli = (...args: string[]): string =>
  execFileSync('redis-cli', ['-p', String(PORT), ...args], { encoding: 'utf8' }).trim();

beforeAll(async () => {
  chmodSync(place.top, 0o755);
  mkdirSync(dataDir);
  const { uid, gid } = await systemUser('redis');
  chownSync(dataDir, uid, gid);
});
afterAll(async () => {
  for (const pid of await pids()) process.kill(pid, 'SIGKILL');
  await waitUntil(async () => (await pids()).length === 0, 10_000, 20);
  disk[Symbol.dispose]();
  place[Symbol.dispose]();
});
beforeEach(async () => {
  disk.free();
  await start();
});

describe('Redis', () => {
  test('serves; heartbeat; keeps what it was given through a kill', async () => {
    expect(await probe()).toMatchObject({
      state: 'ok',
      measures: { clients: expect.any(Number), memoryBytes: expect.any(Number) },
    });
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
    expect(cli('set', 'order', '17')).toBe('OK');
    // appendfsync everysec, and the write itself before the answer.
    const [server = 0] = await pids();
    process.kill(server, 'SIGKILL');
    await waitUntil(async () => (await pids()).length === 0, 10_000, 20);
    expect(await probe()).toMatchObject({ state: 'stopped' });
    await start();
    expect(cli('get', 'order')).toBe('17');
  });

  test('started twice, stopped twice; nothing is left', async () => {
    const before = await pids();
    await start();
    expect(await pids()).toEqual(before);
    await stop();
    expect(await pids()).toEqual([]);
    await stop();
  });

  test('frozen: no answer within the time of the probe, and a stop all the same', async () => {
    for (const pid of await pids()) process.kill(pid, 'SIGSTOP');
    const from = performance.now();
    await expect(probe({}, SHORT_MS)).rejects.toThrow();
    expect(performance.now() - from).toBeLessThan(SHORT_MS + 1000);
    await stop();
    expect(await pids()).toEqual([]);
  });

  test('password: none given, wrong, right', async () => {
    cli('config', 'set', 'requirepass', 'right');
    expect(await probe()).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('NOAUTH'),
    });
    expect(await probe({ password: 'wrong' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('WRONGPASS'),
    });
    expect(await probe({ password: 'right' })).toMatchObject({ state: 'ok' });
    await stop();
  });

  test('no connection left: degraded; another port: failed while its process runs', async () => {
    cli('config', 'set', 'maxclients', '1');
    const { connect } = await import('node:net');
    const held = connect(PORT, '127.0.0.1');
    await new Promise((resolve) => {
      held.once('connect', resolve);
    });
    expect(await probe()).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('max number of clients'),
    });
    held.destroy();
    expect(await probe({ port: PORT + 1 })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('its process runs'),
    });
    await stop();
  });

  test('a replica takes no writes: degraded', async () => {
    cli('replicaof', '127.0.0.1', '1');
    expect(await probe()).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('replica'),
    });
    cli('replicaof', 'no', 'one');
  });

  test('disk full: failed, by the heartbeat and by the append-only file', async () => {
    disk.fill();
    expect(await probe({ heartbeat: true })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('is full'),
    });
    // Redis itself: what it cannot append it does not acknowledge.
    const value = 'x'.repeat(100_000);
    await waitUntil(
      async () => {
        cli('set', 'big', value);
        return (await probe({ minFreeMiB: 0 })).state === 'failed';
      },
      10_000,
      20,
    );
    expect(await probe({ minFreeMiB: 0 })).toMatchObject({
      state: 'failed',
      sentence: expect.stringMatching(/AOF file|append-only file/),
    });
    disk.free();
    await waitUntil(async () => (await probe()).state === 'ok', 10_000, 50);
    expect(await probe({ heartbeat: true })).toMatchObject({ state: 'ok' });
  });
});
