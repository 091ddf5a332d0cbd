// PostgreSQL: asked through its own protocol, started and stopped with the programs of the version that
// its data directory names.
import { z } from 'zod';
import { type Agent, defineAgent } from '../agent.ts';
import { checkpointPostgresql, probePostgresql } from './postgresql-probe.ts';
import {
  dataDirOf,
  promotePostgresql,
  serverProcesses,
  startPostgresql,
  stopPostgresql,
  validatePostgresql,
} from './postgresql-server.ts';
import { minFreeParameter } from './support/free-space.ts';
import {
  absolutePath,
  passwordParameters,
  port,
  stopPatience,
  unitParameter,
  userParameter,
} from './support/parameters.ts';

const parameters = z.strictObject({
  dataDir: absolutePath
    .optional()
    .describe('Data directory; default: the one with PG_VERSION in the protected directories'),
  binDir: absolutePath
    .optional()
    .describe('Directory with pg_ctl; default: found by the version of the data directory'),
  configFile: absolutePath
    .optional()
    .describe(
      'postgresql.conf, if it is not in the data directory; default: the one below /etc/postgresql that names the data directory',
    ),
  user: userParameter,
  unit: unitParameter,
  options: z
    .array(z.string().max(1024))
    .max(64)
    .default([])
    .describe('Further settings for a start by this agent: ["work_mem=64MB"]'),
  host: z
    .string()
    .max(255)
    .optional()
    .describe('Address to ask at, or the directory of its Unix socket; default: the socket'),
  port: port.optional().describe('Default: as the running server says, else 5432'),
  database: z.string().max(63).default('postgres').describe('Database that is asked'),
  login: z.string().max(63).default('postgres').describe('Role that asks'),
  ...passwordParameters,
  tls: z
    .enum(['off', 'require'])
    .default('off')
    .describe('TLS on TCP connections; certificates are not checked'),
  heartbeat: z
    .boolean()
    .default(false)
    .describe(
      'Deep check: each probe writes and reads a row of its own table "understudy_heartbeat", so it notices a full or read-only disk',
    ),
  minFreeMiB: minFreeParameter,
  stopPatienceSeconds: stopPatience,
});

export type PostgresqlParameters = z.infer<typeof parameters>;

export const postgresql: Agent<PostgresqlParameters> = defineAgent({
  name: 'postgresql',
  title: 'PostgreSQL',
  description:
    'Logs in, asks whether the server is in recovery and, if wanted, writes and reads a row; starts it with pg_ctl, stops it "fast"',
  parameters,
  defaults: { startTimeoutMs: 120_000, stopTimeoutMs: 60_000, probeTimeoutMs: 5000 },
  excludes: [
    '**/postmaster.pid',
    '**/postmaster.opts',
    '**/pg_stat_tmp/*',
    '**/pgsql_tmp/**',
    '**/pg_internal.init*',
  ],
  validate: validatePostgresql,
  probe: probePostgresql,
  start: startPostgresql,
  stop: stopPostgresql,
  quiesce: checkpointPostgresql,
  promoteCheck: promotePostgresql,
  processes: async (given, context) =>
    await Promise.resolve(serverProcesses(dataDirOf(given, context)).map(({ pid }) => pid)),
});
