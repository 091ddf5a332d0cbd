// The server's side of a PostgreSQL agent: where it is installed, which processes are its, how it is
// started and stopped.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../core/errors.ts';
import type { AgentContext } from '../agent.ts';
import { type ProcessEntry, sendSignal } from '../sdk/process-table.ts';
import type { PostgresqlParameters } from './postgresql.ts';
import { tailOf, untilServing } from './support/daemon.ts';
import { dataDirectoryBelow, realDirectory } from './support/find-below.ts';
import { passwordFindings } from './support/parameters.ts';
import { endProcesses, killProcesses, programOf, programsIn } from './support/processes.ts';
import { describeRun, runProgram } from './support/run-program.ts';
import { startUnit, stopUnit, unitFindings } from './support/systemd-unit.ts';
import { ownerOf, systemUser } from './support/users.ts';

const PROGRAMS = ['postgres', 'postmaster'];
const CONFIGURATIONS = '/etc/postgresql';
/** Where servers put their sockets unless they are told otherwise. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/run/postgresql', '/tmp'];
/** Of postmaster.pid, counted from 0. */
const PHASE_LINE = 7;
const IMMEDIATE_PATIENCE_MS = 5000;
const SECONDS_MAX = '3600';

/** Errors: none or several data directories in the protected directories. */
export function dataDirOf(parameters: PostgresqlParameters, { directories }: AgentContext): string {
  const { dataDir } = parameters;
  return realDirectory(
    dataDir ?? dataDirectoryBelow(directories, 'PG_VERSION', { with: 'global/pg_control' }),
  );
}

/**
 * The version that made `dataDir`. Who owns the data may have put a link to anybody's file there, and what it says is told to
 * others. Errors: it is no version.
 */
export function versionOf(dataDir: string): string {
  const file = join(dataDir, 'PG_VERSION');
  const text = readFileSync(file, 'utf8').trim();
  if (/^\d{1,3}(\.\d{1,3})?$/.test(text)) return text;
  throw new Error(`${file} has no version of PostgreSQL in it`);
}

/** Directory with the programs of the version that made `dataDir`. */
export function binDirOf({ binDir }: PostgresqlParameters, dataDir: string): string {
  if (binDir !== undefined) return binDir;
  const version = versionOf(dataDir);
  const candidates = [
    `/usr/lib/postgresql/${version}/bin`,
    `/usr/pgsql-${version}/bin`,
    `/usr/local/pgsql-${version}/bin`,
    '/usr/local/pgsql/bin',
    '/usr/lib/postgresql/bin',
    '/usr/bin',
  ];
  const found = candidates.find((directory) => existsSync(join(directory, 'pg_ctl')));
  if (found !== undefined) return found;
  throw new Error(
    `PostgreSQL ${version}, which ${dataDir} belongs to, is not installed on this node: install it (Debian: apt-get install postgresql-${version}), or give the agent its "binDir"`,
  );
}

/** What a Debian cluster has outside of its data directory. */
export function configFileOf(
  { configFile }: PostgresqlParameters,
  dataDir: string,
): string | undefined {
  if (configFile !== undefined) return configFile;
  if (existsSync(join(dataDir, 'postgresql.conf'))) return undefined;
  return debianConfigurations().find((file) => isSame(dataDirectoryIn(file), dataDir));
}

function debianConfigurations(): string[] {
  return listed(CONFIGURATIONS)
    .flatMap((version) => listed(version))
    .map((cluster) => join(cluster, 'postgresql.conf'))
    .filter((file) => existsSync(file));
}

function listed(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : [];
}

/** `written` may have links in it. */
const isSame = (written: string | undefined, dataDir: string): boolean =>
  written !== undefined && written !== '' && realDirectory(written) === dataDir;

function dataDirectoryIn(file: string): string | undefined {
  const text = readFileSync(file, 'utf8');
  return /^\s*data_directory\s*=?\s*'([^']*)'/m.exec(text)?.[1];
}

/** Every process of the server works in its data directory. */
export function serverProcesses(dataDir: string): ProcessEntry[] {
  return programsIn(dataDir, PROGRAMS);
}

