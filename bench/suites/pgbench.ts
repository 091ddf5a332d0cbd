// Transactions per second of PostgreSQL: native, and on a protected directory in each mode.
import { join } from 'node:path';
import type { LabHost, LabProcess } from '../../lab/host.ts';
import { waitUntil } from '../../lab/run.ts';
import { Bed, type Mode, NATIVE, PROTECTED } from '../bed.ts';
import { median, type Row, row } from '../measure.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const USER = 'postgres';
const SCALE = '10';
const CLIENTS = '4';
const SECONDS = 10;
/** Just-in-time compilers and caches on both nodes are warm after that; a database runs for weeks. */
const WARM_UP_SECONDS = 20;
const SETTINGS = `listen_addresses = ''\nshared_buffers = 128MB\nmax_wal_size = 1GB\n`;

interface Cluster {
  readonly data: string;
  readonly socket: string;
}

const native: Cluster = { data: join(NATIVE, 'pg'), socket: '/run/pg-native' };
const ours: Cluster = { data: join(PROTECTED, 'pg'), socket: '/run/pg-ours' };

async function create(host: LabHost, cluster: Cluster): Promise<void> {
  for (const dir of [cluster.data, cluster.socket]) {
    await host.must(['install', '-d', '-m', '700', '-o', USER, '-g', USER, dir]);
  }
  const initdb = [join(BIN, 'initdb'), '-D', cluster.data, '--auth=trust', '--locale=C'];
  await host.must([...initdb, '--encoding=UTF8'], { user: USER });
  const file = join(cluster.data, 'postgresql.conf');
  const settings = `${SETTINGS}unix_socket_directories = '${cluster.socket}'\n`;
  await host.must(['sh', '-c', 'cat >> "$1"', 'sh', file], { user: USER, input: settings });
  const server = await start(host, cluster);
  await host.must([join(BIN, 'createdb'), '-h', cluster.socket, 'bench'], { user: USER });
  const fill = [join(BIN, 'pgbench'), '-h', cluster.socket, '-i', '-q', '-s', SCALE, 'bench'];
  await host.must(fill, { user: USER, timeoutMs: 300_000 });
  await stop(server);
}

async function start(host: LabHost, cluster: Cluster): Promise<LabProcess> {
  const server = host.spawn([join(BIN, 'postgres'), '-D', cluster.data], {
    user: USER,
    stdio: 'ignore',
  });
  const ready = async (): Promise<boolean> =>
    (await host.exec([join(BIN, 'pg_isready'), '-q', '-h', cluster.socket])).code === 0;
  if (!(await waitUntil(ready, 60_000, 200))) throw new Error('PostgreSQL does not start');
  return server;
}

async function stop(server: LabProcess): Promise<void> {
  server.kill('SIGINT');
  await server.ended;
}

async function measure(host: LabHost, cluster: Cluster, seconds: number): Promise<number> {
  const server = await start(host, cluster);
  const load = ['-h', cluster.socket, '-c', CLIENTS, '-T', String(seconds), 'bench'];
  const options = { user: USER, timeoutMs: (seconds + 60) * 1000 };
  const output = await host.must([join(BIN, 'pgbench'), ...load], options);
  await stop(server);
  return Number(/tps = ([\d.]+)/.exec(output)?.[1] ?? 0);
}

const FLOORS: Readonly<Partial<Record<Mode, number>>> = { async: 0.55, sync: 0.4 };

export async function pgbench(rounds: number): Promise<Row[]> {
  return Bed.with(async (bed) => {
    await create(bed.a, native);
    await create(bed.a, ours);
    const rows: Row[] = [];
    for (const mode of ['async', 'sync'] as const) {
      await bed.protect(mode);
      await measure(bed.a, ours, WARM_UP_SECONDS);
      const without: number[] = [];
      const withUs: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        without.push(await measure(bed.a, native, SECONDS));
        withUs.push(await measure(bed.a, ours, SECONDS));
      }
      await bed.unprotect();
      const floor = FLOORS[mode] ?? 0;
      const what = { suite: 'pgbench', unit: 'tps' };
      rows.push(row({ ...what, name: `native, beside ${mode}`, values: without }));
      rows.push(
        row({ ...what, name: `understudy ${mode}`, values: withUs }, median(without), {
          text: `≥ ${floor} of native`,
          holds: (_, ratio) => (ratio ?? 0) >= floor,
        }),
      );
    }
    return rows;
  });
}
