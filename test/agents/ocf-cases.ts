// Real OCF agents of Debian's package resource-agents with real applications, each with its data below a
// directory of its own. To be run in a network namespace of its own.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { livingProcesses } from '../../src/agents/sdk/process-table.ts';
import { commandLine } from '../../src/agents/builtin/support/processes.ts';

export interface OcfCase {
  readonly agent: string;
  /** Must be there; otherwise the case is left out. */
  readonly needs?: string;
  /** The application is a stand-in: only the agent is real. */
  readonly isStandIn?: boolean;
  /** Makes what it needs below `top`; returns the agent's parameters. */
  prepare(top: string): Readonly<Record<string, string | number | boolean>>;
  /** Destroys the application as an accident would, if that can be done. */
  readonly kill?: (top: string) => void;
  /** In which state the monitor then has to see it. */
  readonly afterKill?: readonly string[];
}

const BIN = '/usr/lib/postgresql/15/bin';

export function directory(path: string, user?: string, mode = 0o755): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
  if (user !== undefined) {
    const number = (option: string): number =>
      Number(execFileSync('id', [option, user], { encoding: 'utf8' }));
    chownSync(path, number('-u'), number('-g'));
  }
  return path;
}

export function file(path: string, text: string): string {
  writeFileSync(path, text);
  return path;
}

/** SIGKILL to all whose command line names something below `top`, or matches. */
function killMatching(pattern: RegExp): void {
  for (const { pid } of livingProcesses()) {
    if (pid !== process.pid && pattern.test(commandLine(pid).join(' ')))
      process.kill(pid, 'SIGKILL');
  }
}

const killBelow = (top: string): void => killMatching(new RegExp(`(?:^|[ =])${top}`));