/** What a running server says of itself in postmaster.pid. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Directory of its socket, or undefined when it has none. */
  readonly socketDirectory: string | undefined;
  readonly listens: string | undefined;
}

/** Of a server that runs here; a file that another node (or a crash) left counts as none. */
export function runningPostmaster(dataDir: string): Postmaster | undefined {
  const lines = linesOf(join(dataDir, 'postmaster.pid'));
  const pid = Number(lines[0]);
  const program = Number.isInteger(pid) && pid > 0 ? programOf(pid) : undefined;
  if (program === undefined || !PROGRAMS.includes(basename(program))) return undefined;
  if (!serverProcesses(dataDir).some((one) => one.pid === pid)) {
    return undefined;
  }
  const [, , , port = '', socketDirectory = '', listens = ''] = lines;
  return {
    pid,
    port: Number(port) || 5432,
    socketDirectory: socketDirectory.trim() || undefined,
    listens: listens.trim() || undefined,
  };
}

export async function validatePostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<string[]> {
  const findings = passwordFindings(parameters);
  const check = async (action: () => unknown): Promise<void> => {
    try {
      await action();
    } catch (failure) {
      findings.push(messageOf(failure));
    }
  };
  if (parameters.unit !== undefined) {
    findings.push(...(await unitFindings(parameters.unit, context)));
    return findings;
  }
  // On a standby that has no copy yet there is nothing to look into.
  const hasData =
    parameters.dataDir === undefined || existsSync(join(parameters.dataDir, 'PG_VERSION'));
  if (!hasData && context.role === 'standby') return findings;
  await check(async () => {
    const dataDir = dataDirOf(parameters, context);
    binDirOf(parameters, dataDir);
    if (parameters.user !== undefined) await systemUser(parameters.user);
    else await ownerOf(dataDir);
    const config = configFileOf(parameters, dataDir) ?? join(dataDir, 'postgresql.conf');
    if (!existsSync(config)) {
      findings.push(
        `there is no ${config} on this node: copy the configuration of the other node, or give the agent its "configFile"`,
      );
    }
  });
  findings.push(...(await debianUnitFindings(parameters, context)));
  return findings;
}

