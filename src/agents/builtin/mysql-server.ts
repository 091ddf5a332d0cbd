// The server's side of a MariaDB or MySQL agent: which processes are its, how it is started and stopped.
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '../../core/errors.ts';
import type { AgentContext } from '../agent.ts';
import { type ProcessEntry, sendSignal } from '../sdk/process-table.ts';
import type { MysqlParameters } from './mysql.ts';
import { connectTo, type Target } from './support/connection.ts';
import { startDaemon, untilServing } from './support/daemon.ts';
import { dataDirectoryBelow, realDirectory } from './support/find-below.ts';
import { passwordFindings } from './support/parameters.ts';
import { endProcesses, programsIn } from './support/processes.ts';
import { startUnit, stopUnit, unitFindings } from './support/systemd-unit.ts';
import { ownerOf, systemUser } from './support/users.ts';

const PROGRAMS = ['mariadbd', 'mysqld'];
const PLACES = ['/usr/sbin', '/usr/libexec', '/usr/local/mysql/bin', '/usr/bin'];
const RUNTIME = '/run/mysqld';
const GREETING_TIMEOUT_MS = 2000;

/** Errors: none or several data directories in the protected directories. */
export function dataDirOf(parameters: MysqlParameters, { directories }: AgentContext): string {
  const { dataDir } = parameters;
  return realDirectory(dataDir ?? dataDirectoryBelow(directories, 'ibdata1', { with: 'mysql' }));
}

function programFile({ program }: MysqlParameters): string {
  const candidates = PROGRAMS.flatMap((name) => PLACES.map((place) => join(place, name)));
  const found = program ?? candidates.find((file) => existsSync(file));
  if (found !== undefined && existsSync(found)) return found;
  throw new Error(
    `${found ?? 'mariadbd or mysqld'} is not installed on this node: install the server (Debian: apt-get install mariadb-server), or give the agent its "program"`,
  );
}

/** The server works in its data directory. */
export function serverProcesses(dataDir: string): ProcessEntry[] {
  return programsIn(dataDir, PROGRAMS);
}

export function targetOf({ host, port, socket }: MysqlParameters): Target {
  return host === undefined ? { path: socket } : { host, port };
}

export async function validateMysql(
  parameters: MysqlParameters,
  context: AgentContext,
): Promise<string[]> {
  if (parameters.unit !== undefined) return await unitFindings(parameters.unit, context);
  const findings = passwordFindings(parameters);
  const check = async (action: () => unknown): Promise<void> => {
    try {
      await action();
    } catch (failure) {
      findings.push(messageOf(failure));
    }
  };
  await check(() => programFile(parameters));
  if (parameters.configFile !== undefined && !existsSync(parameters.configFile)) {
    findings.push(`there is no ${parameters.configFile} on this node: copy it from the other one`);
  }
  if (parameters.user !== undefined) await check(() => systemUser(parameters.user ?? ''));
  // A standby has its data only after the first copy.
  if (context.role === 'primary') await check(() => dataDirOf(parameters, context));
  return findings;
}

export async function startMysql(
  parameters: MysqlParameters,
  context: AgentContext,
): Promise<void> {
  if (parameters.unit !== undefined) return await startUnit(parameters.unit, context);
  const dataDir = dataDirOf(parameters, context);
  let ended: (() => string | undefined) | undefined;
  if (serverProcesses(dataDir).length === 0) {
    const user =
      parameters.user === undefined ? await ownerOf(dataDir) : await systemUser(parameters.user);
    prepareRuntime(parameters.socket, user);
    const { configFile, socket, port, options } = parameters;
    const argv = [
      programFile(parameters),
      // Has to come first.
      ...(configFile === undefined ? [] : [`--defaults-file=${configFile}`]),
      `--datadir=${dataDir}`,
      `--socket=${socket}`,
      `--port=${port}`,
      `--pid-file=${join(dirname(socket), `mysqld-${port}.pid`)}`,
      ...options,
    ];
    ended = startDaemon(argv, { context, user, cwd: dataDir }).ended;
  }
  const serves = async (): Promise<boolean> => await greets(targetOf(parameters), context);
  const gone = (): string | undefined =>
    serverProcesses(dataDir).length === 0 ? 'it is gone' : undefined;
  const what = `the server of ${dataDir}`;
  await untilServing(serves, { what, context, ended: ended ?? gone });
}

/** Packages leave this directory to systemd-tmpfiles. */
function prepareRuntime(socket: string, user: { uid: number; gid: number }): void {
  const directory = dirname(socket);
  if (directory !== RUNTIME || existsSync(directory)) return;
  mkdirSync(directory, { recursive: true });
  chownSync(directory, user.uid, user.gid);
}

/** The server speaks first, when it is ready for clients. */
async function greets(target: Target, context: AgentContext): Promise<boolean> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(GREETING_TIMEOUT_MS)]);
  try {
    const { socket } = await connectTo(target, signal);
    try {
      return await new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
    } finally {
      socket.destroy();
    }
  } catch {
    return false;
  }
}

export async function stopMysql(parameters: MysqlParameters, context: AgentContext): Promise<void> {
  if (parameters.unit !== undefined) return await stopUnit(parameters.unit, context);
  const dataDir = dataDirOf(parameters, context);
  await endProcesses(() => serverProcesses(dataDir), {
    ask: (found) => {
      for (const { pid } of found) sendSignal(pid, 'SIGTERM');
    },
    patienceMs: parameters.stopPatienceSeconds * 1000,
    context,
    what: `the server of ${dataDir}`,
  });
}
