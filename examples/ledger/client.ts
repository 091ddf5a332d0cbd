// Posts transfers all the time and writes down each that was acknowledged:
//
//   node client.ts run   --target URL [--target URL…] --log FILE [--workers 4] [--rate 0] [--timeout 1000] [--seconds 0]
//   node client.ts check --target URL --log FILE
//
// A transfer without an answer is posted again, with the same id, to the next target in turn. `check` asks a
// server for each acknowledged transfer. Both print one JSON object at the end. `--rate`: transfers per second of
// all workers together (0: as many as it can). `--timeout`: milliseconds until an answer is no longer waited for.
import { createWriteStream } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Acknowledged, outagesIn, readLog } from './client-log.ts';
import { ACCOUNTS, type Transfer } from './ledger.ts';

const ANSWER_TIMEOUT_MS = 1000;
/** A server without power does not refuse, it says nothing. */
const CONNECT_TIMEOUT_MS = 250;
/** Short, so that the end of an outage is seen when it comes; long enough not to flood a busy server. */
const RETRY_PAUSE_MS = 20;
const OUTAGE_MS = 250;
const CHECKERS = 8;

interface Reply {
  readonly status: number;
  readonly body: string;
  /** Name of the server behind the address. */
  readonly node: string | undefined;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly agent: Agent;
  readonly timeoutMs?: number | undefined;
}

/** One request with a deadline for everything from connecting to the last byte. */
async function call({ method, url, body, agent, timeoutMs }: Call): Promise<Reply> {
  return await new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        clearTimeout(timer);
        const { statusCode: status = 0, headers } = response;
        const node = headers['x-served-by']?.toString();
        resolve({ status, body: Buffer.concat(chunks).toString(), node });
      });
    });
    const giveUp = (): unknown => outgoing.destroy(new Error('no answer'));
    const timer = setTimeout(giveUp, timeoutMs ?? ANSWER_TIMEOUT_MS);
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
  /** Transfers per second of all workers together; 0 or undefined: as many as they can. */
  readonly rate?: number;
  readonly answerTimeoutMs?: number;
  readonly acknowledge: (entry: Acknowledged) => void;
  readonly signal: AbortSignal;
}

/** Keeps `workers` transfers in flight until the signal. */
export async function runClient(options: RunOptions): Promise<void> {
  const prefix = `${Date.now().toString(36)}-${process.pid}`;
  const timeoutMs = options.answerTimeoutMs;
  const pauseMs = (options.rate ?? 0) > 0 ? (1000 * options.workers) / (options.rate ?? 1) : 0;
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
        const url = `${server}/transfer`;
        const post = { method: 'POST', url, body, agent, timeoutMs } as const;
        const reply = await call(post).catch(() => undefined);
        if (reply !== undefined && reply.status < 500) {
          const latencyMs = Math.round((performance.now() - started) * 10) / 10;
          const isDone = reply.status === 201 || reply.status === 200;
          const node = reply.node ?? server;
          if (isDone) options.acknowledge({ ...transfer, at: Date.now(), latencyMs, server, node });
          break;
        }
        // All workers turn to the next server together, once.
        if (current === target) current += 1;
        await sleep(RETRY_PAUSE_MS);
      }
      const leftMs = pauseMs - (performance.now() - started);
      if (leftMs > 0 && !options.signal.aborted) await sleep(leftMs);
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
      rate: { type: 'string', default: '0' },
      timeout: { type: 'string', default: String(ANSWER_TIMEOUT_MS) },
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
    rate: Number(values.rate),
    answerTimeoutMs: Number(values.timeout),
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
