// Both machines were to be shut down, and lose their power when "understudy leave" has just ended the groups: what had come to both is
// not to be gone from both, because the one that served last leads and its kernel had not written it.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;
const FILES = 200;

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
      const isPrimary = async (): Promise<boolean> =>
        (await askGroup(a, GROUP))?.role === 'primary';
      expect(await waitUntil(isPrimary, PATIENCE_MS, 100)).toBe(true);
      await pair.settle();
      const whole = `cd ${DIRECTORY}; for n in $(seq ${FILES}); do test "$(cat file-$n)" = $n && echo $n; done | wc -l`;
      expect(Number(await a.must(['sh', '-c', whole]))).toBe(FILES);
      expect(await pair.differences()).toEqual([]);
    });
  },
  200_000,
);
