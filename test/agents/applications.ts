// The applications of the agents' test: how each is set up on one server, written to and asked by a client, and
// hurt. All are real, from Debian, with their data below /srv.
import { join } from 'node:path';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { waitUntil } from '../../lab/run.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const COMMAND_TIMEOUT_MS = 6000;

/** Keys of every agent in this test. */
export const PROBE_INTERVAL_MS = 1000;
export const PROBE_TIMEOUT_MS = 3000;
export const RESTARTS = 2;
const common = {
  probeInterval: `${PROBE_INTERVAL_MS}ms`,
  probeTimeout: `${PROBE_TIMEOUT_MS}ms`,
  restarts: { limit: RESTARTS },
  timeout: '60s',
};

/** What refuses connections never finishes its start: the limit is reached after three of these. */
const quick = { startTimeout: '15s' };

export interface LabApplication {
  readonly name: string;
  readonly title: string;
  readonly directory: string;
  readonly port: number;
  readonly agents: readonly object[];
  /** Its processes: by program, or by the pid file of the agent that keeps it. */
  readonly processes: { readonly program: string } | { readonly agent: string };
  /** Makes its data; leaves nothing running but what `discovered` is to find. */
  prepare(host: LabHost): Promise<void>;
  write(client: LabHost, address: string, key: string, primary: LabHost): Promise<boolean>;
  has(client: LabHost, address: string, key: string): Promise<boolean>;
}

async function succeeds(host: LabHost, argv: readonly string[]): Promise<boolean> {
  return (await host.exec(argv, { timeoutMs: COMMAND_TIMEOUT_MS })).code === 0;
}

async function says(host: LabHost, argv: readonly string[], word: string): Promise<boolean> {
  const { code, stdout } = await host.exec(argv, { timeoutMs: COMMAND_TIMEOUT_MS });
  return code === 0 && stdout.trim() === word;
}

async function shell(host: LabHost, script: string, user?: string): Promise<void> {
  const options = { timeoutMs: 120_000, ...(user === undefined ? {} : { user }) };
  await host.must(['sh', '-c', script], options);
}

/** Leaves a program running that keeps no pipe of ours. */
async function launch(host: LabHost, script: string, user?: string): Promise<void> {
  await shell(host, `setsid sh -c '${script}' </dev/null >/dev/null 2>&1 &`, user);
}

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  if (await waitUntil(isDone, 60_000, 200)) return;
  throw new Error(`${what} did not come up`);
}

const curl = (url: string): string[] => ['curl', '-sf', '--max-time', '4', url];

class Postgresql implements LabApplication {
  readonly name = 'postgresql';
  readonly title = 'PostgreSQL 15';
  readonly directory = '/srv/pg';
  readonly port = 5440;
  readonly processes = { program: 'postgres' };
  readonly agents = [
    {
      use: 'postgresql',
      dataDir: this.directory,
      host: '127.0.0.1',
      port: this.port,
      heartbeat: true,
      ...common,
    },
  ];

