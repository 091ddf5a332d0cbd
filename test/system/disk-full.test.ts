// Disks without room: the application meets ENOSPC as always, nothing diverges, and the pair goes on by
// itself when there is room again. State, journal and backlog lie on the same disk as the data.
import { expect, test } from 'vitest';
import { askEvents } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

const WRITES = `i=0; while [ $i -lt 200 ]; do head -c 65536 /dev/urandom > "$1/file-$i" 2>/dev/null || f=$((f + 1))
  mv "$1/file-$i" "$1/kept-$i" 2>/dev/null; i=$((i + 1)); done; echo "failed \${f:-0}"`;

test('on the primary: ENOSPC reaches the application, the copy has exactly what it could write', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    await pair.a.fillDisk(4 * 1024 * 1024);
    const full = await pair.a.exec(['sh', '-c', WRITES, 'sh', DIRECTORY], { timeoutMs: 100_000 });
    expect(full.stdout).toMatch(/failed [1-9]/);
    const appended = await pair.a.exec([
      'sh',
      '-c',
      `head -c 50M /dev/zero >> ${DIRECTORY}/kept-0`,
    ]);
    expect(appended.stderr).toContain('No space left on device');
    await pair.settle();
    await pair.a.freeDisk();
    await pair.a.must(['sh', '-c', `echo again > ${DIRECTORY}/again && sync ${DIRECTORY}/again`]);
    expect(await pair.differences()).toEqual([]);
  });
}, 170_000);

test('on the standby: the primary goes on, and the copy is whole again when there is room', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    await pair.b.fillDisk();
    // More than what journal segments made in advance may hold.
    const write = `head -c 200M /dev/urandom | split -b 4M - ${DIRECTORY}/part- && sync -f ${DIRECTORY}/part-aa`;
    await pair.a.must(['sh', '-c', write], { timeoutMs: 100_000 });
    const isTold = async (): Promise<boolean> => {
      const told = ['JOURNAL_NO_SPACE', 'APPLY_BLOCKED', 'STATE_IO'];
      return (await askEvents(pair.b)).some(({ code }) => told.includes(code));
    };
    expect(await waitUntil(isTold, 40_000, 500)).toBe(true);
    await pair.a.must(['sh', '-c', `echo more > ${DIRECTORY}/more`]);
    await pair.b.freeDisk();
    expect(await pair.differences()).toEqual([]);
  });
}, 170_000);
