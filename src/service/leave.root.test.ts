// "understudy leave" of a node with several groups. Group processes are the stand-in.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { present } from '../core/assert.ts';
import { clusterPid, endManaged } from './fixtures/cluster-processes.ts';
import { type TestNode, type TwoNodes, twoNodes, until } from './fixtures/two-nodes.ts';
import { leave } from './leave.ts';

const PATIENCE_MS = 30_000;
const GROUPS = ['books', 'shop'];

let nodes: TwoNodes;

beforeEach(async () => {
  nodes = await twoNodes();
  await nodes.pair();
});
afterEach(async () => endManaged(nodes));

async function createAll(): Promise<void> {
  const { a, b } = nodes;
  for (const name of GROUPS) {
    const [dir, standbyDir] = [join(nodes.data(a), name), join(nodes.data(b), name)];
    mkdirSync(dir);
    const paths = [{ dir, standbyDir }];
    await a.call('group-create', {
      input: { name, paths, failover: { arbiter: 'none' } },
      origin: 'test',
    });
  }
  for (const name of GROUPS) {
    await until(`b is complete: ${name}`, async () => view(b, name)?.fresh, PATIENCE_MS);
  }
}

const view = ({ service }: TestNode, name: string) => service.failover.of(service.group(name)).view;

const isClusterUp =
  ({ service }: TestNode) =>
  async (): Promise<boolean> =>
    (await service.failover.clusterStatus().catch(() => null)) !== null;

/** Of each group; undefined while nothing is known of it. */
async function leaving({ service }: TestNode): Promise<unknown[]> {
  const views = GROUPS.map(async (name) => (await service.group(name).view()).failover);
  return (await Promise.all(views)).map((one) => one?.['leaving']);
}

async function servesAll({ service }: TestNode): Promise<boolean> {
  const views = GROUPS.map(async (name) => (await service.group(name).view()).failover);
  return (await Promise.all(views)).every((one) => one?.['role'] === 'primary');
}

test('a service that is started again takes part with all groups of the node', async () => {
  await createAll();
  const { b } = nodes;
  const { groups } = await leave(b.service);
  expect(groups.map(({ result }) => result)).toEqual(['standby', 'standby']);
  expect(await leaving(b)).toEqual([true, true]);
  await b.stop();
  await b.start();
  const isBack = async (): Promise<boolean> => (await leaving(b)).every((one) => one === false);
  await until('every group takes part again', isBack, PATIENCE_MS);
}, 120_000);

test('a group whose process dies while it is handed over is stopped, not served still', async () => {
  await createAll();
  const { a } = nodes;
  a.behave({ die: ['handover'] });
  const { groups } = await leave(a.service);
  expect(groups).toEqual(
    GROUPS.map((group) => ({ group, result: 'stopped', why: expect.any(String) as string })),
  );
}, 120_000);

test('what cannot be asked to leave is told as what it is: served here, or a standby', async () => {
  await createAll();
  const { a, b } = nodes;
  const results = [];
  for (const node of [a, b]) {
    process.kill(clusterPid(node), 'SIGKILL');
    const { groups } = await leave(node.service);
    results.push(...groups.map(({ result }) => result));
    await until('its cluster process is back', isClusterUp(node));
  }
  expect(results).toEqual(['failed', 'failed', 'unsaid', 'unsaid']);
}, 120_000);

test('a group that was handed over and whose machine dies then is not told to be served here', async () => {
  await createAll();
  const { a, b } = nodes;
  // The other node takes its time.
  b.behave({ finishDelayMs: 8000 });
  const report = leave(a.service);
  await until('it is handed over', async () =>
    GROUPS.every((name) => view(a, name)?.role === 'standby'),
  );
  process.kill(clusterPid(a), 'SIGKILL');
  const { groups } = await report;
  for (const { result } of groups)
    expect(['unsaid', 'unknown', 'offered', 'moved']).toContain(result);
  await until('its cluster process is back', isClusterUp(a));
}, 120_000);

test('both nodes leave and are started again: the one that served last serves', async () => {
  await createAll();
  const { a, b } = nodes;
  const results = async (node: TestNode): Promise<string[]> =>
    (await leave(node.service)).groups.map(({ result }) => result);
  expect(await results(b)).toEqual(['standby', 'standby']);
  expect(await results(a)).toEqual(['stopped', 'stopped']);
  expect(await a.eventCodes()).not.toContain('HANDOVER_FAILED');
  for (const node of [a, b]) await node.stop();
  for (const node of [a, b]) await node.start();
  await until('a serves again', async () => servesAll(a), PATIENCE_MS);
}, 120_000);

test('both nodes leave in the same moment and lose their power: the one that served last serves', async () => {
  await createAll();
  const { a, b } = nodes;
  // As a standby that nobody sends anything.
  a.behave({ handoverDelayMs: 2000, copy: 'empty' });
  const left = leave(a.service);
  await sleep(1000);
  await leave(b.service);
  const { groups } = await left;
  expect(groups.map(({ result }) => result)).toEqual(['stopped', 'stopped']);
  const pids = [a, b].flatMap((node) => [
    clusterPid(node),
    ...GROUPS.map((name) => present(node.service.group(name).process.pid, 'a process')),
  ]);
  for (const node of [a, b]) await node.stop();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  b.behave({ copy: 'catching-up' });
  for (const node of [a, b]) await node.start();
  await until('a serves again', async () => servesAll(a), PATIENCE_MS);
}, 120_000);
