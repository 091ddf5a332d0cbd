// Agents that need each other: started in order behind their address, restarted in place when one dies or hangs,
// moved to the other node with their data when that does not help.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { virtualAddress } from '../../lab/managed.ts';
import { interfaceOf } from '../../lab/network.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import type { AgentView } from '../../src/service/node-protocol.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const SERVER = join(CHECKOUT, 'test/support/order-server.ts');
const PATIENCE_MS = 120_000;
const [STORE_PORT, SHOP_PORT] = [7001, 7002];
const RESTARTS = 2;

function agents(address: string): object[] {
  const common = { probeInterval: '500ms', restarts: { limit: RESTARTS }, timeout: '60s' };
  const run = [NODE, SERVER];
  const store = [...run, 'store', String(STORE_PORT), DIRECTORY, address];
  const shop = [...run, 'shop', String(SHOP_PORT), DIRECTORY, address, String(STORE_PORT)];
  return [
    { use: 'supervised', name: 'store', run: store, port: STORE_PORT, ...common },
    { use: 'supervised', name: 'shop', run: shop, port: SHOP_PORT, ...common },
    // It only watches, from a process of its own.
    { use: 'http', name: 'page', url: `http://127.0.0.1:${SHOP_PORT}/count`, ...common },
  ];
}

class Application {
  readonly #pair: PairUnderTest;
  readonly address: string;

  constructor(pair: PairUnderTest) {
    this.#pair = pair;
    this.address = virtualAddress(pair.lab);
  }

  /** What a client gets at the virtual address. */
  async ask(path: string): Promise<string> {
    const url = `http://${this.address}:${SHOP_PORT}${path}`;
    const client = this.#pair.lab.host('client');
    return (await client.exec(['curl', '-s', '--max-time', '5', url])).stdout;
  }

  async agents(host: LabHost): Promise<readonly AgentView[]> {
    const group = (await this.#pair.group(host)) as
      | { readonly local: { readonly agents?: readonly AgentView[] } }
      | undefined;
    return group?.local.agents ?? [];
  }

  /** Waits until all agents are well on `host`. */
  async isWellOn(host: LabHost): Promise<boolean> {
    const isWell = async (): Promise<boolean> => {
      const seen = await this.agents(host);
      return seen.length === 3 && seen.every((one) => one.seen?.state === 'ok');
    };
    return waitUntil(isWell, PATIENCE_MS, 200);
  }

  async signal(host: LabHost, agent: string, signal: string): Promise<void> {
    const file = `/run/understudy/agents/${GROUP}/${agent}/program.json`;
    const { stdout } = await host.exec(['cat', file]);
    const pid = /"pid":(\d+)/.exec(stdout)?.[1];
    if (pid !== undefined) await host.exec(['kill', `-${signal}`, pid]);
  }

  async codes(host: LabHost): Promise<string[]> {
    return (await askEvents(host)).map(({ code, message }) => `${code} ${message}`);
  }

  /** The last starts that the data knows of. */
  async starts(host: LabHost, count: number): Promise<string[]> {
    const text = await host.must(['cat', join(DIRECTORY, 'starts.log')]);
    return text.trim().split('\n').slice(-count);
  }
}

const IN_ORDER = ['store with address', 'shop with address'];

test('in order, in place, and then to the other node with the data', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b } = pair;
    const application = new Application(pair);
    const { address } = application;
    await pair.createManaged({
      addresses: [{ ip: `${address}/24`, interface: interfaceOf('lan') }],
      agents: agents(address),
    });
    expect(await application.isWellOn(a)).toBe(true);
    expect(await application.starts(a, 9)).toEqual(IN_ORDER);
    for (const expected of ['1', '2', '3']) expect(await application.ask('/add')).toBe(expected);

    // The one that the other needs dies: both are started again, here.
    await application.signal(a, 'store', 'KILL');
    const isRestarted = async (): Promise<boolean> =>
      (await application.codes(a)).some((code) => code.startsWith('AGENT_RESTARTED'));
    expect(await waitUntil(isRestarted, PATIENCE_MS, 200)).toBe(true);
    expect(await application.isWellOn(a)).toBe(true);
    expect((await application.starts(a, 9)).slice(2)).toEqual(IN_ORDER);
    expect(await application.ask('/count')).toBe('3');

    // The other one hangs: it is ended by force and started again, the first is left alone.
    await application.signal(a, 'shop', 'STOP');
    const answers = async (): Promise<boolean> => (await application.ask('/count')) === '3';
    await waitUntil(async () => !(await answers()), 2000, 100);
    expect(await waitUntil(answers, PATIENCE_MS, 200)).toBe(true);
    expect(await application.isWellOn(a)).toBe(true);
    expect((await application.starts(a, 9)).slice(4)).toEqual(['shop with address']);
    expect((await askGroup(a, GROUP))?.role).toBe('primary');

    // The service is killed: its agents' process ends with it, the application does not notice, and the next
    // service goes on watching.
    const restarts = async (): Promise<number> =>
      (await application.codes(a)).filter((code) => code.startsWith('AGENT_RESTARTED')).length;
    const before = await restarts();
    await a.must(['sh', '-c', 'kill -9 $(cat /run/understudy/understudyd.lock)']);
    expect(await application.isWellOn(a)).toBe(true);
    const hosts = 'grep -al "host-main[.]ts" /proc/[0-9]*/cmdline | wc -l';
    const isOne = async (): Promise<boolean> => (await a.must(['sh', '-c', hosts])).trim() === '1';
    expect(await waitUntil(isOne, PATIENCE_MS, 500)).toBe(true);
    expect((await application.starts(a, 9)).slice(5)).toEqual([]);
    await application.signal(a, 'shop', 'KILL');
    expect(await waitUntil(async () => (await restarts()) > before, PATIENCE_MS, 200)).toBe(true);
    expect(await application.isWellOn(a)).toBe(true);

    // It dies again and again: after its limit the other node has it, in the same order.
    const hasMoved = async (): Promise<boolean> => (await askGroup(b, GROUP))?.role === 'primary';
    const deadline = performance.now() + PATIENCE_MS;
    while (!(await hasMoved()) && performance.now() < deadline) {
      await application.signal(a, 'store', 'KILL');
      await sleep(500);
    }
    expect(await application.isWellOn(b)).toBe(true);
    expect(await application.starts(b, 2)).toEqual(IN_ORDER);
    expect(await application.ask('/count')).toBe('3');
    expect(await application.ask('/add')).toBe('4');
    const codes = await application.codes(a);
    // Restarts of before the service was killed count no more.
    const again = codes.filter((code) => /^AGENT_RESTARTED.*"store"/.test(code));
    expect(again.length).toBeGreaterThan(1);
    expect(again.length).toBeLessThanOrEqual(1 + RESTARTS);
    // What is started on a store that is killed again uses up its own restarts, and may be the first to do so.
    expect(codes.join('\n')).toMatch(/^AGENT_FAILED.*"(store|shop)".* after 2 restarts/m);
  });
}, 400_000);
