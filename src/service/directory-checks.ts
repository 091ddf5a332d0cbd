// May this directory be protected? Every refusal has its own code and names the way out.
import { lstatSync, readdirSync, realpathSync, type Stats, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { UnderstudyError } from '../core/errors.ts';
import { AT, errno, errnoName } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { isWithin, mountsBelow, readMountTable } from '../linux/mount-table.ts';
import { describeUser, findDirectoryUsers } from './open-files.ts';

/** statfs(2) f_type of the file systems that are tested. */
const SUPPORTED_TYPES = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
]);
const FILE_HANDLE_BYTES = 128;
/** A file on the way, links in a circle, a name that no file system takes. */
const NOWHERE: readonly (string | undefined)[] = ['ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];

/** Directories that belong to someone else already. */
export interface OccupiedDirectory {
  readonly dir: string;
  /** Who has it: `group "shop"`, or what of Understudy itself. */
  readonly owner: string;
  readonly kind: 'group' | 'understudy';
}

/** Runs all checks on an existing directory; throws the first refusal. */
export function checkDirectory(dir: string, occupied: readonly OccupiedDirectory[]): void {
  checkDirectoryItself(dir, occupied);
  checkNotInUse(dir);
}

/** All but whether it is in use, which changes from one moment to the next. */
export function checkDirectoryItself(dir: string, occupied: readonly OccupiedDirectory[]): void {
  checkOverlap(dir, occupied);
  checkExists(dir);
  checkFileSystem(dir);
  checkNoMountsBelow(dir);
}

/** Errors: DIRECTORY_IS_ROOT, DIRECTORY_OVERLAPS_GROUP, DIRECTORY_OVERLAPS_UNDERSTUDY. */
export function checkOverlap(dir: string, occupied: readonly OccupiedDirectory[]): void {
  if (dir === '/') {
    throw new UnderstudyError(
      'DIRECTORY_IS_ROOT',
      'the root directory cannot be protected: name the directories that hold data',
    );
  }
  for (const other of occupied) {
    if (!isWithin(dir, other.dir) && !isWithin(other.dir, dir)) continue;
    const relation =
      dir === other.dir ? 'is' : isWithin(dir, other.dir) ? 'lies inside' : 'contains';
    const where = dir === other.dir ? '' : ` (${other.dir})`;
    if (other.kind === 'group') {
      throw new UnderstudyError(
        'DIRECTORY_OVERLAPS_GROUP',
        `${dir} ${relation} a directory of ${other.owner}${where}: a file can belong to one group only`,
        { details: { dir, other: other.dir } },
      );
    }
    throw new UnderstudyError(
      'DIRECTORY_OVERLAPS_UNDERSTUDY',
      `${dir} ${relation} ${other.owner}${where}: Understudy cannot mirror itself, protect a directory apart from it`,
      { details: { dir, other: other.dir } },
    );
  }
}

/** Errors: DIRECTORY_MISSING, DIRECTORY_NOT_A_DIRECTORY, DIRECTORY_IS_SYMLINK. */
export function checkExists(dir: string): void {
  const stat = entryAt(dir);
  if (stat === undefined) {
    throw new UnderstudyError('DIRECTORY_MISSING', `${dir} does not exist: create it first`);
  }
  checkNoLink(dir);
  if (!stat.isDirectory()) {
    throw new UnderstudyError(
      'DIRECTORY_NOT_A_DIRECTORY',
      `${dir} is not a directory: protect ${dirname(dir)} with the file's name as include pattern`,
    );
  }
}

/** What a path names, be it a symbolic link that leads nowhere; undefined: nothing is there, or can be. */
export function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (thrown) {
    if (NOWHERE.includes((thrown as NodeJS.ErrnoException).code)) return undefined;
    throw thrown;
  }
}

