// Makes pgbench's transaction with an id of its own, all the time, and writes down each that was
// acknowledged:  postgresql-client.ts --target ADDRESS [--target ADDRESS…] --log FILE [--workers 3] [--pause MS]
//
// A transaction without an answer may or may not have happened; it is not made again.
import { createWriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { DATABASE, TABLE, USER } from './postgresql-names.ts';

const ANSWER_TIMEOUT_MS = 2000;
/** A server without power does not refuse, it says nothing. */
const CONNECT_TIMEOUT_MS = 500;

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true, default: [] },
    log: { type: 'string', default: 'acknowledged.jsonl' },
    workers: { type: 'string', default: '3' },
    /** After each transaction. */
    pause: { type: 'string', default: '0' },
  },
});
const log = createWriteStream(values.log, { flags: 'a' });
const prefix = `${Date.now().toString(36)}-${process.pid}`;
const pauseMs = Number(values.pause);
const stop = new AbortController();
let current = 0;
let scale = 0;

async function connect(target: string): Promise<Client> {
  const client = new Client({
    host: target,
    user: USER,
    database: DATABASE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
  });
  // Losing the connection is noticed by the query that waits.
  client.on('error', () => {});
  await client.connect();
  return client;
}

function randomUpTo(limit: number): number {
  return 1 + Math.floor(Math.random() * limit);
}

async function transact(client: Client, id: string): Promise<void> {
  const [account, teller, branch] = [100_000, 10, 1].map((each) => randomUpTo(each * scale));
  const delta = randomUpTo(10_001) - 5001;
  await client.query('BEGIN');
  await client.query('UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2', [
    delta,
    account,
  ]);
  await client.query('UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2', [
    delta,
    teller,
  ]);
  await client.query('UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2', [
    delta,
    branch,
  ]);
  await client.query(
    `INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
     VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)`,
    [teller, branch, account, delta],
  );
  await client.query(`INSERT INTO ${TABLE} VALUES ($1, $2)`, [id, delta]);
  await client.query('COMMIT');
}

async function readScale(client: Client): Promise<void> {
  if (scale > 0) return;
  const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM pgbench_branches');
  scale = Number(rows[0]?.count ?? 1);
}

/** The address is the same wherever the server runs. */
async function nodeBehind(client: Client): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT trim(pg_read_file('/proc/sys/kernel/hostname'), E'\\n') AS name",
  );
  return rows[0]?.name ?? '';
}

async function work(worker: number): Promise<void> {
  for (let number = 0; !stop.signal.aborted;) {
    const turn = current;
    const server = values.target[turn % values.target.length] ?? '';
    let client: Client | undefined;
    try {
      client = await connect(server);
      await readScale(client);
      const node = await nodeBehind(client);
      while (!stop.signal.aborted) {
        const id = `${prefix}-${worker}-${(number += 1)}`;
        const started = performance.now();
        await transact(client, id);
        const latencyMs = Math.round((performance.now() - started) * 10) / 10;
        log.write(`${JSON.stringify({ id, at: Date.now(), latencyMs, node })}\n`);
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      await client.end();
    } catch {
      client?.end().catch(() => {});
      if (current === turn) current += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

process.once('SIGTERM', () => {
  stop.abort();
});
await Promise.all(
  Array.from({ length: Number(values.workers) }, async (_, worker) => await work(worker)),
);
log.end(() => process.exit(0));
