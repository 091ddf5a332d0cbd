// A takeover that fails half-way, for a reason that passes: what the copy has it still has, and the next attempt succeeds.
import { expect, test } from 'vitest';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;

test('a standby that could not mount takes over as soon as it can', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged();
    await a.must(['sh', '-c', `echo here > ${DIRECTORY}/file && sync ${DIRECTORY}/file`]);
    await pair.settle();
    await b.must(['mount', '--bind', '/dev/null', '/dev/fuse']);
    await a.powerOff();
    const hasFailed = async (): Promise<boolean> =>
      (await askEvents(b)).some(({ code }) => code === 'STEPS_DOWN');
    expect(await waitUntil(hasFailed, PATIENCE_MS, 100)).toBe(true);
    await b.must(['umount', '/dev/fuse']);
    const serves = async (): Promise<boolean> => (await askGroup(b, GROUP))?.role === 'primary';
    expect(await waitUntil(serves, PATIENCE_MS, 100)).toBe(true);
    expect(await b.must(['cat', `${DIRECTORY}/file`])).toBe('here\n');
  });
}, 250_000);
