// The connection hangs without a reset, in both directions and in one only: noticed within linkTimeout, commits
// stall no longer than syncTimeout, and when the network is back everything is as if nothing had been.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventsSince, LoadUnderTest, waitForEvent } from './load-under-test.ts';
import { PairUnderTest } from './pair-under-test.ts';

/** What a busy machine may add. */
const SLACK_MS = 1500;
const LINK_TIMEOUT_MS = 2000;
const SYNC_TIMEOUT_MS = 2000;

interface Silence {
  readonly name: string;
  readonly from: 'a' | 'b';
  readonly oneWay: boolean;
}
const SILENCES: readonly Silence[] = [
  { name: 'both ways', from: 'a', oneWay: false },
  { name: 'from the primary only', from: 'a', oneWay: true },
  { name: 'to the primary only', from: 'b', oneWay: true },
];

test('a link that falls silent without a word', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    const load = await LoadUnderTest.start(pair);
    await sleep(1000);
    for (const { name, from, oneWay } of SILENCES) {
      const cutAt = Date.now();
      const to = from === 'a' ? 'b' : 'a';
      await pair.lab.cut(from, to, { network: 'sync', oneWay });
      const downAfter = await waitForEvent(pair, 'LINK_DOWN', cutAt, 15_000);
      await waitForEvent(pair, 'GOES_ON_ALONE', cutAt, 15_000);
      const healedAt = Date.now();
      await pair.lab.heal();
      const upAfter = await waitForEvent(pair, 'LINK_UP', healedAt, 20_000);
      await waitForEvent(pair, 'TOGETHER', healedAt, 20_000);
      process.stdout.write(
        `silent ${name}: noticed after ${downAfter} ms, back after ${upAfter} ms\n`,
      );
      expect(downAfter, name).toBeLessThan(LINK_TIMEOUT_MS + SLACK_MS);
      const codes = (await eventsSince(pair, cutAt)).map(({ code }) => code);
      expect(codes).not.toContain('SCAN_STARTED');
    }
    const report = await load.stop();
    const worst = Math.max(...report.fsyncMs);
    process.stdout.write(`${report.commits} commits, the longest ${worst.toFixed(0)} ms\n`);
    expect(worst).toBeLessThan(SYNC_TIMEOUT_MS + SLACK_MS);
    await load.expectNothingLost(report);
  });
}, 150_000);
