// A machine that is shut down, with "understudy leave" before: the other one goes on with everything, in a mode in which a crash would
// lose the last moments; where nobody can go on, the application ends in order all the same.
import { expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import type { LeaveReport } from '../../src/service/leave.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;
const LOG = `${DIRECTORY}/log`;
const IN_ORDER = 'ended in order';
/** Writes numbers as fast as it can; what it writes at its end is the newest there is. */
const WRITER = `n=0; trap 'echo "${IN_ORDER}" >>${LOG}; exit 0' TERM; while :; do n=$((n+1)); echo $n >>${LOG}; done`;

const agents = [
  { use: 'supervised', name: 'writer', run: ['sh', '-c', WRITER], probeInterval: '500ms' },
];

async function leave(host: LabHost): Promise<LeaveReport['groups'][number] | undefined> {
  const report = (await understudy(host, ['leave'], { timeoutMs: PATIENCE_MS })) as LeaveReport;
  return report.groups[0];
}

async function timesInOrder(host: LabHost): Promise<number> {
  const { stdout } = await host.exec(['grep', '-c', IN_ORDER, LOG]);
  return Number(stdout);
}

const lines = async (host: LabHost): Promise<number> =>
  Number(await host.must(['sh', '-c', `wc -l <${LOG}`]));

async function serves(host: LabHost): Promise<boolean> {
  const isWriting = async (): Promise<boolean> => {
    if ((await askGroup(host, GROUP))?.role !== 'primary') return false;
    const before = await lines(host);
    return waitUntil(async () => (await lines(host)) > before, 1000, 50);
  };
  return waitUntil(isWriting, PATIENCE_MS, 50);
}

test('the other node serves at once, and nothing is missing there', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged({ replication: { mode: 'async' }, agents });
    expect(await serves(a)).toBe(true);

    expect(await leave(a)).toEqual({ group: GROUP, result: 'moved', why: null });
    await a.powerOff();
    expect(await serves(b)).toBe(true);
    expect(await timesInOrder(b)).toBe(1);
    const codes = (await askEvents(b)).map(({ code }) => code);
    expect(codes).not.toContain('PEER_SILENT');
    expect(codes).not.toContain('SALVAGE_KEPT');

    // The machine comes back.
    await a.boot();
    await waitForDaemon(a);
    const isBack = async (): Promise<boolean> =>
      (await pair.group(b))?.copy === 'up-to-date' &&
      (await askGroup(a, GROUP))?.role === 'standby';
    expect(await waitUntil(isBack, PATIENCE_MS, 100)).toBe(true);

    // It is not shut down after all: with another start of its service it takes part again.
    expect(await leave(a)).toEqual({ group: GROUP, result: 'standby', why: null });
    const failover = async (): Promise<Readonly<Record<string, unknown>> | null | undefined> =>
      (await pair.group(a))?.local.failover;
    expect(await failover()).toMatchObject({ leaving: true });
    await a.stopService('understudyd');
    await a.startService('understudyd');
    await waitForDaemon(a);
    const takesPart = async (): Promise<boolean> => {
      const { leaving, fresh } = (await failover()) ?? {};
      return leaving === false && fresh === true;
    };
    expect(await waitUntil(takesPart, PATIENCE_MS, 100)).toBe(true);
    await b.powerOff();
    expect(await serves(a)).toBe(true);
  });
}, 300_000);

test('both machines are shut down, one after the other', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged({ agents });
    expect(await serves(a)).toBe(true);

    expect((await leave(b))?.result).toBe('standby');
    await b.powerOff();
    expect(await serves(a), 'commits do not wait for it').toBe(true);

    const left = await leave(a);
    expect(left).toMatchObject({ result: 'stopped' });
    expect(await timesInOrder(a)).toBe(1);
    const written = await lines(a);
    await a.must(['sync']);
    await a.powerOff();

    for (const host of [a, b]) await host.boot();
    for (const host of [a, b]) await waitForDaemon(host);
    expect(await serves(a), 'the newest data leads').toBe(true);
    expect(await lines(a)).toBeGreaterThan(written);
    expect(await timesInOrder(a)).toBe(1);
  });
}, 300_000);

test('both machines are shut down in maintenance: after it, the one that served goes on', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    await pair.createManaged({ agents });
    expect(await serves(a)).toBe(true);
    await understudy(a, ['pause', GROUP]);
    for (const host of [a, b]) {
      await leave(host);
      await host.must(['sync']);
    }
    for (const host of [a, b]) await host.powerOff();
    for (const host of [a, b]) await host.boot();
    for (const host of [a, b]) await waitForDaemon(host);
    const isResumed = async (): Promise<boolean> =>
      (await b.exec(['understudy', 'resume', GROUP])).code === 0;
    expect(await waitUntil(isResumed, PATIENCE_MS, 200)).toBe(true);
    expect(await serves(a)).toBe(true);
    expect(await timesInOrder(a)).toBe(1);
  });
}, 300_000);
