// Redis and Valkey: asked through their own protocol; started as a process, stopped with SIGTERM (which
// saves).
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent } from '../agent.ts';
import { type ProcessEntry, sendSignal } from '../sdk/process-table.ts';
import { isAnswering, probeRedis } from './redis-probe.ts';
import { startDaemon, untilServing } from './support/daemon.ts';
import { realDirectory } from './support/find-below.ts';
import { minFreeParameter, withSpace } from './support/free-space.ts';
import {
  absolutePath,
  passwordFindings,
  passwordParameters,
  port,
  stopPatience,
  unitParameter,
  userParameter,
} from './support/parameters.ts';
import { endProcesses, programsIn } from './support/processes.ts';
import { startUnit, stopUnit, unitFindings } from './support/systemd-unit.ts';
import { ownerOf, systemUser } from './support/users.ts';

const PROGRAMS = ['redis-server', 'valkey-server', 'redis-check-rdb', 'valkey-check-rdb'];
const PLACES = ['/usr/bin', '/usr/local/bin', '/opt/redis/bin'];

const parameters = z.strictObject({
  dataDir: absolutePath
    .optional()
    .describe('Directory with dump.rdb and appendonlydir; default: the first protected directory'),
  program: absolutePath.optional().describe('Default: redis-server or valkey-server as packaged'),
  configFile: absolutePath
    .optional()
    .describe('Configuration for a start by this agent; dir and port of the agent come first'),
  user: userParameter,
  unit: unitParameter,
  options: z
    .array(z.string().max(1024))
    .max(64)
    .default(['--appendonly', 'yes'])
    .describe(
      'Further options for a start by this agent; the default writes each change to the append-only file',
    ),
  host: z.string().max(255).default('127.0.0.1').describe('Address to ask at'),
  port: port.default(6379).describe('TCP port'),
  socket: absolutePath.optional().describe('Unix socket to ask at instead of host and port'),
  login: z.string().max(128).optional().describe('User of the access control list'),
  ...passwordParameters,
  heartbeat: z
    .boolean()
    .default(false)
    .describe('Deep check: each probe sets and gets the key "understudy:heartbeat"'),
  minFreeMiB: minFreeParameter,
  stopPatienceSeconds: stopPatience,
});

export type RedisParameters = z.infer<typeof parameters>;

export const redis: Agent<RedisParameters> = defineAgent({
  name: 'redis',
  title: 'Redis, Valkey',
  description:
    'PING and INFO: role, loading, whether snapshots and the append-only file are written; if wanted sets and gets a key',
  parameters,
  defaults: { startTimeoutMs: 120_000, stopTimeoutMs: 60_000, probeTimeoutMs: 3000 },
  excludes: ['**/temp-*.rdb', '**/temp-rewriteaof-*', '**/*.pid'],
  validate,
  probe: async (given, context) => {
    const dataDir = dataDirOf(given, context);
    const result = await probeRedis(given, context, () => serverProcesses(dataDir).length);
    const { minFreeMiB, heartbeat } = given;
    const options = { minFreeMiB, heartbeat, signal: context.signal };
    // Where none of it runs, its disk is another one.
    const isHere = serverProcesses(dataDir).length > 0;
    return await withSpace(result, isHere ? dataDir : undefined, options);
  },
  start,
  stop,
  processes: async (given, context) =>
    await Promise.resolve(serverProcesses(dataDirOf(given, context)).map(({ pid }) => pid)),
});

function dataDirOf({ dataDir }: RedisParameters, { directories }: AgentContext): string {
  const found = dataDir ?? directories[0];
  if (found !== undefined) return realDirectory(found);
  throw new Error('the group has no directory: give the agent its "dataDir"');
}

/** The server works in its data directory. */
function serverProcesses(dataDir: string): ProcessEntry[] {
  return programsIn(dataDir, PROGRAMS);
}

function programFile({ program }: RedisParameters): string {
  const candidates = PLACES.flatMap((place) =>
    PROGRAMS.slice(0, 2).map((name) => join(place, name)),
  );
  const found = program ?? candidates.find((file) => existsSync(file));
  if (found !== undefined && existsSync(found)) return found;
  throw new Error(
    `${found ?? 'redis-server'} is not installed on this node: install it (Debian: apt-get install redis-server), or give the agent its "program"`,
  );
}

async function validate(given: RedisParameters, context: AgentContext): Promise<string[]> {
  if (given.unit !== undefined) return await unitFindings(given.unit, context);
  const findings = passwordFindings(given);
  for (const check of [
    () => Promise.resolve(programFile(given)),
    async () => await systemUser(given.user ?? '0'),
  ]) {
    try {
      await check();
    } catch (failure) {
      findings.push(failure instanceof Error ? failure.message : String(failure));
    }
  }
  if (given.configFile !== undefined && !existsSync(given.configFile)) {
    findings.push(`there is no ${given.configFile} on this node: copy it from the other one`);
  }
  return findings;
}

async function start(given: RedisParameters, context: AgentContext): Promise<void> {
  if (given.unit !== undefined) return await startUnit(given.unit, context);
  const dataDir = dataDirOf(given, context);
  let ended: (() => string | undefined) | undefined;
  if (serverProcesses(dataDir).length === 0) {
    const user = given.user === undefined ? await ownerOf(dataDir) : await systemUser(given.user);
    const { configFile, port: at, socket, options } = given;
    if (socket?.startsWith('/run/redis/') === true && !existsSync('/run/redis')) {
      mkdirSync('/run/redis');
      chownSync('/run/redis', user.uid, user.gid);
    }
    const argv = [
      programFile(given),
      ...(configFile === undefined ? [] : [configFile]),
      '--daemonize',
      'no',
      '--dir',
      dataDir,
      '--port',
      String(at),
      // The log goes with the output of the process, whatever the configuration says.
      '--logfile',
      '',
      ...(socket === undefined ? [] : ['--unixsocket', socket]),
      ...options,
    ];
    ended = startDaemon(argv, { context, user, cwd: dataDir }).ended;
  }
  const gone = (): string | undefined =>
    serverProcesses(dataDir).length === 0 ? 'it is gone' : undefined;
  await untilServing(async () => await isAnswering(given, context), {
    what: `Redis in ${dataDir}`,
    context,
    ended: ended ?? gone,
  });
}

async function stop(given: RedisParameters, context: AgentContext): Promise<void> {
  if (given.unit !== undefined) return await stopUnit(given.unit, context);
  const dataDir = dataDirOf(given, context);
  await endProcesses(() => serverProcesses(dataDir), {
    ask: (found) => {
      for (const { pid } of found) sendSignal(pid, 'SIGTERM');
    },
    patienceMs: given.stopPatienceSeconds * 1000,
    context,
    what: `Redis in ${dataDir}`,
  });
}