/** Debian starts every cluster at boot; on a standby that would be a second server on the same data. */
async function debianUnitFindings(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<string[]> {
  let config: string | undefined;
  try {
    config = configFileOf(parameters, dataDirOf(parameters, context));
  } catch {
    return [];
  }
  if (config === undefined || !config.startsWith(`${CONFIGURATIONS}/`)) return [];
  const start = join(dirname(config), 'start.conf');
  if (!existsSync(start) || !/^\s*auto\s*$/m.test(readFileSync(start, 'utf8'))) return [];
  return [`${start} says "auto", so this server starts by itself at boot: write "manual" into it`];
}

/** What would keep it from starting here for certain: no programs of the version of the data. */
export async function promotePostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<string | undefined> {
  if (parameters.unit !== undefined) return undefined;
  try {
    binDirOf(parameters, dataDirOf(parameters, context));
    return await Promise.resolve(undefined);
  } catch (failure) {
    return messageOf(failure);
  }
}

export async function startPostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<void> {
  if (parameters.unit !== undefined) return await startUnit(parameters.unit, context);
  const dataDir = dataDirOf(parameters, context);
  const pgCtl = join(binDirOf(parameters, dataDir), 'pg_ctl');
  const user =
    parameters.user === undefined ? await ownerOf(dataDir) : await systemUser(parameters.user);
  const { logFile } = context;
  const serves = async (): Promise<boolean> =>
    await Promise.resolve(runningPostmaster(dataDir) !== undefined && isReady(dataDir));
  if (runningPostmaster(dataDir) === undefined) {
    const config = configFileOf(parameters, dataDir);
    await clearRemains(dataDir, config, context);
    const settings = [...parameters.options];
    if (config !== undefined) settings.push(`config_file=${config}`);
    const options = settings.map((setting) => `-c ${quoted(setting)}`).join(' ');
    const argv = [pgCtl, '-D', dataDir, '-w', '-t', SECONDS_MAX, '-s'];
    if (options !== '') argv.push('-o', options);
    // The server keeps the streams of pg_ctl.
    const run = await runProgram([...argv, 'start'], {
      context,
      user,
      cwd: dataDir,
      outputFile: logFile,
    });
    if (run.code !== 0) {
      throw new Error(
        `pg_ctl could not start PostgreSQL in ${dataDir} (${describeRun(run)}): ${tailOf(logFile)}. See ${logFile}`,
      );
    }
  }
  const what = `PostgreSQL in ${dataDir}`;
  await untilServing(serves, { what, context, ended: () => endOf(dataDir) });
}

function isReady(dataDir: string): boolean {
  return ['ready', 'standby'].includes(phaseOf(dataDir));
}

/** It lets nobody in any more; in which language it says so is a matter of its configuration. */
export function isStopping(dataDir: string): boolean {
  return phaseOf(dataDir) === 'stopping';
}

/** The last line of postmaster.pid says how far the server is; empty: it says nothing. */
function phaseOf(dataDir: string): string {
  return linesOf(join(dataDir, 'postmaster.pid'))[PHASE_LINE]?.trim() ?? '';
}

const endOf = (dataDir: string): string | undefined =>
  serverProcesses(dataDir).length === 0 ? 'it is gone' : undefined;

/**
 * Sessions whose postmaster was killed still write; and a postmaster.pid that came with the data names a
 * process of the other node, whose number may be anybody's here. So may the number in the lock of a socket.
 */
async function clearRemains(
  dataDir: string,
  config: string | undefined,
  context: AgentContext,
): Promise<void> {
  const find = (): ProcessEntry[] => serverProcesses(dataDir);
  if (find().length > 0) {
    context.log(`processes of a PostgreSQL without postmaster are killed: ${dataDir}`);
    await killProcesses(find, 'what a killed PostgreSQL left');
  }
  const pidFile = join(dataDir, 'postmaster.pid');
  const locks = socketLocks(dataDir, config ?? join(dataDir, 'postgresql.conf'));
  for (const file of [pidFile, ...locks]) {
    if (!existsSync(file)) continue;
    context.log(`${file} names no server of this node and is removed`);
    rmSync(file, { force: true });
  }
}

/** Lock files of sockets that belong to `dataDir`: their second line names it. */
function socketLocks(dataDir: string, config: string): string[] {
  const directories = new Set(SOCKET_DIRECTORIES);
  const [, , , , left = ''] = linesOf(join(dataDir, 'postmaster.pid'));
  if (left.startsWith('/')) directories.add(left);
  const set = /^\s*unix_socket_directories\s*=?\s*'([^']*)'/m.exec(linesOf(config).join('\n'))?.[1];
  for (const directory of set?.split(',') ?? []) directories.add(directory.trim());
  return [...directories]
    .flatMap((directory) => listed(directory))
    .filter((file) => /\/\.s\.PGSQL\.\d+\.lock$/.test(file) && isSame(linesOf(file)[1], dataDir));
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** As postgres(1) reads `-o`: by a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export async function stopPostgresql(
  parameters: PostgresqlParameters,
  context: AgentContext,
): Promise<void> {
  if (parameters.unit !== undefined) return await stopUnit(parameters.unit, context);
  const dataDir = dataDirOf(parameters, context);
  const find = (): ProcessEntry[] => serverProcesses(dataDir);
  const ask = (signal: NodeJS.Signals) => (): void => {
    const postmaster = runningPostmaster(dataDir);
    if (postmaster !== undefined) sendSignal(postmaster.pid, signal);
  };
  const stopMs = parameters.stopPatienceSeconds * 1000;
  const what = `PostgreSQL in ${dataDir}`;
  const immediately = Math.min(IMMEDIATE_PATIENCE_MS, stopMs);
  // "fast": sessions are ended, then a checkpoint is written.
  const asked = setTimeout(ask('SIGQUIT'), Math.max(0, stopMs - immediately));
  try {
    await endProcesses(find, { ask: ask('SIGINT'), patienceMs: stopMs, context, what });
  } finally {
    clearTimeout(asked);
  }
}
