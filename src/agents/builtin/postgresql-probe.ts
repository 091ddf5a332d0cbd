// What a PostgreSQL server answers, and what each answer means.
//
//   nobody listens, no process           stopped
//   nobody listens, process there        failed
//   starting up, in recovery mode        degraded: it recovers by itself; a restart would begin anew
//   shutting down                        failed
//   login refused, no session left       degraded: it serves others; another node would do the same
//   in recovery, or read-only            degraded
//   the heartbeat row cannot be written  failed (disk full, file system read-only)
//   no answer                            the probe ends with its time: hung
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import { messageOf } from '../../core/errors.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import type { PostgresqlParameters } from './postgresql.ts';
import { dataDirOf, isStopping, runningPostmaster, serverProcesses } from './postgresql-server.ts';
import {
  abortable,
  codeOf,
  connectTo,
  describeTarget,
  reasonOf,
  since,
  type Target,
  unreachable,
} from './support/connection.ts';
import { withSpace } from './support/free-space.ts';
import { beat } from './support/heartbeat-row.ts';
import { passwordFindings, passwordOf } from './support/parameters.ts';
import { ownerOf } from './support/users.ts';

const PORT_DEFAULT = 5432;
const SOCKET_DIRECTORY_DEFAULT = '/var/run/postgresql';
const TABLE = 'understudy_heartbeat';
/** SQLSTATE, appendix A of the manual. */
const CANNOT_CONNECT_NOW = '57P03';
const TOO_MANY_CONNECTIONS = '53300';
const LOGIN_REFUSED = new Set(['28000', '28P01', '3D000', '42501']);

interface Answer {
  readonly recovering: boolean;
  readonly readonly: boolean;
  readonly sessions: number;
  readonly sessions_max: number;
}

export async function probePostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(parameters);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const target = await targetOf(parameters, context);
  const at = describeTarget(target);
  let connectMs: number;
  let client: Client;
  try {
    const connected = await connectTo(target, context.signal);
    connectMs = connected.connectMs;
    client = clientOn(connected.socket, parameters);
  } catch (failure) {
    return notReached(parameters, context, { failure, at });
  }
  try {
    const result = await ask(client, { parameters, context, at, connectMs });
    const { minFreeMiB, heartbeat } = parameters;
    const options = { minFreeMiB, heartbeat, signal: context.signal };
    return await withSpace(result, localDataDir(parameters, context), options);
  } finally {
    // Not `end()`: that would wait for a server that does not read.
    (
      client as unknown as { connection: { stream: { destroy(): void } } }
    ).connection.stream.destroy();
  }
}

/** Where the server listens: as the group says, else as the running server itself says. */
async function targetOf(parameters: PostgresqlParameters, context: AgentContext): Promise<Target> {
  const server = running(parameters, context);
  const port = parameters.port ?? server?.postmaster?.port ?? PORT_DEFAULT;
  const { host } = parameters;
  if (host !== undefined && !host.startsWith('/')) return { host, port };
  const directory = host ?? server?.postmaster?.socketDirectory ?? SOCKET_DIRECTORY_DEFAULT;
  const asUid =
    server === undefined || process.getuid?.() !== 0
      ? undefined
      : (await ownerOf(server.dataDir)).uid;
  return { path: join(directory, `.s.PGSQL.${port}`), asUid };
}

function running(
  parameters: PostgresqlParameters,
  context: AgentContext,
): { dataDir: string; postmaster: ReturnType<typeof runningPostmaster> } | undefined {
  try {
    const dataDir = dataDirOf(parameters, context);
    return { dataDir, postmaster: runningPostmaster(dataDir) };
  } catch {
    // Only the server's address is needed here; it may be another machine's.
    return undefined;
  }
}

/** Undefined when the server that was asked is not on this machine. */
function localDataDir(parameters: PostgresqlParameters, context: AgentContext): string | undefined {
  const server = running(parameters, context);
  return server?.postmaster === undefined ? undefined : server.dataDir;
}

function clientOn(socket: Socket, parameters: PostgresqlParameters): Client {
  const password = passwordOf(parameters);
  const client = new Client({
    stream: () => socket,
    user: parameters.login,
    database: parameters.database,
    application_name: 'understudy',
    ...(password === undefined ? {} : { password }),
    ssl: parameters.tls === 'require' ? { rejectUnauthorized: false } : false,
  });
  // A connection that ends between two questions is told by the next one.
  client.on('error', () => undefined);
  return client;
}

/**
 * Brings everything to the data files, so that what starts from a bookmark of this moment has next to nothing
 * to recover. Errors: no login, no right (pg_checkpoint).
 */
