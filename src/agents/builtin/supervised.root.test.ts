// Programs that an agent keeps: nginx with a page that is asked for, and programs that misbehave.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { waitUntil } from '../../../lab/run.ts';
import { testPlace, type TestPlace } from '../../../test/support/agent-context.ts';
import { smallDisk } from '../../../test/support/disks.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import { disk } from './disk.ts';
import { http } from './http.ts';
import { processAgent } from './process.ts';
import { supervised } from './supervised.ts';

const PORT = 58_080;
const SHORT_MS = 400;

let place: TestPlace;
beforeEach(() => {
  place = testPlace();
});
afterEach(async () => {
  for (const pid of await pids()) process.kill(pid, 'SIGKILL');
  place[Symbol.dispose]();
});

const context = (timeoutMs = 15_000): AgentContext => place.context({ timeoutMs });
const pids = async (): Promise<readonly number[]> =>
  (await supervised.processes?.(supervised.parameters.parse({ run: 'x' }), context())) ?? [];
const start = async (given: object): Promise<void> =>
  await supervised.start?.(supervised.parameters.parse(given), context());
const stop = async (given: object): Promise<void> =>
  await supervised.stop?.(supervised.parameters.parse(given), context());
const probe = async (given: object): Promise<ProbeResult> =>
  await supervised.probe(supervised.parameters.parse(given), context());

describe('nginx', () => {
  let given: object;
  beforeEach(() => {
    const top = place.top;
    execFileSync('chmod', ['755', top]);
    mkdirSync(join(top, 'www'));
    writeFileSync(join(top, 'www', 'index.html'), 'shop is open');
    const configuration = `
      daemon off; pid ${top}/nginx.pid; error_log stderr; worker_processes 1;
      events {} http { access_log off; server { listen 127.0.0.1:${PORT}; root ${top}/www; } }`;
    writeFileSync(join(top, 'nginx.conf'), configuration);
    given = {
      run: ['/usr/sbin/nginx', '-c', join(top, 'nginx.conf')],
      port: PORT,
      stopSignal: 'SIGQUIT',
    };
  });

  const page = async (timeoutMs?: number): Promise<ProbeResult> => {
    const asked = { url: `http://127.0.0.1:${PORT}/`, expectText: 'shop is open' };
    return await http.probe(http.parameters.parse(asked), context(timeoutMs));
  };

  test('serves; started twice, stopped twice; nothing is left', async () => {
    await start(given);
    expect(await page()).toMatchObject({ state: 'ok' });
    expect(await probe(given)).toMatchObject({
      state: 'ok',
      sentence: expect.stringContaining(`accepts connections at port ${PORT}`),
      measures: { connectMs: expect.any(Number), processes: 2 },
    });
    const before = await pids();
    await start(given);
    expect(await pids()).toEqual(before);
    await stop(given);
    expect(await pids()).toEqual([]);
    await stop(given);
    expect(await page()).toMatchObject({ state: 'stopped' });
    expect(await probe(given)).toMatchObject({ state: 'stopped' });
  });

  test('its master killed: stopped, and what it left is in the way of no start', async () => {
    await start(given);
    const [master = 0] = await pids();
    process.kill(master, 'SIGKILL');
    await waitUntil(async () => (await probe(given)).state === 'stopped', 5000, 20);
    expect(await probe(given)).toMatchObject({ state: 'stopped' });
    await start(given);
    expect(await page()).toMatchObject({ state: 'ok' });
    await stop(given);
    expect(await pids()).toEqual([]);
  });

  test('frozen: said by the process, not answered by the page; stopped all the same', async () => {
    await start(given);
    for (const pid of await pids()) process.kill(pid, 'SIGSTOP');
    await expect(page(SHORT_MS)).rejects.toThrow();
    expect(await probe(given)).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('stopped by a signal'),
    });
    await stop(given);
    expect(await pids()).toEqual([]);
  });

  test('its page gone: the process is fine, the page is not', async () => {
    await start(given);
    rmSync(join(place.top, 'www', 'index.html'));
    expect(await probe(given)).toMatchObject({ state: 'ok' });
    expect((await page()).state).toBe('failed');
  });
});

