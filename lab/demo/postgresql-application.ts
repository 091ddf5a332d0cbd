// PostgreSQL under pgbench as the application of the demo.
//
// pgbench cannot tell which of its transactions were acknowledged. So a second client makes the same
// kind of transaction with ids of its own choice and writes down each that was; pgbench runs beside
// it for load. After the takeover every written-down id must be there, the sums of all four
// pgbench tables must agree, and pg_amcheck must find every row in every index.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../src/core/errors.ts';
import { CHECKOUT } from '../enter.ts';
import type { LabHost } from '../host.ts';
import type { LabProcess } from '../lab-process.ts';
import type { CommandAgent } from '../managed.ts';
import {
  type Acknowledgement,
  type DemoApplication,
  NODE,
  readAcknowledgements,
  runAgentCommand,
  spawnLogged,
  type Verdict,
} from './application.ts';
import { DATABASE, TABLE, USER } from './postgresql-names.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const ACK_LOG = '/srv/acknowledged.jsonl';
const AGENT = join(CHECKOUT, 'lab/demo/postgresql-agent.sh');
const CLIENT = join(CHECKOUT, 'lab/demo/postgresql-client.ts');
const SCALE = 5;
const WORKERS = 3;
const SOCKET = '/run/postgresql';

const SETTINGS = `
listen_addresses = '*'
unix_socket_directories = '${SOCKET}'
shared_buffers = 64MB
max_wal_size = 256MB
checkpoint_timeout = 30s
`;

export interface PostgresqlOptions {
  /** A CHECKPOINT every two seconds, which writes many old pages between commits. Default false. */
  readonly checkpoints?: boolean;
  /** Of pgbench's tables: 15 MiB each. Default 5. */
  readonly scale?: number;
  /** Transactions per second, of each of the two loads; default: as many as there can be. */
  readonly rate?: number;
}

export class PostgresqlApplication implements DemoApplication {
  readonly name = 'postgresql';
  readonly directory = '/srv/postgresql';
  readonly commitName = 'transactions';
  readonly #data = join(this.directory, 'data');
  readonly agent: CommandAgent;
  #address = '';
  #client: LabProcess | undefined;
  #pgbench: LabProcess | undefined;
  #checkpointer: LabProcess | undefined;
  readonly #options: PostgresqlOptions;

  constructor(options: PostgresqlOptions = {}) {
    this.#options = options;
    const command = (action: string): string => `${AGENT} ${action} ${BIN} ${this.#data}`;
    this.agent = { start: command('start'), stop: command('stop'), probe: command('probe') };
  }

