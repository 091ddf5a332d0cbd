// Databases that discovery knows: those that run, and data directories of those that do not.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Agent } from '../agent.ts';
import { mysql } from '../builtin/mysql.ts';
import { postgresql } from '../builtin/postgresql.ts';
import { versionOf } from '../builtin/postgresql-server.ts';
import { redis } from '../builtin/redis.ts';
import type { Server } from './listening.ts';
import { directoriesWritten, topmost } from './programs.ts';
import { groupName, type Proposal, unitNote } from './proposal.ts';

const POSTGRESQL_PLACES = ['/var/lib/postgresql', '/var/lib/pgsql'];
const MYSQL_DIRECTORY = '/var/lib/mysql';
const REDIS_DIRECTORY = '/var/lib/redis';
const REDIS_CONFIGURATION = '/etc/redis/redis.conf';

export function proposeDatabase(server: Server): Proposal | undefined {
  const program = basename(server.program);
  if (program === 'postgres' || program === 'postmaster') return postgresqlOf(server);
  if (program === 'mariadbd' || program === 'mysqld') return mysqlOf(server);
  // Redis starts as what its file is called; packages link its checker to it.
  if (/^(?:redis|valkey)-(?:server|check-rdb)$/.test(program)) return redisOf(server);
  return undefined;
}

function postgresqlOf({ workingDirectory: dataDir, pid, ports, sockets, unit }: Server): Proposal {
  const port = ports[0]?.port ?? portOfSocket(sockets) ?? 5432;
  const found = `PostgreSQL ${versionIn(dataDir)} in ${dataDir}, port ${port}, process ${pid}`;
  const proposal = postgresqlIn(dataDir, { port, found, pid });
  return { ...proposal, notes: [...unitNote(unit), ...proposal.notes] };
}

function portOfSocket(sockets: readonly string[]): number | undefined {
  const port = sockets.map((path) => /\.s\.PGSQL\.(\d+)$/.exec(path)?.[1]).find(Boolean);
  return port === undefined ? undefined : Number(port);
}

function postgresqlIn(
  dataDir: string,
  { port, found, pid }: { port: number | undefined; found: string; pid: number | null },
): Proposal {
  const cluster = /^\/var\/lib\/postgresql\/([^/]+)\/([^/]+)$/.exec(dataDir);
  const name = cluster === null ? 'postgresql' : `postgresql-${cluster[1]}-${cluster[2]}`;
  const notes: string[] = [];
  const configuration =
    cluster === null ? undefined : `/etc/postgresql/${cluster[1]}/${cluster[2]}`;
  if (configuration !== undefined && existsSync(configuration)) {
    notes.push(`its configuration is in ${configuration}: keep it the same on both nodes`);
    const start = join(configuration, 'start.conf');
    if (existsSync(start) && /^\s*auto\s*$/m.test(readFileSync(start, 'utf8'))) {
      notes.push(`${start} says "auto": write "manual" into it on both nodes`);
    }
  }
  const outside = placesOutside(dataDir);
  notes.push(...outsideNote(outside));
  const parameters = port === undefined ? {} : { port };
  const proposal = proposalOf(postgresql, dataDir, { found, pid, parameters, notes });
  const exclude = [...(postgresql.excludes ?? [])];
  const { agents, paths } = proposal.group;
  const group = {
    name: groupName(name),
    paths: [...paths, ...outside.map((dir) => ({ dir, exclude }))],
    agents,
  };
  return { ...proposal, group };
}

