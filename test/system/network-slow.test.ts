// A line of 1 Mbit/s: slow is not dead. The link stays up while much more is written than it takes, the group
// says why commits do not wait, and in the end the standby has everything.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventsSince, LoadUnderTest, waitForEvent } from './load-under-test.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

test('1 Mbit/s under load', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    await pair.a.shape('sync', '1mbit');
    const since = Date.now();
    const load = await LoadUnderTest.start(pair, { tree: false, pauseMs: 100, bytes: 200 });
    await sleep(2000);
    // 8 s of the line at once, and text that shrinks to a fraction.
    const noise = ['dd', 'if=/dev/urandom', `of=${DIRECTORY}/noise`, 'bs=64k', 'count=16'];
    await pair.a.must(noise);
    const text = `for i in $(seq 40); do cat /etc/services >> ${DIRECTORY}/text; done`;
    await pair.a.must(['sh', '-c', text]);
    await waitForEvent(pair, 'GOES_ON_ALONE', since, 20_000);
    const alone = (await eventsSince(pair, since)).find(({ code }) => code === 'GOES_ON_ALONE');
    expect(alone?.message).toContain('the standby answers');
    const report = await load.stop();
    await waitForEvent(pair, 'TOGETHER', since + 1, 60_000);
    const codes = (await eventsSince(pair, since)).map(({ code }) => code);
    expect(codes).not.toContain('LINK_DOWN');
    expect(codes).not.toContain('SCAN_STARTED');
    await load.expectNothingLost(report);
    const group = await pair.group();
    const worst = Math.max(...report.fsyncMs);
    process.stdout.write(
      `1 Mbit/s: ${report.commits} commits, the longest ${worst.toFixed(0)} ms; compressed ${String(group?.compressionRatio)} : 1\n`,
    );
    expect(worst).toBeLessThan(2000 + 1500);
    expect(group?.compressionRatio).toBeGreaterThan(1.1);
  });
}, 150_000);