  async prepare(host: LabHost): Promise<void> {
    if (!existsSync(join(BIN, 'postgres'))) {
      throw new UnderstudyError(
        'DEMO_POSTGRESQL_MISSING',
        `there is no PostgreSQL 15 in ${BIN}: apt-get install postgresql-15`,
      );
    }
    await host.must(['install', '-d', '-m', '700', '-o', USER, '-g', USER, this.directory]);
    const initdb = [
      join(BIN, 'initdb'),
      '--pgdata',
      this.#data,
      '--data-checksums',
      '--auth=trust',
    ];
    await host.must([...initdb, '--encoding=UTF8', '--locale=C'], { user: USER });
    const append = 'cat >> "$1"';
    await this.#write(host, append, 'postgresql.conf', SETTINGS);
    await this.#write(host, append, 'pg_hba.conf', 'host all all 10.0.0.0/8 trust\n');
    await runAgentCommand(host, this.agent.start);
    await host.must([join(BIN, 'createdb'), DATABASE], { user: USER });
    const fill = [
      join(BIN, 'pgbench'),
      '--initialize',
      '--scale',
      String(this.#options.scale ?? SCALE),
      '--quiet',
    ];
    await host.must([...fill, DATABASE], { user: USER, timeoutMs: 120_000 });
    await psql(host, `CREATE TABLE ${TABLE} (id text PRIMARY KEY, delta integer NOT NULL)`);
    await runAgentCommand(host, this.agent.stop);
    // PostgreSQL syncs what it writes, not what was appended to its settings here.
    await host.must(['sync', '-f', this.directory]);
  }

  async #write(host: LabHost, script: string, file: string, input: string): Promise<void> {
    const argv = ['sh', '-c', script, 'sh', join(this.#data, file)];
    await host.must(argv, { user: USER, input });
  }

  async startLoad(client: LabHost, address: string): Promise<void> {
    this.#address = address;
    const { rate } = this.#options;
    const pause = rate === undefined ? [] : ['--pause', String((WORKERS * 1000) / rate)];
    const workers = ['--workers', String(WORKERS), ...pause];
    const argv = [NODE, CLIENT, '--target', address, '--log', ACK_LOG, ...workers];
    this.#client = spawnLogged(client, 'postgresql-client', argv);
    this.#startPgbench(client);
  }

  #startPgbench(client: LabHost): void {
    const server = ['--host', this.#address, '--username', USER];
    const { rate, checkpoints } = this.#options;
    const limit = rate === undefined ? [] : ['--rate', String(rate)];
    const load = ['--client', '2', '--time', '100000', '--no-vacuum', ...limit, DATABASE];
    this.#pgbench = spawnLogged(client, 'pgbench', [join(BIN, 'pgbench'), ...server, ...load]);
    if (checkpoints !== true) return;
    const every = String.raw`echo 'CHECKPOINT \watch 2' | "$@"`;
    const command = [join(BIN, 'psql'), '--quiet', ...server, DATABASE];
    this.#checkpointer = spawnLogged(client, 'checkpoints', ['sh', '-c', every, 'sh', ...command]);
  }

  async turnLoad(client: LabHost): Promise<void> {
    // They still wait for a server that will never answer.
    await this.#endLoad();
    this.#startPgbench(client);
  }

  async #endLoad(): Promise<void> {
    for (const load of [this.#pgbench, this.#checkpointer]) {
      load?.kill('SIGKILL');
      await load?.ended;
    }
  }

  async stopLoad(): Promise<void> {
    await this.#endLoad();
    this.#client?.kill('SIGTERM');
    await this.#client?.ended;
  }

  acknowledged(client: LabHost): Acknowledgement[] {
    return readAcknowledgements(client, ACK_LOG);
  }

  /** Has everything written that the server has in memory only: it would go on doing so for minutes. */
  async checkpoint(host: LabHost): Promise<void> {
    await psql(host, 'CHECKPOINT');
  }

  async verify(host: LabHost, acknowledged: readonly Acknowledgement[]): Promise<Verdict> {
    const ids = new Set((await psql(host, `SELECT id FROM ${TABLE}`)).split('\n'));
    const sums = (
      await psql(
        host,
        `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
                (SELECT sum(bbalance) FROM pgbench_branches),
                (SELECT coalesce(sum(delta), 0) FROM pgbench_history)`,
      )
    )
      .trim()
      .split('|');
    const check = [join(BIN, 'pg_amcheck'), '--install-missing', '--heapallindexed', DATABASE];
    const amcheck = await host.exec(check, { user: USER, timeoutMs: 300_000 });
    const findings: string[] = [];
    if (new Set(sums).size !== 1) findings.push(`sums of pgbench differ: ${sums.join(', ')}`);
    if (amcheck.code !== 0 || amcheck.stdout.trim() !== '') {
      findings.push(`pg_amcheck: ${amcheck.stdout.trim() || amcheck.stderr.trim()}`);
    }
    return {
      lost: acknowledged.filter(({ id }) => !ids.has(id)),
      integrity: findings.length === 0 ? 'ok' : findings.join('; '),
      details: {
        transactionsInHistory: Number(await psql(host, 'SELECT count(*) FROM pgbench_history')),
        sumOfBalances: sums[0] ?? '',
      },
    };
  }
}

async function psql(host: LabHost, sql: string): Promise<string> {
  const argv = [join(BIN, 'psql'), '--no-psqlrc', '--quiet', '--tuples-only', '--no-align'];
  return await host.must([...argv, '--set=ON_ERROR_STOP=1', '--command', sql, DATABASE], {
    user: USER,
    timeoutMs: 120_000,
  });
}
