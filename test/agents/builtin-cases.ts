// The agents that come with Understudy, each with its application: a real one from Debian where there is one, else
// a stand-in. To be run in namespaces of their own, with an empty /run.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitUntil } from '../../lab/run.ts';
import { HeartbeatSocket } from '../../src/service/agent-heartbeats.ts';
import { STAND_IN_LOGIN, type StandInName } from '../support/stand-ins/main.ts';
import { directory, file, ocfCases } from './ocf-cases.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const STAND_INS = resolve(import.meta.dirname, '../support/stand-ins');
const PATIENCE_MS = 30_000;

/** What a case has prepared below its directory. */
export interface Prepared {
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Prints the process ids of the application, where the agent does not know them. */
  readonly processes?: string;
  /** An accident that is not one of its processes. */
  readonly accident?: { readonly title: string; hurt(): void; heal(): void };
}

export interface BuiltinCase {
  readonly use: string;
  readonly application: string;
  readonly isStandIn?: boolean;
  /** Must be there; otherwise the case is left out. */
  readonly needs?: string;
  /** `runtimeDirectory`: that of the agent. */
  prepare(top: string, runtimeDirectory: string): Promise<Prepared>;
}

/** Leaves a program running; returns its process id. */
function launch(argv: readonly string[], user?: string): number {
  const asUser = user === undefined ? [] : ['runuser', '-u', user, '--'];
  const [program = '', ...rest] = [...asUser, ...argv];
  const child = spawn(program, rest, { cwd: '/', detached: true, stdio: 'ignore' });
  child.unref();
  return child.pid ?? 0;
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  if (await waitUntil(isTrue, PATIENCE_MS, 50)) return;
  throw new Error(`${what} did not come up`);
}

const runAs = (user: string, argv: readonly string[]): void =>
  void execFileSync('runuser', ['-u', user, '--', ...argv], { cwd: '/', stdio: 'pipe' });

async function listens(what: string, port: number): Promise<void> {
  const isThere = (): boolean =>
    execFileSync('ss', ['-Htln', `sport = :${port}`], { encoding: 'utf8' }).trim() !== '';
  await until(what, isThere);
}

/** An nginx that serves `index.html`; its own process stays in the foreground. */
function nginx(top: string, port: number): string[] {
  directory(join(top, 'www'));
  file(join(top, 'www', 'index.html'), 'open\n');
  const configuration = `pid ${top}/nginx.pid; error_log ${top}/error.log; events {}
http { access_log off; server { listen 127.0.0.1:${port}; root ${top}/www; } }
`;
  const path = file(join(top, 'nginx.conf'), configuration);
  return ['/usr/sbin/nginx', '-c', path, '-g', 'daemon off;'];
}

/** Process ids of a program and of all that it started. */
const withChildren = (pid: number): string => `echo ${pid}; pgrep -P ${pid} || true`;

function redis(top: string, port: number): string[] {
  const data = directory(join(top, 'redis'), 'redis');
  const options = ['--dir', data, '--port', String(port), '--bind', '127.0.0.1', '--save', ''];
  return ['/usr/bin/redis-server', ...options];
}

async function standIn(name: StandInName): Promise<{ pid: number; ports: Record<string, number> }> {
  const argv = [join(STAND_INS, 'main.ts'), name];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.unref();
  const line = await new Promise<string>((done, fail) => {
    child.stdout.once('data', (chunk: Buffer) => done(chunk.toString()));
    child.once('exit', () => fail(new Error(`the stand-in for ${name} ended`)));
  });
  return { pid: child.pid ?? 0, ports: JSON.parse(line) as Record<string, number> };
}

function standInCase(use: StandInName, parameters: object): BuiltinCase {
  return {
    use,
    application: 'stand-in, see below',
    isStandIn: true,
    prepare: async () => {
      const { pid, ports } = await standIn(use);
      return { parameters: { ...ports, ...parameters }, processes: `echo ${pid}` };
    },
  };
}