export async function checkpointPostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<void> {
  const { socket } = await connectTo(await targetOf(parameters, context), context.signal);
  try {
    const client = clientOn(socket, parameters);
    await abortable(context.signal, client.connect());
    await abortable(context.signal, client.query('CHECKPOINT'));
  } finally {
    socket.destroy();
  }
}

interface Question {
  readonly parameters: PostgresqlParameters;
  readonly context: AgentContext;
  readonly at: string;
  readonly connectMs: number;
}

async function ask(client: Client, question: Question): Promise<ProbeResult> {
  const { parameters, context, at, connectMs } = question;
  const from = performance.now();
  try {
    await abortable(context.signal, client.connect());
  } catch (failure) {
    context.signal.throwIfAborted();
    return loginRefused(failure, question);
  }
  const loginMs = since(from);
  const queryFrom = performance.now();
  let answer: Answer;
  try {
    answer = await askState(client, context.signal);
  } catch (failure) {
    context.signal.throwIfAborted();
    return { state: 'failed', sentence: `asked at ${at}, PostgreSQL said: ${messageOf(failure)}` };
  }
  const { sessions, sessions_max: sessionsMax } = answer;
  const measures = { connectMs, loginMs, queryMs: since(queryFrom), sessions, sessionsMax };
  if (answer.recovering || answer.readonly) {
    const how = answer.recovering ? 'is in recovery' : 'takes read-only transactions only';
    return { state: 'degraded', sentence: `PostgreSQL at ${at} ${how}: no writes`, measures };
  }
  if (!parameters.heartbeat) {
    const sentence = `PostgreSQL at ${at} accepts writes; ${sessions} of ${sessionsMax} sessions`;
    return { state: 'ok', sentence, measures };
  }
  return await beat({
    who: `PostgreSQL at ${at}`,
    signal: context.signal,
    exchange: async (stamp) => {
      await writeRow(client, stamp);
      const sql = `SELECT stamp FROM ${TABLE} WHERE id = 1`;
      return (await client.query<{ stamp: string }>(sql)).rows[0]?.stamp;
    },
    isForbidden: (failure) => codeOf(failure) === '42501',
    measures,
    more: `${sessions} of ${sessionsMax} sessions`,
  });
}

async function askState(client: Client, signal: AbortSignal): Promise<Answer> {
  const result = await abortable(
    signal,
    client.query<Answer>(
      `SELECT pg_is_in_recovery() AS recovering,
              current_setting('default_transaction_read_only')::boolean AS readonly,
              (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS sessions,
              current_setting('max_connections')::int AS sessions_max`,
    ),
  );
  const [row] = result.rows;
  if (row === undefined) throw new Error('no row came back');
  return row;
}

async function writeRow(client: Client, stamp: string): Promise<void> {
  const write = async (): Promise<void> => {
    await client.query(
      `INSERT INTO ${TABLE} VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp`,
      [stamp],
    );
  };
  try {
    await write();
  } catch (failure) {
    if (codeOf(failure) !== '42P01') throw failure;
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (id int PRIMARY KEY, stamp text NOT NULL)`,
    );
    await write();
  }
}

function notReached(
  parameters: PostgresqlParameters,
  context: AgentContext,
  { failure, at }: { failure: unknown; at: string },
): ProbeResult {
  context.signal.throwIfAborted();
  const server = running(parameters, context);
  const count = server === undefined ? 0 : serverProcesses(server.dataDir).length;
  const there = count === 0 ? '' : `${count} processes of it run`;
  return unreachable(failure, { product: 'PostgreSQL', at, there });
}

function loginRefused(
  failure: unknown,
  { parameters, context, at, connectMs }: Question,
): ProbeResult {
  const code = codeOf(failure);
  const said = reasonOf(failure);
  const measures = { connectMs };
  if (LOGIN_REFUSED.has(code)) {
    const sentence = `PostgreSQL at ${at} answers but does not let "${parameters.login}" into database "${parameters.database}": ${said}. Correct login and password of the agent`;
    return { state: 'degraded', sentence, measures };
  }
  if (code === TOO_MANY_CONNECTIONS) {
    const sentence = `PostgreSQL at ${at} serves others and has no session left: ${said}`;
    return { state: 'degraded', sentence, measures };
  }
  if (code === CANNOT_CONNECT_NOW && !isShuttingDown(said, running(parameters, context))) {
    const sentence = `PostgreSQL at ${at} is there and not yet ready: ${said}`;
    return { state: 'degraded', sentence, measures };
  }
  return { state: 'failed', sentence: `PostgreSQL at ${at} refuses sessions: ${said}`, measures };
}

/** By its pid file, since it says so in any language; one whose directory is not known is believed in English. */
function isShuttingDown(said: string, server: ReturnType<typeof running>): boolean {
  return server === undefined ? said.includes('shutting down') : isStopping(server.dataDir);
}
