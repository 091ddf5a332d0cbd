// What a Redis server answers, and what each answer means.
//
//   nobody listens, no process               stopped
//   nobody listens, process there            failed
//   login refused, no connection left        degraded: it serves others
//   loading, or a replica                    degraded
//   the append-only file cannot be written   failed; so is a heartbeat key that is not taken (MISCONF)
//   the last snapshot could not be written   degraded
//   no answer                                the probe ends with its time: hung
import { createClient } from '@redis/client';
import type { AgentContext, ProbeResult } from '../agent.ts';
import type { RedisParameters } from './redis.ts';
import {
  abortable,
  connectTo,
  describeTarget,
  ownSockets,
  reasonOf,
  since,
  type Target,
  unreachable,
} from './support/connection.ts';
import { beat } from './support/heartbeat-row.ts';
import { passwordFindings, passwordOf } from './support/parameters.ts';

const KEY = 'understudy:heartbeat';
const LOOK_TIMEOUT_MS = 2000;

type Client = ReturnType<typeof clientFor>;

function targetOf({ socket, host, port }: RedisParameters): Target {
  return socket === undefined ? { host, port } : { path: socket };
}

function clientFor(parameters: RedisParameters, { signal }: AgentContext) {
  const { socket, host, port, login } = parameters;
  const password = passwordOf(parameters);
  const place = socket === undefined ? { host, port } : { path: socket, tls: false as const };
  return createClient({
    socket: { ...place, reconnectStrategy: false, connectTimeout: 0 },
    ...(login === undefined ? {} : { username: login }),
    ...(password === undefined ? {} : { password }),
    disableClientInfo: true,
    commandOptions: { abortSignal: signal },
  });
}

export async function probeRedis(
  parameters: RedisParameters,
  context: AgentContext,
  countProcesses: () => number,
): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(parameters);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const { signal } = context;
  const at = describeTarget(targetOf(parameters));
  return await ownSockets(signal, async () => {
    const client = clientFor(parameters, context);
    // Told by the call that is under way.
    client.on('error', () => undefined);
    const from = performance.now();
    try {
      await abortable(signal, client.connect());
    } catch (failure) {
      signal.throwIfAborted();
      return notConnected(failure, at, countProcesses);
    }
    try {
      return await ask(client, { parameters, context, at, connectMs: since(from) });
    } finally {
      if (client.isOpen) client.destroy();
    }
  });
}

function notConnected(failure: unknown, at: string, countProcesses: () => number): ProbeResult {
  const said = reasonOf(failure);
  if (isLoginRefused(said)) return loginRefused(at, said);
  if (said.includes('max number of clients')) {
    const sentence = `Redis at ${at} serves others and has no connection left: ${said}`;
    return { state: 'degraded', sentence };
  }
  const there = countProcesses() === 0 ? '' : 'its process runs';
  return unreachable(failure, { product: 'Redis', at, there });
}

const isLoginRefused = (said: string): boolean =>
  /^(?:NOAUTH|WRONGPASS|NOPERM|ERR .*AUTH)/.test(said);

function loginRefused(at: string, said: string): ProbeResult {
  const sentence = `Redis at ${at} answers but does not let the agent in: ${said}. Correct login and password of the agent`;
  return { state: 'degraded', sentence };
}

interface Question {
  readonly parameters: RedisParameters;
  readonly context: AgentContext;
  readonly at: string;
  readonly connectMs: number;
}

async function ask(client: Client, question: Question): Promise<ProbeResult> {
  const { parameters, context, at, connectMs } = question;
  const from = performance.now();
  let info: Map<string, string>;
  try {
    await abortable(context.signal, client.ping());
    info = fieldsOf(await abortable(context.signal, client.info()));
  } catch (failure) {
    context.signal.throwIfAborted();
    const said = reasonOf(failure);
    if (isLoginRefused(said)) return loginRefused(at, said);
    if (said.startsWith('LOADING')) {
      return { state: 'degraded', sentence: `Redis at ${at} is loading its data: ${said}` };
    }
    return { state: 'failed', sentence: `asked at ${at}, Redis said: ${said}` };
  }
  const number = (name: string): number => Number(info.get(name) ?? 0) || 0;
  const measures = {
    connectMs,
    queryMs: since(from),
    clients: number('connected_clients'),
    memoryBytes: number('used_memory'),
  };
  const fault = faultOf(info);
  if (fault !== undefined) {
    return { state: fault.state, sentence: `Redis at ${at} ${fault.why}`, measures };
  }
  if (parameters.heartbeat) {
    return await beat({
      who: `Redis at ${at}`,
      kind: 'key',
      signal: context.signal,
      exchange: async (stamp) => {
        await client.set(KEY, stamp);
        return client.get(KEY);
      },
      isForbidden: (failure) => reasonOf(failure).startsWith('NOPERM'),
      measures,
      more: `${measures.clients} clients`,
    });
  }
  const sentence = `Redis at ${at} answers PING and is a master; ${measures.clients} clients`;
  return { state: 'ok', sentence, measures };
}

function fieldsOf(info: string): Map<string, string> {
  return new Map(
    info.split('\r\n').map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

function faultOf(
  info: Map<string, string>,
): { state: 'degraded' | 'failed'; why: string } | undefined {
  if (info.get('aof_last_write_status') === 'err') {
    return { state: 'failed', why: 'cannot write its append-only file: is the disk full?' };
  }
  if (info.get('loading') === '1') return { state: 'degraded', why: 'is loading its data' };
  if (info.get('role') === 'slave') {
    return { state: 'degraded', why: 'is a replica of another server and takes no writes' };
  }
  if (info.get('rdb_last_bgsave_status') === 'err') {
    return { state: 'degraded', why: 'could not write its last snapshot: is the disk full?' };
  }
  return undefined;
}

/** Whether it answers at all, be it with a refusal; not while it loads its data. */
export async function isAnswering(
  parameters: RedisParameters,
  context: AgentContext,
): Promise<boolean> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]);
  try {
    const { socket } = await connectTo(targetOf(parameters), signal);
    socket.write('PING\r\n');
    const answer = await new Promise<string>((resolve) => {
      socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')));
      socket.once('close', () => resolve(''));
    });
    socket.destroy();
    return /^(?:\+PONG|-NOAUTH|-NOPERM)/.test(answer);
  } catch {
    return false;
  }
}