  async prepare(host: LabHost): Promise<void> {
    await host.must([
      'install',
      '-d',
      '-m',
      '700',
      '-o',
      'postgres',
      '-g',
      'postgres',
      this.directory,
    ]);
    const settings = `port = ${this.port}\nlisten_addresses = '*'\nunix_socket_directories = ''\nshared_buffers = 16MB\nmax_wal_size = 64MB`;
    await shell(
      host,
      `cd / && ${BIN}/initdb -D ${this.directory} --auth=trust --locale=C --encoding=UTF8 >/dev/null &&
       echo "${settings}" >> ${this.directory}/postgresql.conf &&
       echo "host all all 10.0.0.0/8 trust" >> ${this.directory}/pg_hba.conf`,
      'postgres',
    );
    await launch(host, `cd / && exec ${BIN}/postgres -D ${this.directory}`, 'postgres');
    await until(this.title, async () => await succeeds(host, this.#sql('127.0.0.1', 'select 1')));
    await host.must(this.#sql('127.0.0.1', 'create table notes (id text primary key)'));
  }

  #sql(address: string, sql: string): string[] {
    const target = `host=${address} port=${this.port} user=postgres dbname=postgres connect_timeout=2`;
    return [join(BIN, 'psql'), target, '-Atqc', sql];
  }

  async write(client: LabHost, address: string, key: string): Promise<boolean> {
    const sql = `insert into notes values ('${key}') on conflict do nothing`;
    return await succeeds(client, this.#sql(address, sql));
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    const sql = `select count(*) from notes where id = '${key}'`;
    return await says(client, this.#sql(address, sql), '1');
  }
}

class Mariadb implements LabApplication {
  readonly name = 'mariadb';
  readonly title = 'MariaDB 10.11';
  readonly directory = '/srv/mariadb';
  readonly port = 3340;
  readonly processes = { program: 'mariadbd' };
  readonly #options = [
    '--bind-address=0.0.0.0',
    '--innodb-log-file-size=8M',
    '--innodb-buffer-pool-size=16M',
  ];
  readonly agents = [
    {
      use: 'mysql',
      dataDir: this.directory,
      configFile: '/dev/null',
      socket: '/run/mysqld/lab.sock',
      host: '127.0.0.1',
      port: this.port,
      login: 'watch',
      password: 'watch',
      heartbeat: true,
      options: this.#options,
      ...common,
      startTimeout: '30s',
    },
  ];

  async prepare(host: LabHost): Promise<void> {
    await host.must(['install', '-d', '-m', '700', '-o', 'mysql', '-g', 'mysql', this.directory]);
    await host.must(['install', '-d', '-o', 'mysql', '-g', 'mysql', '/run/mysqld']);
    await shell(
      host,
      `mariadb-install-db --no-defaults --datadir=${this.directory} --user=mysql --skip-test-db --innodb-log-file-size=8M >/dev/null 2>&1`,
    );
    const argv = [
      '/usr/sbin/mariadbd --no-defaults --user=mysql',
      `--datadir=${this.directory} --socket=/run/mysqld/lab.sock --port=${this.port}`,
      this.#options.join(' '),
    ];
    await launch(host, `exec ${argv.join(' ')}`);
    const sql = `create user watch identified by "watch"; grant all on *.* to watch; create database shop; create table shop.notes (id varchar(64) primary key) engine=InnoDB`;
    const local = ['mariadb', '--no-defaults', '-S', '/run/mysqld/lab.sock', '-e'];
    await until(this.title, async () => await succeeds(host, [...local, 'select 1']));
    await host.must([...local, sql]);
  }

  #sql(address: string, sql: string): string[] {
    const login = ['-u', 'watch', '-pwatch', '--connect-timeout=2'];
    return [
      'mariadb',
      '--no-defaults',
      '-h',
      address,
      '-P',
      String(this.port),
      ...login,
      '-NBe',
      sql,
    ];
  }

  async write(client: LabHost, address: string, key: string): Promise<boolean> {
    return await succeeds(
      client,
      this.#sql(address, `insert ignore into shop.notes values ("${key}")`),
    );
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    const sql = `select count(*) from shop.notes where id = "${key}"`;
    return await says(client, this.#sql(address, sql), '1');
  }
}

class Redis implements LabApplication {
  readonly name = 'redis';
  readonly title = 'Redis 7.0';
  readonly directory = '/srv/redis';
  readonly port = 6390;
  readonly processes = { program: 'redis-check-rdb' };
  readonly #options = ['--appendonly', 'yes', '--appendfsync', 'always', '--protected-mode', 'no'];
  readonly agents = [
    {
      use: 'redis',
      dataDir: this.directory,
      port: this.port,
      heartbeat: true,
      options: [...this.#options, '--bind', '0.0.0.0'],
      ...common,
      ...quick,
    },
  ];

  async prepare(host: LabHost): Promise<void> {
    await host.must(['install', '-d', '-o', 'redis', '-g', 'redis', this.directory]);
    const options = [...this.#options, '--bind 0.0.0.0', `--port ${this.port}`].join(' ');
    await launch(host, `cd ${this.directory} && exec redis-server ${options}`, 'redis');
    await until(this.title, async () => await says(host, this.#cli('127.0.0.1', 'ping'), 'PONG'));
  }

  #cli(address: string, ...command: string[]): string[] {
    return ['timeout', '4', 'redis-cli', '-h', address, '-p', String(this.port), ...command];
  }

  async write(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, this.#cli(address, 'set', key, '1'), 'OK');
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, this.#cli(address, 'get', key), '1');
  }
}

/** Watches the disk beside what does not write itself. */
const diskAgent = { use: 'disk', failFreePercent: 2, ...common };

class Nginx implements LabApplication {
  readonly name = 'nginx';
  readonly title = 'nginx 1.22';
  readonly directory = '/srv/nginx';
  readonly port = 8090;
  readonly processes = { agent: 'nginx' };
  readonly agents = [
    {
      use: 'supervised',
      name: 'nginx',
      run: ['/usr/sbin/nginx', '-c', `${this.directory}/nginx.conf`, '-g', 'daemon off;'],
      port: this.port,
      stopSignal: 'SIGQUIT',
      ...common,
      ...quick,
    },
    {
      use: 'http',
      name: 'page',
      url: `http://127.0.0.1:${this.port}/index.html`,
      expectText: 'open',
      ...common,
    },
    { ...diskAgent, after: ['nginx'] },
  ];

  async prepare(host: LabHost): Promise<void> {
    const configuration = `pid /run/lab-nginx.pid; error_log stderr; events {} http { access_log off; server { listen ${this.port}; root ${this.directory}/www; } }`;
    await shell(
      host,
      `mkdir -p ${this.directory}/www && echo "${configuration}" > ${this.directory}/nginx.conf && echo open > ${this.directory}/www/index.html`,
    );
  }

  async write(_client: LabHost, _address: string, key: string, primary: LabHost): Promise<boolean> {
    const file = `${this.directory}/www/${key}`;
    return await succeeds(primary, ['sh', '-c', `echo ${key} > ${file} && sync ${file}`]);
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, curl(`http://${address}:${this.port}/${key}`), key);
  }
}

class Program implements LabApplication {
  readonly name = 'program';
  readonly title = 'custom program';
  readonly directory = '/srv/notes';
  readonly port = 8091;
  readonly processes = { agent: 'program' };
  readonly agents = [
    {
      use: 'supervised',
      name: 'program',
      run: [NODE, join(CHECKOUT, 'test/agents/notes-server.ts'), this.directory, String(this.port)],
      port: this.port,
      ...common,
      ...quick,
    },
    { use: 'http', name: 'page', url: `http://127.0.0.1:${this.port}/has/first`, ...common },
    { ...diskAgent, after: ['program'] },
  ];

  async prepare(host: LabHost): Promise<void> {
    await shell(host, `mkdir -p ${this.directory} && echo first > ${this.directory}/notes`);
  }

  async write(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, curl(`http://${address}:${this.port}/add/${key}`), 'added');
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, curl(`http://${address}:${this.port}/has/${key}`), 'yes');
  }
}

export const applications: readonly LabApplication[] = [
  new Postgresql(),
  new Mariadb(),
  new Redis(),
  new Nginx(),
  new Program(),
];

/** A signal to all processes of the application on `host`. */
export async function signalApplication(
  host: LabHost,
  { name, processes }: LabApplication,
  signal: 'KILL' | 'STOP',
): Promise<void> {
  const script =
    'program' in processes
      ? // Within the host's own process namespace.
        `for p in /proc/[0-9]*; do case $(readlink $p/exe 2>/dev/null) in */${processes.program}) kill -${signal} \${p#/proc/};; esac; done`
      : `kill -s ${signal} -- -$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' /run/understudy/agents/${name}/${processes.agent}/program.json)`;
  await host.exec(['sh', '-c', script], { timeoutMs: COMMAND_TIMEOUT_MS });
}

/** Connections to the port of the application are refused on `host`. */
export async function refuse(host: LabHost, { name, port }: LabApplication): Promise<void> {
  const rules = `table inet agents_${name} {
    chain refuse {
      type filter hook input priority -10;
      tcp dport ${port} reject with tcp reset
    }
  }
`;
  await host.must(['nft', '-f', '-'], { input: rules });
}

export async function acceptAgain(host: LabHost, { name }: LabApplication): Promise<void> {
  await host.exec(['nft', 'delete', 'table', 'inet', `agents_${name}`]);
}
