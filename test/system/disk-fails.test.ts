// Disks that fail under a running host. Groups that are not managed stay where they are; most of what happens in
// managed ones is in the field test.
import { expect, test } from 'vitest';
import { askGroup } from '../../lab/node-admin.ts';
import { waitForDaemon } from '../../lab/pair.ts';
import type { LabHost } from '../../lab/host.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const FILL = `for i in $(seq 60); do head -c 20000 /dev/urandom > ${DIRECTORY}/file-$i; done; sync -f ${DIRECTORY}/file-1; sync`;

async function replaceDisk(host: LabHost): Promise<void> {
  await host.powerOff();
  await host.boot();
  await waitForDaemon(host);
}

test('the primary’s turns read-only: the application is told, nothing of the copy is lost', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    await pair.a.must(['sh', '-c', FILL]);
    await pair.settle();
    pair.a.breakDisk('read-only');
    const write = await pair.a.exec(['sh', '-c', `echo x > ${DIRECTORY}/late`], {
      timeoutMs: 20_000,
    });
    expect(write.stderr).toMatch(/Read-only file system|Input\/output error/);
    await replaceDisk(pair.a);
    await pair.a.must(['sh', '-c', `echo back > ${DIRECTORY}/back`]);
    expect(await pair.differences()).toEqual([]);
    expect(await pair.a.must(['ls', DIRECTORY])).toContain('file-60');
  });
}, 170_000);

test.each(['error', 'read-only'] as const)(
  'the standby’s (%s): the primary goes on, and the copy is whole again with a good disk',
  async (fault) => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('sync');
      await pair.a.must(['sh', '-c', FILL]);
      pair.b.breakDisk(fault);
      const change = `for i in $(seq 30); do echo changed > ${DIRECTORY}/file-$i; done; rm ${DIRECTORY}/file-6*; sync -f ${DIRECTORY}/file-1`;
      await pair.a.must(['sh', '-c', change], { timeoutMs: 60_000 });
      await replaceDisk(pair.b);
      expect(await pair.differences()).toEqual([]);
    });
  },
  170_000,
);

test('the standby’s turns read-only unnoticed, and then it is to take over: the primary serves again', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged();
    await pair.settle();
    b.breakDisk('read-only');
    const moved = await a.exec(['understudy', 'switchover', GROUP], { timeoutMs: 60_000 });
    expect(moved.code).not.toBe(0);
    // The directory is read-only until the filter is over it again.
    const write = ['sh', '-c', `echo on > ${DIRECTORY}/on`];
    const serves = async (): Promise<boolean> =>
      (await askGroup(a, GROUP))?.role === 'primary' &&
      (await a.exec(write, { timeoutMs: 20_000 })).code === 0;
    expect(await waitUntil(serves, 60_000, 200)).toBe(true);
  });
}, 170_000);
