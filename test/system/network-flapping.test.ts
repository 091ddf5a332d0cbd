// The link comes and goes every few seconds under load. UNDERSTUDY_LONG=1: 40 times instead of 5.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventsSince, LoadUnderTest } from './load-under-test.ts';
import { PairUnderTest } from './pair-under-test.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const TIMES = long ? 40 : 5;
const SYNC_TIMEOUT_MS = 2000;
const SLACK_MS = 1500;

test(
  'a link that flaps',
  async () => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('sync');
      const since = Date.now();
      const load = await LoadUnderTest.start(pair);
      for (let time = 0; time < TIMES; time += 1) {
        // A pulled cable is seen by the card, a dead switch is not.
        const isCable = time % 2 === 0;
        if (isCable) await pair.a.unplug('sync');
        else await pair.lab.cut('a', 'b', { network: 'sync' });
        await sleep(300 + randomInt(2700));
        if (isCable) await pair.a.plug('sync');
        else await pair.lab.heal();
        await sleep(300 + randomInt(2700));
      }
      const report = await load.stop();
      await load.expectNothingLost(report);
      const codes = (await eventsSince(pair, since)).map(({ code }) => code);
      const count = (wanted: string): number => codes.filter((code) => code === wanted).length;
      const worst = Math.max(...report.fsyncMs);
      process.stdout.write(
        `${TIMES} flaps: link down ${count('LINK_DOWN')}, up ${count('LINK_UP')}, alone ${count('GOES_ON_ALONE')}; ` +
          `${report.commits} commits, the longest ${worst.toFixed(0)} ms\n`,
      );
      expect(worst).toBeLessThan(SYNC_TIMEOUT_MS + SLACK_MS);
      expect(codes).not.toContain('SCAN_STARTED');
    });
  },
  long ? 500_000 : 150_000,
);
