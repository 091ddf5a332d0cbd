// What a MariaDB or MySQL server answers, and what each answer means.
//
//   nobody listens, no process           stopped
//   nobody listens, process there        failed
//   login refused, no connection left    degraded: it serves others
//   read-only                            degraded
//   the heartbeat row cannot be written  failed (disk full, read-only file system)
//   no answer                            the probe ends with its time: hung. MariaDB waits, when a disk is full
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { messageOf } from '../../core/errors.ts';
import type { AgentContext, ProbeResult } from '../agent.ts';
import type { MysqlParameters } from './mysql.ts';
import { dataDirOf, serverProcesses, targetOf } from './mysql-server.ts';
import {
  abortable,
  codeOf,
  connectTo,
  describeTarget,
  since,
  unreachable,
} from './support/connection.ts';
import { withSpace } from './support/free-space.ts';
import { beat } from './support/heartbeat-row.ts';
import { passwordFindings, passwordOf } from './support/parameters.ts';

const PRODUCT = 'MariaDB/MySQL';
const TABLE = 'understudy.heartbeat';
const LOGIN_REFUSED = new Set([
  'ER_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_NO_PASSWORD_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_HOST_NOT_PRIVILEGED',
  'ER_HOST_IS_BLOCKED',
  'ER_MUST_CHANGE_PASSWORD_LOGIN',
  'AUTH_SWITCH_PLUGIN_ERROR',
]);
const NO_CONNECTION_LEFT = new Set(['ER_CON_COUNT_ERROR', 'ER_TOO_MANY_USER_CONNECTIONS']);
const NO_RIGHT = new Set([
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_SPECIFIC_ACCESS_DENIED_ERROR',
]);

/** Those that a server does not have are not among the answers. */
const VARIABLES = `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'read_only', 'innodb_read_only')`;

interface Answer {
  readonly version: string;
  readonly isReadOnly: boolean;
  readonly sessions: number;
}

interface Question {
  readonly parameters: MysqlParameters;
  readonly context: AgentContext;
  readonly at: string;
  readonly connectMs: number;
}

export async function probeMysql(
  parameters: MysqlParameters,
  context: AgentContext,
): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(parameters);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const { signal } = context;
  const target = targetOf(parameters);
  const at = describeTarget(target);
  let connected;
  try {
    connected = await connectTo(target, signal);
  } catch (failure) {
    signal.throwIfAborted();
    return notReached(parameters, context, { failure, at });
  }
  const { socket, connectMs } = connected;
  const question = { parameters, context, at, connectMs };
  try {
    const from = performance.now();
    let connection: Connection;
    try {
      const password = passwordOf(parameters);
      const login = createConnection({
        stream: socket,
        user: parameters.login,
        ...(password === undefined ? {} : { password }),
      });
      connection = await abortable(signal, login);
    } catch (failure) {
      signal.throwIfAborted();
      return loginRefused(failure, question);
    }
    // What the server says at its end is no failure of this process.
    connection.on('error', () => undefined);
    const result = await ask(connection, question, since(from));
    const { minFreeMiB, heartbeat } = parameters;
    return await withSpace(result, localDataDir(parameters, context), {
      minFreeMiB,
      heartbeat,
      signal,
    });
  } finally {
    socket.destroy();
  }
}

/** Undefined when the server that was asked is not on this machine. */
function localDataDir(parameters: MysqlParameters, context: AgentContext): string | undefined {
  try {
    const dataDir = dataDirOf(parameters, context);
    return serverProcesses(dataDir).length > 0 ? dataDir : undefined;
  } catch {
    return undefined;
  }
}

