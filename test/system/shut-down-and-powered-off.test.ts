// Both machines were to be shut down, and lose their power when "understudy leave" has just ended the groups: what had come to both is
// not to be gone from both, because the one that served last leads and its kernel had not written it.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { present } from '../../src/core/assert.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;
const FILES = 200;

async function whoServes(hosts: readonly LabHost[]): Promise<LabHost> {
  let primary: LabHost | undefined;
  const isServed = async (): Promise<boolean> => {
    const roles = await Promise.all(hosts.map(async (host) => askGroup(host, GROUP)));
    primary = hosts.find((_, index) => roles[index]?.role === 'primary');
    return primary !== undefined;
  };
  expect(await waitUntil(isServed, PATIENCE_MS, 100), 'it is served again').toBe(true);
  return present(primary, 'a primary');
}

test.each([
  { paused: false, atOnce: false },
  { paused: true, atOnce: false },
  { paused: false, atOnce: true },
])(
  'after both have left, and both lost their power, every file is there (paused: $paused, at once: $atOnce)',
  async ({ paused, atOnce }) => {
    await PairUnderTest.with(async (pair) => {
      const { a, b } = pair;
      await pair.createManaged();
      // The first mark of a stream brings everything to the disk, the next one comes after a minute.
      await sleep(3000);
      const write = `cd ${DIRECTORY}; for n in $(seq ${FILES}); do echo "$n" >file-$n; done`;
      await a.must(['sh', '-ec', write]);
      await pair.settle();
      if (paused) await understudy(a, ['pause', GROUP]);
      const leave = async (host: typeof a): Promise<unknown> =>
        understudy(host, ['leave'], { timeoutMs: PATIENCE_MS });
      if (atOnce) await Promise.all([b, a].map(leave));
      else for (const host of [b, a]) await leave(host);
      for (const host of [a, b]) await host.powerOff();
      for (const host of [a, b]) await host.boot();
      for (const host of [a, b]) await waitForDaemon(host);
      if (paused) {
        const isResumed = async (): Promise<boolean> =>
          (await b.exec(['understudy', 'resume', GROUP])).code === 0;
        expect(await waitUntil(isResumed, PATIENCE_MS, 200)).toBe(true);
      }
      const primary = await whoServes([a, b]);
      // At once: the other node may have taken the group over before it left.
      if (!atOnce) expect(primary).toBe(a);
      await pair.settle(primary);
      const whole = `cd ${DIRECTORY}; for n in $(seq ${FILES}); do test "$(cat file-$n)" = $n && echo $n; done | wc -l`;
      expect(Number(await primary.must(['sh', '-c', whole]))).toBe(FILES);
      expect(await pair.differences(primary)).toEqual([]);
    });
  },
  200_000,
);