/** Table spaces and a log that are symbolic links: their targets belong to the data. */
function placesOutside(dataDir: string): string[] {
  const links = [join(dataDir, 'pg_wal'), ...listed(join(dataDir, 'pg_tblspc'))];
  return links.flatMap((path) => {
    try {
      const real = realpathSync(path);
      return real === path || real.startsWith(`${dataDir}/`) ? [] : [real];
    } catch {
      return [];
    }
  });
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function versionIn(dataDir: string): string {
  try {
    return versionOf(dataDir);
  } catch {
    return '';
  }
}

function mysqlOf(server: Server): Proposal {
  const { pid, ports, sockets, unit, arguments: argv } = server;
  const dataDir = server.workingDirectory;
  const option = (name: string): string | undefined =>
    argv.find((one) => one.startsWith(`--${name}=`))?.slice(name.length + 3);
  const port = ports[0]?.port;
  const socket = option('socket') ?? sockets[0];
  const configFile = option('defaults-file');
  const at = socket === undefined ? `port ${port ?? '?'}` : socket;
  // Redo and undo logs, table spaces: without these the copy does not start.
  const outside = directoriesWritten(
    server.writes.filter((path) => !path.startsWith(`${dataDir}/`) && !/\.(?:log|err)$/.test(path)),
  );
  const proposal = mysqlIn(dataDir, {
    found: `MariaDB or MySQL in ${dataDir}, at ${at}, process ${pid}`,
    pid,
    parameters: {
      ...(port === undefined ? {} : { port }),
      ...(socket === undefined ? {} : { socket }),
      ...(configFile === undefined ? {} : { configFile }),
    },
    notes: [...unitNote(unit), ...outsideNote(outside)],
  });
  const exclude = [...(mysql.excludes ?? [])];
  const paths = topmost([dataDir, ...outside]).map((dir) => ({ dir, exclude }));
  return { ...proposal, group: { ...proposal.group, paths } };
}

function outsideNote(outside: readonly string[]): string[] {
  if (outside.length === 0) return [];
  return [`parts of it are elsewhere and are protected too: ${outside.join(', ')}`];
}

/** What is known of one place with data. */
interface Place {
  readonly found: string;
  /** Of the server that works there; null: none. */
  readonly pid: number | null;
  readonly parameters: object;
  readonly notes: readonly string[];
}

function mysqlIn(dataDir: string, place: Place): Proposal {
  const configuration = existsSync('/etc/mysql')
    ? ['its configuration is in /etc/mysql: keep it the same on both nodes']
    : [];
  return proposalOf(mysql, dataDir, { ...place, notes: [...place.notes, ...configuration] });
}

function proposalOf(
  { name, title, excludes = [] }: Pick<Agent, 'name' | 'title' | 'excludes'>,
  dataDir: string,
  { found, pid, parameters, notes }: Place,
): Proposal {
  return {
    title,
    found,
    isRunning: pid !== null,
    pid,
    group: {
      name,
      paths: [{ dir: dataDir, exclude: [...excludes] }],
      agents: [{ use: name, dataDir, ...parameters, heartbeat: true }],
    },
    notes,
  };
}

function redisOf({
  workingDirectory: dataDir,
  pid,
  ports,
  sockets,
  unit,
  arguments: argv,
}: Server): Proposal {
  const port = ports[0]?.port;
  const configFile =
    argv.find((one) => one.endsWith('.conf')) ??
    (dataDir === REDIS_DIRECTORY && existsSync(REDIS_CONFIGURATION)
      ? REDIS_CONFIGURATION
      : undefined);
  const at = port === undefined ? (sockets[0] ?? '?') : `port ${port}`;
  return redisIn(dataDir, {
    found: `Redis in ${dataDir}, ${at}, process ${pid}`,
    pid,
    parameters: {
      ...(port === undefined ? {} : { port }),
      ...(port === undefined && sockets[0] !== undefined ? { socket: sockets[0] } : {}),
      ...(configFile === undefined ? {} : { configFile }),
    },
    notes: unitNote(unit),
  });
}

function redisIn(dataDir: string, place: Place): Proposal {
  const note =
    'the agent starts it with the append-only file on, so that acknowledged writes survive';
  return proposalOf(redis, dataDir, { ...place, notes: [...place.notes, note] });
}

/** Data directories in the usual places that none of `taken` works in. */
export function proposeIdleDatabases(taken: ReadonlySet<string>): Proposal[] {
  const proposals: Proposal[] = [];
  const clusters = POSTGRESQL_PLACES.flatMap((place) => listed(place)).flatMap((version) => [
    version,
    ...listed(version),
  ]);
  for (const dataDir of clusters) {
    if (taken.has(dataDir) || !existsSync(join(dataDir, 'global', 'pg_control'))) continue;
    const found = `PostgreSQL ${versionIn(dataDir)} in ${dataDir}, which does not run`;
    proposals.push(postgresqlIn(dataDir, { port: undefined, found, pid: null }));
  }
  if (!taken.has(MYSQL_DIRECTORY) && existsSync(join(MYSQL_DIRECTORY, 'ibdata1'))) {
    const found = `MariaDB or MySQL in ${MYSQL_DIRECTORY}, which does not run`;
    proposals.push(mysqlIn(MYSQL_DIRECTORY, { found, pid: null, parameters: {}, notes: [] }));
  }
  const hasRedis = ['dump.rdb', 'appendonlydir', 'appendonly.aof'].some((name) =>
    existsSync(join(REDIS_DIRECTORY, name)),
  );
  if (!taken.has(REDIS_DIRECTORY) && hasRedis) {
    const found = `Redis in ${REDIS_DIRECTORY}, which does not run`;
    const parameters = existsSync(REDIS_CONFIGURATION) ? { configFile: REDIS_CONFIGURATION } : {};
    proposals.push(redisIn(REDIS_DIRECTORY, { found, pid: null, parameters, notes: [] }));
  }
  return proposals;
}