export const ocfCases: readonly OcfCase[] = [
  {
    agent: 'heartbeat:Dummy',
    prepare: (top) => ({ state: join(top, 'state') }),
    kill: (top) => execFileSync('rm', ['-f', join(top, 'state')]),
    afterKill: ['stopped'],
  },
  {
    agent: 'heartbeat:anything',
    prepare: (top) => ({
      binfile: '/bin/sleep',
      cmdline_options: '7171',
      pidfile: join(top, 'pid'),
    }),
    kill: () => killMatching(/^\/bin\/sleep 7171$/),
    // It calls kill(1) on the number in its pid file and takes the refusal for an error.
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:symlink',
    prepare: (top) => ({ link: join(top, 'link'), target: directory(join(top, 'target')) }),
    kill: (top) => execFileSync('rm', ['-f', join(top, 'link')]),
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:IPaddr2',
    prepare: () => ({ ip: '10.255.7.7', cidr_netmask: 24, nic: 'test0' }),
    kill: () => execFileSync('ip', ['addr', 'del', '10.255.7.7/24', 'dev', 'test0']),
    afterKill: ['stopped'],
  },
  {
    agent: 'heartbeat:Filesystem',
    prepare: (top) => ({
      device: 'tmpfs',
      fstype: 'tmpfs',
      directory: directory(join(top, 'mounted')),
      options: 'size=1M',
    }),
    kill: (top) => execFileSync('umount', [join(top, 'mounted')]),
    afterKill: ['stopped'],
  },
  {
    agent: 'heartbeat:nginx',
    needs: '/usr/sbin/nginx',
    prepare: (top) => {
      directory(join(top, 'www'));
      file(join(top, 'www', 'index.html'), 'open');
      const configuration = `pid ${top}/nginx.pid;
error_log ${top}/error.log;
events {}
http { access_log off; server { listen 127.0.0.1:8071; root ${top}/www; } }
`;
      return {
        configfile: file(join(top, 'nginx.conf'), configuration),
        httpd: '/usr/sbin/nginx',
        status10url: 'http://127.0.0.1:8071/',
        status10regex: 'open',
      };
    },
    kill: (top) => killMatching(new RegExp(`nginx: (?:master|worker).*|${top}/nginx.conf`)),
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:apache',
    needs: '/usr/sbin/apache2',
    prepare: (top) => {
      const modules = '/usr/lib/apache2/modules';
      const load = ['mpm_event', 'authz_core', 'dir', 'status']
        .filter((name) => existsSync(`${modules}/mod_${name}.so`))
        .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`);
      directory(join(top, 'www'));
      file(join(top, 'www', 'index.html'), '<html><body>open</body></html>');
      const lines = [
        'ServerName localhost',
        ...load,
        'Listen 127.0.0.1:8072',
        `PidFile ${top}/apache.pid`,
        `ErrorLog ${top}/error.log`,
        `DocumentRoot ${top}/www`,
        'DirectoryIndex index.html',
        'User www-data',
        'Group www-data',
        `<Directory ${top}/www>`,
        'Require all granted',
        '</Directory>',
        '<Location /server-status>',
        'SetHandler server-status',
        '</Location>',
      ];
      return {
        configfile: file(join(top, 'apache.conf'), `${lines.join('\n')}\n`),
        httpd: '/usr/sbin/apache2',
        statusurl: 'http://127.0.0.1:8072/server-status',
        client: 'curl',
      };
    },
    kill: killBelow,
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:pgsql',
    needs: `${BIN}/pg_ctl`,
    prepare: (top) => {
      const data = directory(join(top, 'pg'), 'postgres', 0o700);
      const sockets = directory(join(top, 'sockets'), 'postgres');
      execFileSync(
        'runuser',
        [
          '-u',
          'postgres',
          '--',
          `${BIN}/initdb`,
          '-D',
          data,
          '--no-sync',
          '--auth=trust',
          '--locale=C',
        ],
        { cwd: '/', stdio: 'pipe' },
      );
      return {
        pgctl: `${BIN}/pg_ctl`,
        psql: '/usr/bin/psql',
        pgdata: data,
        pgdba: 'postgres',
        pgport: 5471,
        socketdir: sockets,
        start_opt: `-c fsync=off -c shared_buffers=8MB -c listen_addresses= -c unix_socket_directories=${sockets}`,
        logfile: join(directory(join(top, 'log'), 'postgres'), 'pgsql.log'),
        check_wal_receiver: false,
      };
    },
    kill: killBelow,
    afterKill: ['stopped', 'failed'],
  },
  {
    // heartbeat:mariadb is for replicated (promotable) servers only and refuses to start one alone.
    agent: 'heartbeat:mysql',
    needs: '/usr/sbin/mariadbd',
    prepare: (top) => {
      const data = directory(join(top, 'mysql'), 'mysql', 0o700);
      const run = directory(join(top, 'run'), 'mysql');
      const options = ['--no-defaults', `--datadir=${data}`, '--user=mysql', '--skip-test-db'];
      execFileSync('mariadb-install-db', [...options, '--innodb-log-file-size=4M'], {
        stdio: 'pipe',
      });
      const lines = ['port=3371', 'bind-address=127.0.0.1', 'innodb-log-file-size=4M'];
      return {
        binary: '/usr/bin/mysqld_safe',
        client_binary: '/usr/bin/mariadb',
        config: file(join(top, 'my.cnf'), `[mysqld]\n${lines.join('\n')}\n`),
        datadir: data,
        user: 'mysql',
        group: 'mysql',
        log: join(run, 'log'),
        pid: join(run, 'pid'),
        socket: join(run, 'socket'),
      };
    },
    kill: killBelow,
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:redis',
    needs: '/usr/bin/redis-server',
    prepare: (top) => {
      const data = directory(join(top, 'data'), 'redis');
      const configuration = `bind 127.0.0.1\nport 6371\ndir ${data}\ndaemonize yes\npidfile ${top}/redis.pid\nunixsocket ${top}/redis.sock\n`;
      return {
        bin: '/usr/bin/redis-server',
        client_bin: '/usr/bin/redis-cli',
        config: file(join(top, 'redis.conf'), configuration),
        user: 'root',
        rundir: top,
        pidfile_name: 'redis.pid',
        socket_name: 'redis.sock',
        port: 6371,
      };
    },
    kill: () => killMatching(/redis-server 127\.0\.0\.1:6371/),
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:rsyncd',
    needs: '/usr/bin/rsync',
    prepare: (top) => ({
      binpath: '/usr/bin/rsync',
      conffile: file(join(top, 'rsyncd.conf'), `pid file = ${top}/rsyncd.pid\nport = 8731\n`),
    }),
    // It never starts while a pid file of a killed one is there: that has to be on a file system that a boot empties.
    kill: (top) => {
      killBelow(top);
      execFileSync('rm', ['-f', join(top, 'rsyncd.pid')]);
    },
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:Squid',
    needs: '/usr/sbin/squid',
    prepare: (top) => {
      const lines = [
        'http_port 127.0.0.1:3171',
        `pid_filename ${top}/squid.pid`,
        `cache_log ${top}/cache.log`,
        'access_log none',
        `coredump_dir ${top}`,
        'pinger_enable off',
        'shutdown_lifetime 1 seconds',
        `netdb_filename none`,
      ];
      directory(top, 'proxy');
      return {
        squid_exe: '/usr/sbin/squid',
        squid_conf: file(join(top, 'squid.conf'), `${lines.join('\n')}\n`),
        squid_pidfile: join(top, 'squid.pid'),
        squid_port: 3171,
        squid_stop_timeout: 5,
      };
    },
    kill: killBelow,
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:named',
    needs: '/usr/sbin/named',
    prepare: (top) => {
      directory(top, 'bind');
      const zone =
        '$TTL 60\n@ IN SOA localhost. root.localhost. 1 60 60 60 60\n@ IN NS localhost.\nwww IN A 192.0.2.80\n';
      const text = `options { directory "${top}"; pid-file "${top}/named.pid"; listen-on port 53 { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; session-keyfile "${top}/session.key"; };
zone "example.net" { type master; file "${file(join(top, 'zone'), zone)}"; };
controls { };
`;
      return {
        named: '/usr/sbin/named',
        named_config: file(join(top, 'named.conf'), text),
        named_pidfile: join(top, 'named.pid'),
        named_rootdir: '',
        monitor_request: 'www.example.net',
        monitor_response: '192.0.2.80',
        monitor_ip: '127.0.0.1',
        named_options: '-4',
        named_user: 'bind',
      };
    },
    kill: killBelow,
    afterKill: ['stopped', 'failed'],
  },
  {
    agent: 'heartbeat:oracle',
    isStandIn: true,
    prepare: (top) => ({ sid: 'ORCLTEST', home: oracleHome(top), user: 'games' }),
    kill: (top) => {
      killMatching(/^ora_pmon_ORCLTEST /);
      execFileSync('rm', ['-f', join(top, 'oracle', 'state')]);
    },
    afterKill: ['stopped'],
  },
  {
    agent: 'heartbeat:oralsnr',
    isStandIn: true,
    prepare: (top) => ({
      sid: 'ORCLTEST',
      home: oracleHome(top),
      user: 'games',
      listener: 'LSNRTEST',
    }),
    kill: () => killMatching(/^tnslsnr LSNRTEST /),
    afterKill: ['stopped'],
  },
];

/** Where sqlplus, lsnrctl and tnsping are stand-ins; Oracle itself cannot be installed here. */
function oracleHome(top: string): string {
  const home = directory(join(top, 'oracle'), 'games');
  const bin = directory(join(home, 'bin'));
  directory(join(home, 'dbs'));
  const standIns = resolve(import.meta.dirname, '../support/stand-ins/oracle');
  for (const program of ['sqlplus', 'lsnrctl', 'tnsping']) {
    copyFileSync(join(standIns, program), join(bin, program));
    chmodSync(join(bin, program), 0o755);
  }
  return home;
}
