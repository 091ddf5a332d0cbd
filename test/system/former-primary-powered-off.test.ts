// A primary that has just handed over loses its power before its kernel has written what applications had not asked to be on the
// disk: as a standby it must not count that as a copy that has everything.
import { expect, test } from 'vitest';
import { understudy, waitForDaemon } from '../../lab/pair.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;

test('a power cut right after a switchover: both copies are equal again', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.protect('sync');
    await a.must([
      'sh',
      '-ec',
      `cd ${DIRECTORY}; for n in $(seq 200); do echo "$n" >file-$n; done; head -c 8M /dev/urandom >big`,
    ]);
    await pair.settle();
    await understudy(a, ['switchover', GROUP], { timeoutMs: PATIENCE_MS });
    await pair.settle(b);
    await a.powerOff();
    await a.boot();
    await waitForDaemon(a);
    await pair.settle(b);
    expect(await pair.differences(b)).toEqual([]);
  });
}, 200_000);
