// Web servers, and any other program that listens and keeps data: what it writes is what has to be protected.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Server } from './listening.ts';
import { groupName, type Proposal, type ProposedAgent, unitNote } from './proposal.ts';

/** What runs on every machine and is not an application, or is ourselves. */
const NOT_APPLICATIONS =
  /^(?:systemd.*|init|sshd|dbus-.*|rpcbind|rpc\..*|cron|chronyd|ntpd|avahi-.*|cupsd|dhclient|NetworkManager|polkitd|containerd.*|dockerd|snapd|udevd|understudy.*|agetty|login|lvmetad|multipathd|rsyslogd|gpg-agent|ssh-agent)$/;
/** Where no data of an application is. */
const NOT_DATA =
  /^\/(?:proc|sys|dev|run|tmp|var\/(?:log|run|tmp|cache|lock|lib\/understudy)|usr|boot|memfd:|root\/\.)/;
const CONFIGURATION_FILES_MAX = 200;

export function proposeProgram(server: Server): Proposal | undefined {
  const program = basename(server.program);
  if (NOT_APPLICATIONS.test(program) || server.ports.length === 0) return undefined;
  if (isOurs(server.arguments)) return undefined;
  if (program === 'nginx') return web(server, 'nginx', nginxRoots(server));
  if (program === 'apache2' || program === 'httpd') return web(server, 'apache', apacheRoots());
  return generic(server, program);
}

/** Sources of this installation. */
const SOURCES = join(import.meta.dirname, '../..');

/** Our own processes are Node's: the service by its title, others by what they run. */
export function isOurs(argv: readonly string[]): boolean {
  return (
    argv[0]?.startsWith('understudy') === true || argv.some((one) => one.startsWith(`${SOURCES}/`))
  );
}

function web(server: Server, name: string, roots: readonly string[]): Proposal {
  const port = server.ports[0]?.port ?? 80;
  const ports = server.ports.map((one) => one.port).join(', ');
  const foreground =
    name === 'nginx'
      ? ['-g', 'daemon off;']
      : [
          '-D',
          'FOREGROUND',
          ...(existsSync('/etc/apache2/apache2.conf') ? ['-f', '/etc/apache2/apache2.conf'] : []),
        ];
  const isTls = port === 443;
  const page: ProposedAgent = {
    use: 'http',
    url: `${isTls ? 'https' : 'http'}://127.0.0.1:${port}/`,
    expectStatus: [200, 301, 302, 401, 403, 404],
  };
  const notes = [
    ...unitNote(server.unit),
    ...configurationNote(configurationOf(server, name), roots),
  ];
  if (roots.length === 0) notes.push('no directory with pages was found: add "paths" by hand');
  if (server.unit === undefined && name === 'apache') {
    notes.push('Apache needs the variables of /etc/apache2/envvars: add them as "environment"');
  }
  return {
    title: name === 'nginx' ? 'nginx' : 'Apache',
    found: `${name} at port ${ports}, process ${server.pid}, pages in ${roots.join(', ') || '?'}`,
    isRunning: true,
    pid: server.pid,
    group: {
      name,
      paths: roots.map((dir) => ({ dir })),
      agents: [
        server.unit === undefined
          ? {
              use: 'supervised',
              run: [server.program, ...nginxConfiguration(server), ...foreground],
              port,
            }
          : { use: 'systemd', unit: server.unit },
        page,
      ],
    },
    notes,
  };
}

/** `-c FILE` as nginx was called; its master shows its arguments behind its name. */
function nginxConfiguration({ arguments: argv }: Server): string[] {
  const file = /-c (\S+)/.exec(argv.join(' '))?.[1];
  return file === undefined ? [] : ['-c', file];
}

/** The file where its configuration begins, or the directory that holds all of it. */
function configurationOf(server: Server, name: string): string {
  if (name === 'nginx') return nginxConfiguration(server)[1] ?? '/etc/nginx';
  return existsSync('/etc/apache2') ? '/etc/apache2' : '/etc/httpd';
}

/** What lies outside of what is copied has to be there when the other node serves. */
export function configurationNote(path: string, roots: readonly string[]): string[] {
  if (roots.some((root) => path.startsWith(`${root}/`))) return [];
  return [`its configuration is in ${path}: keep it the same on both nodes`];
}

