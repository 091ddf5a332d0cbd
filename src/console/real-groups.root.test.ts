// The API and a stand-alone console with two real nodes and a real group: what a wizard and an operator do.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalApi } from '../service/admin-api/client.ts';
import { statusSchema } from '../service/admin-api/schemas.ts';
import type { TokenView } from '../service/admin-api/tokens.ts';
import { programs } from '../service/daemon.ts';
import { httpsCall } from '../service/fixtures/https-call.ts';
import { type TestNode, twoNodes, type TwoNodes, until } from '../service/fixtures/two-nodes.ts';
import type { HistoryAnswer } from '../service/history/history.ts';
import type { Outcome } from '../service/node-protocol.ts';
import type { ServiceStatus } from '../service/status.ts';
import type { VerifyOutcome } from '../service/verification-run.ts';
import { consolePaths } from './console-paths.ts';
import { Browser } from './fixtures/browser.ts';
import type { FleetOverview, GroupOverview } from './fleet/overview.ts';
import { type StandAlone, startStandAlone } from './stand-alone.ts';

const PASSWORD = 'correct horse battery';
const CONSOLE = `127.${64 + (process.pid % 128)}.253.9`;

let nodes: TwoNodes;
let a: TestNode;
let b: TestNode;
let api: LocalApi;
let running: StandAlone;
let browser: Browser;
let dir = '';
const ids: Record<string, string> = {};

beforeAll(async () => {
  nodes = await twoNodes(programs);
  ({ a, b } = nodes);
  ({ api } = a);
  await nodes.pair();
  dir = join(nodes.data(a), 'shop');
  mkdirSync(dir);
  for (let index = 0; index < 50; index += 1)
    writeFileSync(join(dir, `f${index}`), 'x'.repeat(5000));
  const state = join(nodes.top, 'console');
  running = await startStandAlone({
    paths: consolePaths({ UNDERSTUDY_ETC: state, UNDERSTUDY_STATE: state }),
    config: { address: CONSOLE, port: 7443 },
    version: '0.0.0',
  });
  browser = new Browser(CONSOLE, 7443);
  await browser.begin('admin', running.firstUser?.password ?? '', PASSWORD);
  for (const node of [a, b]) ids[node.name] = await addToConsole(node);
});
afterAll(async () => {
  await running.close();
  await nodes.down();
});

async function addToConsole(node: TestNode): Promise<string> {
  const { token } = await node.api.call<TokenView & { token: string }>({
    method: 'POST',
    path: '/tokens',
    body: { name: 'console', role: 'administrator' },
  });
  const { fingerprint } = node.service.identity;
  const added = await browser.post('/nodes', { host: node.address, fingerprint, token });
  return (added.json as { id: string }).id;
}

async function group(): Promise<GroupOverview | undefined> {
  const { groups } = (await browser.get('/fleet')).json as FleetOverview;
  return groups.find(({ name }) => name === 'shop');
}

/** Waits for an operation that was started through the console. */
async function done(node: string, started: { json: unknown }): Promise<Record<string, unknown>> {
  const { id } = started.json as { id: string };
  return until(
    'the operation ends',
    async () => {
      const path = `/nodes/${ids[node] ?? ''}/api/v1/operations/${id}?wait=5`;
      const view = (await browser.get(path)).json as Record<string, unknown>;
      return view['state'] !== 'running' && view;
    },
    90_000,
  );
}

test('the wizard: browse, preview, check, create; then the fleet shows it', async () => {
  const at = (node: string, path: string): string => `/nodes/${ids[node] ?? ''}/api/v1${path}`;
  const query = encodeURIComponent(nodes.data(b));
  expect((await browser.get(at('b', `/browse?path=${query}`))).json).toMatchObject({ entries: [] });
  const preview = await browser.post(at('a', '/preview'), { dir, exclude: ['f1*'] });
  expect((await done('a', preview))['result']).toMatchObject({ files: 39, leftOutFiles: 11 });

  const input = { name: 'shop', paths: [{ dir, standbyDir: join(nodes.data(b), 'shop') }] };
  const plan = await browser.post(at('a', '/groups/check'), { input });
  expect(plan.json).toMatchObject({ definition: { name: 'shop', replicationPort: 7441 } });
  expect(a.service.groups.size).toBe(0);
  const wrong = await browser.post(at('a', '/groups'), {
    input: { ...input, replication: { mode: 'x' } },
  });
  expect(wrong.json).toMatchObject({
    error: { code: 'GROUP_INVALID', details: { fields: ['replication.mode'] } },
  });
  const created = await done('a', await browser.post(at('a', '/groups'), { input }));
  const about = await browser.get(at('b', '/events?group=shop&code=GROUP_CREATED'));
  expect(about.json).toMatchObject({ events: [{ level: 'info', details: { group: 'shop' } }] });
  expect(created).toMatchObject({ state: 'done', kind: 'group-create', group: 'shop' });
  const seen = await until(
    'the fleet shows it well',
    async () => {
      // Without a window that follows, the console asks once a minute: this asks the node itself.
      const { json } = await browser.get(at('a', '/status'));
      const one = (json as ServiceStatus).groups[0];
      return one?.copy === 'up-to-date' && one.link === 'connected' && one;
    },
    60_000,
  );
  expect(seen.primary).toBe('a');
});

