// What is below a mirrored directory and not mirrored itself is this node's own: written while it was the
// primary, and outside the patterns. The primary knows nothing of it, so it is in nobody's way: it goes
// only with the directory that it is in.
import type { Patterns } from '../../core/patterns.ts';
import { AT, errno, S } from '../../linux/constants.ts';
import { type DirectoryEntry, DirectoryReader, DT, openDirectory } from '../../linux/dirents.ts';
import { cstring } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import type { ApplyContext } from './context.ts';
import type { Place } from './volume.ts';

const stat = new Stat();

/** Whether an entry of the mirrored directory `path`, which is open as `fd`, is mirrored. */
export function isMirrored(
  patterns: Patterns,
  { fd, path }: { fd: number; path: string },
  { name, type }: DirectoryEntry,
): boolean {
  if (patterns.everything) return true;
  const isDirectory = type === DT.UNKNOWN ? isDirectoryAt(fd, name) : type === DT.DIR;
  return patterns.matches(path === '' ? name : `${path}/${name}`, isDirectory);
}

const isDirectoryAt = (fd: number, name: string): boolean =>
  stat.at(fd, cstring(name)) === 0 && (stat.mode & S.IFMT) === S.IFDIR;

/** Removes a directory in which nothing is mirrored: ENOTEMPTY for any other. */
export function removeDirectory(
  { volume, patterns }: Pick<ApplyContext, 'volume' | 'patterns'>,
  place: Place,
  path: string,
): number {
  const name = place.name.toString('latin1', 0, place.name.length - 1);
  const fd = openDirectory(place.parent.fd, name);
  if (fd < 0) return fd;
  const reader = new DirectoryReader(fd);
  let entry = reader.next();
  const isEmpty = entry === undefined;
  while (typeof entry === 'object' && !isMirrored(patterns, { fd, path }, entry))
    entry = reader.next();
  reader.close();
  if (typeof entry === 'number') return entry;
  if (entry !== undefined) return -errno.ENOTEMPTY;
  volume.open.forgetTree(path);
  return isEmpty ? volume.takeAway(place, AT.REMOVEDIR) : volume.clear(place, path);
}
