// Where removed objects wait until nobody can want them back: `.understudy/undo` at the root of the
// copy, on the same file system, so that removing is a rename and the inode stays what it was.
//
// An object is called SEQUENCE-N there, by the record that removed it.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { AT, errno, RENAME } from '../../linux/constants.ts';
import { readDirectory } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { openDirectoryBeneath } from './beneath.ts';

export const SHELF = `${ORPHAN_DIRECTORY}/undo`;
/** Name of the shelf in the directory of the orphans. */
export const SHELF_NAME = 'undo';
const SHELF_MODE = 0o700;
const ITEMS_PER_RECORD_MAX = 1_000_000;
const ITEM = /^(\d{1,16})-\d+$/;

/** Sequence of the record that removed the object with this name on the shelf. */
export function sequenceOfItem(name: string): number | undefined {
  const digits = ITEM.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Whether a path of a record leads to the shelf, where records have nothing to do. */
export function isOnShelf(path: string): boolean {
  return path === SHELF || path.startsWith(`${SHELF}/`);
}

/** Removes the shelf of a directory that is no copy any more, at leisure: it may be large. */
export async function removeShelf(root: string): Promise<void> {
  await rm(join(root, SHELF), { recursive: true, force: true });
}

export class Shelf {
  readonly #rootFd: number;
  #fd = -1;
  #sequence = 0;
  #next = 0;

  constructor(rootFd: number) {
    this.#rootFd = rootFd;
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** Makes the shelf; the directory of the orphans is there. Returns 0 or a negative errno. */
  open(): number {
    if (this.#fd >= 0) return 0;
    const made = sys.mkdirat(this.#rootFd, cstring(SHELF), SHELF_MODE);
    if (made < 0 && made !== -errno.EEXIST) return made;
    const fd = openDirectoryBeneath(this.#rootFd, SHELF);
    if (fd < 0) return fd;
    this.#fd = fd;
    return 0;
  }

  /** Moves a name out of the directory `parentFd` to the shelf. Returns 0 or a negative errno. */
  put(parentFd: number, name: Buffer, sequence: number): number {
    if (sequence !== this.#sequence) this.#next = 0;
    this.#sequence = sequence;
    for (; this.#next < ITEMS_PER_RECORD_MAX;) {
      const item = cstring(`${sequence}-${this.#next}`);
      this.#next += 1;
      const result = sys.renameat2(parentFd, name, this.#fd, item, RENAME.NOREPLACE);
      // Left by a former attempt to apply the same record.
      if (result !== -errno.EEXIST) return result;
    }
    return -errno.EEXIST;
  }

  /** Names of the objects on the shelf, or a negative errno. */
  items(): string[] | number {
    if (this.#fd < 0) return [];
    const entries = readDirectory(this.#fd);
    return typeof entries === 'number' ? entries : entries.map(({ name }) => name);
  }

  /** The open directory. */
  get fd(): number {
    return this.#fd;
  }

  /** Removes the shelf when it is empty. */
  removeIfEmpty(): void {
    this.close();
    sys.unlinkat(this.#rootFd, cstring(SHELF), AT.REMOVEDIR);
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = -1;
  }
}
