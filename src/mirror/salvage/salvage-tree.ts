// A tree of files that are kept: paths as they were, with the directories on the way. Attributes of
// directories come last, because everything that is put into them changes their times.
import { AT, errno, S } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { unpackDevice } from '../../linux/stat.ts';
import { applyXattrs, changeMode } from '../applier/attributes.ts';
import { openDirectoryBeneath, openHandleBeneath } from '../applier/beneath.ts';
import { setTimes } from '../applier/open-objects.ts';
import { nameOf, parentOf } from '../applier/paths.ts';
import { must } from '../applier/rollback-tree.ts';
import { type OwnObject, typeOf } from './own-object.ts';

const MODE = 0o700;
const EMPTY = cstring('');
const PERMISSIONS = 0o7777;

export class SalvageTree {
  /** The open directory that the paths are below; the caller's. */
  readonly #fd: number;
  readonly #describe: (path: string) => OwnObject | undefined;
  readonly #made = new Set<string>(['']);

  /** `describe`: what the directory at a path was like. */
  constructor(fd: number, describe: (path: string) => OwnObject | undefined) {
    this.#fd = fd;
    this.#describe = describe;
  }

  /** Moves the file `name` of the open directory `from` to its path. Throws RollbackFailure. */
  place(from: number, name: string, path: string): void {
    this.#within(path, (parent, last) => sys.renameat2(from, cstring(name), parent, last, 0));
  }

  /** Another name of a file that is in its place. */
  link(present: string, path: string): void {
    const from = must(this.#parent(present), `open ${present}`);
    this.#within(path, (parent, last) =>
      sys.linkat(from, cstring(nameOf(present)), parent, last, 0),
    );
    sys.close(from);
  }

  /** Makes anything but a regular file. `target`: of a symbolic link. */
  make(path: string, object: OwnObject, target: string): void {
    const type = typeOf(object);
    if (type === S.IFDIR) {
      this.#directory(path);
      return;
    }
    this.#within(path, (parent, last) =>
      type === S.IFLNK
        ? sys.symlinkat(cstring(target), parent, last)
        : sys.mknodat(parent, last, type | MODE, Number(unpackDevice(object.rdev))),
    );
    this.describe(path, object);
  }

  /** Gives what is at a path its attributes. */
  describe(path: string, object: OwnObject): void {
    const fd = must(openHandleBeneath(this.#fd, path), `open ${path}`);
    try {
      const { uid, gid, mode, xattrs, atime, mtime } = object;
      must(sys.fchownat(fd, EMPTY, uid, gid, AT.EMPTY_PATH), `change the owner of ${path}`);
      must(applyXattrs(fd, xattrs), `set attributes of ${path}`);
      if (typeOf(object) !== S.IFLNK) must(changeMode(fd, mode & PERMISSIONS), `chmod ${path}`);
      must(setTimes(fd, atime, mtime), `set times of ${path}`);
    } finally {
      sys.close(fd);
    }
  }

  /** Attributes of the directories, deepest first. */
  finish(): void {
    for (const path of [...this.#made].toSorted((a, b) => depth(b) - depth(a))) {
      const object = path === '' ? undefined : this.#describe(path);
      if (object !== undefined) this.describe(path, object);
    }
  }

  #within(path: string, use: (parent: number, name: Buffer) => number): void {
    const parent = must(this.#parent(path), `make the directory of ${path}`);
    const result = use(parent, cstring(nameOf(path)));
    sys.close(parent);
    must(result, `keep ${path}`);
  }

  #parent(path: string): number {
    const parent = parentOf(path);
    this.#directory(parent);
    return openDirectoryBeneath(this.#fd, parent);
  }

  #directory(path: string): void {
    if (this.#made.has(path)) return;
    this.#directory(parentOf(path));
    const parent = must(openDirectoryBeneath(this.#fd, parentOf(path)), `open ${parentOf(path)}`);
    const made = sys.mkdirat(parent, cstring(nameOf(path)), MODE);
    sys.close(parent);
    if (made !== -errno.EEXIST) must(made, `make ${path}`);
    this.#made.add(path);
  }
}

const depth = (path: string): number => path.split('/').length;
