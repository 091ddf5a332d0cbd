// Going back in a group whose role the nodes decide themselves: the primary, which is well, has to cease.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { managedGroupYaml } from '../../lab/managed.ts';
import { understudy, waitForCopy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

test('a managed group goes back to a bookmark on the other node', async () => {
  await PairUnderTest.with(async (pair) => {
    const agent = { start: 'true', stop: 'true', probe: 'true' };
    const group = { name: GROUP, directory: DIRECTORY, mode: 'sync', profile: 'default' } as const;
    const input = managedGroupYaml(pair.lab, { ...group, agent });
    const create = ['group', 'create', '--file', '-', '--allow-empty-match'];
    await understudy(pair.a, create, { input, timeoutMs: 60_000 });
    await waitForCopy(pair.a, GROUP, 120_000);

    await pair.a.must(['sh', '-ec', `cd ${DIRECTORY}; mkdir shop; echo 1 > shop/order; sync`]);
    await understudy(pair.b, ['rewind', 'mark', GROUP, 'good'], { timeoutMs: 120_000 });
    await pair.a.must(['sh', '-ec', `cd ${DIRECTORY}; echo x > shop/order; rm -r shop; sync`]);

    const restore = ['rewind', 'restore', GROUP, '--at', 'good'];
    const refused = await pair.b.exec(['understudy', ...restore, '--json']);
    expect(refused.stdout).toContain('REWIND_NEEDS_FORCE');
    await understudy(pair.b, [...restore, '--force'], { timeoutMs: 120_000 });
    expect(readFileSync(join(pair.b.pathFromOutside(DIRECTORY), 'shop/order'), 'latin1')).toBe(
      '1\n',
    );
    const followed = async (): Promise<boolean> => {
      const there = join(pair.a.pathFromOutside(DIRECTORY), 'shop/order');
      const state = await pair.group(pair.b);
      return state?.copy === 'up-to-date' && existsSync(there);
    };
    expect(await waitUntil(followed, 120_000, 500)).toBe(true);
    expect(await pair.differences(pair.b)).toEqual([]);
  });
}, 300_000);
