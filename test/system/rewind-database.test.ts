// Going back with a database: after minutes of pgbench, the state at a bookmark is exactly the database of
// that moment, by the transactions that had been confirmed and those that had not begun.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import type { LabHost, LabProcess } from '../../lab/host.ts';
import { understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const USER = 'postgres';
const DATA = join(DIRECTORY, 'pg');
const SOCKET = '/run/pg';
const LOOK = '/srv/look';
const isLong = process.env['UNDERSTUDY_LONG'] !== undefined;
const BEFORE_S = isLong ? 480 : 8;
const AFTER_S = isLong ? 120 : 4;
const SETTINGS = `listen_addresses = ''\nunix_socket_directories = '${SOCKET}'\nshared_buffers = 32MB\n`;

async function start(host: LabHost, data: string): Promise<LabProcess> {
  const argv = ['install', '-d', '-m', '755', '-o', USER, '-g', USER, SOCKET];
  await host.must(argv);
  const server = host.spawn([join(BIN, 'postgres'), '-D', data], { user: USER, stdio: 'ignore' });
  const ready = async (): Promise<boolean> =>
    (await host.exec([join(BIN, 'pg_isready'), '-q', '-h', SOCKET])).code === 0;
  if (!(await waitUntil(ready, 60_000, 200))) throw new Error('PostgreSQL does not start');
  return server;
}

async function stop(server: LabProcess): Promise<void> {
  server.kill('SIGINT');
  await server.ended;
}

async function connect(host: LabHost): Promise<Client> {
  const client = new Client({
    host: host.pathFromOutside(SOCKET),
    user: USER,
    database: 'bench',
  });
  await client.connect();
  return client;
}

async function createDatabase(host: LabHost): Promise<LabProcess> {
  await host.must(['install', '-d', '-m', '700', '-o', USER, '-g', USER, DATA]);
  const initdb = [join(BIN, 'initdb'), '-D', DATA, '--auth=trust', '--locale=C', '--no-sync'];
  await host.must([...initdb, '--encoding=UTF8'], { user: USER });
  const file = join(DATA, 'postgresql.conf');
  await host.must(['sh', '-c', 'cat >> "$1"', 'sh', file], { user: USER, input: SETTINGS });
  const server = await start(host, DATA);
  await host.must([join(BIN, 'createdb'), '-h', SOCKET, 'bench'], { user: USER });
  const fill = [join(BIN, 'pgbench'), '-h', SOCKET, '-i', '-q', '-s', '1', 'bench'];
  await host.must(fill, { user: USER, timeoutMs: 120_000 });
  const client = await connect(host);
  await client.query('create table ledger (n int primary key)');
  await client.end();
  return server;
}

/** Numbered transactions, one after the other. */
class Ledger {
  readonly #client: Client;
  begun = 0;
  confirmed = 0;
  #stopped = false;
  readonly ended: Promise<void>;

  constructor(client: Client) {
    this.#client = client;
    this.ended = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.begun += 1;
      await this.#client.query('insert into ledger values ($1)', [this.begun]);
      this.confirmed = this.begun;
    }
    await this.#client.end();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.ended;
  }
}

interface Found {
  readonly count: number;
  readonly last: number;
}

/** Starts PostgreSQL over `data`, as after a crash: what it recovers is consistent in itself. */
async function examine(host: LabHost, data: string): Promise<Found> {
  const server = await start(host, data);
  const client = await connect(host);
  const one = async (sql: string): Promise<Record<string, string>> =>
    ((await client.query(sql)).rows[0] ?? {}) as Record<string, string>;
  const sums = await one(`select (select coalesce(sum(abalance), 0) from pgbench_accounts) as a,
    (select coalesce(sum(tbalance), 0) from pgbench_tellers) as t,
    (select coalesce(sum(bbalance), 0) from pgbench_branches) as b,
    (select coalesce(sum(delta), 0) from pgbench_history) as h`);
  expect([sums['t'], sums['b'], sums['h']]).toEqual([sums['a'], sums['a'], sums['a']]);
  const found = await one('select count(*) as count, coalesce(max(n), 0) as last from ledger');
  await client.end();
  await stop(server);
  return { count: Number(found['count']), last: Number(found['last']) };
}

test(
  'going back gives exactly the database of that moment',
  async () => {
    await PairUnderTest.with(async (pair) => {
      const server = await createDatabase(pair.a);
      await stop(server);
      await pair.protect('sync');
      const running = await start(pair.a, DATA);
      const load = ['-h', SOCKET, '-c', '4', '-T', String(BEFORE_S + AFTER_S), 'bench'];
      const options = { user: USER, timeoutMs: (BEFORE_S + AFTER_S + 120) * 1000 };
      const bench = pair.a.must([join(BIN, 'pgbench'), ...load], options);
      const ledger = new Ledger(await connect(pair.a));

      await sleep(BEFORE_S * 1000);
      const { confirmed } = ledger;
      const argv = ['rewind', 'mark', GROUP, 'before-release'];
      const mark = (await understudy(pair.a, argv, { timeoutMs: 120_000 })) as { exact: boolean };
      const { begun } = ledger;
      expect(mark.exact).toBe(true);
      const isExact = ({ count, last }: Found): void => {
        expect(count).toBe(last);
        expect(last).toBeGreaterThanOrEqual(confirmed);
        expect(last).toBeLessThanOrEqual(begun);
      };
      await sleep(AFTER_S * 1000);
      await bench;
      await ledger.stop();
      expect(ledger.confirmed).toBeGreaterThan(begun);
      await stop(running);

      const browse = ['rewind', 'browse', GROUP, '--at', 'before-release', '--to', LOOK];
      await understudy(pair.b, browse, { timeoutMs: 120_000 });
      isExact(await examine(pair.b, join(LOOK, 'pg')));
      // The copy has not been touched.
      expect(await pair.differences()).toEqual([]);

      const restore = ['rewind', 'restore', GROUP, '--at', 'before-release', '--force'];
      await understudy(pair.b, restore, { timeoutMs: 120_000 });
      isExact(await examine(pair.b, DATA));
      // The other node follows, and gives up what came after.
      expect(await pair.differences(pair.b)).toEqual([]);
    });
  },
  (BEFORE_S + AFTER_S) * 1000 + 300_000,
);
