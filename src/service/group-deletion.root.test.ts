// What a managed group leaves behind when it is deleted: nothing that a later one could meet. Group processes are the
// stand-in, etcd is real.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { present } from '../core/assert.ts';
import { EtcdClient } from '../cluster/arbiter/etcd-client.ts';
import { EtcdCluster } from '../cluster/arbiter/fixtures/etcd-cluster.ts';
import { type TestNode, type TwoNodes, twoNodes, until } from './fixtures/two-nodes.ts';
import { lockOwner } from './process-lock.ts';

const PATIENCE_MS = 30_000;
const CALL_MS = 5000;
const GROUP = 'shop';

let nodes: TwoNodes;
let etcd: EtcdCluster;
let client: EtcdClient;

beforeEach(async () => {
  [nodes, etcd] = await Promise.all([twoNodes(), EtcdCluster.start(1)]);
  client = new EtcdClient({ endpoints: etcd.endpoints });
  await nodes.pair();
});
afterEach(async () => {
  const clusters = [nodes.a, nodes.b].map(({ paths }) => lockOwner(paths.clusterLock));
  await nodes.down();
  for (const pid of clusters) {
    try {
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended with its last group.
    }
  }
  await client.close();
  await etcd.stop();
});

async function create(arbiter: object): Promise<void> {
  const { a, b } = nodes;
  const [dir, standbyDir] = [join(nodes.data(a), GROUP), join(nodes.data(b), GROUP)];
  mkdirSync(dir, { recursive: true });
  const input = { name: GROUP, paths: [{ dir, standbyDir }], failover: arbiter };
  await a.call('group-create', { input, origin: 'test' });
  await until('the copy is complete', async () => viewOf(b)?.fresh, PATIENCE_MS);
}

const withEtcd = () => ({ arbiter: 'etcd', etcd: { endpoints: etcd.endpoints } });

const viewOf = ({ service }: TestNode) => service.failover.viewOf(service.group(GROUP));

/** How many groups have a record. */
async function records(): Promise<number> {
  const [key, end] = ['/understudy/', '/understudy0'].map((text) =>
    Buffer.from(text).toString('base64'),
  );
  const call = { key, range_end: end, count_only: true };
  const answer = (await client.call('/v3/kv/range', call, CALL_MS)) as { count?: string };
  return Number(answer.count ?? 0);
}

const ofGroup = ({ paths }: TestNode): string[] =>
  readdirSync(paths.run).filter((name) => name.startsWith(`${GROUP}.`));

test('a deleted group leaves no lease and no record, and one of the same name can be created at once', async () => {
  const { a, b } = nodes;
  for (let time = 0; time < 3; time += 1) {
    await create(withEtcd());
    expect(await records()).toBe(1);
    expect(ofGroup(a)).toContain(`${GROUP}.lease`);
    // From either node.
    await (time === 1 ? b : a).call('group-delete', { group: GROUP });
    expect([...ofGroup(a), ...ofGroup(b)]).toEqual([]);
    expect(await records()).toBe(0);
  }
  expect([...(await a.eventCodes()), ...(await b.eventCodes())]).not.toContain('RECORD_LEFT');
}, 180_000);

test('while the other node may still have the group, its record stays', async () => {
  const { a, b } = nodes;
  await create(withEtcd());
  const cluster = present(lockOwner(b.paths.clusterLock), 'a cluster process');
  await b.stop();
  // The machine there goes on without its service.
  await a.call('group-delete', { group: GROUP, force: true });
  expect(await records()).toBe(1);
  expect(ofGroup(a)).toEqual([]);
  expect(lockOwner(b.paths.clusterLock)).toBe(cluster);
  await b.start();
  await b.call('group-delete', { group: GROUP, force: true });
}, 120_000);

test('a record that cannot be removed is told of, and keeps no group from being deleted', async () => {
  const { a, b } = nodes;
  await create(withEtcd());
  await etcd.stop();
  await a.call('group-delete', { group: GROUP });
  expect(b.service.groups.size).toBe(0);
  expect(await a.eventCodes()).toContain('RECORD_LEFT');
}, 120_000);