async function ask(
  connection: Connection,
  question: Question,
  loginMs: number,
): Promise<ProbeResult> {
  const { parameters, context, at, connectMs } = question;
  const from = performance.now();
  let answer: Answer;
  try {
    answer = await abortable(context.signal, askState(connection));
  } catch (failure) {
    context.signal.throwIfAborted();
    return { state: 'failed', sentence: `asked at ${at}, ${PRODUCT} said: ${messageOf(failure)}` };
  }
  const { version, sessions } = answer;
  const measures = { connectMs, loginMs, queryMs: since(from), sessions };
  const name = `${version.includes('MariaDB') ? 'MariaDB' : 'MySQL'} at ${at}`;
  if (answer.isReadOnly) {
    return { state: 'degraded', sentence: `${name} is read-only: no writes`, measures };
  }
  if (!parameters.heartbeat) {
    return { state: 'ok', sentence: `${name} accepts writes; ${sessions} sessions`, measures };
  }
  return await beat({
    who: name,
    signal: context.signal,
    exchange: async (stamp) => {
      await writeRow(connection, stamp);
      const sql = `SELECT stamp FROM ${TABLE} WHERE id = 1`;
      const [rows] = await connection.query<RowDataPacket[]>(sql);
      return rows[0]?.['stamp'] as unknown;
    },
    isForbidden: (failure) => NO_RIGHT.has(codeOf(failure)),
    measures,
    more: `${sessions} sessions`,
  });
}

async function askState(connection: Connection): Promise<Answer> {
  const [variables] = await connection.query<RowDataPacket[]>(VARIABLES);
  const [counted] = await connection.query<RowDataPacket[]>(
    'SELECT count(*) AS sessions FROM information_schema.processlist',
  );
  const pairs = variables.map(
    (row) => [String(row['Variable_name']), String(row['Value'])] as const,
  );
  return {
    version: new Map(pairs).get('version') ?? '',
    isReadOnly: isReadOnly(pairs),
    sessions: Number(counted[0]?.['sessions'] ?? 0),
  };
}

/** MariaDB has several kinds of it besides ON (NO_LOCK, NO_LOCK_NO_ADMIN). */
export function isReadOnly(
  variables: readonly (readonly [name: string, value: string])[],
): boolean {
  return variables.some(
    ([name, value]) => name.endsWith('read_only') && !/^(?:OFF|0)$/i.test(value),
  );
}

async function writeRow(connection: Connection, stamp: string): Promise<void> {
  const write = async (): Promise<void> => {
    await connection.query(`REPLACE INTO ${TABLE} VALUES (1, ?)`, [stamp]);
  };
  try {
    await write();
  } catch (failure) {
    if (!['ER_NO_SUCH_TABLE', 'ER_BAD_DB_ERROR'].includes(codeOf(failure))) throw failure;
    await connection.query('CREATE DATABASE IF NOT EXISTS understudy');
    await connection.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (id INT PRIMARY KEY, stamp VARCHAR(64) NOT NULL) ENGINE=InnoDB`,
    );
    await write();
  }
}

function notReached(
  parameters: MysqlParameters,
  context: AgentContext,
  { failure, at }: { failure: unknown; at: string },
): ProbeResult {
  let count = 0;
  try {
    count = serverProcesses(dataDirOf(parameters, context)).length;
  } catch {
    // A server whose data is elsewhere: only its address tells.
  }
  const there = count === 0 ? '' : 'its process runs';
  return unreachable(failure, { product: PRODUCT, at, there });
}

function loginRefused(failure: unknown, { parameters, at, connectMs }: Question): ProbeResult {
  const code = codeOf(failure);
  const said = messageOf(failure);
  const measures = { connectMs };
  if (LOGIN_REFUSED.has(code)) {
    const sentence = `${PRODUCT} at ${at} answers but does not let "${parameters.login}" in: ${said}. Correct login and password of the agent`;
    return { state: 'degraded', sentence, measures };
  }
  if (NO_CONNECTION_LEFT.has(code)) {
    const sentence = `${PRODUCT} at ${at} serves others and has no connection left: ${said}`;
    return { state: 'degraded', sentence, measures };
  }
  return { state: 'failed', sentence: `${PRODUCT} at ${at} refuses sessions: ${said}`, measures };
}
