// What discovery finds of programs that really run, and that its proposals are groups that agents accept.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitUntil } from '../../../lab/run.ts';
import { testPlace } from '../../../test/support/agent-context.ts';
import { builtins } from '../builtin/index.ts';
import { discover } from './discover.ts';
import { groupName, type Proposal, withUniqueNames } from './proposal.ts';

const place = testPlace();
const children: ChildProcess[] = [];
/** Below /srv as applications are: what is in /tmp is no data. */
const data = `/srv/understudy-discovery-${process.pid}`;
const PORTS = { redis: 63_811, nginx: 58_111, shop: 58_112 };

function run(...argv: [string, ...string[]]): void {
  const [program, ...rest] = argv;
  children.push(spawn(program, rest, { cwd: data, stdio: 'ignore' }));
}

beforeAll(async () => {
  for (const name of ['redis', 'www', 'shop']) mkdirSync(join(data, name), { recursive: true });
  chmodSync(data, 0o755);
  const configuration = `daemon off; pid ${place.top}/nginx.pid; error_log stderr; events {}
    http { access_log off; server { listen 127.0.0.1:${PORTS.nginx}; root ${data}/www; } }`;
  writeFileSync(join(place.top, 'nginx.conf'), configuration);
  const shop = join(data, 'shop', 'server.mjs');
  writeFileSync(
    shop,
    `import { createServer } from 'node:http'; import { openSync } from 'node:fs';
     openSync('${data}/shop/orders.db', 'a');
     createServer((q, r) => r.end()).listen(${PORTS.shop}, '127.0.0.1');`,
  );
  const redis = ['--port', String(PORTS.redis), '--dir', join(data, 'redis'), '--save', ''];
  run('/usr/bin/redis-server', ...redis);
  run('/usr/sbin/nginx', '-c', join(place.top, 'nginx.conf'));
  run(process.execPath, shop);
  await waitUntil(() => found().length === 3, 10_000, 100);
});
afterAll(async () => {
  // nginx ends its workers itself.
  for (const child of children) child.kill('SIGTERM');
  await waitUntil(
    () => children.every(({ exitCode, signalCode }) => (exitCode ?? signalCode) !== null),
    10_000,
    20,
  );
  for (const child of children) child.kill('SIGKILL');
  execFileSync('rm', ['-rf', data]);
  place[Symbol.dispose]();
});

/** Those of this test. */
function found(): Proposal[] {
  return discover().filter(({ group }) => group.paths.some(({ dir }) => dir.startsWith(data)));
}

test('each program with its data, port, and how it is started', () => {
  const [redis, ...programs] = found();
  const byTitle = new Map(programs.map((one) => [one.title, one]));
  expect(redis?.group).toMatchObject({
    name: expect.stringMatching(/^redis(?:-\d)?$/),
    paths: [{ dir: join(data, 'redis') }],
    agents: [{ use: 'redis', port: PORTS.redis, dataDir: join(data, 'redis'), heartbeat: true }],
  });
  expect(byTitle.get('nginx')?.group).toMatchObject({
    paths: [{ dir: join(data, 'www') }],
    agents: [
      { use: 'supervised', port: PORTS.nginx },
      { use: 'http', url: `http://127.0.0.1:${PORTS.nginx}/` },
    ],
  });
  const shop = programs.find(({ title }) => title !== 'nginx');
  expect(shop?.group).toMatchObject({
    name: 'server',
    paths: [{ dir: join(data, 'shop') }],
    agents: [
      {
        use: 'supervised',
        run: [process.execPath, join(data, 'shop', 'server.mjs')],
        directory: data,
        port: PORTS.shop,
      },
    ],
  });
});

test('a database whose logs are on another disk: without these its copy would not start', async () => {
  const [db, redo] = [join(data, 'db'), join(data, 'redo')];
  for (const directory of [db, redo]) mkdirSync(directory);
  const options = ['--no-defaults', '--user=root', `--datadir=${db}`];
  const log = [`--innodb-log-group-home-dir=${redo}`, '--innodb-log-file-size=4M'];
  execFileSync('mariadb-install-db', [...options, ...log, '--skip-test-db'], { stdio: 'pipe' });
  const at = [
    '--skip-networking',
    `--socket=${place.top}/db.sock`,
    `--pid-file=${place.top}/db.pid`,
  ];
  run('/usr/sbin/mariadbd', ...options, ...log, ...at);
  const ofDatabase = () =>
    found().find(({ group }) => group.agents.some(({ use }) => use === 'mysql'));
  await waitUntil(() => ofDatabase() !== undefined, 10_000, 100);
  expect(ofDatabase()?.group.paths.map(({ dir }) => dir)).toEqual([db, redo]);
  expect(ofDatabase()?.notes.join()).toContain(`are protected too: ${redo}`);
  children.at(-1)?.kill('SIGKILL');
  await waitUntil(() => ofDatabase() === undefined, 10_000, 50);
}, 40_000);

test('a container with the same paths is none of this node', async () => {
  const root = join(data, 'container');
  const shop = join(root, data, 'shop');
  mkdirSync(shop, { recursive: true });
  const program = `import os, socket, time
os.chroot(".")
os.chdir("${data}")
server = socket.create_server(("127.0.0.1", 0))
orders = open("shop/orders.db", "a")
time.sleep(60)`;
  const script = `mount --bind "$0" "$0" && cd "$0" && mount --move . / && exec python3 -c '${program}'`;
  run('unshare', '--mount', 'sh', '-c', script, root);
  await waitUntil(() => existsSync(join(shop, 'orders.db')), 10_000, 50);
  expect(found().map(({ title }) => title)).toHaveLength(3);
});

test('every proposed agent accepts its parameters', async () => {
  for (const { group } of discover()) {
    expect(group.paths.length + group.agents.length).toBeGreaterThan(1);
    for (const { use, ...parameters } of group.agents) {
      const agent = await builtins.get(use)?.load();
      const parsed = agent?.parameters.safeParse(parameters);
      expect([use, parsed?.error?.message]).toEqual([use, undefined]);
    }
  }
});

test('names of groups', () => {
  expect(groupName('PostgreSQL 15/main')).toBe('postgresql-15-main');
  expect(groupName('7zip_Server')).toBe('g-7zip-server');
  expect(groupName('x'.repeat(60))).toHaveLength(40);
  const [one] = found();
  if (one === undefined) throw new Error('nothing was found');
  expect(withUniqueNames([one, one]).map(({ group }) => group.name)).toEqual([
    one.group.name,
    `${one.group.name}-2`,
  ]);
});
