// Posts transfers all the time and writes down each that was acknowledged:
//
//   node client.ts run   --target URL [--target URL…] --log FILE [--workers 4] [--seconds 0]
//   node client.ts check --target URL --log FILE
//
// A transfer without an answer is posted again, with the same id, to the next target in turn. `check` asks a
// server for each acknowledged transfer. Both print one JSON object at the end.
import { createWriteStream } from 'node:fs';
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { type Acknowledged, outagesIn, readLog } from './client-log.ts';
import { ACCOUNTS, type Transfer } from './ledger.ts';

const ANSWER_TIMEOUT_MS = 1000;
/** A server without power does not refuse, it says nothing. */
const CONNECT_TIMEOUT_MS = 250;
const OUTAGE_MS = 250;
const CHECKERS = 8;

interface Reply {
  readonly status: number;
  readonly body: string;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly agent: Agent;
}

/** One request with a deadline for everything from connecting to the last byte. */
async function call({ method, url, body, agent }: Call): Promise<Reply> {
  return await new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    });
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer')), ANSWER_TIMEOUT_MS);
    outgoing.once('socket', (socket) => {
      if (!socket.connecting) return;
      const connecting = setTimeout(() => socket.destroy(), CONNECT_TIMEOUT_MS);
      const isDecided = (): void => clearTimeout(connecting);
      socket.once('connect', isDecided).once('close', isDecided);
    });
    outgoing.once('error', (failure) => {
      clearTimeout(timer);
      reject(failure);
    });
    outgoing.end(body);
  });
}

function randomTransfer(id: string): Transfer {
  const from = 1 + Math.floor(Math.random() * ACCOUNTS);
  const to = 1 + ((from + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS);
  return { id, from, to, amount: 1 + Math.floor(Math.random() * 10) };
}

interface RunOptions {
  readonly targets: readonly string[];
  readonly workers: number;
  readonly acknowledge: (entry: Acknowledged) => void;
  readonly signal: AbortSignal;
}

/** Keeps `workers` transfers in flight until the signal. */
export async function runClient(options: RunOptions): Promise<void> {
  const prefix = `${Date.now().toString(36)}-${process.pid}`;
  let current = 0;
  async function work(worker: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let number = 0; !options.signal.aborted; number += 1) {
      const transfer = randomTransfer(`${prefix}-${worker}-${number}`);
      const body = JSON.stringify(transfer);
      const started = performance.now();
      while (!options.signal.aborted) {
        const target = current;
        const server = options.targets[target % options.targets.length] ?? '';
        const reply = await call({ method: 'POST', url: `${server}/transfer`, body, agent }).catch(
          () => undefined,
        );
        if (reply !== undefined && reply.status < 500) {
          const latencyMs = Math.round((performance.now() - started) * 10) / 10;
          const isDone = reply.status === 201 || reply.status === 200;
          if (isDone) options.acknowledge({ ...transfer, at: Date.now(), latencyMs, server });
          break;
        }
        // All workers turn to the next server together, once.
        if (current === target) current += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    agent.destroy();
  }
  await Promise.all(
    Array.from({ length: options.workers }, async (_, worker) => await work(worker)),
  );
}

/** Acknowledged transfers that `target` does not have (or has differently). */
export async function missingOn(
  target: string,
  entries: readonly Acknowledged[],
): Promise<Acknowledged[]> {
  const missing: Acknowledged[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: CHECKERS });
  const queue = entries.values();
  async function check(): Promise<void> {
    for (const entry of queue) {
      const url = `${target}/transfers/${encodeURIComponent(entry.id)}`;
      const reply = await call({ method: 'GET', url, agent });
      if (reply.status === 404 || !isSame(entry, reply)) missing.push(entry);
    }
  }
  await Promise.all(Array.from({ length: CHECKERS }, check));
  agent.destroy();
  return missing;
}

function isSame(entry: Acknowledged, reply: Reply): boolean {
  if (reply.status !== 200) throw new Error(`cannot check ${entry.id}: status ${reply.status}`);
  const found = JSON.parse(reply.body) as Transfer;
  return found.from === entry.from && found.to === entry.to && found.amount === entry.amount;
}

function option(value: string | undefined, name: string): string {
  if (value !== undefined) return value;
  console.error(`client: --${name} is missing; see the top of client.ts`);
  process.exit(2);
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      target: { type: 'string', multiple: true, default: [] },
      log: { type: 'string' },
      workers: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '0' },
    },
  });
  const file = option(values.log, 'log');
  const first = option(values.target[0], 'target');
  if (positionals[0] === 'check') {
    const entries = await readLog(file);
    const missing = await missingOn(first, entries);
    console.log(JSON.stringify({ acknowledged: entries.length, missing }));
    return;
  }
  const log = createWriteStream(file, { flags: 'a' });
  const times: number[] = [];
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.once('SIGINT', () => stop.abort());
  if (Number(values.seconds) > 0) setTimeout(() => stop.abort(), Number(values.seconds) * 1000);
  await runClient({
    targets: values.target,
    workers: Number(values.workers),
    signal: stop.signal,
    acknowledge: (entry) => {
      times.push(entry.at);
      log.write(`${JSON.stringify(entry)}\n`);
    },
  });
  await new Promise<void>((resolve) => log.end(resolve));
  console.log(JSON.stringify({ acknowledged: times.length, outages: outagesIn(times, OUTAGE_MS) }));
}

if (import.meta.main) await main();
