// Argument vectors that run a program inside namespaces. Pure but for the names of files.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UnderstudyError } from '../src/core/errors.ts';
import type { ControlGroup } from './cgroup.ts';

/** This checkout. */
export const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs of hosts find the command `understudy` of this checkout by name. */
const HOST_PATH = `${join(CHECKOUT, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

/** What a program of a host sees of its surroundings. Nothing of the caller's environment. */
export interface ExecEnvironment {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Name of the user; default root. */
  readonly user?: string | undefined;
  /** Default `/`. */
  readonly cwd?: string | undefined;
}

type Namespace = 'mount' | 'uts' | 'ipc' | 'net' | 'pid';

/** `nsenter` into some namespaces of a process; append the program. */
export function namespaceArguments(pid: number, namespaces: readonly Namespace[]): string[] {
  return ['nsenter', '--target', String(pid), ...namespaces.map((name) => `--${name}`), '--'];
}

/** Prefix that makes a program (and what it starts) a member of a control group before it runs. */
export function joinArguments(group: ControlGroup): string[] {
  return ['sh', '-c', 'echo 0 > "$0" && exec "$@"', group.joinFile];
}

function identityArguments(user: string): string[] {
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === user);
  if (entry === undefined) {
    throw new UnderstudyError('LAB_USER_UNKNOWN', `this machine has no user "${user}"`);
  }
  const [, , uid = '', gid = '', , home = '/'] = entry;
  const identity = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--'];
  return [...identity, 'env', `HOME=${home}`];
}

/** The whole command line that runs `argv` in a host. */
export function execArguments(options: {
  pid: number;
  group: ControlGroup;
  argv: readonly string[];
  environment: ExecEnvironment;
}): string[] {
  const { env = {}, user, cwd = '/' } = options.environment;
  const variables = {
    PATH: HOST_PATH,
    HOME: '/root',
    LANG: 'C.UTF-8',
    TERM: process.env['TERM'] ?? 'dumb',
    ...env,
  };
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const identity = user === undefined ? [] : identityArguments(user);
  return [
    ...joinArguments(options.group),
    ...namespaceArguments(options.pid, ['mount', 'uts', 'ipc', 'net', 'pid']),
    'env',
    '--ignore-environment',
    `--chdir=${cwd}`,
    ...assignments,
    ...identity,
    ...options.argv,
  ];
}
