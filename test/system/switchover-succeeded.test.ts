// A switchover of several directories from a process that goes on in the place of one that was killed: the service, which
// held the mounts meanwhile and has them open, is in nobody's way.
import { expect, test } from 'vitest';
import { askGroup } from '../../lab/node-admin.ts';
import { understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;
const OTHER = '/srv/other';

test('the successor of a killed filter hands over several directories', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await a.must(['mkdir', '-p', OTHER]);
    await pair.create({
      paths: [{ dir: DIRECTORY }, { dir: OTHER }],
      replication: { mode: 'sync' },
    });
    await pair.waitForCopy();
    const pidOf = async (): Promise<unknown> => (await pair.group(a))?.local.status?.['pid'];
    const before = await pidOf();
    expect(await pair.killGroupProcess(a)).toBe(true);
    const isSucceeded = async (): Promise<boolean> => {
      const now = await pidOf();
      return typeof now === 'number' && now !== before;
    };
    expect(await waitUntil(isSucceeded, PATIENCE_MS, 50), 'another one goes on').toBe(true);
    await pair.waitForCopy();
    await understudy(a, ['switchover', GROUP], { timeoutMs: PATIENCE_MS });
    expect((await askGroup(b, GROUP))?.role).toBe('primary');
  });
}, 200_000);
