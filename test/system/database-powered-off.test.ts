// A database, a web application that needs it, an address, and reports of the application's own: the server loses its
// power, and the other one serves all of it, in order, with everything that was confirmed. That an agent there had a
// reason against it is known before, refuses a switchover, and keeps nobody from being served.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { virtualAddress } from '../../lab/managed.ts';
import { interfaceOf } from '../../lab/network.ts';
import { askEvents } from '../../lab/node-admin.ts';
import { understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import type { AgentView } from '../../src/service/node-protocol.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const DATA = join(DIRECTORY, 'pg');
const [SHOP_PORT, DATABASE_PORT] = [8080, 5432];
const PATIENCE_MS = 120_000;
const EXPIRED = '/etc/understudy/expired';
const SETTINGS = `listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
max_wal_size = 64MB
recovery_init_sync_method = syncfs
`;

const LICENCE = `import { existsSync } from 'node:fs';
import { defineAgent, z } from 'understudy/agent';
export default defineAgent({
  name: 'licence', title: 'Licence', description: 'For a test', parameters: z.strictObject({}),
  async probe() { return { state: 'ok', sentence: 'there is one' }; },
  async promoteCheck() { return existsSync('${EXPIRED}') ? 'the licence has expired' : undefined; },
});
`;

async function makeDatabase(host: LabHost): Promise<void> {
  const user = 'postgres';
  await host.must(['install', '-d', '-m', '700', '-o', user, '-g', user, DATA]);
  const initdb = [join(BIN, 'initdb'), '-D', DATA, '--auth=trust', '--locale=C', '--no-sync'];
  await host.must([...initdb, '--encoding=UTF8'], { user, timeoutMs: 120_000 });
  const file = join(DATA, 'postgresql.conf');
  await host.must(['sh', '-c', 'cat >> "$1"', 'sh', file], { user, input: SETTINGS });
}

async function provideLicence(host: LabHost): Promise<void> {
  await host.must(['mkdir', '-p', '-m', '755', '/etc/understudy/agents']);
  const file = '/etc/understudy/agents/licence.ts';
  await host.must(['sh', '-c', 'cat > "$1"', 'sh', file], { input: LICENCE });
}

function agentsOf(address: string): object[] {
  const common = { probeInterval: '500ms', timeout: '60s' };
  const reports = `/run/understudy/agents/${GROUP}.sock`;
  const server = join(CHECKOUT, 'test/support/shop-server.ts');
  const shop = [NODE, server, String(SHOP_PORT), address, String(DATABASE_PORT), reports];
  return [
    { use: 'postgresql', dataDir: DATA, host: '127.0.0.1', heartbeat: true, ...common },
    { use: 'supervised', name: 'shop', run: shop, port: SHOP_PORT, ...common },
    { use: 'http', name: 'page', url: `http://127.0.0.1:${SHOP_PORT}/count`, ...common },
    { use: 'heartbeat', name: 'orders', every: '2s', ...common },
    { use: 'licence', after: [], ...common },
  ];
}

interface Status {
  readonly troubles: readonly string[];
  readonly local: { readonly agents: readonly AgentView[] };
}

const statusOf = async (pair: PairUnderTest, host: LabHost): Promise<Status | undefined> =>
  (await pair.group(host)) as Status | undefined;

/** Waits until all agents are well on `host`; what each said last. */
async function wellOn(
  pair: PairUnderTest,
  host: LabHost,
): Promise<Readonly<Record<string, string>>> {
  let agents: readonly AgentView[] = [];
  const isWell = async (): Promise<boolean> => {
    agents = (await statusOf(pair, host))?.local.agents ?? [];
    return agents.length === 5 && agents.every(({ seen }) => seen?.state === 'ok');
  };
  const isDone = await waitUntil(isWell, PATIENCE_MS, 200);
  const said = agents.map(({ name, seen }) => [name, seen?.sentence ?? 'nothing'] as const);
  expect([isDone, said]).toEqual([true, said]);
  return Object.fromEntries(said);
}

test('PostgreSQL, a shop on it and its address: the server is switched off', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b, lab } = pair;
    const address = virtualAddress(lab);
    const ask = async (path: string): Promise<string> => {
      const argv = ['curl', '-s', '--max-time', '5', `http://${address}:${SHOP_PORT}${path}`];
      return (await lab.host('client').exec(argv)).stdout;
    };
    await makeDatabase(a);
    for (const host of [a, b]) await provideLicence(host);
    await b.must(['touch', EXPIRED]);
    await pair.createManaged({
      addresses: [{ ip: `${address}/24`, interface: interfaceOf('lan') }],
      agents: agentsOf(address),
    });
    await wellOn(pair, a);
    for (const expected of ['1', '2', '3']) expect(await ask('/add')).toBe(expected);
    // What the application says of itself is there, as it sent it.
    const isReported = async (): Promise<boolean> =>
      (await wellOn(pair, a))['orders'] === '3 orders';
    expect(await waitUntil(isReported, PATIENCE_MS, 200)).toBe(true);

    const isKnown = async (): Promise<boolean> =>
      /b: this node should not become .*the licence has expired/.test(
        (await statusOf(pair, a))?.troubles.join() ?? '',
      );
    expect(await waitUntil(isKnown, PATIENCE_MS, 200)).toBe(true);
    const refused = understudy(a, ['switchover', GROUP], { timeoutMs: 30_000 });
    await expect(refused).rejects.toThrow(/the licence has expired/);

    await a.powerOff();
    expect(await waitUntil(async () => (await ask('/count')) === '3', PATIENCE_MS, 200)).toBe(true);
    const said = await wellOn(pair, b);
    expect(said['orders']).toBe('3 orders');
    expect(said['postgresql']).toMatch(/wrote and read its heartbeat row/);
    expect(await ask('/add')).toBe('4');
    // Started once on each server, and never before its address and its database were there.
    expect(await ask('/starts')).toBe('2');
    const codes = (await askEvents(b)).map(({ code }) => code);
    expect(codes).toContain('PROMOTED_UNREADY');
    expect(codes.filter((code) => /^AGENT_(RESTARTED|FAILED|UNUSABLE)$/.test(code))).toEqual([]);
  });
}, 400_000);
