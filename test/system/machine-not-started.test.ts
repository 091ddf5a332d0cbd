// A standby whose machine cannot be started, since what it must remember cannot be read: it is told and shown, and when that
// has been put right the node takes over again, without anybody restarting anything.
import { expect, test } from 'vitest';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { groupPaths, servicePaths } from '../../src/service/service-paths.ts';
import { GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;

test('failover runs again as soon as it can', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged();
    const { memo } = groupPaths(servicePaths({}), GROUP);
    await b.must(['sh', '-c', `mv ${memo} ${memo}.kept && echo '{' > ${memo}`]);
    await b.must(['sh', '-c', 'kill -9 $(cat /run/understudy/cluster.lock)']);
    const count = async (wanted: string): Promise<number> =>
      (await askEvents(b)).filter(({ code }) => code === wanted).length;
    const heardBefore = await count('PEER_HEARD');
    const isTold = async (): Promise<boolean> => (await count('FAILOVER_NOT_RUNNING')) > 0;
    expect(await waitUntil(isTold, PATIENCE_MS, 100)).toBe(true);
    const trouble = async (): Promise<string> =>
      (await pair.group(b))?.local.trouble ?? 'none is shown';
    expect(await trouble()).toContain('failover of group "data" does not run');

    await b.must(['mv', `${memo}.kept`, memo]);
    const isOver = async (): Promise<boolean> => !(await trouble()).includes('does not run');
    expect(await waitUntil(isOver, PATIENCE_MS, 100)).toBe(true);
    expect(await count('FAILOVER_NOT_RUNNING')).toBe(1);
    const isComplete = async (): Promise<boolean> =>
      (await count('PEER_HEARD')) > heardBefore &&
      (await pair.group(b))?.local.failover?.['fresh'] === true;
    expect(await waitUntil(isComplete, PATIENCE_MS, 100)).toBe(true);
    await a.powerOff();
    const hasMoved = async (): Promise<boolean> => (await askGroup(b, GROUP))?.role === 'primary';
    expect(await waitUntil(hasMoved, PATIENCE_MS, 100)).toBe(true);
  });
}, 250_000);
