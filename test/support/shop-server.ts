// A web application on a database: it does not start without its address and its database, and reports by itself
// how many orders it has.
//
//   node shop-server.ts PORT ADDRESS PORT-OF-POSTGRESQL SOCKET-FOR-REPORTS
import { createServer, request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { Client } from 'pg';

const [port = '', address = '', database = '', reports = ''] = process.argv.slice(2);
const REPORT_INTERVAL_MS = 500;

function hasAddress(): boolean {
  const all = Object.values(networkInterfaces()).flat();
  return all.some((one) => one?.address === address);
}

if (!hasAddress()) {
  console.error(`started without the address ${address}`);
  process.exit(1);
}
const client = new Client({ host: '127.0.0.1', port: Number(database), user: 'postgres' });
// Without its database it ends: whoever watches starts both again.
client.on('error', (failure) => {
  console.error(failure.message);
  process.exit(1);
});
await client.connect();
await client.query('create table if not exists orders (id serial primary key)');
await client.query('create table if not exists starts (id serial primary key)');
await client.query('insert into starts default values');

async function count(table: 'orders' | 'starts'): Promise<string> {
  const { rows } = await client.query<{ count: string }>(`select count(*) as count from ${table}`);
  return rows[0]?.count ?? '?';
}

const answers: Readonly<Record<string, () => Promise<string>>> = {
  '/add': async () => {
    await client.query('insert into orders default values');
    return count('orders');
  },
  '/count': async () => count('orders'),
  '/starts': async () => count('starts'),
};

createServer((asked, response) => {
  const answer = answers[asked.url ?? ''] ?? (async () => Promise.resolve('?'));
  answer().then(
    (text) => response.end(text),
    (failure: unknown) => response.writeHead(502).end(String(failure)),
  );
}).listen(Number(port), '0.0.0.0');

async function report(): Promise<void> {
  const sentence = `${await count('orders')} orders`;
  const options = { socketPath: reports, path: '/heartbeat', method: 'POST' };
  const sent = request(options, (answer) => answer.resume());
  sent.on('error', (failure) => console.error(failure.message));
  sent.end(JSON.stringify({ sentence }));
}

setInterval(() => void report().catch(() => undefined), REPORT_INTERVAL_MS);
