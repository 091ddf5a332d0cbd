// Somebody else in the place of the standby, and strangers at its door: neither learns or changes anything, and
// replication goes on by itself when they are gone.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import { waitUntil } from '../../lab/run.ts';
import { divert, endDiversion, FIRST_PORT } from './diversion.ts';
import { eventsSince, LoadUnderTest, waitForEvent } from './load-under-test.ts';
import { PairUnderTest } from './pair-under-test.ts';

const IMPOSTOR_PORT = 17_442;

interface Impostor {
  readonly seen: { connections: number; bytes: number };
  readonly stop: () => void;
}

async function startImpostor(pair: PairUnderTest): Promise<Impostor> {
  const program = join(CHECKOUT, 'test/support/impostor.ts');
  const child = pair.b.spawn([NODE, program, String(IMPOSTOR_PORT)]);
  const seen = { connections: 0, bytes: -1 };
  child.child.stdout?.on('data', (chunk: Buffer) => {
    const last = chunk.toString().trimEnd().split('\n').at(-1) ?? '{}';
    Object.assign(seen, JSON.parse(last));
  });
  expect(await waitUntil(() => seen.bytes >= 0, 20_000, 50)).toBe(true);
  return { seen, stop: () => child.kill('SIGKILL') };
}

test('another certificate in the place of the standby, and strangers that speak garbage', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    const load = await LoadUnderTest.start(pair, { tree: false });
    const target = `/dev/tcp/${pair.b.address('sync')}/${FIRST_PORT}`;
    const garbage = `for i in $(seq 60); do (head -c 20000 /dev/urandom > ${target}) 2>/dev/null & sleep 0.05; done; wait`;
    const strangersSince = Date.now();
    await pair.a.exec(['bash', '-c', garbage], { timeoutMs: 60_000 });
    const codes = (await eventsSince(pair, strangersSince)).map(({ code }) => code);
    expect(codes).not.toContain('LINK_DOWN');

    const impostor = await startImpostor(pair);
    const since = Date.now();
    await divert(pair, IMPOSTOR_PORT);
    await pair.lab.cut('a', 'b', { network: 'sync' });
    await waitForEvent(pair, 'LINK_DOWN', since, 15_000);
    await pair.lab.heal();
    expect(await waitUntil(() => impostor.seen.connections > 1, 20_000, 50)).toBe(true);
    await sleep(500);
    const link = (await pair.group())?.local.status;
    expect(link?.['link']).toBe('refused');
    expect(link?.['linkReason']).toContain('does not have the certificate of the peer');
    process.stdout.write(
      `the impostor was called ${impostor.seen.connections} times and got ${impostor.seen.bytes} bytes\n`,
    );
    expect(impostor.seen.bytes).toBe(0);
    impostor.stop();
    await endDiversion(pair);
    const goneAt = Date.now();
    await waitForEvent(pair, 'TOGETHER', goneAt, 20_000);
    const report = await load.stop();
    await load.expectNothingLost(report);
    expect(Math.max(...report.fsyncMs)).toBeLessThan(2000 + 1500);
  });
}, 150_000);
