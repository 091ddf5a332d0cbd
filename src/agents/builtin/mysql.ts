// MariaDB and MySQL: asked through their own protocol, started as a process of the service, stopped with
// SIGTERM.
import { z } from 'zod';
import { type Agent, defineAgent } from '../agent.ts';
import { probeMysql } from './mysql-probe.ts';
import {
  dataDirOf,
  serverProcesses,
  startMysql,
  stopMysql,
  validateMysql,
} from './mysql-server.ts';
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
    .describe('Data directory; default: the one with ibdata1 in the protected directories'),
  program: absolutePath
    .optional()
    .describe('Server program; default: mariadbd or mysqld where packages put them'),
  configFile: absolutePath
    .optional()
    .describe(
      'Option file (--defaults-file); default: as the program finds it (/etc/mysql/my.cnf)',
    ),
  user: userParameter,
  unit: unitParameter,
  options: z
    .array(z.string().max(1024))
    .max(64)
    .default([])
    .describe('Further options for a start by this agent: ["--innodb-buffer-pool-size=1G"]'),
  socket: absolutePath
    .default('/run/mysqld/mysqld.sock')
    .describe('Unix socket: where the agent asks, unless there is a "host"'),
  host: z.string().max(255).optional().describe('Address to ask at instead of the socket'),
  port: port.default(3306).describe('TCP port'),
  login: z.string().max(80).default('root').describe('Account that asks'),
  ...passwordParameters,
  heartbeat: z
    .boolean()
    .default(false)
    .describe(
      'Deep check: each probe writes and reads a row of the table "understudy.heartbeat", so it notices a full or read-only disk',
    ),
  minFreeMiB: minFreeParameter,
  stopPatienceSeconds: stopPatience,
});

export type MysqlParameters = z.infer<typeof parameters>;

export const mysql: Agent<MysqlParameters> = defineAgent({
  name: 'mysql',
  title: 'MariaDB, MySQL',
  description:
    'Logs in, asks whether the server is read-only and, if wanted, writes and reads a row; starts mariadbd or mysqld, stops it with SIGTERM',
  parameters,
  defaults: { startTimeoutMs: 120_000, stopTimeoutMs: 60_000, probeTimeoutMs: 5000 },
  excludes: ['**/*.pid', '**/ibtmp1', '**/#innodb_temp/**', '**/mysql.sock', '**/mysqld.sock'],
  validate: validateMysql,
  probe: probeMysql,
  start: startMysql,
  stop: stopMysql,
  processes: async (given, context) =>
    await Promise.resolve(serverProcesses(dataDirOf(given, context)).map(({ pid }) => pid)),
});
