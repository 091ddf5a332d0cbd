// Another version takes all processes of a managed pair over, node by node, while an application commits: none of its calls
// fails or takes long, nobody's role changes, the address answers all the time, and nothing is lost. The cluster process,
// which holds leases and addresses, is replaced on the node that is the standby, and on the other one after a switchover.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { UNDERSTUDYD } from '../../lab/lab.ts';
import { managedGroupYaml, virtualAddress } from '../../lab/managed.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForCopy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import type { GroupStatus } from '../../src/service/status.ts';
import type { UpgradeReport } from '../../src/service/upgrade.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const VERSION = '99.0.0';
const STEP_MS = 60_000;
/** The promise is 2 s (UNDERSTUDY_LONG=1, alone); a machine that runs other tests at the same time says nothing about that. */
const CALL_MS_MAX = process.env['UNDERSTUDY_LONG'] === '1' ? 2000 : 60_000;
const NOTED_MS = 100;
const LINES = join(DIRECTORY, 'lines');
const STOP = '/run/writer-stop';

/** Appends numbered lines, each with fdatasync, until told to end; then says how long calls took. */
const WRITER = `const fs = require('node:fs'); const fd = fs.openSync(process.argv[1], 'a');
  const long = []; let worst = 0; let n = 0;
  const step = () => {
    const from = performance.now(); n += 1;
    fs.writeSync(fd, n + '\\n'); fs.fdatasyncSync(fd);
    const ms = performance.now() - from; worst = Math.max(worst, ms);
    if (ms > ${NOTED_MS}) long.push({ at: Date.now(), ms });
    if (n % 20 === 0 && fs.existsSync('${STOP}')) { console.log(JSON.stringify({ n, worst, long })); return; }
    setTimeout(step, 5);
  };
  step();`;

interface Written {
  readonly n: number;
  readonly worst: number;
  readonly long: readonly { readonly at: number; readonly ms: number }[];
}

/** Another version of all files, beside this one. */
function installed(place: string): string {
  for (const part of ['src', 'bin'])
    cpSync(join(CHECKOUT, part), join(place, part), { recursive: true });
  symlinkSync(join(CHECKOUT, 'node_modules'), join(place, 'node_modules'));
  const packageJson = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(place, 'package.json'), JSON.stringify({ ...packageJson, version: VERSION }));
  return join(place, 'bin/understudy');
}

/** As packaging/install.sh does it, then the command of the operator. */
async function upgrade(host: LabHost, program: string): Promise<UpgradeReport['parts']> {
  await host.stopService('understudyd');
  await host.addService({ ...UNDERSTUDYD, argv: [program, 'daemon'] });
  await waitForDaemon(host);
  const isCalm = async (): Promise<boolean> => {
    const group = (await askGroup(host, GROUP)) as GroupStatus | undefined;
    return group?.copy === 'up-to-date' && group.link === 'connected' && group.scan === null;
  };
  expect(await waitUntil(isCalm, STEP_MS, 100), 'the pair is calm').toBe(true);
  const { stdout, stderr } = await host.exec([program, 'upgrade', '--json'], {
    timeoutMs: STEP_MS,
  });
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as UpgradeReport).parts;
}

const results = (parts: UpgradeReport['parts']): string[] =>
  parts.map(({ kind, result }) => `${kind} ${result}`);

async function standing(host: LabHost): Promise<string> {
  const group = (await askGroup(host, GROUP)) as GroupStatus | undefined;
  return `${group?.role} of epoch ${group?.epoch}`;
}

async function codesSince(pair: PairUnderTest, since: number): Promise<string[]> {
  const all = [...(await askEvents(pair.a)), ...(await askEvents(pair.b))];
  return all.filter(({ at }) => Date.parse(at) >= since).map(({ code }) => code);
}

