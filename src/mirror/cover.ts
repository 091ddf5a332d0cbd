// The read-only cover over a protected directory on the standby: everybody sees the copy, only the
// applier, through descriptors that it opened before, can write it.
//
// A clone of the directory's mount is made read-only first and put in place afterwards, so there is
// no moment in which the cover can be written, and copies of it in other mount namespaces are
// read-only too (a later remount would not reach those).
//
// Which directories are covered is noted in a file first: after a crash the cover is still there
// and has to be told apart from a mount of the operator's.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { AT, errnoName, MNT, O } from '../linux/constants.ts';
import { addressOf, cpath, cstring, sys } from '../linux/libc.ts';
import { type MountEntry, mountsOn, readMountTable } from '../linux/mount-table.ts';

// Numbers are the same on all architectures (uapi/asm-generic/unistd.h; uapi/linux/mount.h).
const OPEN_TREE = 428;
const MOVE_MOUNT = 429;
const MOUNT_SETATTR = 442;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_BYTES = 32;

const NOTE_FILE = 'covers.json';
const noteSchema = z.strictObject({ bootId: z.string(), dirs: z.array(z.string()) });

/** A protected directory and a descriptor of it from before it was covered. */
export interface CoveredDirectory {
  readonly dir: string;
  readonly fd: number;
}

/**
 * Opens the directories and covers them. Leftovers of a former run are taken away first.
 * Errors: DIRECTORY_UNUSABLE, COVER_FAILED; then nothing is covered.
 */
export function coverDirectories(
  dirs: readonly string[],
  stateDirectory: string,
): CoveredDirectory[] {
  uncoverDirectories(stateDirectory);
  writeFileSync(join(stateDirectory, NOTE_FILE), JSON.stringify({ bootId: bootId(), dirs }), {
    mode: 0o600,
  });
  const covered: CoveredDirectory[] = [];
  try {
    for (const dir of dirs) {
      const fd = sys.openat(AT.FDCWD, cpath(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
      if (fd < 0) {
        const why = `cannot open the protected directory ${dir}: ${errnoName(fd)}`;
        throw new UnderstudyError('DIRECTORY_UNUSABLE', `${why}; create it or correct its rights`);
      }
      covered.push({ dir, fd });
      cover(dir);
    }
    return covered;
  } catch (error) {
    for (const { fd } of covered) sys.close(fd);
    uncoverDirectories(stateDirectory);
    throw error;
  }
}

/** Takes away the covers that the note in `stateDirectory` names. */
export function uncoverDirectories(stateDirectory: string): void {
  const path = join(stateDirectory, NOTE_FILE);
  if (!existsSync(path)) return;
  const note = noteSchema.safeParse(parse(readFileSync(path, 'utf8')));
  if (note.success && note.data.bootId === bootId()) {
    for (const dir of note.data.dirs) {
      // More than one when a former run was killed between noting and covering again.
      for (let tries = 0; tries < 8 && hasCover(dir); tries += 1) {
        sys.umount2(cpath(dir), MNT.DETACH);
      }
    }
  }
  rmSync(path, { force: true });
}

/**
 * Covers again what somebody uncovered, and returns it. Where something else is mounted over the cover, nobody can
 * write the copy. Errors: COVER_FAILED.
 */
export function coverAgain(dirs: readonly string[], table: readonly MountEntry[]): string[] {
  const lost = dirs.filter((dir) => !mountsOn(table, dir).some(isCover));
  for (const dir of lost) cover(dir);
  return lost;
}

function cover(dir: string): void {
  const path = cpath(dir);
  const empty = cstring('');
  const clone = sys.syscall(OPEN_TREE, AT.FDCWD, path, OPEN_TREE_CLONE | O.CLOEXEC, 0);
  if (clone < 0) throw failed(dir, 'open_tree', clone);
  try {
    const attributes = new Uint8Array(new ArrayBuffer(MOUNT_ATTR_BYTES));
    new DataView(attributes.buffer).setBigUint64(0, MOUNT_ATTR_RDONLY, true);
    const at = addressOf(attributes);
    const set = sys.syscall5(MOUNT_SETATTR, clone, empty, AT.EMPTY_PATH, at, MOUNT_ATTR_BYTES);
    if (set < 0) throw failed(dir, 'mount_setattr', set);
    // The path is absolute: the descriptor before it does not count.
    const to = addressOf(path);
    const moved = sys.syscall5(MOVE_MOUNT, clone, empty, 0, to, MOVE_MOUNT_F_EMPTY_PATH);
    if (moved < 0) throw failed(dir, 'move_mount', moved);
  } finally {
    sys.close(clone);
  }
}

function failed(dir: string, call: string, negative: number): UnderstudyError {
  return new UnderstudyError(
    'COVER_FAILED',
    `cannot make ${dir} read-only for others: ${call} failed with ${errnoName(negative)}; ` +
      'it needs root and Linux 5.12',
  );
}

/** Whether the topmost mount on `dir` is one. */
function hasCover(dir: string): boolean {
  const topmost = mountsOn(readMountTable(), dir).at(-1);
  return topmost !== undefined && isCover(topmost);
}

/** Read-only, and no file system of user space. */
const isCover = ({ options, type }: MountEntry): boolean =>
  options.includes('ro') && !type.startsWith('fuse');

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
