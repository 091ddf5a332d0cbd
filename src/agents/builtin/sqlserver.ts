// Microsoft SQL Server, asked through its own protocol (TDS 7): login, then the state of the database.
//
//   nobody listens                        stopped
//   login refused                         degraded: it serves others
//   database RECOVERING, RESTORING        degraded: it comes back by itself, or an operator is at it
//   database read-only                    degraded
//   OFFLINE, SUSPECT, RECOVERY_PENDING …  failed
//   the heartbeat row cannot be written   failed
//   no answer                             the probe ends with its time: hung
import { Connection, type ConnectionConfiguration, Request } from 'tedious';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import {
  abortable,
  connectTo,
  type Connected,
  reasonOf,
  since,
  unreachable,
} from './support/connection.ts';
import { beat } from './support/heartbeat-row.ts';
import {
  passwordFindings,
  passwordOf,
  passwordParameters,
  port,
  unitParameter,
} from './support/parameters.ts';
import { byUnit, unitFindings } from './support/systemd-unit.ts';

const TABLE = 'dbo.understudy_heartbeat';
/** Number of the message that says why a login was refused; the password may have expired (18487, 18488). */
const LOGIN_REFUSED = new Set([18_452, 18_456, 18_470, 18_486, 18_487, 18_488]);
const NO_RIGHT = new Set([229, 230, 262, 916]);
const COMES_BACK = new Set(['RECOVERING', 'RESTORING']);

const parameters = z.strictObject({
  host: z.string().max(255).default('127.0.0.1').describe('Address of the server'),
  port: port.default(1433).describe('TCP port'),
  login: z
    .string()
    .max(128)
    .optional()
    .describe('Login that asks; without one a refusal counts as an answer'),
  ...passwordParameters,
  database: z.string().min(1).max(128).default('master').describe('Database that must be ONLINE'),
  encrypt: z.boolean().default(true).describe('TLS, as the server demands by default'),
  verifyCertificate: z
    .boolean()
    .default(false)
    .describe('Whether a certificate that is not trusted or has expired counts as failed'),
  heartbeat: z
    .boolean()
    .default(false)
    .describe(
      `Deep check: each probe writes and reads a row of the table ${TABLE} in the database`,
    ),
  unit: unitParameter,
});

export type SqlserverParameters = z.infer<typeof parameters>;

export const sqlserver = defineAgent<SqlserverParameters>({
  name: 'sqlserver',
  title: 'Microsoft SQL Server',
  description:
    'Logs in and asks sys.databases whether the database is ONLINE; if wanted writes and reads a row',
  parameters,
  defaults: { startTimeoutMs: 180_000, stopTimeoutMs: 120_000, probeTimeoutMs: 8000 },
  validate: async (given, context) => [
    ...passwordFindings(given),
    ...(given.unit === undefined ? [] : await unitFindings(given.unit, context)),
  ],
  probe,
  ...byUnit,
});

async function probe(given: SqlserverParameters, context: AgentContext): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(given);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const at = `${given.host}:${given.port}`;
  const { signal } = context;
  let connected: Connected;
  try {
    connected = await connectTo(given, signal);
  } catch (failure) {
    signal.throwIfAborted();
    return unreachable(failure, { product: 'SQL Server', at });
  }
  const { socket, connectMs } = connected;
  const from = performance.now();
  const connection = new Connection(configuration(given, connected));
  // Told by the request that is under way.
  connection.on('error', () => undefined);
  try {
    try {
      await abortable(signal, loggedIn(connection));
    } catch (failure) {
      signal.throwIfAborted();
      return loginRefused(failure, { given, at, connectMs });
    }
    const measures = { connectMs, loginMs: since(from) };
    return await ask(connection, { given, at, signal, measures });
  } finally {
    connection.close();
    socket.destroy();
  }
}

function configuration(given: SqlserverParameters, { socket }: Connected): ConnectionConfiguration {
  return {
    server: given.host,
    authentication: {
      type: 'default',
      options: { userName: given.login ?? 'understudy', password: passwordOf(given) ?? '' },
    },
    options: {
      connector: async () => await Promise.resolve(socket),
      port: given.port,
      encrypt: given.encrypt,
      trustServerCertificate: !given.verifyCertificate,
      appName: 'understudy',
      // The time is the probe's; 0 would mean at once.
      connectTimeout: 3_600_000,
      requestTimeout: 0,
      cancelTimeout: 500,
      maxRetriesOnTransientErrors: 0,
      rowCollectionOnRequestCompletion: false,
    },
  };
}