describe('programs that misbehave', () => {
  test('one that ends at once: its last words are in the sentence', async () => {
    const given = { run: 'echo no licence found >&2; exit 3' };
    await expect(start(given)).rejects.toThrow(/no licence found/);
    expect(readFileSync(place.context().logFile, 'utf8')).toContain('no licence found');
  });

  test('one that is not there', async () => {
    await expect(start({ run: ['/nonexistent/server'] })).rejects.toThrow(/nonexistent/);
    const findings = await supervised.validate?.(
      supervised.parameters.parse({ run: ['/nonexistent/server'], user: 'nobody-at-all' }),
      context(),
    );
    expect(findings).toHaveLength(2);
  });

  test('one that never serves its port: the start ends with its time', async () => {
    const given = supervised.parameters.parse({ run: ['sleep', '60'], port: PORT + 1 });
    await expect(supervised.start?.(given, context(1200))).rejects.toThrow(
      /does not serve in time/,
    );
    await stop({ run: 'x' });
  });

  test('one that ignores its signal is killed with its children', async () => {
    await start({ run: `trap '' TERM; sleep 61 & sleep 62; sleep 63` });
    expect((await pids()).length).toBeGreaterThan(1);
    await stop({ run: 'x', stopPatienceSeconds: 0.3 });
    expect(await pids()).toEqual([]);
  });

  test('a pid file that was never written: the program is found by its lock, never two', async () => {
    const mark = join(place.top, 'mark');
    const given = { run: `echo started >> ${mark}; exec sleep 64` };
    await start(given);
    const [first = 0] = await pids();
    // As after a service that was killed in the middle of a start.
    rmSync(join(place.context().runtimeDirectory, 'program.json'));
    expect(await pids()).toEqual([first]);
    await start(given);
    const now = await pids();
    expect(now).toHaveLength(1);
    expect(now).not.toContain(first);
    expect(
      existsSync(`/proc/${first}/cmdline`) && readFileSync(`/proc/${first}/cmdline`, 'utf8'),
    ).toBeFalsy();
    await stop(given);
    expect(readFileSync(mark, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  test('user, directory, environment', async () => {
    const out = join(place.top, 'out');
    writeFileSync(out, '');
    execFileSync('chmod', ['666', out]);
    execFileSync('chmod', ['755', place.top]);
    const run = `id -un > ${out}; pwd >> ${out}; echo $SHOP_PORT >> ${out}; exec sleep 65`;
    await start({ run, user: 'nobody', directory: '/usr', environment: { SHOP_PORT: '81' } });
    const written = (): string[] => readFileSync(out, 'utf8').trim().split('\n');
    await waitUntil(() => written().length === 3, 10_000);
    expect(written()).toEqual(['nobody', '/usr', '81']);
    await stop({ run });
  });
});

describe('process', () => {
  const look = async (given: object): Promise<ProbeResult> =>
    await processAgent.probe(processAgent.parameters.parse(given), context());

  test('by pid file and by command line; stopped by a signal', async () => {
    await start({ run: ['sleep', '6611'] });
    const [pid = 0] = await pids();
    const pidFile = join(place.top, 'pid');
    writeFileSync(pidFile, `${pid}\n`);
    expect(await look({ pidFile })).toMatchObject({ state: 'ok' });
    expect(await look({ pattern: '^sleep 6611$' })).toMatchObject({ state: 'ok' });
    expect(await look({ pattern: '^sleep 6611$', min: 2 })).toMatchObject({ state: 'failed' });
    expect(await look({ pattern: '^no such program$' })).toMatchObject({ state: 'stopped' });
    process.kill(pid, 'SIGSTOP');
    await waitUntil(async () => (await look({ pidFile })).state === 'failed', 2000, 10);
    expect(await look({ pidFile })).toMatchObject({ state: 'failed' });
    await stop({ run: 'x' });
    expect(await look({ pidFile })).toMatchObject({ state: 'stopped' });
  });
});

describe('disk', () => {
  const look = async (given: object): Promise<ProbeResult> =>
    await disk.probe(disk.parameters.parse(given), context());

  test('nearly full, full, read-only', async () => {
    using small = smallDisk(join(place.top, 'small'), 8);
    const paths = [small.path];
    expect(await look({ paths })).toMatchObject({ state: 'ok', measures: { freePercent: 100 } });
    expect(await look({ paths, writeTest: true })).toMatchObject({ state: 'ok' });
    small.fill(400);
    expect(await look({ paths })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('below 10 %'),
    });
    small.free();
    small.fill();
    expect(await look({ paths, failFreePercent: 1 })).toMatchObject({ state: 'failed' });
    small.free();
    small.readOnly(true);
    expect(await look({ paths })).toMatchObject({
      state: 'failed',
      sentence: `the file system of ${small.path} is read-only`,
    });
    expect(await look({ paths: ['/nonexistent'] })).toMatchObject({ state: 'failed' });
  });
});
