// Clones the copies of a group as they are, and takes the clones back to an earlier state. The applier
// must have ended; the copies themselves are only read.
//
// Files share their blocks with the copy where the file system can do that (FICLONE), and are copied
// where not. What is on the shelf is cloned too: part of it is needed for the earlier state.
import { statfsSync, statSync } from 'node:fs';
import { MiB } from '../../core/units.ts';
import { UnderstudyError } from '../../core/errors.ts';
import { AT, errno, errnoName, O, S, SEEK } from '../../linux/constants.ts';
import { openDirectory, readDirectory, readXattrs } from '../../linux/dirents.ts';
import { addressOf, cpath, cstring, sys } from '../../linux/libc.ts';
import { makedev, Stat } from '../../linux/stat.ts';
import { applyXattrs, changeMode } from './attributes.ts';
import { openHandleBeneath, procPath } from './beneath.ts';
import { setTimes } from './open-objects.ts';
import { rollBack } from './rollback.ts';
import { sequenceOfItem, SHELF } from './shelf.ts';
import { Volume } from './volume.ts';
import { removeMarker } from './marker.ts';
import { nameOf, parentOf } from './paths.ts';

export interface CloneOptions {
  readonly logDirectory: string;
  readonly groupId: string;
  readonly target: number;
  readonly directories: readonly { readonly fd: number; readonly label: string }[];
  /** Empty directories, one for each. */
  readonly clones: readonly string[];
}

/** _IOW(0x94, 9, int) */
const FICLONE = 0x40049409;
/** XFS and btrfs (uapi/linux/magic.h). */
const SHARING_TYPES: ReadonlySet<number> = new Set([0x58465342, 0x9123683e]);
const SECTOR_BYTES = 512;
/** So much of the disk is left to the group. */
const FREE_SHARE = 0.1;
const PERMISSIONS = 0o7777;
const DEPTH_MAX = 4096;