test('the status has the shape that the document promises, with a group too', async () => {
  const status = await api.call<ServiceStatus>({ method: 'GET', path: '/status' });
  expect(statusSchema().safeParse(status).error?.message).toBeUndefined();
});

test('who follows sees the group from its primary, with the ids of both nodes', async () => {
  const stop = running.console.context.fleet.listen(() => undefined);
  try {
    const seen = await until('it is seen', async () => {
      const one = await group();
      return one?.level === 'ok' && one.primaryId === ids['a'] && one.standbyId === ids['b'] && one;
    });
    expect(seen).toMatchObject({ seenFrom: ids['a'], isStale: false, copy: 'up-to-date' });
  } finally {
    stop();
  }
});

test('verify, with its result; on the standby it is refused', async () => {
  const call = { method: 'POST' as const, path: '/groups/shop/verify', body: {} };
  const { report, repaired } = await api.run<VerifyOutcome>(call);
  expect([report.state, report.objects > 50, repaired]).toEqual(['equal', true, null]);
  await expect(b.api.run(call)).rejects.toMatchObject({ code: 'NOT_PRIMARY_HERE' });
});

test('a limit with a weekly schedule', async () => {
  const bandwidth = {
    default: 'unlimited',
    schedule: [{ days: 'mon-fri', from: '08:00', to: '18:00', bandwidth: '20 Mbit/s' }],
  };
  const call = { method: 'PUT' as const, path: '/groups/shop/limit', body: { bandwidth } };
  expect(await api.call(call)).toMatchObject({
    set: { rate: null, schedule: [{ rate: 2_500_000 }] },
  });
  const wrong = api.call({ ...call, body: { bandwidth: 'fast' } });
  await expect(wrong).rejects.toMatchObject({ code: 'RATE_INVALID' });
});

test('an edit reaches both nodes; what cannot change while it runs is named', async () => {
  const path = '/groups/shop';
  await api.call({ method: 'PATCH', path, body: { verify: '30d' } });
  for (const node of [a, b]) {
    expect(node.service.group('shop').definition.verifyEveryMs).toBe(30 * 86_400_000);
  }
  for (const body of [{ verify: 'often' }, { verify: '5m' }, { mode: 'async' }]) {
    await expect(api.call({ method: 'PATCH', path, body })).rejects.toThrow(
      /write for example|unknown key "mode"/,
    );
  }
});

test('history and metrics of what the node measures', async () => {
  writeFileSync(join(dir, 'more'), 'y'.repeat(200_000));
  const history = async (node: TestNode): Promise<HistoryAnswer> =>
    node.api.call({ method: 'GET', path: '/history', query: { group: 'shop', seconds: 600 } });
  const answer = await until(
    'it is measured',
    async () => {
      const found = await history(a);
      return found.series.some(({ points }) => points.length > 0) && found;
    },
    30_000,
  );
  const lag = answer.series.find(({ measure }) => measure === 'lagMs');
  expect([answer.grainSeconds, lag?.unit, lag?.points[0]?.length]).toEqual([10, 'ms', 4]);
  const { token } = await a.api.call<{ token: string }>({
    method: 'POST',
    path: '/tokens',
    body: { name: 'prometheus', role: 'viewer' },
  });
  const { text, headers } = await httpsCall({ host: a.address, path: '/metrics', token });
  expect(headers['content-type']).toContain('text/plain; version=0.0.4');
  expect(text).toContain('understudy_group_copy_state{group="shop",state="up-to-date"} 1');
  expect(text).toContain('understudy_group_primary{group="shop"} 1');
  expect(text).toMatch(/understudy_group_lag_seconds\{group="shop"\} [\d.]+/);
});

test('a stale view does nothing; a fresh one switches over', async () => {
  const body = { expectEpoch: 99 };
  const stale = await browser.post(`/nodes/${ids['a'] ?? ''}/api/v1/groups/shop/switchover`, body);
  expect([stale.status, stale.code]).toEqual([409, 'STATE_CHANGED']);
  const path = '/groups/shop/switchover';
  const outcome = await api.run<Outcome>({ method: 'POST', path, body: { expectEpoch: 1 } });
  expect(outcome).toMatchObject({ epoch: 2, warnings: [] });
  const rewind = await api.call({ method: 'GET', path: '/groups/shop/rewind' });
  expect(rewind).toMatchObject({ bookmarks: [] });
  execFileSync('test', ['-e', join(nodes.data(b), 'shop', 'more')]);
});

test('the group goes, its history with it; the data stays', async () => {
  await api.run({ method: 'DELETE', path: '/groups/shop' });
  expect(a.service.groups.size + b.service.groups.size).toBe(0);
  execFileSync('test', ['-e', join(dir, 'more')]);
});
