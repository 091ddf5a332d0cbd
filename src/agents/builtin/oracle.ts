// Oracle Database: listener, login, a query, and whether it is open for writing. With the official driver
// in its thin mode, which needs no Oracle client.
//
//   nobody listens                            stopped
//   the listener does not know the service    failed
//   starting, stopping, mounted, not there    failed
//   no more sessions, login refused           degraded: it serves others
//   open, but not READ WRITE                  degraded
//   the archiver is stuck, the heartbeat row
//   cannot be written                         failed (disk full)
//   no answer                                 the probe ends with its time: hung
import oracledb from 'oracledb';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { abortable, ownSockets, since } from './support/connection.ts';
import { beat } from './support/heartbeat-row.ts';
import {
  passwordFindings,
  passwordOf,
  passwordParameters,
  port,
  unitParameter,
} from './support/parameters.ts';
import { byUnit, unitFindings } from './support/systemd-unit.ts';

const TABLE = 'understudy_heartbeat';
const LOGIN_REFUSED = ['ORA-01017', 'ORA-01045', 'ORA-28000', 'ORA-28001', 'ORA-28002'];
const NO_SESSION_LEFT = ['ORA-00018', 'ORA-00020', 'ORA-12516', 'ORA-12519', 'ORA-12520'];
const NO_RIGHT = ['ORA-00942', 'ORA-01031', 'ORA-01950', 'ORA-01536'];

const name = /^[A-Za-z0-9_.$#-]+$/;

const parameters = z
  .strictObject({
    host: z
      .string()
      .max(255)
      .regex(/^[A-Za-z0-9_.:-]+$/)
      .default('127.0.0.1')
      .describe('Address of the listener'),
    port: port.default(1521).describe('TCP port of the listener'),
    service: z.string().max(128).regex(name).optional().describe('Service name: ORCLPDB1'),
    sid: z.string().max(64).regex(name).optional().describe('SID, where there is no service name'),
    login: z
      .string()
      .max(128)
      .optional()
      .describe('User that asks; without one a refusal of the login counts as an answer'),
    ...passwordParameters,
    heartbeat: z
      .boolean()
      .default(false)
      .describe(`Deep check: each probe writes and reads a row of the user's own table ${TABLE}`),
    unit: unitParameter,
  })
  .refine(
    ({ service, sid }) => (service === undefined) !== (sid === undefined),
    'takes either "service" or "sid"',
  );

export type OracleParameters = z.infer<typeof parameters>;

export const oracle = defineAgent<OracleParameters>({
  name: 'oracle',
  title: 'Oracle Database',
  description:
    'Listener, login, "select 1 from dual", open mode READ WRITE; start and stop with the OCF agents oracle and oralsnr, or a unit',
  parameters,
  defaults: { startTimeoutMs: 300_000, stopTimeoutMs: 300_000, probeTimeoutMs: 10_000 },
  validate: async (given, context) => [
    ...passwordFindings(given),
    ...(given.unit === undefined ? [] : await unitFindings(given.unit, context)),
  ],
  probe,
  ...byUnit,
});

function connectString({ host, port: number, service, sid }: OracleParameters): string {
  const data = service === undefined ? `SID=${sid ?? ''}` : `SERVICE_NAME=${service}`;
  return `(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=${host})(PORT=${number}))(CONNECT_DATA=(${data})))`;
}

async function probe(given: OracleParameters, context: AgentContext): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(given);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const { signal } = context;
  // The driver has no way of its own to give up a login that nobody answers.
  return await ownSockets(signal, async () => {
    const from = performance.now();
    let connection: oracledb.Connection;
    try {
      connection = await abortable(
        signal,
        oracledb.getConnection({
          connectString: connectString(given),
          user: given.login ?? 'understudy',
          password: passwordOf(given) ?? 'understudy',
          // What a list of sessions shows; by default it would be the path of the runtime.
          program: 'understudy',
        }),
      );
    } catch (failure) {
      signal.throwIfAborted();
      return notConnected(messageOf(failure), given);
    }
    try {
      const measures = { loginMs: since(from) };
      return await ask(connection, { given, signal, measures });
    } finally {
      // Its answer is not waited for: the socket is destroyed behind it.
      connection.close({ drop: true }).catch(() => undefined);
    }
  });
}

function describeServer({ host, port: number, service, sid }: OracleParameters): string {
  return `"${service ?? sid ?? ''}" at ${host}:${number}`;
}

