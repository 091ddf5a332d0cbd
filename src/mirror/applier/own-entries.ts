// What is below a mirrored directory and not mirrored itself is this node's own: written while it was the
// primary, and outside the patterns. The primary knows nothing of it, so it is in nobody's way: it goes
// only with the directory that it is in.
import type { Patterns } from '../../core/patterns.ts';
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { AT, errno, S } from '../../linux/constants.ts';
import {
  type DirectoryEntry,
  DirectoryReader,
  DT,
  openDirectory,
  readDirectory,
} from '../../linux/dirents.ts';
import { cstring } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import type { ApplyContext } from './context.ts';
import type { Place } from './volume.ts';

const stat = new Stat();

interface OpenDirectory {
  readonly fd: number;
  /** Of the records. */
  readonly path: string;
}

/** Mirrored entries of a directory that are not among the `known` ones; or a negative errno. */
export function surplusIn(
  patterns: Patterns,
  directory: OpenDirectory,
  known: ReadonlySet<string> | undefined,
): DirectoryEntry[] | number {
  const entries = readDirectory(directory.fd);
  if (typeof entries === 'number') return entries;
  return entries.filter((entry) => {
    const isOurs = directory.path === '' && entry.name === ORPHAN_DIRECTORY;
    return known?.has(entry.name) !== true && !isOurs && isMirrored(patterns, directory, entry);
  });
}

function isMirrored(
  patterns: Patterns,
  { fd, path }: OpenDirectory,
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
