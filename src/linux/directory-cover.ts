// The read-only mount over a protected directory, by which others see it and cannot write it, and the way to the directory
// beneath.
//
// A clone of the directory's mount is made read-only first and put in place afterwards, so there is no moment in which
// the cover can be written, and copies of it in other mount namespaces are read-only too (a later remount would not
// reach those). Nobody has to take a cover away to work beneath it: that would leave the directory to everybody for as
// long as the kernel takes to unmount.
import { dirname } from 'node:path';
import { UnderstudyError } from '../core/errors.ts';
import { AT, errno, errnoName, O } from './constants.ts';
import { addressOf, cpath, cstring, EMPTY_NAME, sys } from './libc.ts';
import { mountId } from './mount-identity.ts';
import {
  leftoverMounts,
  type MountEntry,
  mountsOn,
  mountUnder,
  readMountTable,
} from './mount-table.ts';

// Numbers are the same on all architectures (uapi/asm-generic/unistd.h; uapi/linux/mount.h).
const OPEN_TREE = 428;
const MOVE_MOUNT = 429;
const MOUNT_SETATTR = 442;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
/** Since Linux 6.5. */
const MOVE_MOUNT_BENEATH = 0x200;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_BYTES = 32;
const ATTR_SET_AT = 0;
const ATTR_CLR_AT = 8;
/** MAX_HANDLE_SZ of uapi/linux/fcntl.h, behind size and type of the handle. */
const HANDLE_BYTES = 8 + 128;

/** A cover as we make them: read-only, and no file system of user space. */
const isCover = ({ options, type }: MountEntry): boolean =>
  options.includes('ro') && !type.startsWith('fuse');

/** Whether there is one on `dir`, whatever is mounted over it. */
export function hasCover(dir: string, table: readonly MountEntry[]): boolean {
  return mountsOn(table, dir).some(isCover);
}

/** Whether what is seen at `dir` is a cover of ours. */
export function isCovered(dir: string, table: readonly MountEntry[] = readMountTable()): boolean {
  const [topmost] = leftoverMounts(table, dir);
  return topmost !== undefined && isCover(topmost);
}

/**
 * Covers a directory. `beneath`: a path to it past what is mounted over it, so that the cover comes between the two.
 * Errors: COVER_FAILED, with `beneath` also where the kernel cannot do that.
 */
export function cover(dir: string, { beneath }: { beneath?: string } = {}): void {
  const clone = cloneMount(beneath ?? dir);
  if (clone < 0) throw failed(dir, 'open_tree', clone);
  try {
    const set = setReadOnly(clone, true);
    if (set < 0) throw failed(dir, 'mount_setattr', set);
    const flags = MOVE_MOUNT_F_EMPTY_PATH | (beneath === undefined ? 0 : MOVE_MOUNT_BENEATH);
    // The path is absolute: the descriptor before it does not count.
    const path = cpath(dir);
    const to = addressOf(path);
    const moved = sys.syscall5(MOVE_MOUNT, clone, EMPTY_NAME, 0, to, flags);
    if (moved < 0) throw failed(dir, 'move_mount', moved);
  } finally {
    sys.close(clone);
  }
}

/**
 * Opens the directory that is seen at `dir`, or what is beneath where that is a cover of ours: the descriptor can be
 * written through. Negative errno.
 */
export function openUnderneath(dir: string): number {
  const table = readMountTable();
  if (!isCovered(dir, table)) return openDirectory(AT.FDCWD, cpath(dir));
  const ours = new Set(leftoverMounts(table, dir).map(({ id }) => id));
  const under = mountUnder(table, dir, ({ id }) => ours.has(id));
  const onMount = under === undefined ? -errno.ENOENT : openOnMount(dir, under);
  return onMount < 0 ? openThroughClone(dir) : onMount;
}

/** On the very mount that carries it, which another directory of that mount leads to: its parent, if it is no mount point. */
function openOnMount(dir: string, under: MountEntry): number {
  const parent = openDirectory(AT.FDCWD, cpath(dirname(dir)));
  if (parent < 0) return parent;
  try {
    if (mountId(parent) !== under.id) return -errno.EXDEV;
    const handle = new Uint8Array(new ArrayBuffer(HANDLE_BYTES));
    new DataView(handle.buffer).setUint32(0, HANDLE_BYTES - 8, true);
    const named = sys.nameToHandleAt(AT.FDCWD, cpath(dir), handle, new Uint8Array(4), 0);
    if (named < 0) return named;
    return sys.openByHandleAt(parent, handle, O.RDONLY | O.DIRECTORY | O.CLOEXEC);
  } finally {
    sys.close(parent);
  }
}

/** On a clone of the cover that can be written and is nowhere to be seen; it lives as long as the descriptor. */
function openThroughClone(dir: string): number {
  const clone = cloneMount(dir);
  if (clone < 0) return clone;
  const set = setReadOnly(clone, false);
  const fd = set < 0 ? set : openDirectory(clone, cstring('.'));
  sys.close(clone);
  return fd;
}

function openDirectory(at: number, path: Uint8Array): number {
  return sys.openat(at, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
}

function cloneMount(path: string): number {
  return sys.syscall(OPEN_TREE, AT.FDCWD, cpath(path), OPEN_TREE_CLONE | O.CLOEXEC, 0);
}

function setReadOnly(mount: number, isReadOnly: boolean): number {
  const attributes = new Uint8Array(new ArrayBuffer(MOUNT_ATTR_BYTES));
  const at = isReadOnly ? ATTR_SET_AT : ATTR_CLR_AT;
  new DataView(attributes.buffer).setBigUint64(at, MOUNT_ATTR_RDONLY, true);
  const address = addressOf(attributes);
  return sys.syscall5(MOUNT_SETATTR, mount, EMPTY_NAME, AT.EMPTY_PATH, address, MOUNT_ATTR_BYTES);
}

function failed(dir: string, call: string, negative: number): UnderstudyError {
  return new UnderstudyError(
    'COVER_FAILED',
    `cannot make ${dir} read-only for others: ${call} failed with ${errnoName(negative)}; ` +
      'it needs root and Linux 5.12',
  );
}
