// A promotion fails when its process serves already: the service stood still for longer than it waits for an answer.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { compareTrees, snapshotTree } from '../../../test/support/tree.ts';
import { programs } from '../daemon.ts';
import { endManaged } from '../fixtures/cluster-processes.ts';
import {
  type PairWithDirectory,
  pairWithDirectory,
  type TestNode,
  until,
} from '../fixtures/two-nodes.ts';
import { GroupProcess } from '../group-process.ts';

const PATIENCE_MS = 60_000;
const STALL_MS = 3500;

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory(programs);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await endManaged(nodes);
});

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('what was written meanwhile is not left in one copy only', async () => {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  writeFileSync(join(dir, 'before'), 'of a');
  const input = { name: 'shop', paths: [{ dir, standbyDir }], failover: { arbiter: 'none' } };
  await a.call('group-create', { input, origin: 'test' });
  await a.upToDate('shop');
  const failover = a.service.failover.of(a.service.group('shop'));
  await until('in step', async () => failover.view?.alone === 'together', PATIENCE_MS);
  const [former, promoted] = [a, b].map(({ service }) => service.group('shop').process);
  const { start, untilMounted } = GroupProcess.prototype;
  const over = Promise.withResolvers<undefined>();
  let isOver = false;
  vi.spyOn(GroupProcess.prototype, 'start').mockImplementation(async function (
    this: GroupProcess,
    spec,
  ) {
    // Otherwise it would come to the other node.
    if (this === former) await over.promise;
    return start.call(this, spec);
  });
  vi.spyOn(GroupProcess.prototype, 'untilMounted').mockImplementation(async function (
    this: GroupProcess,
    timeoutMs,
  ) {
    const answer = untilMounted.call(this, timeoutMs);
    if (this === promoted && !isOver) {
      isOver = true;
      writeFileSync(join(standbyDir, 'meanwhile'), 'of b');
      standStill(STALL_MS);
      over.resolve(undefined);
    }
    return answer;
  });
  await a.call('switchover', { group: 'shop' }).catch(() => undefined);
  const serves = ({ service }: TestNode): boolean =>
    service.failover.of(service.group('shop')).view?.role === 'primary';
  const primary = await until('one serves', async () => [a, b].find(serves), PATIENCE_MS);
  await primary.upToDate('shop');
  expect(isOver).toBe(true);
  await expect
    .poll(() => compareTrees(snapshotTree(dir), standbyDir), { timeout: PATIENCE_MS })
    .toEqual([]);
}, 180_000);