const databases: readonly BuiltinCase[] = [
  {
    use: 'postgresql',
    application: 'PostgreSQL 15',
    needs: `${BIN}/postgres`,
    prepare: async (top) => {
      const dataDir = directory(join(top, 'pg'), 'postgres', 0o700);
      runAs('postgres', [`${BIN}/initdb`, '-D', dataDir, '--auth=trust', '--locale=C']);
      const address = { host: '127.0.0.1', port: 5441 };
      const options = [
        'port=5441',
        'listen_addresses=127.0.0.1',
        'unix_socket_directories=',
        'shared_buffers=16MB',
      ];
      return { parameters: { dataDir, ...address, heartbeat: true, options } };
    },
  },
  {
    use: 'mysql',
    application: 'MariaDB 10.11',
    needs: '/usr/sbin/mariadbd',
    prepare: async (top) => {
      const dataDir = directory(join(top, 'mysql'), 'mysql');
      const sockets = directory(join(top, 'sockets'), 'mysql');
      const install = ['mariadb-install-db', '--no-defaults', `--datadir=${dataDir}`];
      runAs('mysql', [...install, '--skip-test-db', '--innodb-log-file-size=4M']);
      const options = ['--skip-networking', '--innodb-log-file-size=4M'];
      const socket = join(sockets, 'mysqld.sock');
      return { parameters: { dataDir, socket, configFile: '/dev/null', heartbeat: true, options } };
    },
  },
  {
    use: 'redis',
    application: 'Redis 7.0',
    needs: '/usr/bin/redis-server',
    prepare: async (top) => {
      const dataDir = directory(join(top, 'redis'), 'redis');
      const options = ['--appendonly', 'yes'];
      return { parameters: { dataDir, port: 6391, heartbeat: true, options } };
    },
  },
  standInCase('oracle', { service: 'ORCLPDB1' }),
  standInCase('sqlserver', { ...STAND_IN_LOGIN, encrypt: false, heartbeat: true }),
  standInCase('sybase', { ...STAND_IN_LOGIN }),
];

const MAIL_PORTS = { smtpPort: 2525, imapPort: 1143 };

