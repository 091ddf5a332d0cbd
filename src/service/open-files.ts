// Who uses a directory: descriptors, working directories, roots, programs and mappings below it, from
// /proc. Files that were open before the filter was mounted would bypass it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isWithin } from './mount-table.ts';

export interface DirectoryUser {
  readonly pid: number;
  readonly command: string;
  /** What it uses, and how: `/srv/shop/db (open file)`. */
  readonly uses: string;
}

const USERS_MAX = 50;

/**
 * Processes that use something at or below `directory`, one entry per process, at most USERS_MAX.
 * `ignorePids` are left out (the group's own process).
 */
export function findDirectoryUsers(
  directory: string,
  ignorePids: ReadonlySet<number> = new Set(),
): DirectoryUser[] {
  const users: DirectoryUser[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 0 || ignorePids.has(pid)) continue;
    const uses = usedBelow(pid, directory);
    if (uses === undefined) continue;
    users.push({ pid, command: commandOf(pid), uses });
    if (users.length >= USERS_MAX) break;
  }
  return users;
}

/** `1234 postgres: /srv/shop/db (open file)`, for messages and details. */
export function describeUser({ pid, command, uses }: DirectoryUser): string {
  return `${pid} ${command}: ${uses}`;
}

function usedBelow(pid: number, directory: string): string | undefined {
  const single: readonly [string, string][] = [
    ['cwd', 'working directory'],
    ['root', 'root directory'],
    ['exe', 'program'],
  ];
  for (const [link, how] of single) {
    const target = readLink(`/proc/${pid}/${link}`);
    if (target !== undefined && target !== '/' && isWithin(target, directory)) {
      return `${target} (${how})`;
    }
  }
  const open = openBelow(pid, directory);
  if (open !== undefined) return `${open} (open file)`;
  const mapped = mappedBelow(pid, directory);
  return mapped === undefined ? undefined : `${mapped} (mapped file)`;
}

function openBelow(pid: number, directory: string): string | undefined {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return undefined;
  }
  for (const descriptor of descriptors) {
    const target = readLink(`/proc/${pid}/fd/${descriptor}`);
    if (target === undefined || !isWithin(target, directory)) continue;
    // A file without a name is in no copy.
    if (!target.endsWith(' (deleted)')) return target;
  }
  return undefined;
}

function mappedBelow(pid: number, directory: string): string | undefined {
  let maps: string;
  try {
    maps = readFileSync(`/proc/${pid}/maps`, 'latin1');
  } catch {
    return undefined;
  }
  const needle = ` ${Buffer.from(directory).toString('latin1')}/`;
  const at = maps.indexOf(needle);
  if (at < 0) return undefined;
  const path = maps.slice(at + 1, maps.indexOf('\n', at));
  return path.endsWith(' (deleted)') ? undefined : Buffer.from(path, 'latin1').toString();
}

/** Processes come and go while we look: a link that cannot be read is no use of anything. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '?';
  }
}