function nginxRoots(server: Server): string[] {
  const [, file = '/etc/nginx/nginx.conf'] = nginxConfiguration(server);
  return existing(valuesIn(nginxFiles(file), /^[^#\n]*?\broot\s+"?([^;"\s]+)"?\s*;/gm));
}

function nginxFiles(first: string): string[] {
  const files = [first];
  for (let at = 0; at < files.length && files.length < CONFIGURATION_FILES_MAX; at += 1) {
    const file = files[at] ?? '';
    const includes = valuesIn([file], /^[^#\n]*?\binclude\s+([^;\s]+)\s*;/gm);
    for (const include of includes) {
      const path = include.startsWith('/') ? include : join(dirname(first), include);
      files.push(...expanded(path).filter((one) => !files.includes(one)));
    }
  }
  return files;
}

function apacheRoots(): string[] {
  const files = ['/etc/apache2/apache2.conf', ...expanded('/etc/apache2/sites-enabled/*')];
  return existing(valuesIn(files, /^\s*DocumentRoot\s+"?([^"\s]+)"?/gm));
}

/** Files for a pattern with `*` in its last part only. */
function expanded(pattern: string): string[] {
  const name = basename(pattern);
  if (!name.includes('*')) return existsSync(pattern) ? [pattern] : [];
  const [before = '', after = ''] = name.split('*', 2);
  try {
    return readdirSync(dirname(pattern))
      .filter((one) => one.startsWith(before) && one.endsWith(after))
      .map((one) => join(dirname(pattern), one));
  } catch {
    return [];
  }
}

function valuesIn(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) => {
    try {
      return [...readFileSync(file, 'utf8').matchAll(pattern)].map(([, value = '']) => value);
    } catch {
      return [];
    }
  });
}

function existing(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)].filter(
    (path) => path.startsWith('/') && !path.startsWith('/usr/') && isDirectory(path),
  );
  return topmost(unique);
}

function generic(server: Server, program: string): Proposal | undefined {
  const directories = directoriesWritten(server.writes);
  if (directories.length === 0) return undefined;
  const [first] = server.ports;
  const port = first?.port ?? 0;
  const run: ProposedAgent = {
    use: 'supervised',
    run: runOf(server),
    directory: server.workingDirectory,
    ...(server.uid === 0 ? {} : { user: String(server.uid) }),
    port,
  };
  const agents: ProposedAgent[] =
    server.unit === undefined
      ? [run]
      : [
          { use: 'systemd', unit: server.unit },
          { use: 'tcp', port },
        ];
  return {
    title: program,
    found: `${program} at port ${server.ports.map((one) => one.port).join(', ')}, process ${server.pid}, writes to ${directories.join(', ')}`,
    isRunning: true,
    pid: server.pid,
    group: {
      name: groupName(nameFor(server, program)),
      paths: directories.map((dir) => ({ dir })),
      agents,
    },
    notes: [
      ...unitNote(server.unit),
      'found by what it has open at present: check that all of its data is named',
    ],
  };
}

/** An interpreter is called what it runs: `node /srv/shop/server.js` is `server`. */
function nameFor({ arguments: argv }: Server, program: string): string {
  if (!/^(?:node|python[\d.]*|perl|ruby|java|bash|sh)$/.test(program)) return program;
  const script = argv.slice(1).find((one) => !one.startsWith('-') && one.includes('/'));
  return script === undefined ? program : basename(script).replace(/\.[a-z]+$/, '');
}

/** Its arguments, with the whole path of the program. */
function runOf({ program, arguments: argv }: Server): string[] {
  return [program, ...argv.slice(1)];
}

/** Where these files are, as far as they may be data. */
export function directoriesWritten(files: readonly string[]): string[] {
  const directories = files.filter((path) => !NOT_DATA.test(path)).map((path) => dirname(path));
  return topmost(
    [...new Set(directories)].filter(
      (path) => path !== '/' && path !== '/etc' && path !== '/home' && isDirectory(path),
    ),
  );
}

/** Without those that are below others. */
export function topmost(directories: readonly string[]): string[] {
  return directories
    .filter((one) => !directories.some((other) => one !== other && one.startsWith(`${other}/`)))
    .toSorted();
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
