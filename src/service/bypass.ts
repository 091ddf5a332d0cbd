// Who works on a protected directory past the filter: files that were opened while it was not mounted (before the service
// at a boot, or after somebody took the mount away) stay open underneath when it is there again, and nothing of what
// is written to them is recorded. Only /proc is looked at: nothing in here can hang on a mount.
import {
  isFilterMount,
  isWithin,
  type MountEntry,
  mountsOn,
  parseMountTable,
  readMountTable,
} from '../linux/mount-table.ts';
import { descriptorsOf, type DirectoryUser, findUsers, isDeleted, read } from './open-files.ts';

const O_ACCMODE = 3;

/**
 * Processes that may write files of `directory` otherwise than through the filter that is mounted on it; none where no
 * filter is. Those of `ignorePids` are left out: the filter itself.
 */
export function findBypassers(directory: string, ignorePids: ReadonlySet<number>): DirectoryUser[] {
  const filter = mountsOn(readMountTable(), directory).findLast(isFilterMount);
  if (filter === undefined) return [];
  return findUsers(ignorePids, (pid) => writtenPast(pid, directory, filter));
}

function writtenPast(pid: number, directory: string, filter: MountEntry): string | undefined {
  let clones: ReadonlySet<number> | undefined;
  for (const [descriptor, target] of descriptorsOf(pid)) {
    if (!isOf(target, directory)) continue;
    const mount = writtenMount(read(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'));
    if (mount === undefined || mount === filter.id) continue;
    clones ??= clonesOf(filter, pid);
    if (!clones.has(mount)) return `${target} (open file)`;
  }
  const mapped = read(`/proc/${pid}/maps`, 'utf8')
    ?.split('\n')
    .find((line) => isMappedPast(line, directory, filter));
  return mapped === undefined ? undefined : `${pathOf(mapped)} (mapped file)`;
}

/**
 * Of a file that may be written, the mount that it was opened on. proc_pid_fdinfo(5): `flags:` in octal, `mnt_id:` as in the
 * mount table.
 */
function writtenMount(fdinfo = ''): number | undefined {
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(fdinfo)?.[1] ?? '0', 8);
  const mount = /^mnt_id:\s*(\d+)/m.exec(fdinfo)?.[1];
  return (flags & O_ACCMODE) === 0 || mount === undefined ? undefined : Number(mount);
}

/** The filter's mount as a process has it that lives in a mount namespace of its own: under other numbers. */
function clonesOf(filter: MountEntry, pid: number): ReadonlySet<number> {
  const table = parseMountTable(read(`/proc/${pid}/mountinfo`, 'utf8') ?? '');
  return new Set(table.filter(({ device }) => device === filter.device).map(({ id }) => id));
}

/** proc_pid_maps(5): `from-to rw-s offset major:minor inode path`, the device in hexadecimal. */
function isMappedPast(line: string, directory: string, filter: MountEntry): boolean {
  const [, rights = '', , device = ''] = line.split(' ', 4);
  if (rights[1] !== 'w' || rights[3] !== 's' || !isOf(pathOf(line), directory)) return false;
  const [major = '', minor = ''] = device.split(':').map((part) => Number.parseInt(part, 16));
  return `${major}:${minor}` !== filter.device;
}

const pathOf = (line: string): string => line.slice(line.indexOf('/'));

/** Files without a name are in no copy. */
const isOf = (path: string, directory: string): boolean =>
  isWithin(path, directory) && !isDeleted(path);
