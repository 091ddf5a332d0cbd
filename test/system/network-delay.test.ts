// A line with 200 ms of delay (100 ms each way), made in user space: commits take one round trip, nothing times out, and
// data flows much faster than one frame per round trip.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import { divert, FIRST_PORT } from './diversion.ts';
import { eventsSince, LoadUnderTest } from './load-under-test.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

const ONE_WAY_MS = 100;
const RELAY_PORT = 17_441;

/** New replication connections of the primary go over the relay from now on. */
async function lengthenLine(pair: PairUnderTest): Promise<void> {
  const program = join(CHECKOUT, 'test/support/delay-relay.ts');
  const target = [pair.b.address('sync'), String(FIRST_PORT), String(ONE_WAY_MS)];
  const relay = pair.b.spawn([NODE, program, String(RELAY_PORT), ...target]);
  await new Promise<void>((resolve, reject) => {
    relay.child.stdout?.once('data', () => resolve());
    void relay.ended.then(() => reject(new Error('the relay ended')));
  });
  await divert(pair, RELAY_PORT);
}

test('200 ms of delay under load', async () => {
  await PairUnderTest.with(async (pair) => {
    await lengthenLine(pair);
    await pair.protect('sync');
    const since = Date.now();
    const load = await LoadUnderTest.start(pair);
    await sleep(5000);
    const from = performance.now();
    await pair.a.must(['dd', 'if=/dev/urandom', `of=${DIRECTORY}/bulk`, 'bs=1M', 'count=24']);
    await sleep(500);
    const report = await load.stop();
    await pair.settle();
    const seconds = (performance.now() - from) / 1000;
    const median = report.fsyncMs.toSorted((x, y) => x - y)[report.fsyncMs.length >> 1] ?? 0;
    const worst = Math.max(...report.fsyncMs);
    process.stdout.write(
      `200 ms of delay: ${report.commits} commits, median ${median.toFixed(0)} ms, the longest ${worst.toFixed(0)} ms; 24 MiB within ${seconds.toFixed(1)} s\n`,
    );
    await load.expectNothingLost(report);
    const codes = (await eventsSince(pair, since)).map(({ code }) => code);
    expect(codes).not.toContain('LINK_DOWN');
    expect(codes).not.toContain('SCAN_STARTED');
    expect(median).toBeGreaterThan(2 * ONE_WAY_MS - 5);
    expect(median).toBeLessThan(2 * ONE_WAY_MS + 200);
    expect(worst).toBeLessThan(2000 + 1500);
  });
}, 150_000);