async function loggedIn(connection: Connection): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    connection.connect((error) =>
      error === undefined || error === null ? resolve() : reject(error),
    );
  });
}

interface Question {
  readonly given: SqlserverParameters;
  readonly at: string;
  readonly signal: AbortSignal;
  readonly measures: Readonly<Record<string, number>>;
}

async function ask(connection: Connection, question: Question): Promise<ProbeResult> {
  const { given, at, signal } = question;
  const from = performance.now();
  let row: readonly unknown[] | undefined;
  try {
    const rows = await abortable(
      signal,
      batch(
        connection,
        `SELECT state_desc, CAST(is_read_only AS int) FROM sys.databases WHERE name = N'${quoted(given.database)}'`,
      ),
    );
    row = rows[0];
  } catch (failure) {
    signal.throwIfAborted();
    return { state: 'failed', sentence: `asked at ${at}, SQL Server said: ${messageOf(failure)}` };
  }
  const measures = { ...question.measures, queryMs: since(from) };
  const name = `database "${given.database}" of SQL Server at ${at}`;
  if (row === undefined) {
    const sentence = `there is no ${name}, or the login may not see it`;
    return { state: 'failed', sentence, measures };
  }
  const [state, isReadOnly] = [String(row[0]), Number(row[1])];
  if (state !== 'ONLINE') {
    const isComing = COMES_BACK.has(state);
    const sentence = `${name} is ${state}, not ONLINE`;
    return { state: isComing ? 'degraded' : 'failed', sentence, measures };
  }
  if (isReadOnly !== 0) {
    return { state: 'degraded', sentence: `${name} is ONLINE and read-only`, measures };
  }
  if (given.heartbeat) {
    return await beat({
      who: name,
      signal,
      exchange: async (stamp) => (await batch(connection, beatSql(given, stamp))).at(-1)?.[0],
      isForbidden: (failure) => NO_RIGHT.has(numberOf(failure)),
      measures,
      more: 'it is ONLINE',
    });
  }
  return { state: 'ok', sentence: `${name} is ONLINE`, measures };
}

/** Writes the heartbeat row and reads it back, in one go. */
function beatSql(given: SqlserverParameters, stamp: string): string {
  const database = `[${given.database.replaceAll(']', ']]')}]`;
  const table = `${database}.${TABLE}`;
  return `
    IF OBJECT_ID(N'${quoted(table)}') IS NULL
      EXEC(N'CREATE TABLE ${quoted(table)} (id int PRIMARY KEY, stamp varchar(64) NOT NULL)');
    UPDATE ${table} SET stamp = '${stamp}' WHERE id = 1;
    IF @@ROWCOUNT = 0 INSERT INTO ${table} VALUES (1, '${stamp}');
    SELECT stamp FROM ${table} WHERE id = 1`;
}

async function batch(connection: Connection, sql: string): Promise<unknown[][]> {
  return await new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error) => {
      if (error === undefined || error === null) resolve(rows);
      else reject(error);
    });
    request.on('row', (columns: readonly { value: unknown }[]) => {
      rows.push([...columns].map(({ value }) => value));
    });
    connection.execSqlBatch(request);
  });
}

const quoted = (text: string): string => text.replaceAll("'", "''");

/** Number of the server's message; 0 when it is none of the server's. */
function numberOf(failure: unknown): number {
  const errors = failure instanceof AggregateError ? (failure.errors as unknown[]) : [failure];
  for (const error of errors) {
    const { number, cause } = error as { number?: unknown; cause?: unknown };
    if (typeof number === 'number') return number;
    if (cause !== undefined) return numberOf(cause);
  }
  return 0;
}

function loginRefused(
  failure: unknown,
  { given, at, connectMs }: { given: SqlserverParameters; at: string; connectMs: number },
): ProbeResult {
  const said = reasonOf(failure);
  const isRefusal =
    LOGIN_REFUSED.has(numberOf(failure)) || (failure as { code?: unknown }).code === 'ELOGIN';
  const measures = { connectMs };
  if (isRefusal && given.login === undefined) {
    return { state: 'ok', sentence: `SQL Server at ${at} answers logins: ${said}`, measures };
  }
  if (LOGIN_REFUSED.has(numberOf(failure)) || (isRefusal && /login failed/i.test(said))) {
    const sentence = `SQL Server at ${at} answers but does not let "${given.login ?? ''}" in: ${said}. Correct login and password of the agent`;
    return { state: 'degraded', sentence, measures };
  }
  return { state: 'failed', sentence: `SQL Server at ${at} refuses sessions: ${said}`, measures };
}
