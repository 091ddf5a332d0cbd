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

/**
 * A database server: installed as its own user, started, asked through its own client. What differs is what
 * each of them says here.
 */
abstract class Database implements LabApplication {
  abstract readonly name: string;
  abstract readonly title: string;
  abstract readonly directory: string;
  abstract readonly port: number;
  abstract readonly processes: { readonly program: string };
  abstract readonly agents: readonly object[];
  /** User of the system that its data belongs to. */
  protected abstract readonly owner: string;
  /** The server itself, to be left running; started by its owner. */
  protected abstract readonly server: string;
  /** Makes empty data, by its owner. */
  protected abstract readonly initialise: string;
  /** Statements: is it there, make what notes are kept in, keep one, how many are there of a key. */
  protected abstract readonly statements: {
    readonly ping: string;
    readonly create: string;
    readonly add: (key: string) => string;
    readonly count: (key: string) => string;
  };

  /** A command that prints what a statement gives. */
  protected abstract ask(address: string, statement: string): string[];

  async prepare(host: LabHost): Promise<void> {
    const { owner, directory, statements } = this;
    await host.must(['install', '-d', '-m', '700', '-o', owner, '-g', owner, directory]);
    await shell(host, `cd / && ${this.initialise}`, owner);
    await launch(host, `cd ${directory} && exec ${this.server}`, owner);
    const isThere = async (): Promise<boolean> =>
      succeeds(host, this.ask('127.0.0.1', statements.ping));
    await until(this.title, isThere);
    await host.must(this.ask('127.0.0.1', statements.create));
  }

  async write(client: LabHost, address: string, key: string): Promise<boolean> {
    return await succeeds(client, this.ask(address, this.statements.add(key)));
  }

  async has(client: LabHost, address: string, key: string): Promise<boolean> {
    return await says(client, this.ask(address, this.statements.count(key)), '1');
  }
}

class Postgresql extends Database {
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
  protected readonly owner = 'postgres';
  protected readonly server = `${BIN}/postgres -D ${this.directory}`;
  readonly #settings = `port = ${this.port}\nlisten_addresses = '*'\nunix_socket_directories = ''\nshared_buffers = 16MB\nmax_wal_size = 64MB`;
  protected readonly initialise = `${BIN}/initdb -D ${this.directory} --auth=trust --locale=C --encoding=UTF8 >/dev/null &&
    echo "${this.#settings}" >> ${this.directory}/postgresql.conf &&
    echo "host all all 10.0.0.0/8 trust" >> ${this.directory}/pg_hba.conf`;
  protected readonly statements = {
    ping: 'select 1',
    create: 'create table notes (id text primary key)',
    add: (key: string) => `insert into notes values ('${key}') on conflict do nothing`,
    count: (key: string) => `select count(*) from notes where id = '${key}'`,
  };

  protected ask(address: string, statement: string): string[] {
    const target = `host=${address} port=${this.port} user=postgres dbname=postgres connect_timeout=2`;
    return [join(BIN, 'psql'), target, '-Atqc', statement];
  }
}

class Mariadb extends Database {
  readonly name = 'mariadb';
  readonly title = 'MariaDB 10.11';
  readonly directory = '/srv/mariadb';
  readonly port = 3340;
  readonly processes = { program: 'mariadbd' };
  readonly #socket = '/run/mysqld/lab.sock';
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
      socket: this.#socket,
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
  protected readonly owner = 'mysql';
  // The user of the agent and of clients is made before the server is open to anybody.
  readonly #users = `flush privileges;\ncreate user watch identified by 'watch';\ngrant all on *.* to watch;`;
  protected readonly server = `/usr/sbin/mariadbd --no-defaults --datadir=${this.directory} --socket=${this.#socket} --port=${this.port} ${this.#options.join(' ')}`;
  protected readonly initialise = `mariadb-install-db --no-defaults --datadir=${this.directory} --skip-test-db --innodb-log-file-size=8M >/dev/null 2>&1 &&
    (echo "${this.#users}" | /usr/sbin/mariadbd --no-defaults --bootstrap --datadir=${this.directory} --innodb-log-file-size=8M >/dev/null 2>&1)`;
  protected readonly statements = {
    ping: 'select 1',
    create:
      'create database shop; create table shop.notes (id varchar(64) primary key) engine=InnoDB',
    add: (key: string) => `insert ignore into shop.notes values ("${key}")`,
    count: (key: string) => `select count(*) from shop.notes where id = "${key}"`,
  };

  override async prepare(host: LabHost): Promise<void> {
    await host.must(['install', '-d', '-o', this.owner, '-g', this.owner, '/run/mysqld']);
    await super.prepare(host);
  }

  protected ask(address: string, statement: string): string[] {
    const login = ['-u', 'watch', '-pwatch', '--connect-timeout=2'];
    const server = ['-h', address, '-P', String(this.port)];
    return ['mariadb', '--no-defaults', ...server, ...login, '-NBe', statement];
  }
}

class Redis extends Database {
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
  protected readonly owner = 'redis';
  protected readonly server = `redis-server ${this.#options.join(' ')} --bind 0.0.0.0 --port ${this.port}`;
  protected readonly initialise = 'true';
  protected readonly statements = {
    ping: 'ping',
    create: 'set first 1',
    add: (key: string) => `set ${key} 1`,
    count: (key: string) => `get ${key}`,
  };

  protected ask(address: string, statement: string): string[] {
    // It ends with 0 also when the server answers with an error.
    const client = ['timeout', '4', 'redis-cli', '-e', '-h', address, '-p', String(this.port)];
    return [...client, ...statement.split(' ')];
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
