// The console on the nodes' own port, and one on its own that holds two pairs.
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Daemon, startDaemon } from '../service/daemon.ts';
import { httpsCall, type HttpsAnswer } from '../service/fixtures/https-call.ts';
import {
  standInPrograms,
  type TestNode,
  twoNodes,
  type TwoNodes,
  until,
} from '../service/fixtures/two-nodes.ts';
import { PasswordHasher } from './access/passwords.ts';
import { UserStore } from './access/users.ts';
import { consolePaths } from './console-paths.ts';
import { givePassword } from './first-user.ts';
import { Browser } from './fixtures/browser.ts';
import type { FleetOverview } from './fleet/overview.ts';
import { buildNodeConsole } from './node-console.ts';
import { startStandAlone } from './stand-alone.ts';

const PASSWORD = 'correct horse battery';
const CONSOLE = `127.${64 + (process.pid % 128)}.254.9`;

let pairs: TwoNodes[] = [];
let daemon: Daemon;
let env: NodeJS.ProcessEnv = {};
let node: TestNode;

beforeAll(async () => {
  pairs = [await twoNodes(), await twoNodes()];
  for (const pair of pairs) {
    await pair.pair();
    mkdirSync(join(pair.data(pair.a), 'shop'));
    const paths = [
      { dir: join(pair.data(pair.a), 'shop'), standbyDir: join(pair.data(pair.b), 'shop') },
    ];
    await pair.a.call('group-create', { input: { name: 'shop', paths }, origin: 'test' });
  }
  const [first] = pairs;
  if (first === undefined) throw new TypeError('no pair');
  node = first.a;
  // As the command line starts it: with a console that is loaded when it is needed.
  await node.stop();
  env = { UNDERSTUDY_ETC: join(first.top, 'node-a', 'etc'), UNDERSTUDY_STATE: node.paths.state };
  daemon = await startDaemon(node.paths, standInPrograms, async (service) =>
    buildNodeConsole(service, env),
  );
});
afterAll(async () => {
  await daemon.stop();
  for (const pair of pairs) await pair.down();
});

test("a node's own console shows the node and its partner, without any token", async () => {
  let cookie = '';
  let csrf = '';
  const ask = async (method: string, path: string, body?: unknown): Promise<HttpsAnswer> => {
    const answer = await httpsCall({
      host: node.address,
      method,
      path: `/api/console${path}`,
      headers: { cookie, 'x-csrf-token': csrf },
      ...(body === undefined ? {} : { body }),
    });
    cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? cookie;
    csrf = (answer.json as { csrf?: string } | undefined)?.csrf ?? csrf;
    return answer;
  };
  const login = { name: 'admin', password: 'x' };
  expect((await ask('POST', '/login', login)).text).toContain('CONSOLE_NOT_SET_UP');
  // What "understudy console password" does, in another process, while the service runs.
  const users = new UserStore(consolePaths(env).users);
  const { password } = await givePassword(users, new PasswordHasher(), 'admin');
  expect((await ask('POST', '/login', { name: 'admin', password })).status).toBe(200);
  expect(cookie).toMatch(/^__Host-understudy=/);
  await ask('POST', '/account/password', { present: password, password: PASSWORD });
  const fleet = await until('both are seen', async () => {
    const seen = (await ask('GET', '/fleet')).json as FleetOverview;
    return seen.nodes.length === 2 && seen.nodes.every(({ isReachable }) => isReachable) && seen;
  });
  expect(fleet.nodes.map(({ id, name, peerId }) => [id, name, peerId]).toSorted()).toEqual([
    ['peer', 'b', 'self'],
    ['self', 'a', 'peer'],
  ]);
  expect(fleet.groups).toMatchObject([{ name: 'shop', primaryId: 'self', standbyId: 'peer' }]);
  expect((await ask('GET', '/nodes/self/api/v1/session')).json).toMatchObject({
    kind: 'root',
    user: 'admin',
  });
  expect((await ask('GET', '/nodes/peer/api/v1/session')).json).toMatchObject({
    kind: 'peer',
    user: 'admin',
  });
  expect((await ask('GET', '/docs')).text).toContain('/api/v1/groups/{group}/switchover');
  const page = await httpsCall({ host: node.address, path: '/' });
  expect(page.headers['strict-transport-security']).toBeDefined();
  // The API for programs and that of the peers are beside it, as before.
  expect((await httpsCall({ host: node.address, path: '/api/v1/status' })).status).toBe(401);
  expect((await httpsCall({ host: node.address, path: '/v1/node' })).status).toBe(403);
});

test('two pairs in one console: groups of the same name apart, a dead node found, worst first', async () => {
  const [first, second] = pairs;
  if (first === undefined || second === undefined) throw new TypeError('no pairs');
  const state = join(first.top, 'stand-alone');
  const running = await startStandAlone({
    paths: consolePaths({ UNDERSTUDY_ETC: state, UNDERSTUDY_STATE: state }),
    config: { address: CONSOLE, port: 7443 },
    version: '0.0.0',
  });
  const stop = running.console.context.fleet.listen(() => undefined);
  try {
    const browser = new Browser(CONSOLE, 7443);
    await browser.begin('admin', running.firstUser?.password ?? '', PASSWORD);
    for (const one of [first.a, first.b, second.a, second.b]) {
      const body = { name: 'console', role: 'administrator' };
      const { token } = await one.api.call<{ token: string }>({
        method: 'POST',
        path: '/tokens',
        body,
      });
      const probe = await browser.post('/nodes/probe', { host: one.address });
      const { fingerprint } = probe.json as { fingerprint: string };
      expect((await browser.post('/nodes', { host: one.address, fingerprint, token })).status).toBe(
        200,
      );
    }
    const fleet = async (): Promise<FleetOverview> =>
      (await browser.get('/fleet')).json as FleetOverview;
    const all = await until('all is seen', async () => {
      const seen = await fleet();
      return (
        seen.groups.length === 2 &&
        seen.nodes.every(({ isReachable, peerId }) => isReachable && peerId !== null) &&
        seen
      );
    });
    expect(new Set(all.groups.map(({ groupId }) => groupId)).size).toBe(2);
    expect(
      all.groups.every(({ primaryId, standbyId }) => primaryId !== null && standbyId !== null),
    ).toBe(true);
    const dead = second.a.address;
    await second.a.stop();
    const hurt = await until('it is told', async () => {
      const seen = await fleet();
      return seen.counts.nodesUnreachable === 1 && seen;
    });
    expect(hurt.nodes[0]).toMatchObject({ where: `${dead}:7440`, level: 'error' });
    // Its partner still tells of the group, and that it does not reach the other node.
    const group = hurt.groups.find(({ seenFrom }) =>
      hurt.nodes.some(({ id, where }) => id === seenFrom && where === `${second.b.address}:7440`),
    );
    expect(group?.isStale).toBe(false);
  } finally {
    stop();
    await running.close();
  }
});
