// The service of a node is started again, or stands still, while its machine goes on: what was asked for before, and what was told
// before, is not taken for what is. Group processes are the stand-in.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { present } from '../../core/assert.ts';
import {
  type PairWithDirectory,
  pairWithDirectory,
  type TestNode,
  until,
} from '../fixtures/two-nodes.ts';
import { lockOwner } from '../process-lock.ts';

const PATIENCE_MS = 30_000;
const FORCED = { force: true, acceptStale: true, acceptIncomplete: false, acceptHalted: false };

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory();
});
afterEach(async () => {
  const clusters = [nodes.a, nodes.b].map(clusterPid);
  for (const pid of clusters) process.kill(pid, 'SIGCONT');
  // Otherwise what is stopped is started again.
  for (const { service } of [nodes.a, nodes.b]) {
    await service.failover.suspend(service.group('shop'));
  }
  await nodes.down();
  for (const pid of clusters) process.kill(pid, 'SIGKILL');
});

const clusterPid = ({ paths }: TestNode): number =>
  present(lockOwner(paths.clusterLock), 'a cluster process');

const view = ({ service }: TestNode) => service.failover.of(service.group('shop')).view;

async function create(failover: Record<string, unknown> = {}): Promise<void> {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  const input = {
    name: 'shop',
    paths: [{ dir, standbyDir }],
    failover: { arbiter: 'none', ...failover },
  };
  await a.call('group-create', { input, origin: 'test' });
  await until('b takes part', async () => view(b)?.peerRole === 'primary', PATIENCE_MS);
}

async function isRole(node: TestNode, role: string): Promise<void> {
  await until(`${node.name} is ${role}`, async () => view(node)?.role === role, PATIENCE_MS);
}

async function startAgain(node: TestNode): Promise<void> {
  await node.stop();
  await node.start();
  await until('its machine is found', async () => view(node) !== null, PATIENCE_MS);
}

/** Node, epoch and request of each. */
function allowances(): string[] {
  const file = join(nodes.top, 'stand-in', 'shop.allowances');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

test('what one primary may do is not told to the next one: commits wait until it is recorded', async () => {
  const { a, b } = nodes;
  a.behave({ commits: 'alone-wanted' });
  await create({ timings: { aloneAfter: '60s' } });
  await until('a may go on alone', async () => allowances().length > 0, PATIENCE_MS);
  await b.call('takeover', { group: 'shop', ...FORCED });
  await isRole(a, 'standby');
  a.behave({ commits: 'alone-wanted', finishDelayMs: 1000 });
  const taken = a.call('takeover', { group: 'shop', ...FORCED });
  await until('a promotes', async () => a.service.group('shop').isChanging, PATIENCE_MS);
  // From now on nothing is recorded at b.
  process.kill(clusterPid(b), 'SIGSTOP');
  await taken;
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'recording' });
  const { epoch } = a.service.group('shop').state;
  await startAgain(a);
  await until('its process is found', async () => a.service.group('shop').phase === 'running');
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'recording' });
  expect(allowances().filter((line) => line.startsWith(`a ${epoch} `))).toEqual([]);
}, 120_000);

test('a process that is started for a service that knows nothing of the one before is answered, too', async () => {
  const { a, b } = nodes;
  await create();
  await until('a and b are together', async () => view(a)?.alone === 'together', PATIENCE_MS);
  const { pid } = a.service.group('shop').process;
  await a.stop();
  process.kill(present(pid, 'a process'), 'SIGKILL');
  a.behave({ commits: 'alone-wanted' });
  const before = allowances().length;
  await a.start();
  await until('it may go on alone', async () => allowances().length > before, PATIENCE_MS);
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'allowed' });
  await until('b is told', async () => view(b)?.stale === true, PATIENCE_MS);
}, 120_000);

test('a disk that works again is known to do so, though another service has told that it had failed', async () => {
  const { b } = nodes;
  await create();
  const failover = b.service.failover.of(b.service.group('shop'));
  failover.onNotice({ kind: 'disk', why: 'the test says so' });
  await until('it has failed', async () => view(b)?.health.disk === 'failed', PATIENCE_MS);
  await startAgain(b);
  await until('it works', async () => view(b)?.health.disk === 'ok', PATIENCE_MS);
}, 120_000);

test('a copy that was complete is complete, though its process is ended amid a promotion', async () => {
  const { a, b } = nodes;
  await create();
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  const runtime = b.service.group('shop');
  const failover = b.service.failover.of(runtime);
  b.behave({ finishDelayMs: 2000 });
  const epoch = runtime.state.epoch + 1;
  failover.onEffect({ kind: 'promote', op: 1, epoch, base: null, accepts: ['up-to-date'] });
  await sleep(1000);
  process.kill(clusterPid(a), 'SIGSTOP');
  // As a process that has just been started, and has not heard of a primary.
  b.behave({ copy: 'catching-up' });
  failover.onEffect({ kind: 'demote', op: 2, drain: false, stays: false, timeoutMs: 60_000 });
  await until('it is over', async () => !runtime.isChanging, PATIENCE_MS);
  await sleep(1000);
  expect(runtime.process.isAlive).toBe(true);
  expect(view(b)).toMatchObject({ role: 'standby', copy: 'up-to-date' });
}, 120_000);

test('a takeover goes on whose service is started again amid it', async () => {
  const { a, b } = nodes;
  await create({
    arbiter: 'gateway',
    gateway: '127.0.0.1',
    gatewayMethod: 'ping',
    automatic: true,
  });
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  b.behave({ finishDelayMs: 2000 });
  process.kill(clusterPid(a), 'SIGSTOP');

  await isRole(b, 'promoting');
  await sleep(500);
  b.behave({ copy: 'catching-up' });
  await startAgain(b);
  await isRole(b, 'primary');
}, 120_000);
