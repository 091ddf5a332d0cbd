// Where the objects of a copy are, by inode number, while names are put back.
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { errno, S } from '../../linux/constants.ts';
import { DirectoryReader, DT } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { openDirectoryBeneath } from './beneath.ts';
import { SHELF_NAME } from './shelf.ts';
import { nameOf } from './paths.ts';

/** A name that leads to an object. */
export interface Location {
  readonly parent: number;
  readonly name: string;
}

/** Number of the directory of the orphans in names, whatever its inode is. */
export const ORPHANS = 0;
const DEPTH_MAX = 4096;

export class CopyTree {
  readonly rootFd: number;
  readonly root: number;
  readonly #identify: (ino: number) => number;
  readonly #wanted: ReadonlySet<number>;
  /** A directory has one, a file all its names. */
  readonly #locations = new Map<number, Location[]>();
  readonly #stat = new Stat();
  #orphans = -1;
  #shelf = -1;
  #parent: { ino: number; fd: number } | undefined;

  /**
   * `wanted`: inodes of files to look for; directories are all found. `identify` gives the inode number
   * that the log knows an object by (a clone has others). Throws the errno of what cannot be read.
   */
  constructor(
    rootFd: number,
    wanted: ReadonlySet<number>,
    identify: (ino: number) => number = (ino) => ino,
  ) {
    this.rootFd = rootFd;
    this.#wanted = wanted;
    this.#identify = identify;
    must(this.#stat.fd(rootFd), 'stat');
    this.root = identify(this.#stat.ino);
    this.#walk(rootFd, this.root, 0);
  }

  #walk(fd: number, ino: number, depth: number): void {
    if (depth > DEPTH_MAX) must(-errno.ELOOP, 'walk');
    const reader = new DirectoryReader(fd);
    const directories: [string, number][] = [];
    for (;;) {
      const entry = reader.next();
      if (entry === undefined) break;
      if (typeof entry === 'number') {
        reader.detach();
        must(entry, 'read');
        break;
      }
      const isDirectory = this.#isDirectory(fd, entry.name, entry.type);
      const own = this.#identify(entry.ino);
      if (!isDirectory && !this.#wanted.has(own)) continue;
      this.named(own, { parent: ino, name: entry.name });
      if (isDirectory) directories.push([entry.name, own]);
      if (depth === 0 && entry.name === ORPHAN_DIRECTORY) this.#orphans = own;
      if (ino === this.#orphans && entry.name === SHELF_NAME) this.#shelf = own;
    }
    reader.detach();
    for (const [name, own] of directories) {
      const below = openDirectoryBeneath(fd, name);
      must(below, 'open');
      this.#walk(below, own, depth + 1);
      sys.close(below);
    }
  }

  #isDirectory(fd: number, name: string, type: number): boolean {
    if (type !== DT.UNKNOWN) return type === DT.DIR;
    return this.#stat.at(fd, cstring(name)) === 0 && (this.#stat.mode & S.IFMT) === S.IFDIR;
  }

  get shelf(): number {
    return this.#shelf;
  }

  /** Inode of the directory of the orphans, or -1. */
  get orphans(): number {
    return this.#orphans;
  }

  /** A name of the object, one in the copy itself if there is any. */
  location(ino: number): Location | undefined {
    const all = this.#locations.get(ino);
    if (all === undefined || all.length < 2) return all?.[0];
    return all.find(({ parent }) => this.#isPlace(parent)) ?? all[0];
  }

  /** All names of the object. */
  locations(ino: number): readonly Location[] {
    return this.#locations.get(ino) ?? [];
  }

  /** Path from the root; undefined when the object is nowhere. */
  path(ino: number): string | undefined {
    if (ino === ORPHANS) return ORPHAN_DIRECTORY;
    const names: string[] = [];
    for (let at = ino; at !== this.root;) {
      const location = this.location(at);
      if (location === undefined || names.length > DEPTH_MAX) return undefined;
      names.push(location.name);
      at = location.parent;
    }
    return names.toReversed().join('/');
  }

  /** Whether the object is in the copy itself, not aside. */
  isInPlace(ino: number): boolean {
    if (ino === this.root) return true;
    const location = this.location(ino);
    return location !== undefined && this.#isPlace(location.parent);
  }

  #isPlace(directory: number): boolean {
    for (let at = directory, depth = 0; depth <= DEPTH_MAX; depth += 1) {
      if (at === this.root) return true;
      if (at === this.#shelf) return false;
      const location = this.#locations.get(at)?.[0];
      if (location === undefined) return false;
      at = location.parent;
    }
    return false;
  }

  /** An open descriptor of a directory, valid until the next call; or a negative errno. */
  open(ino: number): number {
    if (ino === this.root) return this.rootFd;
    if (this.#parent?.ino === ino) return this.#parent.fd;
    const path = this.path(ino);
    if (path === undefined) return -errno.ENOENT;
    const fd = openDirectoryBeneath(this.rootFd, path);
    if (fd < 0) return fd;
    this.close();
    this.#parent = { ino, fd };
    return fd;
  }

  /** Opens the directory for what is out of place, which is on the shelf. The caller closes it. */
  adoptAside(path: string): { fd: number; ino: number } {
    const stat = this.#stat;
    const find = (below: string): number => {
      const found = must(openDirectoryBeneath(this.rootFd, below), `open ${below}`);
      must(stat.fd(found), `stat ${below}`);
      return found;
    };
    const [orphans = '', shelf = ''] = path.split('/');
    sys.close(find(orphans));
    this.#orphans = this.#identify(stat.ino);
    this.#locations.set(this.#orphans, [{ parent: this.root, name: orphans }]);
    sys.close(find(`${orphans}/${shelf}`));
    this.#shelf = this.#identify(stat.ino);
    this.#locations.set(this.#shelf, [{ parent: this.#orphans, name: shelf }]);
    const fd = find(path);
    const ino = this.#identify(stat.ino);
    const name = nameOf(path);
    this.#locations.set(ino, [{ parent: this.#shelf, name }]);
    return { fd, ino };
  }

  /** What a name leads to: inode as the log knows it, 0 for nothing. Throws any other errno. */
  lookUp(fd: number, name: string): number {
    const result = this.#stat.at(fd, cstring(name));
    if (result === -errno.ENOENT) return 0;
    must(result, `look up ${name}`);
    return this.#identify(this.#stat.ino);
  }

  /** The object that {@link lookUp} found last. */
  get wasDirectory(): boolean {
    return (this.#stat.mode & S.IFMT) === S.IFDIR;
  }

  /** The object has one more name. */
  named(ino: number, at: Location): void {
    const all = this.#locations.get(ino);
    if (all === undefined) this.#locations.set(ino, [at]);
    else all.push(at);
  }

  /** A name of the object is another one now. */
  moved(ino: number, from: Location, to: Location): void {
    const all = this.#locations.get(ino) ?? [];
    const kept = all.filter(({ parent, name }) => parent !== from.parent || name !== from.name);
    this.#locations.set(ino, [...kept, to]);
  }

  close(): void {
    if (this.#parent !== undefined) sys.close(this.#parent.fd);
    this.#parent = undefined;
  }
}

/** Throws the errno of a call that failed. */
export function must(result: number, what: string): number {
  if (result < 0) throw new RollbackFailure(result, what);
  return result;
}

/** A call that failed while a copy was taken back; it may be tried again. */
export class RollbackFailure extends Error {
  readonly negative: number;

  constructor(negative: number, what: string) {
    super(what);
    this.negative = negative;
  }
}
