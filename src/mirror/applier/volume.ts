// One protected directory as the applier works on it: below a descriptor, never by absolute path.
import { assert } from '../../core/assert.ts';
import { NO_TIME, ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { AT, errnoName, S, errno } from '../../linux/constants.ts';
import { openDirectory, readDirectory } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { openDirectoryBeneath, openFileBeneath, openHandleBeneath } from './beneath.ts';
import { isMissing } from './fault.ts';
import { type Change, type Marker, MarkerWriter, removeMarker } from './marker.ts';
import { OpenObject, OpenObjects, type Time, setTimes } from './open-objects.ts';
import { SHELF, SHELF_NAME, type Shelf } from './shelf.ts';
import { nameOf, parentOf } from './paths.ts';

const TREE_DEPTH_MAX = 4096;
const ORPHAN_MODE = 0o700;
/** Unit of the blocks that statx(2) counts. */
const SECTOR_BYTES = 512;
/** Files with several names that are remembered as changed; with more the file system is synced. */
const CHANGED_MAX = 10_000;
const NOT_MARKED = { epoch: 0, sequence: 0, sourceIno: 0, targetIno: 0 };
const ORPHAN_PREFIX = `${ORPHAN_DIRECTORY}/`;

/** Where a name is: in which open directory, and how it is called there. */
export interface Place {
  readonly parent: OpenObject;
  readonly parentPath: string;
  readonly name: Buffer;
}

export interface VolumeOptions {
  readonly index: number;
  /** Name of the protected directory for messages. */
  readonly label: string;
  /** Descriptor of the protected directory, opened before the read-only cover; stays the caller's. */
  readonly fd: number;
  /** Open files, and as many open directories, at most. */
  readonly openMax: number;
}

export class Volume {
  readonly index: number;
  readonly label: string;
  readonly root: OpenObject;
  readonly open: OpenObjects;
  readonly stat = new Stat();
  /** For a second object at the same time. */
  readonly stat2 = new Stat();
  readonly #marker: MarkerWriter;
  /** Inodes with several names that were changed since the floor. */
  readonly #changed = new Set<number>();
  #floor = 0;
  #orphanDirectoryExists: boolean | undefined;
  #tidyWanted = true;
  #shelf: Shelf | undefined;
  /** Bytes of the files that are being moved to the shelf. */
  #asideBytes = 0;
  #onShelfLost: (negative: number) => void = () => undefined;
  /** Bytes of the files that were moved to the shelf since the start. */
  shelvedBytes = 0;
  /** Sequence of the record at hand, by which removed objects are called on the shelf. */
  sequence = 0;
  #marked: Marker | undefined;
  #markedBefore: Marker | undefined;

  constructor(options: VolumeOptions) {
    this.index = options.index;
    this.label = options.label;
    const result = this.stat.fd(options.fd);
    assert(result === 0 && (this.stat.mode & S.IFMT) === S.IFDIR, 'a volume is an open directory');
    this.root = new OpenObject(options.fd, this.stat.ino, false);
    this.open = new OpenObjects(this.root, options.openMax);
    this.#marker = new MarkerWriter(options.fd);
  }

  /** The regular file at `path`, open for reading and writing, or a negative errno. */
  file(path: string): OpenObject | number {
    const known = this.open.file(path);
    if (known !== undefined) return known;
    const fd = openFileBeneath(this.root.fd, path, this.stat);
    if (fd < 0) return fd;
    const file = new OpenObject(fd, this.stat.ino, this.stat.nlink > 1);
    this.open.addFile(path, file);
    return file;
  }

  /** The directory at `path`, open, or a negative errno. */
  directory(path: string): OpenObject | number {
    const known = this.open.directory(path);
    if (known !== undefined) return known;
    const fd = openDirectoryBeneath(this.root.fd, path);
    if (fd < 0) return fd;
    const result = this.stat.fd(fd);
    if (result < 0) {
      sys.close(fd);
      return result;
    }
    const directory = new OpenObject(fd, this.stat.ino, false);
    this.open.addDirectory(path, directory);
    return directory;
  }

  /** The open directory that has the last name of `path`. The root has no place: EINVAL. */
  place(path: string): Place | number {
    if (path === '') return -errno.EINVAL;
    const parentPath = parentOf(path);
    const parent = this.directory(parentPath);
    if (typeof parent === 'number') return parent;
    return { parent, parentPath, name: cstring(nameOf(path)) };
  }

  /** Calls `use` with a descriptor (perhaps O_PATH) of the object at `path`; `stat` is filled. */
  withObject(path: string, use: (fd: number, known: OpenObject | undefined) => number): number {
    const known = this.open.file(path) ?? this.open.directory(path);
    const fd = known?.fd ?? openHandleBeneath(this.root.fd, path);
    if (fd < 0) return fd;
    const result = this.stat.fd(fd);
    const outcome = result < 0 ? result : use(fd, known);
    if (known === undefined) sys.close(fd);
    return outcome;
  }

  /** statx(2) of a name, not following a link, into `stat`. */
  statPlace(place: Place, stat: Stat): number {
    return stat.at(place.parent.fd, place.name);
  }

  /** Notes the mtime of the directory at `path`, to be set at the end of the batch. */
  noteDirectoryTime(path: string, sec: number, nsec: number): number {
    if (nsec === NO_TIME) return 0;
    const directory = this.directory(path);
    if (typeof directory === 'number') return directory;
    this.open.noteTime(directory, sec, nsec);
    return 0;
  }

  /** Sets times of an object now, or at the end of the batch when it is kept open. */
  setTimes(fd: number, known: OpenObject | undefined, atime: Time, mtime: Time): number {
    if (atime.nsec === NO_TIME && mtime.nsec === NO_TIME) return 0;
    if (known !== undefined) {
      this.open.noteAccessTime(known, atime.sec, atime.nsec);
      this.open.noteTime(known, mtime.sec, mtime.nsec);
      return 0;
    }
    // Another name of this file may have an older time pending, which must not come later.
    const result = this.stat.fd(fd);
    if (result < 0) return result;
    if ((this.stat.mode & S.IFMT) === S.IFREG && this.stat.nlink > 1) this.open.flushTimes();
    return setTimes(fd, atime, mtime);
  }

  /** The change of names that was marked last. */
  get marker(): Marker | undefined {
    return this.#marked;
  }

  /** Records up to this one are on the disk with all their effects. */
  get floor(): number {
    return this.#floor;
  }

  /** After a restart: the marker that was found on the directory. */
  resume(marker: Marker | undefined): void {
    this.#marked = marker;
    this.#floor = marker?.floor ?? 0;
  }

  /** Says which change of names is about to be made. Returns 0 or a negative errno. */
  mark(change: Change): number {
    const marker = { ...change, floor: this.#floor };
    const result = this.#marker.write(marker);
    if (result < 0) return result;
    this.#markedBefore = this.#marked;
    this.#marked = marker;
    return 0;
  }

  /** What an earlier stream marked means nothing to the present one. */
  clearMarker(): number {
    this.#marked = undefined;
    this.#floor = 0;
    this.#changed.clear();
    return removeMarker(this.root.fd);
  }

  /** The change that was marked could not be made: as if it had not been tried. */
  unmark(): number {
    this.#marked = this.#markedBefore;
    return this.#marker.write({ ...(this.#marked ?? NOT_MARKED), floor: this.#floor });
  }

  /**
   * The record after `before` changes a file that has several names. After a crash it may be unknown
   * that they are one file: see {@link nameGoes}.
   */
  noteChange(ino: number, before: number): number {
    if (this.#changed.size >= CHANGED_MAX && !this.#changed.has(ino)) {
      const result = this.#settle(before);
      if (result < 0) return result;
    }
    this.#changed.add(ino);
    return 0;
  }

  /**
   * The record after `before` takes away a name of a file that keeps others. Changes made under the
   * name that goes could not be made again after a crash, while those made under the others would:
   * an old one could come back. So everything so far is brought to the disk, never to be made again.
   */
  nameGoes(ino: number, nlink: number, before: number): number {
    return nlink < 2 || !this.#changed.has(ino) ? 0 : this.#settle(before);
  }

  #settle(before: number): number {
    let result = this.open.flushTimes();
    if (result < 0) return result;
    result = sys.syncfs(this.root.fd);
    // Tried again, it would succeed, and what was lost would count as written.
    if (result < 0) throw new Error(lostText(this.label, result));
    this.#changed.clear();
    this.#floor = before;
    return this.#marker.write({ ...(this.#marked ?? NOT_MARKED), floor: before });
  }

  /**
   * From now on removed objects are kept on the shelf; undefined: they are removed for good. `onLost`
   * hears when one could not be kept, which ends the keeping.
   */
  keepRemoved(shelf: Shelf | undefined, onLost: (negative: number) => void): void {
    this.#shelf = shelf;
    this.#onShelfLost = onLost;
  }

  get keepsRemoved(): boolean {
    return this.#shelf !== undefined;
  }

  /** Takes a name away; its object is kept when that is wanted and this was its last name. */
  takeAway(place: Place, flags = 0): number {
    if (this.#shelf === undefined) return sys.unlinkat(place.parent.fd, place.name, flags);
    const found = this.statPlace(place, this.stat2);
    if (found < 0) return found;
    const isDirectory = (this.stat2.mode & S.IFMT) === S.IFDIR;
    if (!isDirectory && this.stat2.nlink > 1) {
      return sys.unlinkat(place.parent.fd, place.name, flags);
    }
    this.#asideBytes = isDirectory ? 0 : this.stat2.blocks * SECTOR_BYTES;
    const apart = isDirectory ? this.#unlinkShared(place.parent.fd, place.name, 0) : 0;
    if (apart < 0) return apart;
    const result = this.#shelve(this.#shelf, place);
    if (result === 0) this.shelvedBytes += this.#asideBytes;
    if (result === 0 || isMissing(result)) return result;
    // A full disk, for one. What is to go must go, even if it cannot come back.
    this.#shelf = undefined;
    this.#onShelfLost(result);
    return this.removeTree(place.parent.fd, place.name, 0);
  }

  /**
   * Takes the names of files that have others out of a directory that goes aside: the file stays in the
   * copy, and one name of it aside would count as a link. Counts what goes.
   */
  #unlinkShared(parentFd: number, name: Buffer, depth: number): number {
    if (depth >= TREE_DEPTH_MAX) return -errno.ELOOP;
    const fd = openDirectory(parentFd, name.toString('latin1', 0, name.length - 1));
    if (fd < 0) return fd;
    const entries = readDirectory(fd);
    let failure = typeof entries === 'number' ? entries : 0;
    for (const entry of typeof entries === 'number' ? [] : entries) {
      if (failure < 0) break;
      const below = cstring(entry.name);
      failure = this.stat2.at(fd, below);
      if (failure < 0) break;
      if ((this.stat2.mode & S.IFMT) === S.IFDIR)
        failure = this.#unlinkShared(fd, below, depth + 1);
      else if (this.stat2.nlink > 1) failure = sys.unlinkat(fd, below, 0);
      else this.#asideBytes += this.stat2.blocks * SECTOR_BYTES;
    }
    sys.close(fd);
    return failure;
  }

  #shelve(shelf: Shelf, { parent, name }: Place): number {
    const prepared = this.prepareOrphans(SHELF);
    const opened = prepared < 0 ? prepared : shelf.open();
    return opened < 0 ? opened : shelf.put(parent.fd, name, this.sequence);
  }

  /** Makes the orphan directory when `path` is in it. The root's mtime stays as it is. */
  prepareOrphans(path: string): number {
    if (!path.startsWith(ORPHAN_PREFIX) || this.#orphanDirectoryExists === true) return 0;
    const result = this.#keepingRootTime(() =>
      sys.mkdirat(this.root.fd, cstring(ORPHAN_DIRECTORY), ORPHAN_MODE),
    );
    if (result < 0 && result !== -errno.EEXIST) return result;
    this.#orphanDirectoryExists = true;
    return 0;
  }

  /** A name in the orphan directory (if `path` is one) goes: it may be empty then. */
  orphanGoes(path: string): void {
    if (path.startsWith(ORPHAN_PREFIX)) this.#tidyWanted = true;
  }

  /** Removes the orphan directory when it is empty. */
  tidyOrphans(): number {
    this.#tidyWanted = false;
    if (this.#orphanDirectoryExists === false) return 0;
    this.open.forget(ORPHAN_DIRECTORY);
    const result = this.#keepingRootTime(() =>
      sys.unlinkat(this.root.fd, cstring(ORPHAN_DIRECTORY), AT.REMOVEDIR),
    );
    this.#orphanDirectoryExists = result === -errno.ENOTEMPTY || result === -errno.EEXIST;
    const settled = this.#orphanDirectoryExists || isMissing(result);
    return settled ? 0 : result;
  }

  /** Removes all orphans: whoever had them open is gone. */
  removeOrphans(): number {
    this.open.forgetTree(ORPHAN_DIRECTORY);
    const orphans = this.directory(ORPHAN_DIRECTORY);
    if (typeof orphans === 'number') return isMissing(orphans) ? 0 : orphans;
    const entries = readDirectory(orphans.fd);
    if (typeof entries === 'number') return entries;
    for (const { name } of entries) {
      // What the undo log needs goes with the log.
      if (name === SHELF_NAME) continue;
      const place = { parent: orphans, parentPath: ORPHAN_DIRECTORY, name: cstring(name) };
      const result = this.clear(place, `${ORPHAN_PREFIX}${name}`);
      if (result < 0) return result;
    }
    return this.tidyOrphans();
  }

  #keepingRootTime(change: () => number): number {
    const before = this.stat2.fd(this.root.fd);
    if (before < 0) return before;
    const result = change();
    if (result === 0 && this.root.mtimeNsec === NO_TIME) {
      this.open.noteTime(this.root, this.stat2.mtimeSec, this.stat2.mtimeNsec);
    }
    return result;
  }

  /** Removes whatever is at a place. Returns 0, also when nothing was there, or a negative errno. */
  clear(place: Place, path: string): number {
    this.open.forgetTree(path);
    const kept = this.#shelf !== undefined;
    const result = kept ? this.takeAway(place) : this.removeTree(place.parent.fd, place.name, 0);
    return result === -errno.ENOENT ? 0 : result;
  }

  /**
   * Removes a name with everything below it, never following a link and never crossing into another
   * mount (EBUSY or EXDEV then). The caller forgets the open objects.
   */
  removeTree(parentFd: number, name: Buffer, depth: number): number {
    const result = sys.unlinkat(parentFd, name, 0);
    if (result !== -errno.EISDIR) return result;
    if (depth >= TREE_DEPTH_MAX) return -errno.ELOOP;
    const fd = openDirectoryBeneath(parentFd, name.toString('latin1', 0, name.length - 1));
    if (fd < 0) return fd;
    const entries = readDirectory(fd);
    let failure = typeof entries === 'number' ? entries : 0;
    for (const entry of typeof entries === 'number' ? [] : entries) {
      const removed = this.removeTree(fd, cstring(entry.name), depth + 1);
      if (removed < 0 && failure === 0) failure = removed;
    }
    sys.close(fd);
    return failure < 0 ? failure : sys.unlinkat(parentFd, name, AT.REMOVEDIR);
  }

  /** Sets all times that are pending. */
  endBatch(): number {
    const result = this.#tidyWanted ? this.tidyOrphans() : 0;
    return result < 0 ? result : this.open.flushTimes();
  }

  /** Sets what is pending and closes all descriptors except the root's, which is the caller's. */
  close(): number {
    const result = this.open.flushTimes();
    this.open.close();
    return result;
  }
}

const lostText = (label: string, negative: number): string =>
  `the file system of ${label} could not write everything to its disk (${errnoName(negative)}): check that disk`;