/** A Postfix and a Dovecot with configuration, queue and sockets of their own; returns a way to list their processes. */
async function mailServers(top: string): Promise<string> {
  const [conf, queue, data] = ['conf', 'queue', 'data'].map((name) => directory(join(top, name)));
  execFileSync('chown', ['postfix', data ?? '']);
  const main = [
    'compatibility_level = 3.6',
    `queue_directory = ${queue ?? ''}`,
    `data_directory = ${data ?? ''}`,
    'myhostname = mail.example.net',
    'mydestination =',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    `maillog_file = ${top}/mail.log`,
    'maillog_file_prefixes = /tmp',
  ];
  file(join(conf ?? '', 'main.cf'), `${main.join('\n')}\n`);
  const services = [
    `${MAIL_PORTS.smtpPort} inet n - n - - smtpd`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'anvil unix - - n - 1 anvil',
    'proxymap unix - - n - - proxymap',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  file(join(conf ?? '', 'master.cf'), `${services.join('\n')}\n`);
  execFileSync('postfix', ['-c', conf ?? '', 'start'], { stdio: 'pipe' });
  const dovecot = `protocols = imap
base_dir = ${top}/dovecot
log_path = /dev/null
ssl = no
listen = 127.0.0.1
mail_location = maildir:${top}/mail
passdb {
  driver = static
  args = nopassword=y
}
service imap-login {
  inet_listener imap {
    port = ${MAIL_PORTS.imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
`;
  launch(['/usr/sbin/dovecot', '-F', '-c', file(join(top, 'dovecot.conf'), dovecot)]);
  await listens('Postfix', MAIL_PORTS.smtpPort);
  await listens('Dovecot', MAIL_PORTS.imapPort);
  return "pgrep -f '^(/usr/lib/postfix/|/usr/sbin/dovecot|dovecot/|smtpd|qmgr|anvil|postlogd|proxymap)'";
}

const SYSTEMCTL_NEEDS = join(STAND_INS, 'systemctl.sh');

const others: readonly BuiltinCase[] = [
  standInCase('exchange', {}),
  {
    use: 'mail',
    application: 'Postfix 3.7, Dovecot 2.3',
    needs: '/usr/sbin/dovecot',
    prepare: async (top) => {
      const processes = await mailServers(top);
      return { parameters: { ...MAIL_PORTS, imap: true }, processes };
    },
  },
  {
    use: 'http',
    application: 'nginx 1.22',
    needs: '/usr/sbin/nginx',
    prepare: async (top) => {
      const pid = launch(nginx(top, 8073));
      await listens('nginx', 8073);
      const parameters = { url: 'http://127.0.0.1:8073/index.html', expectText: 'open' };
      return { parameters, processes: withChildren(pid) };
    },
  },
  {
    use: 'tcp',
    application: 'Redis 7.0',
    needs: '/usr/bin/redis-server',
    prepare: async (top) => {
      const pid = launch(redis(top, 6392));
      await listens('Redis', 6392);
      const parameters = { port: 6392, send: String.raw`PING\r\n`, expect: '+PONG' };
      return { parameters, processes: `echo ${pid}` };
    },
  },
  {
    use: 'process',
    application: 'nginx 1.22',
    needs: '/usr/sbin/nginx',
    prepare: async (top) => {
      const pid = launch(nginx(top, 8074));
      await listens('nginx', 8074);
      const parameters = { pidFile: join(top, 'nginx.pid') };
      return { parameters, processes: withChildren(pid) };
    },
  },
  {
    use: 'disk',
    application: 'a file system of 8 MiB',
    prepare: async () => {
      // It goes with the namespace.
      const path = directory('/run/small-disk');
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8M', 'tmpfs', path]);
      const ballast = join(path, 'ballast');
      const hurt = (): void => {
        const { bavail, bsize } = statfsSync(path);
        writeFileSync(ballast, Buffer.alloc(bavail * bsize));
      };
      const heal = (): void => void execFileSync('rm', ['-f', ballast]);
      const parameters = { paths: [path], failFreePercent: 2, writeTest: true };
      return { parameters, accident: { title: 'full', hurt, heal } };
    },
  },
  {
    use: 'supervised',
    application: 'nginx 1.22',
    needs: '/usr/sbin/nginx',
    prepare: async (top) => ({ parameters: { run: nginx(top, 8075), port: 8075 } }),
  },
  {
    use: 'command',
    application: 'Redis 7.0',
    needs: '/usr/bin/redis-server',
    prepare: async (top) => {
      const pidFile = join(top, 'redis.pid');
      const run = [...redis(top, 6393), '--daemonize yes', `--pidfile ${pidFile}`].join(' ');
      const cli = 'timeout 2 redis-cli -p 6393';
      const parameters = {
        start: `${cli} ping | grep -q PONG || ${run.replace('--save  ', "--save '' ")}; until ${cli} ping | grep -q PONG; do sleep 0.1; done`,
        stop: `[ ! -e ${pidFile} ] || ${cli} shutdown nosave || kill -9 $(cat ${pidFile}); rm -f ${pidFile}`,
        probe: `${cli} ping | grep -q PONG`,
      };
      return { parameters, processes: `cat ${pidFile} 2>/dev/null || true` };
    },
  },
  {
    use: 'heartbeat',
    application: 'a shell script with curl',
    needs: '/usr/bin/curl',
    prepare: async (top, runtimeDirectory) => {
      const path = join(top, 'reports.sock');
      await new HeartbeatSocket(path, [{ name: 'heartbeat', runtimeDirectory }]).listen(undefined);
      const report = `curl -s --unix-socket ${path} http://localhost/heartbeat -d '{"sentence":"12 sales a minute"}'`;
      const pid = launch(['sh', '-c', `while :; do ${report}; sleep 0.3; done`]);
      await until('the first report', () => existsSync(join(runtimeDirectory, 'heartbeat.json')));
      return { parameters: { every: '1s', missed: 1 }, processes: `echo ${pid}` };
    },
  },
  {
    use: 'systemd',
    application: 'stand-in for `systemctl`',
    isStandIn: true,
    needs: SYSTEMCTL_NEEDS,
    prepare: async (top) => {
      const units = directory(join(top, 'units'));
      const bin = directory(join(top, 'bin'));
      copyFileSync(SYSTEMCTL_NEEDS, join(bin, 'systemctl'));
      chmodSync(join(bin, 'systemctl'), 0o755);
      process.env['PATH'] = `${bin}:${process.env['PATH'] ?? ''}`;
      process.env['STAND_IN_UNITS'] = units;
      process.env['UNDERSTUDY_SYSTEMD'] = units;
      file(join(units, 'web.service'), 'inactive disabled\n');
      return { parameters: { unit: 'web.service' } };
    },
  },
  {
    use: 'ocf:heartbeat:redis',
    application: 'Redis 7.0',
    needs: '/usr/lib/ocf/resource.d/heartbeat/redis',
    prepare: async (top) => {
      const played = ocfCases.find(({ agent }) => agent === 'heartbeat:redis');
      const parameters = { ...played?.prepare(top), probeTimeout: '10s', stopTimeout: '20s' };
      return { parameters, processes: `cat ${top}/redis.pid 2>/dev/null || true` };
    },
  },
];

export const builtinCases: readonly BuiltinCase[] = [...databases, ...others];

/** The directory of a case. */
export function placeOf(top: string, use: string): string {
  const path = join(top, use.replaceAll(':', '-'));
  mkdirSync(path, { mode: 0o755 });
  chmodSync(path, 0o755);
  return path;
}
