// A switchover to a standby that loses its power while the application stops: the primary serves on, and says so.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

/** The link is missed after 2 s, and waited for for another 3 s. */
const UNSERVED_MS_MAX = 15_000;
const NUMBER = `${DIRECTORY}/number`;

const writer = (atEnd: string): string =>
  `n=0; trap 'sleep 1; ${atEnd}; exit 0' TERM; while :; do n=$((n+1)); echo $n >${NUMBER}; sleep 0.05; done`;

test.each([
  ['has all of it: this node takes the group back', 'true', /TAKING_OVER/u],
  [
    'lacks something: it is not even unmounted',
    `echo 0 >${NUMBER}`,
    /HANDOVER_FAILED.*does not follow/su,
  ],
])(
  'a standby that %s',
  async (_, atEnd, refusal) => {
    await PairUnderTest.with(async (pair) => {
      const { a, b } = pair;
      const run = ['sh', '-c', writer(atEnd)];
      await pair.createManaged({ agents: [{ use: 'supervised', name: 'writer', run }] });
      const number = async (): Promise<number> => Number((await a.exec(['cat', NUMBER])).stdout);
      const isWriting = async (): Promise<boolean> => {
        const before = await number();
        return waitUntil(async () => (await number()) !== before, 1000, 20);
      };
      expect(await waitUntil(isWriting, UNSERVED_MS_MAX, 100)).toBe(true);

      const switchover = understudy(a, ['switchover', GROUP], { timeoutMs: 60_000 });
      const refused = expect(switchover).rejects.toThrow(refusal);
      const hasBegun = async (): Promise<boolean> =>
        (await askEvents(a)).some(({ code }) => code === 'HANDING_OVER');
      expect(await waitUntil(hasBegun, UNSERVED_MS_MAX, 10)).toBe(true);
      // What was written before that has come over by now; the application takes a second to stop.
      await sleep(500);
      const startedMs = performance.now();
      await b.powerOff();
      await refused;
      expect(await waitUntil(isWriting, UNSERVED_MS_MAX, 100)).toBe(true);
      expect(performance.now() - startedMs).toBeLessThan(UNSERVED_MS_MAX);
      expect((await askGroup(a, GROUP))?.role).toBe('primary');
    });
  },
  200_000,
);
