// What is in a directory of this node, for choosing one to protect: names, kinds and sizes, never contents.
//
// A path is opened component by component, and no component may be a symbolic link: nobody who may write somewhere on
// this machine can lead the browser elsewhere, not even while it looks.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, opendir } from 'node:fs/promises';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { isWithin } from '../../linux/mount-table.ts';
import type { OccupiedDirectory } from '../directory-checks.ts';

const ENTRIES_MAX = 2000;
/** A file system that hangs holds a thread of the pool each time: never all of them. */
const AT_ONCE_MAX = 2;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export interface BrowsedEntry {
  /** As text; what is not valid UTF-8 shows as U+FFFD, and cannot be chosen. */
  readonly name: string;
  readonly isText: boolean;
  readonly kind: 'directory' | 'file' | 'symlink' | 'other';
  /** Bytes; null: not a file. */
  readonly size: number | null;
  /** Who has this directory already (`group "shop"`); null: nobody. */
  readonly owner: string | null;
}

export interface Browsed {
  readonly path: string;
  readonly parent: string | null;
  readonly owner: string | null;
  readonly entries: readonly BrowsedEntry[];
  /** There are more than are shown. */
  readonly isCut: boolean;
}

let looking = 0;

/**
 * Errors: PATH_NOT_FOUND, PATH_IS_SYMLINK, PATH_NOT_READABLE, REQUESTS_TOO_MANY. `path` is absolute and without
 * `..` (absolutePathSchema).
 */
export async function browse(
  path: string,
  occupied: readonly OccupiedDirectory[],
): Promise<Browsed> {
  if (looking >= AT_ONCE_MAX) {
    throw new UnderstudyError(
      'REQUESTS_TOO_MANY',
      'directories are being looked at already: wait a moment and try again',
    );
  }
  looking += 1;
  try {
    const directory = await openDirectory(path);
    try {
      return await list(directory, path, occupied);
    } finally {
      await directory.close();
    }
  } finally {
    looking -= 1;
  }
}

async function openDirectory(path: string): Promise<FileHandle> {
  let at = await open('/', O_RDONLY | O_DIRECTORY);
  let walked = '';
  for (const name of path.split('/').filter((part) => part !== '')) {
    walked += `/${name}`;
    const parent = at;
    try {
      at = await open(`/proc/self/fd/${parent.fd}/${name}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (cause) {
      throw await refusal(`/proc/self/fd/${parent.fd}/${name}`, walked, cause);
    } finally {
      await parent.close();
    }
  }
  return at;
}

async function refusal(entry: string, path: string, cause: unknown): Promise<UnderstudyError> {
  const options = { cause, details: { path } };
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') {
    return new UnderstudyError('PATH_NOT_FOUND', `${path} does not exist on this node`, options);
  }
  const isLink = await lstat(entry).then(
    (stat) => stat.isSymbolicLink(),
    () => false,
  );
  if (isLink) {
    return new UnderstudyError(
      'PATH_IS_SYMLINK',
      `${path} is a symbolic link, which is not followed: choose the directory that it leads to`,
      options,
    );
  }
  const why = code === 'ENOTDIR' ? 'it is not a directory' : messageOf(cause);
  return new UnderstudyError('PATH_NOT_READABLE', `${path} cannot be looked at: ${why}`, options);
}

async function list(
  directory: FileHandle,
  path: string,
  occupied: readonly OccupiedDirectory[],
): Promise<Browsed> {
  const base = `/proc/self/fd/${directory.fd}`;
  const entries: BrowsedEntry[] = [];
  let isCut = false;
  // The trailing slash makes the link of the descriptor be followed, and nothing else.
  for await (const entry of await opendir(`${base}/`, { encoding: 'latin1' })) {
    if (entries.length >= ENTRIES_MAX) {
      isCut = true;
      break;
    }
    entries.push(await describe(base, path, Buffer.from(entry.name, 'latin1'), occupied));
  }
  return {
    path,
    parent: path === '/' ? null : path.slice(0, path.lastIndexOf('/')) || '/',
    owner: ownerOf(path, occupied),
    entries: entries.toSorted(byKindAndName),
    isCut,
  };
}

async function describe(
  base: string,
  path: string,
  bytes: Buffer,
  occupied: readonly OccupiedDirectory[],
): Promise<BrowsedEntry> {
  const name = bytes.toString('utf8');
  const isText = Buffer.from(name, 'utf8').equals(bytes);
  const stat = await lstat(Buffer.concat([Buffer.from(`${base}/`), bytes])).catch(() => undefined);
  const kind = kindOf(stat);
  return {
    name,
    isText,
    kind,
    size: kind === 'file' ? (stat?.size ?? null) : null,
    owner:
      kind === 'directory'
        ? ownerOf(path === '/' ? `/${name}` : `${path}/${name}`, occupied)
        : null,
  };
}

function kindOf(stat: Awaited<ReturnType<typeof lstat>> | undefined): BrowsedEntry['kind'] {
  if (stat === undefined) return 'other';
  if (stat.isDirectory()) return 'directory';
  if (stat.isFile()) return 'file';
  return stat.isSymbolicLink() ? 'symlink' : 'other';
}

function ownerOf(path: string, occupied: readonly OccupiedDirectory[]): string | null {
  return occupied.find(({ dir }) => isWithin(path, dir))?.owner ?? null;
}

function byKindAndName(one: BrowsedEntry, other: BrowsedEntry): number {
  if ((one.kind === 'directory') !== (other.kind === 'directory')) {
    return one.kind === 'directory' ? -1 : 1;
  }
  return one.name < other.name ? -1 : 1;
}