/** Errors: REWIND_NOT_KEPT, UNDO_DAMAGED, CLONE_FAILED, ROLLBACK_FAILED. The copies do not change. */
export function cloneCopies(options: CloneOptions): void {
  const { directories, clones, target } = options;
  checkRoom(options);
  const opened = new Descriptors();
  try {
    const made = directories.map(({ fd }, index) => {
      const path = clones[index] ?? '';
      const to = sys.openat(AT.FDCWD, cpath(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
      opened.keep(to, `open ${path}`);
      return { fd: to, label: path, inodes: new Cloner(target).clone(fd, to) };
    });
    const identify = (index: number, ino: number): number =>
      // Numbers that mean nothing to the log must not be taken for its own.
      made[index]?.inodes.get(ino) ?? -ino - 10;
    rollBack({ ...options, directories: made, identify });
    for (const { fd, label } of made) {
      const volume = new Volume({ index: 0, label, fd, openMax: 1 });
      volume.removeOrphans();
      volume.removeTree(fd, cstring(SHELF), 0);
      volume.tidyOrphans();
      volume.close();
      removeMarker(fd);
      makeDurable(fd);
    }
  } finally {
    opened.closeAll();
  }
}

/** Copies what is in the directory `from` into the empty directory `to`; durable when it returns. Errors: CLONE_FAILED. */
export function cloneTree(from: number, to: number): void {
  new Cloner(Number.POSITIVE_INFINITY).clone(from, to);
  makeDurable(to);
}

function makeDurable(fd: number): void {
  const result = sys.syncfs(fd);
  if (result < 0) throw failed('bring the clone to its disk', result);
}

/** Where blocks cannot be shared, everything is copied: there has to be room, and some for the group. */
function checkRoom({ directories, clones }: CloneOptions): void {
  const [first = '/'] = clones;
  const to = statfsSync(first);
  const isShared = directories.every(({ fd }) => {
    const from = statfsSync(`/proc/self/fd/${fd}`);
    return SHARING_TYPES.has(from.type) && isSameDisk(fd, first);
  });
  if (isShared) return;
  const needed = directories.reduce((sum, { fd }) => sum + bytesBelow(fd), 0);
  const free = to.bavail * to.bsize - to.blocks * to.bsize * FREE_SHARE;
  if (needed <= free) return;
  const text = `${Math.ceil(needed / MiB)} MiB are needed and ${Math.max(0, Math.floor(free / MiB))} to spare`;
  throw failed(`copy everything to ${first}: ${text}`, -errno.ENOSPC);
}

const isSameDisk = (fd: number, path: string): boolean =>
  statSync(`/proc/self/fd/${fd}/.`).dev === statSync(path).dev;

function bytesBelow(fd: number): number {
  const stat = new Stat();
  const entries = readDirectory(fd);
  let bytes = 0;
  for (const { name } of typeof entries === 'number' ? [] : entries) {
    if (stat.at(fd, cstring(name)) < 0) continue;
    bytes += stat.blocks * SECTOR_BYTES;
    if ((stat.mode & S.IFMT) !== S.IFDIR) continue;
    const below = openDirectory(fd, name);
    if (below < 0) continue;
    bytes += bytesBelow(below);
    sys.close(below);
  }
  return bytes;
}

function failed(what: string, negative: number): UnderstudyError {
  return new UnderstudyError(
    'CLONE_FAILED',
    `cannot ${what} (${errnoName(negative)}): choose a directory with room for a copy, best on the ` +
      'file system of the copy itself; nothing of the group has changed',
  );
}

const piece = Buffer.from(new ArrayBuffer(MiB));
const pieceAddress = addressOf(piece);

/** Through memory. Returns how many bytes, or a negative errno. */
function copyPiece(from: number, to: number, at: number, length: number): number {
  const read = sys.pread(from, pieceAddress, Math.min(piece.length, length), at);
  return read <= 0 ? read : sys.pwrite(to, pieceAddress, read, at);
}

/** Descriptors that are to be closed, whatever happens. */
class Descriptors {
  readonly #open = new Set<number>();

  /** `fd`: as a system call returned it. Errors: CLONE_FAILED when it is an error. */
  keep(fd: number, what: string): void {
    if (fd < 0) throw failed(what, fd);
    this.#open.add(fd);
  }

  close(fd: number): void {
    this.#open.delete(fd);
    sys.close(fd);
  }

  closeAll(): void {
    for (const fd of this.#open) this.close(fd);
  }
}

class Cloner {
  readonly #target: number;
  readonly #stat = new Stat();
  readonly #own = new Stat();
  /** Inode of the original by that of its clone. */
  readonly #inodes = new Map<number, number>();
  /** Clones of files with several names: path below the root by inode of the original. */
  readonly #linked = new Map<number, string>();
  readonly #opened = new Descriptors();
  #rootFd = -1;

  /** Objects that were removed before `target` are left out. */
  constructor(target: number) {
    this.#target = target;
  }

  clone(from: number, to: number): ReadonlyMap<number, number> {
    this.#rootFd = to;
    try {
      this.#entries(from, to, '', 0);
    } finally {
      this.#opened.closeAll();
    }
    this.#must(this.#stat.fd(from), 'read the copy');
    this.#attributes(from, to);
    this.#note(to);
    return this.#inodes;
  }

  /** The inode of the original is in `#stat`. */
  #note(fd: number): void {
    this.#must(this.#own.fd(fd), 'read the clone');
    this.#inodes.set(this.#own.ino, this.#stat.ino);
  }

  #entries(from: number, to: number, path: string, depth: number): void {
    if (depth > DEPTH_MAX) throw failed(`clone ${path}`, -errno.ELOOP);
    const entries = readDirectory(from);
    if (typeof entries === 'number') throw failed(`read ${path}`, entries);
    for (const { name } of entries) {
      const sequence = path === SHELF ? sequenceOfItem(name) : undefined;
      if (path === SHELF && (sequence === undefined || sequence <= this.#target)) continue;
      this.#object(from, to, path === '' ? name : `${path}/${name}`, depth);
    }
  }

  #object(from: number, to: number, path: string, depth: number): void {
    const stat = this.#stat;
    const name = nameOf(path);
    const cname = cstring(name);
    this.#must(stat.at(from, cname), `read ${path}`);
    const type = stat.mode & S.IFMT;
    if (type !== S.IFDIR && stat.nlink > 1) {
      const first = this.#linked.get(stat.ino);
      if (first !== undefined) return this.#link(first, to, cname, path);
      this.#linked.set(stat.ino, path);
    }
    if (type === S.IFDIR) return this.#directory(from, to, path, depth);
    if (type === S.IFREG) this.#file(from, to, cname, path);
    else if (type === S.IFLNK) this.#symlink(from, to, cname, path);
    else {
      const device = Number(makedev(stat.rdevMajor, stat.rdevMinor));
      this.#must(
        sys.mknodat(to, cname, stat.mode & (S.IFMT | PERMISSIONS), device),
        `make ${path}`,
      );
    }
    const source = openHandleBeneath(from, name);
    this.#opened.keep(source, `open ${path}`);
    const clone = openHandleBeneath(to, name);
    this.#opened.keep(clone, `open the clone of ${path}`);
    this.#attributes(source, clone);
    this.#note(clone);
    this.#opened.close(source);
    this.#opened.close(clone);
  }

  #link(first: string, to: number, name: Buffer, path: string): void {
    const parent = openHandleBeneath(this.#rootFd, parentOf(first));
    this.#opened.keep(parent, `open the clone of ${first}`);
    this.#must(sys.linkat(parent, cstring(nameOf(first)), to, name, 0), `link ${path}`);
    this.#opened.close(parent);
  }

  #directory(from: number, to: number, path: string, depth: number): void {
    const name = nameOf(path);
    const source = openDirectory(from, name);
    this.#opened.keep(source, `open ${path}`);
    this.#must(sys.mkdirat(to, cstring(name), 0o700), `make ${path}`);
    const clone = openDirectory(to, name);
    this.#opened.keep(clone, `open the clone of ${path}`);
    this.#entries(source, clone, path, depth + 1);
    this.#must(this.#stat.fd(source), `read ${path}`);
    this.#attributes(source, clone);
    this.#note(clone);
    this.#opened.close(source);
    this.#opened.close(clone);
  }

  #file(from: number, to: number, name: Buffer, path: string): void {
    const { size } = this.#stat;
    const source = sys.openat(from, name, O.RDONLY | O.NOFOLLOW | O.NOATIME | O.CLOEXEC, 0);
    this.#opened.keep(source, `open ${path}`);
    const flags = O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC;
    const clone = sys.openat(to, name, flags, 0o600);
    this.#opened.keep(clone, `make ${path}`);
    if (sys.ioctl(clone, FICLONE, source) < 0) this.#copy(source, clone, size, path);
    this.#opened.close(source);
    this.#opened.close(clone);
  }

  /** Copies data, not holes. */
  #copy(from: number, to: number, size: number, path: string): void {
    this.#must(sys.ftruncate(to, size), `copy ${path}`);
    const offsets = Buffer.alloc(16);
    for (let at = 0; at < size;) {
      const data = sys.lseek(from, at, SEEK.DATA);
      if (data === -errno.ENXIO) return;
      this.#must(data, `read ${path}`);
      const hole = sys.lseek(from, data, SEEK.HOLE);
      const end = hole < 0 ? size : Math.min(hole, size);
      at = data;
      while (at < end) {
        offsets.writeBigInt64LE(BigInt(at), 0);
        offsets.writeBigInt64LE(BigInt(at), 8);
        let copied = sys.copyFileRange(from, offsets, to, offsets.subarray(8), end - at, 0);
        // File systems of different kinds.
        if (copied === -errno.EXDEV) copied = copyPiece(from, to, at, end - at);
        this.#must(copied === 0 ? -errno.EIO : copied, `copy ${path}`);
        at += copied;
      }
    }
  }

  #symlink(from: number, to: number, name: Buffer, path: string): void {
    const target = Buffer.alloc(4097);
    const length = sys.readlinkat(from, name, target, 4096);
    this.#must(length, `read ${path}`);
    target[length] = 0;
    this.#must(sys.symlinkat(target, to, name), `make ${path}`);
  }

  /** Attributes of the original, which `#stat` has, to its clone. Descriptors may be O_PATH. */
  #attributes(from: number, to: number): void {
    const stat = this.#stat;
    const what = 'set attributes of a clone';
    this.#must(sys.fchownat(to, cstring(''), stat.uid, stat.gid, AT.EMPTY_PATH), what);
    const path = procPath(from);
    const xattrs = readXattrs(path.toString('latin1', 0, path.length - 1), true);
    if (typeof xattrs === 'number') throw failed(what, xattrs);
    this.#must(applyXattrs(to, xattrs), what);
    if ((stat.mode & S.IFMT) !== S.IFLNK) this.#must(changeMode(to, stat.mode), what);
    const atime = { sec: stat.atimeSec, nsec: stat.atimeNsec };
    this.#must(setTimes(to, atime, { sec: stat.mtimeSec, nsec: stat.mtimeNsec }), what);
  }

  #must(result: number, what: string): void {
    if (result < 0) throw failed(what, result);
  }
}
