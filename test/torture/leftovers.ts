// Processes and mounts of a pair that is whole: there must be exactly those that are needed.
import { readFileSync } from 'node:fs';
import { present } from '../../src/core/assert.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Roles } from '../support/managed-pair.ts';

const PROGRAMS = {
  /** Also one that waits to be: its command line stays the same when it begins. */
  'primary process': /^\S*node \S*service\/primary-main\.ts/,
  'standby process': /^\S*node \S*service\/standby-main\.ts/,
  'cluster process': /^\S*node \S*failover\/cluster-main\.ts/,
} as const;
type ProgramName = keyof typeof PROGRAMS;

/** The most of each that there may be. */
const ALLOWED: Readonly<Record<keyof Roles, Readonly<Record<ProgramName, number>>>> = {
  primary: {
    // Its successor waits beside it.
    'primary process': 2,
    'standby process': 0,
    'cluster process': 1,
  },
  standby: {
    // Prepared ones: one may end while the next one is started already.
    'primary process': 2,
    'standby process': 1,
    'cluster process': 1,
  },
};

/** What is too much, as sentences. */
export function leftovers(roles: Roles, directories: readonly string[]): string[] {
  return (['primary', 'standby'] as const).flatMap((role) => {
    const host = roles[role];
    const lines = host.group.pids().map((pid) => commandLineOf(pid));
    const processes = Object.entries(PROGRAMS).flatMap(([name, pattern]) => {
      const count = lines.filter((line) => pattern.test(line)).length;
      const allowed = ALLOWED[role][name as ProgramName];
      return count <= allowed ? [] : [`${host.name} (${role}) has ${count} times: ${name}`];
    });
    return [...processes, ...mountsOf(host, role, directories)];
  });
}

function mountsOf(host: LabHost, role: keyof Roles, directories: readonly string[]): string[] {
  const init = present(host.state.init, `init of ${host.name}`);
  const mounts = readFileSync(`/proc/${init.pid}/mountinfo`, 'utf8').split('\n');
  return directories.flatMap((directory) => {
    const here = mounts.filter((line) => line.split(' ')[4] === directory);
    const filters = here.filter((line) => line.includes(' - fuse.understudy ')).length;
    const covers = here.length - filters;
    // That of a standby stays below the filter of the primary that it becomes.
    const isWhole =
      role === 'primary' ? filters === 1 && covers <= 1 : filters === 0 && covers === 1;
    if (isWhole) return [];
    return [`${directory} on ${host.name} (${role}) has ${filters} filters and ${covers} covers`];
  });
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