/** `above`: the part of `dir` that is there. */
function checkNoLink(dir: string, above = dir): void {
  const real = realOf(above);
  if (real === above) return;
  throw new UnderstudyError(
    'DIRECTORY_IS_SYMLINK',
    `${dir} leads through a symbolic link to ${real ?? 'nothing'}: protect the directory itself instead`,
    { details: { dir, ...(real === undefined ? {} : { real }) } },
  );
}

/** Undefined: a link leads nowhere. */
function realOf(dir: string): string | undefined {
  try {
    return realpathSync(dir);
  } catch {
    return undefined;
  }
}

/**
 * A directory that is not there: whether it can be made, in what there is of its path.
 * Errors: DIRECTORY_IS_SYMLINK, DIRECTORY_NOT_A_DIRECTORY, DIRECTORY_FS_UNSUPPORTED.
 */
export function checkPlace(dir: string): void {
  let parent = dirname(dir);
  while (entryAt(parent) === undefined) parent = dirname(parent);
  checkNoLink(dir, parent);
  if (entryAt(parent)?.isDirectory() !== true) {
    throw new UnderstudyError(
      'DIRECTORY_NOT_A_DIRECTORY',
      `${dir} cannot be made, because ${parent} is not a directory: name another place`,
    );
  }
  checkFileSystem(dir, parent);
}

/** `above`: the part of `dir` that is there. Errors: DIRECTORY_FS_UNSUPPORTED. */
export function checkFileSystem(dir: string, above = dir): void {
  const type = statfsSync(above).type >>> 0;
  const name = SUPPORTED_TYPES.get(type);
  if (name === undefined) {
    throw unsupported(dir, `a file system of type 0x${type.toString(16)}`);
  }
  const path = cstring(Buffer.from(above).toString('latin1'));
  const handle = new Uint8Array(8 + FILE_HANDLE_BYTES);
  new DataView(handle.buffer).setUint32(0, FILE_HANDLE_BYTES, true);
  const handled = sys.nameToHandleAt(AT.FDCWD, path, handle, new Uint8Array(4), 0);
  if (handled < 0) throw unsupported(dir, `${name} without file handles (${errnoName(handled)})`);
  const probed = sys.lgetxattr(path, cstring('user.understudy'), new Uint8Array(1), 1);
  if (probed < 0 && probed !== -errno.ENODATA && probed !== -errno.ERANGE) {
    throw unsupported(dir, `${name} without extended attributes (${errnoName(probed)})`);
  }
}

function unsupported(dir: string, what: string): UnderstudyError {
  return new UnderstudyError(
    'DIRECTORY_FS_UNSUPPORTED',
    `${dir} is on ${what}: move the data to ext4, xfs or btrfs`,
  );
}

/** Errors: DIRECTORY_HAS_MOUNTS. */
export function checkNoMountsBelow(dir: string): void {
  const below = mountsBelow(readMountTable(), dir).map(({ mountPoint }) => mountPoint);
  if (below.length === 0) return;
  throw new UnderstudyError(
    'DIRECTORY_HAS_MOUNTS',
    `other file systems are mounted below ${dir} (${below.slice(0, 5).join(', ')}): protect them by paths of their own`,
    { details: { dir, mounts: below.slice(0, 50) } },
  );
}

/** Errors: DIRECTORY_BUSY with `details.processes`. */
export function checkNotInUse(dir: string, ignorePids?: ReadonlySet<number>): void {
  const processes = findDirectoryUsers(dir, ignorePids).map(describeUser);
  if (processes.length === 0) return;
  const shown = processes.slice(0, 5).join('; ');
  throw new UnderstudyError(
    'DIRECTORY_BUSY',
    `${dir} is in use by ${processes.length} process${processes.length === 1 ? '' : 'es'} (${shown}): stop them and try again`,
    { details: { dir, processes } },
  );
}

/** True when nothing is in the directory but what mkfs puts there. */
export function isEmptyDirectory(dir: string): boolean {
  return readdirSync(dir).every((name) => name === 'lost+found');
}
