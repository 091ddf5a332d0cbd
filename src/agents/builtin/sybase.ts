// SAP ASE (Sybase), asked through its own protocol (TDS 5): login, then `use DATABASE`, which the server
// refuses while the database is not recovered, offline or suspect. No driver on npm speaks TDS 5, so the few
// messages that a probe needs are in support/tds5.ts; start and stop are the OCF agent's (sybaseASE).
import { z } from 'zod';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { type Connected, connectTo, reasonOf, since, unreachable } from './support/connection.ts';
import {
  passwordFindings,
  passwordOf,
  passwordParameters,
  port,
  unitParameter,
} from './support/parameters.ts';
import { byUnit, unitFindings } from './support/systemd-unit.ts';
import { describeMessages, type Reply, Tds5Session } from './support/tds5.ts';

/** No more user connections are configured. */
const NO_CONNECTION_LEFT = new Set([1601]);

const parameters = z.strictObject({
  host: z.string().max(255).default('127.0.0.1').describe('Address of the server'),
  port: port.default(5000).describe('TCP port'),
  login: z
    .string()
    .max(30)
    .optional()
    .describe('Login that asks; without one a refusal counts as an answer'),
  ...passwordParameters,
  database: z
    .string()
    .max(30)
    .regex(/^[A-Za-z0-9_#$]+$/)
    .default('master')
    .describe('Database that must be usable'),
  unit: unitParameter,
});

export type SybaseParameters = z.infer<typeof parameters>;

export const sybase = defineAgent<SybaseParameters>({
  name: 'sybase',
  title: 'SAP ASE (Sybase)',
  description:
    'Logs in and changes to the database; start and stop with the OCF agent sybaseASE, or a unit',
  parameters,
  defaults: { startTimeoutMs: 180_000, stopTimeoutMs: 120_000, probeTimeoutMs: 8000 },
  validate: async (given, context) => [
    ...passwordFindings(given),
    ...(given.unit === undefined ? [] : await unitFindings(given.unit, context)),
  ],
  probe,
  ...byUnit,
});

async function probe(given: SybaseParameters, context: AgentContext): Promise<ProbeResult> {
  const [unreadable] = passwordFindings(given);
  if (unreadable !== undefined) return { state: 'degraded', sentence: unreadable };
  const { signal } = context;
  const at = `${given.host}:${given.port}`;
  let connected: Connected;
  try {
    connected = await connectTo(given, signal);
  } catch (failure) {
    signal.throwIfAborted();
    return unreachable(failure, { product: 'Sybase ASE', at });
  }
  const { socket, connectMs } = connected;
  try {
    return await ask(new Tds5Session(socket), { given, at, connectMs });
  } catch (failure) {
    signal.throwIfAborted();
    const sentence = `Sybase ASE at ${at} gives no session: ${reasonOf(failure)}`;
    return { state: 'failed', sentence, measures: { connectMs } };
  } finally {
    socket.destroy();
  }
}

async function ask(
  session: Tds5Session,
  { given, at, connectMs }: { given: SybaseParameters; at: string; connectMs: number },
): Promise<ProbeResult> {
  const from = performance.now();
  const login = given.login ?? 'understudy';
  const reply = await session.login({ login, password: passwordOf(given) ?? '' });
  const measures = { connectMs, loginMs: since(from) };
  if (!reply.isLoggedIn) return { ...loginRefused(reply, given, at), measures };
  const queryFrom = performance.now();
  const used = await session.execute(`use ${given.database}`);
  const taken = { ...measures, queryMs: since(queryFrom) };
  const name = `database "${given.database}" of Sybase ASE at ${at}`;
  if (used.isFailed) {
    const sentence = `${name} cannot be used: ${describeMessages(used)}`;
    return { state: 'failed', sentence, measures: taken };
  }
  return { state: 'ok', sentence: `login worked and ${name} can be used`, measures: taken };
}

function loginRefused(reply: Reply, given: SybaseParameters, at: string): ProbeResult {
  const said = describeMessages(reply) || 'no reason given';
  if (reply.messages.some(({ number }) => NO_CONNECTION_LEFT.has(number))) {
    const sentence = `Sybase ASE at ${at} serves others and has no connection left: ${said}`;
    return { state: 'degraded', sentence };
  }
  if (given.login === undefined) {
    return { state: 'ok', sentence: `Sybase ASE at ${at} answers logins: ${said}` };
  }
  const sentence = `Sybase ASE at ${at} answers but does not let "${given.login}" in: ${said}. Correct login and password of the agent`;
  return { state: 'degraded', sentence };
}