function notConnected(said: string, given: OracleParameters): ProbeResult {
  const server = describeServer(given);
  const why = said
    .replaceAll(/\s*\(CONNECTION_ID=[^)]*\)\s*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const has = (codes: readonly string[]): boolean => codes.some((code) => said.includes(code));
  if (said.includes('ECONNREFUSED')) {
    const { host, port: number } = given;
    return { state: 'stopped', sentence: `no listener of Oracle at ${host}:${number}` };
  }
  if (has(LOGIN_REFUSED)) {
    if (given.login === undefined) {
      return { state: 'ok', sentence: `Oracle ${server} answers logins: ${why}` };
    }
    const sentence = `Oracle ${server} answers but does not let "${given.login}" in: ${why}. Correct login and password of the agent`;
    return { state: 'degraded', sentence };
  }
  if (has(NO_SESSION_LEFT)) {
    return { state: 'degraded', sentence: `Oracle ${server} has no session left: ${why}` };
  }
  if (has(['NJS-518', 'NJS-519'])) {
    const sentence = `the listener answers and does not know Oracle ${server}: the instance is not up`;
    return { state: 'failed', sentence };
  }
  return { state: 'failed', sentence: `Oracle ${server} gives no session: ${why}` };
}

interface Question {
  readonly given: OracleParameters;
  readonly signal: AbortSignal;
  readonly measures: Readonly<Record<string, number>>;
}

async function ask(connection: oracledb.Connection, question: Question): Promise<ProbeResult> {
  const { given, signal } = question;
  const server = describeServer(given);
  const from = performance.now();
  let mode: string | undefined;
  try {
    const one = await abortable(signal, firstValue(connection, 'SELECT 1 FROM dual'));
    if (one !== '1') throw new Error(`"select 1 from dual" gave ${one ?? 'nothing'}`);
    mode = await abortable(signal, openMode(connection));
  } catch (failure) {
    signal.throwIfAborted();
    return { state: 'failed', sentence: `asked, Oracle ${server} said: ${messageOf(failure)}` };
  }
  const measures = { ...question.measures, queryMs: since(from) };
  if (mode !== undefined && mode !== 'READ WRITE') {
    return { state: 'degraded', sentence: `Oracle ${server} is open ${mode}: no writes`, measures };
  }
  const open = mode ?? 'in a mode that this user may not see (grant select on v_$database)';
  if (given.heartbeat) {
    return await beat({
      who: `Oracle ${server}`,
      signal,
      exchange: async (stamp) => {
        await writeRow(connection, stamp);
        return firstValue(connection, `SELECT stamp FROM ${TABLE} WHERE id = 1`);
      },
      isForbidden: (failure) => NO_RIGHT.some((code) => messageOf(failure).includes(code)),
      measures,
    });
  }
  return { state: 'ok', sentence: `Oracle ${server} answers and is open ${open}`, measures };
}

async function firstValue(
  connection: oracledb.Connection,
  sql: string,
): Promise<string | undefined> {
  const { rows } = await connection.execute<unknown[]>(sql, [], {
    outFormat: oracledb.OUT_FORMAT_ARRAY,
  });
  const value = rows?.[0]?.[0];
  return value === undefined || value === null ? undefined : String(value as string | number);
}

/** Undefined when the user has no right to see it. */
async function openMode(connection: oracledb.Connection): Promise<string | undefined> {
  try {
    return await firstValue(connection, 'SELECT open_mode FROM v$database');
  } catch (failure) {
    if (NO_RIGHT.some((code) => messageOf(failure).includes(code))) return undefined;
    throw failure;
  }
}

async function writeRow(connection: oracledb.Connection, stamp: string): Promise<void> {
  const write = async (): Promise<void> => {
    const options = { autoCommit: true };
    const updated = await connection.execute(
      `UPDATE ${TABLE} SET stamp = :1 WHERE id = 1`,
      [stamp],
      options,
    );
    if (updated.rowsAffected === 1) return;
    await connection.execute(`INSERT INTO ${TABLE} VALUES (1, :1)`, [stamp], options);
  };
  try {
    await write();
  } catch (failure) {
    if (!messageOf(failure).includes('ORA-00942')) throw failure;
    await connection.execute(
      `CREATE TABLE ${TABLE} (id NUMBER PRIMARY KEY, stamp VARCHAR2(64) NOT NULL)`,
    );
    await write();
  }
}
