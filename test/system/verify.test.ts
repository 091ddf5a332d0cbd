// The comparison as an operator uses it: on a pair under load, with a copy that somebody spoiled.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { VerifyReportData } from '../../src/mirror/verify-report.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const LOAD_SECONDS = 25;

/** Runs `understudy verify`: what it printed as JSON, and its exit code. */
async function verify(
  pair: PairUnderTest,
  ...options: readonly string[]
): Promise<{ report: VerifyReportData; code: number | null }> {
  const argv = ['understudy', 'verify', GROUP, ...options, '--json'];
  const { stdout, code } = await pair.a.exec(argv, { timeoutMs: 60_000 });
  return { report: JSON.parse(stdout) as VerifyReportData, code };
}

/** Changes a file of the copy behind Understudy's back, below its read-only cover. */
async function spoil(pair: PairUnderTest, script: string): Promise<void> {
  const work = `mkdir -p /run/below; mount --bind /srv /run/below; cd /run/below/data; ${script}
    cd /; umount /run/below`;
  await pair.b.must(['sh', '-ec', work]);
}

test('both copies are compared under load; what differs is named and repaired', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.a.must([
      'sh',
      '-ec',
      `mkdir ${DIRECTORY}/docs; cd ${DIRECTORY}/docs
      for i in $(seq 200); do echo "document $i" > d$i; done; head -c 20M /dev/urandom > big`,
    ]);
    await pair.protect('sync');
    const load = join(CHECKOUT, 'test/support/random-ops.ts');
    await pair.a.must(['mkdir', `${DIRECTORY}/load`]);
    const argv = [NODE, load, `${DIRECTORY}/load`, '--seed', '5', '--seconds', `${LOAD_SECONDS}`];
    const working = pair.a.must(argv, { timeoutMs: 120_000 });

    const first = await verify(pair);
    expect(first.code).toBe(0);
    expect(first.report).toMatchObject({ state: 'equal', count: 0 });
    expect(first.report.objects).toBeGreaterThan(201);
    expect(first.report.bytes).toBeGreaterThan(20 * 1024 * 1024);

    await spoil(
      pair,
      `printf rot | dd of=docs/big bs=1 seek=9000000 conv=notrunc status=none
       rm docs/d7; echo surplus > docs/extra; chmod 640 docs/d9`,
    );
    const second = await verify(pair);
    expect(second.code).toBe(1);
    expect(second.report.state).toBe('differs');
    const found = second.report.differences.map(({ kind, path }) => `${kind} ${path}`);
    for (const line of [
      'contents docs/big',
      'missing docs/d7',
      'surplus docs/extra',
      'mode docs/d9',
    ])
      expect(found).toContain(line);
    expect(found.every((line) => line.includes(' docs/'))).toBe(true);

    const third = await verify(pair, '--repair');
    expect(third.report, JSON.stringify(third.report)).toMatchObject({ state: 'equal' });
    expect(third.code).toBe(0);
    await working;
    expect(await pair.differences()).toEqual([]);

    const onStandby = await pair.b.exec(['understudy', 'verify', GROUP]);
    expect(onStandby.code).toBe(1);
    expect(onStandby.stderr).toContain('run it on "a"');
  });
}, 170_000);