/** Pings the address ten times a second; the returned function says how many were not answered. */
function ping(host: LabHost, address: string): () => Promise<{ sent: number; lost: number }> {
  const child = host.spawn(['ping', '-q', '-i', '0.1', '-W', '1', address]);
  let said = '';
  child.child.stdout?.on('data', (data: Buffer) => (said += data.toString()));
  return async () => {
    child.kill('SIGINT');
    await child.ended;
    const [, sent = '', received = ''] =
      /(\d+) packets transmitted, (\d+) received/.exec(said) ?? [];
    return { sent: Number(sent), lost: Number(sent) - Number(received) };
  };
}

async function underLoad(pair: PairUnderTest, address: string, program: string): Promise<void> {
  const { a, b, lab } = pair;
  let before: string[] = [];
  // A standby shows the epoch of its primary a moment after the copy is complete.
  const isOneEpoch = async (): Promise<boolean> => {
    before = await Promise.all([standing(a), standing(b)]);
    return before[1] === before[0]?.replace('primary', 'standby');
  };
  expect(await waitUntil(isOneEpoch, STEP_MS, 100), before.join()).toBe(true);
  const since = Date.now();
  const writer = a.exec([NODE, '-e', WRITER, LINES], { timeoutMs: 4 * STEP_MS });
  const stopPings = ping(lab.host('client'), address);
  expect(results(await upgrade(b, program))).toEqual(['group replaced', 'failover replaced']);
  const done = await upgrade(a, program);
  expect(results(done)).toEqual(['group replaced', 'failover refused']);
  expect(done[1]?.why).toContain(`understudy switchover ${GROUP}`);
  const pings = await stopPings();
  await a.must(['touch', STOP]);
  const { stdout, stderr } = await writer;
  expect(stderr).toBe('');
  const { n, worst, long } = JSON.parse(stdout) as Written;
  const stalls = long.map(({ ms }) => Math.round(ms)).join(', ');
  console.log(
    `${n} commits, longest ${Math.round(worst)} ms, over ${NOTED_MS} ms: ${stalls}; ${pings.sent} pings`,
  );
  // The one that was on its way at the end does not count.
  expect(pings.lost).toBeLessThanOrEqual(1);
  expect(pings.sent).toBeGreaterThan(20);
  expect(await Promise.all([standing(a), standing(b)])).toEqual(before);
  expect(before[0]).toMatch(/^primary/);
  const said = await codesSince(pair, since);
  const moves =
    /TAKE|TAKING|BECAME|STEPS|HANDING|ADDRESS|FENCE|DIED|SCAN|APPLICATION|SPLIT|PEER_SILENT/;
  expect(said.filter((code) => moves.test(code))).toEqual([]);
  expect(await pair.differences()).toEqual([]);
  const lines = readFileSync(b.pathFromOutside(LINES), 'utf8').trim().split('\n').map(Number);
  expect(lines).toEqual(Array.from({ length: n }, (_, index) => index + 1));
  expect(worst, stalls).toBeLessThan(CALL_MS_MAX);
}

test(
  'all processes of both nodes are replaced, and the application and its clients notice nothing',
  async () => {
    const place = mkdtempSync(join(tmpdir(), 'understudy-installation-'));
    try {
      const program = installed(place);
      await PairUnderTest.with(async (pair) => {
        const { a, b, lab } = pair;
        const agent = { start: 'true', stop: 'true', probe: 'true' };
        const group = {
          name: GROUP,
          directory: DIRECTORY,
          mode: 'sync',
          profile: 'default',
        } as const;
        const input = managedGroupYaml(lab, { ...group, agent });
        const create = ['group', 'create', '--file', '-', '--allow-empty-match'];
        await understudy(a, create, { input, timeoutMs: STEP_MS });
        await waitForCopy(a, GROUP, STEP_MS);
        await underLoad(pair, virtualAddress(lab), program);

        // What was refused: now the other node serves.
        await understudy(a, ['switchover', GROUP], { timeoutMs: STEP_MS });
        expect(results(await upgrade(a, program))).toEqual(['group current', 'failover replaced']);
        expect(await standing(a)).toMatch(/^standby/);
        expect(await standing(b)).toMatch(/^primary/);
      });
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  },
  5 * STEP_MS,
);
