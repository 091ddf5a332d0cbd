// Who works on a protected directory past the filter: files that were opened while it was not mounted (before the service
// at a boot, or after somebody took the mount away) stay open underneath when it is there again, and nothing of what
// is written to them is recorded. Only /proc is looked at: nothing in here can hang on a mount.
import {
  isFilterMount,
  isWithin,
  type MountEntry,
  mountsOn,
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
  for (const [descriptor, target] of descriptorsOf(pid)) {
    if (!isOf(target, directory)) continue;
    const info = read(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8');
    if (info !== undefined && isPast(info, filter)) return `${target} (open file)`;
  }
  const mapped = read(`/proc/${pid}/maps`, 'utf8')
    ?.split('\n')
    .find((line) => isMappedPast(line, directory, filter));
  return mapped === undefined ? undefined : `${pathOf(mapped)} (mapped file)`;
}

/** proc_pid_fdinfo(5): `flags:` in octal, `mnt_id:` as in the mount table. */
function isPast(fdinfo: string, filter: MountEntry): boolean {
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(fdinfo)?.[1] ?? '0', 8);
  const mount = Number(/^mnt_id:\s*(\d+)/m.exec(fdinfo)?.[1] ?? filter.id);
  return (flags & O_ACCMODE) !== 0 && mount !== filter.id;
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
