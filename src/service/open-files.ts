// Who uses a directory: descriptors, working directories, roots, programs and mappings below it, from
// /proc. Files that were open before the filter was mounted would bypass it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isWithin } from '../linux/mount-table.ts';

export interface DirectoryUser {
  readonly pid: number;
  readonly command: string;
  /** What it uses, and how: `/srv/shop/db (open file)`. */
  readonly uses: string;
}

const USERS_MAX = 50;

/**
 * Processes that use something at or below `directory`, one entry per process, at most USERS_MAX.
 * `ignorePids` are left out (the group's own process). Files that were deleted count only with
 * `deletedToo`: they are in no copy, but they hold a mount.
 */
export function findDirectoryUsers(
  directory: string,
  ignorePids: ReadonlySet<number> = new Set(),
  { deletedToo = false }: { readonly deletedToo?: boolean } = {},
): DirectoryUser[] {
  return findUsers(ignorePids, (pid) => usedBelow(pid, directory, deletedToo));
}

/** One entry per process of which `usesOf` says something, at most USERS_MAX. */
export function findUsers(
  ignorePids: ReadonlySet<number>,
  usesOf: (pid: number) => string | undefined,
): DirectoryUser[] {
  const users: DirectoryUser[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 0 || ignorePids.has(pid)) continue;
    const uses = usesOf(pid);
    if (uses === undefined) continue;
    users.push({ pid, command: read(`/proc/${pid}/comm`, 'utf8')?.trim() ?? '?', uses });
    if (users.length >= USERS_MAX) break;
  }
  return users;
}

/** `1234 postgres: /srv/shop/db (open file)`, for messages and details. */
export function describeUser({ pid, command, uses }: DirectoryUser): string {
  return `${pid} ${command}: ${uses}`;
}

function usedBelow(pid: number, directory: string, deletedToo: boolean): string | undefined {
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
  const open = openBelow(pid, directory, deletedToo);
  if (open !== undefined) return `${open} (open file)`;
  const mapped = mappedBelow(pid, directory, deletedToo);
  return mapped === undefined ? undefined : `${mapped} (mapped file)`;
}

function openBelow(pid: number, directory: string, deletedToo: boolean): string | undefined {
  for (const [, target] of descriptorsOf(pid)) {
    if (!isWithin(target, directory)) continue;
    // A file without a name is in no copy.
    if (deletedToo || !isDeleted(target)) return target;
  }
  return undefined;
}

function mappedBelow(pid: number, directory: string, deletedToo: boolean): string | undefined {
  const maps = read(`/proc/${pid}/maps`, 'latin1') ?? '';
  const needle = ` ${Buffer.from(directory).toString('latin1')}/`;
  for (let at = maps.indexOf(needle); at >= 0; at = maps.indexOf(needle, at + 1)) {
    const path = maps.slice(at + 1, maps.indexOf('\n', at));
    if (deletedToo || !isDeleted(path)) return Buffer.from(path, 'latin1').toString();
  }
  return undefined;
}

/** A file without a name any more. */
export const isDeleted = (path: string): boolean => path.endsWith(' (deleted)');

/** Numbers of open descriptors, and what they are of. */
export function* descriptorsOf(pid: number): Generator<readonly [string, string]> {
  for (const descriptor of list(`/proc/${pid}/fd`)) {
    const target = readLink(`/proc/${pid}/fd/${descriptor}`);
    if (target !== undefined) yield [descriptor, target];
  }
}

// Processes come and go while we look: what cannot be read is no use of anything.
function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

export function read(path: string, encoding: 'utf8' | 'latin1'): string | undefined {
  try {
    return readFileSync(path, encoding);
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
