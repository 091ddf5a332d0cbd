// A whole directory tree as data: everything that a copy has to have in common with its original.
//
// Not recorded, because a copy may differ in it: atime, ctime, inode numbers, sizes and link counts
// of directories, `trusted.understudy.*` and `trusted.SGI_ACL_*` attributes, and `.understudy` at the root.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { xxh3 } from '@node-rs/xxhash';

import { AT, O, S, SEEK, errno, errnoName } from '../../src/linux/constants.ts';
import { readDirectory, readXattrs } from '../../src/linux/dirents.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { Stat } from '../../src/linux/stat.ts';

const { Xxh3 } = xxh3;
const BLOCK_BYTES = 64 * 1024;
const HOLE_GRAIN_BYTES = 4096;
const FADV_DONTNEED = 4;
const ZEROS = Buffer.alloc(BLOCK_BYTES);
/** Our own, and the second form in which XFS shows POSIX ACLs. */
const IGNORED_XATTRS = /^trusted\.(understudy\.|SGI_ACL_)/;
const OWN_DIRECTORY = '.understudy';

/** One object. `xattrs` and `data` are text so that they compare with `===`. */
export interface TreeEntry {
  readonly type: string;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: string;
  /** `name=hex` in order of names, one per line. */
  readonly xattrs: string;
  /** Zero for directories. */
  readonly nlink: number;
  /** First path (in order of the walk) of the same inode when it has several names here. */
  readonly linkedTo: string;
  readonly size: number;
  readonly rdev: string;
  readonly target: string;
  /** Hash of the contents, with holes as zeros. */
  readonly hash: string;
  /** Ranges with data, rounded outwards to 4 KiB: `0-8192,65536-69632`. */
  readonly data: string;
}

/** A tree; keys are latin1 paths from its root, the root itself is the empty path. */
export interface Tree {
  readonly root: string;
  readonly entries: ReadonlyMap<string, TreeEntry>;
}

export interface CompareOptions {
  /**
   * Compare which ranges of files are holes. Default true. `allocated`: what is not a hole in `a` is none in `b`, and `b` has
   * data in space only that `a` has allocated, written or not: as it may be after a scan (docs/limits.md).
   */
  readonly holes?: boolean | 'allocated';
  /** Compare modification times. Default true. */
  readonly mtime?: boolean;
  /** At most so many sentences. Default 100. */
  readonly limit?: number;
}

/** Reads the tree at `dir`, streaming file contents. Throws when something cannot be read. */
export function snapshotTree(dir: string): Tree {
  const entries = new Map<string, TreeEntry>();
  const walk: Walk = { entries, stat: new Stat(), firstNames: new Map(), root: dir };
  const fd = sys.openat(AT.FDCWD, cstring(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  check(fd, dir, 'open');
  try {
    check(walk.stat.fd(fd), dir, 'stat');
    entries.set('', describe(walk, { fd, name: '.', path: '' }));
    walkDirectory(walk, fd, '');
  } finally {
    sys.close(fd);
  }
  return { root: dir, entries };
}

interface Walk {
  readonly root: string;
  readonly entries: Map<string, TreeEntry>;
  readonly firstNames: Map<string, string>;
  readonly stat: Stat;
}

interface Place {
  /** Descriptor of the directory that has `name`. */
  readonly fd: number;
  readonly name: string;
  readonly path: string;
}

function walkDirectory(walk: Walk, fd: number, path: string): void {
  const names = readDirectory(fd);
  if (typeof names === 'number') throw failure(names, path, 'read directory');
  names.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name } of names) {
    if (path === '' && name === OWN_DIRECTORY) continue;
    const childPath = path === '' ? name : `${path}/${name}`;
    check(walk.stat.at(fd, cstring(name)), childPath, 'stat');
    const entry = describe(walk, { fd, name, path: childPath });
    walk.entries.set(childPath, entry);
    if (entry.type !== 'directory') continue;
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
    const child = sys.openat(fd, cstring(name), flags, 0);
    check(child, childPath, 'open');
    try {
      walkDirectory(walk, child, childPath);
    } finally {
      sys.close(child);
    }
  }
}

const TYPES: Readonly<Record<number, string>> = {
  [S.IFSOCK]: 'socket',
  [S.IFLNK]: 'symlink',
  [S.IFREG]: 'file',
  [S.IFBLK]: 'block device',
  [S.IFDIR]: 'directory',
  [S.IFCHR]: 'character device',
  [S.IFIFO]: 'fifo',
};

/** Describes the object that `walk.stat` holds. */
function describe(walk: Walk, place: Place): TreeEntry {
  const { stat } = walk;
  const type = TYPES[stat.mode & S.IFMT] ?? `type ${stat.mode & S.IFMT}`;
  const directory = type === 'directory';
  const device = type.endsWith('device');
  const { size } = stat;
  const entry = {
    type,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtime: `${stat.mtimeSec}.${String(stat.mtimeNsec).padStart(9, '0')}`,
    xattrs: describeXattrs(place),
    nlink: directory ? 0 : stat.nlink,
    linkedTo: directory || stat.nlink === 1 ? '' : firstName(walk, place.path),
    size: directory ? 0 : size,
    rdev: device ? `${stat.rdevMajor}:${stat.rdevMinor}` : '',
    target: type === 'symlink' ? readTarget(place) : '',
    hash: '',
    data: '',
  };
  if (type !== 'file' || (entry.linkedTo !== '' && entry.linkedTo !== place.path)) return entry;
  return { ...entry, ...describeContents(place, size) };
}

function firstName(walk: Walk, path: string): string {
  const { devMajor, devMinor, ino } = walk.stat;
  const key = `${devMajor}:${devMinor}:${ino}`;
  const known = walk.firstNames.get(key);
  if (known !== undefined) return known;
  walk.firstNames.set(key, path);
  return path;
}

function describeXattrs({ fd, name, path }: Place): string {
  const xattrs = readXattrs(`/proc/self/fd/${fd}/${name}`);
  if (typeof xattrs === 'number') throw failure(xattrs, path, 'read extended attributes');
  return [...xattrs]
    .filter(([key]) => !IGNORED_XATTRS.test(key))
    .map(([key, value]) => `${key}=${value.toString('hex')}`)
    .sort()
    .join('\n');
}

function readTarget({ fd, name, path }: Place): string {
  const target = Buffer.alloc(4096);
  const length = sys.readlinkat(fd, cstring(name), target, target.length);
  check(length, path, 'readlink');
  return target.toString('latin1', 0, length);
}

function describeContents(place: Place, size: number): { hash: string; data: string } {
  const file = openForReading(place.fd, place.name);
  check(file, place.path, 'open');
  try {
    forgetPages(file, place.path);
    const ranges = dataRanges(file, size);
    return { hash: hashContents(file, ranges, place.path), data: describeRanges(ranges, size) };
  } finally {
    sys.close(file);
  }
}

function openForReading(fd: number, name: string): number {
  const flags = O.RDONLY | O.NOFOLLOW | O.NONBLOCK | O.CLOEXEC;
  const file = sys.openat(fd, cstring(name), flags | O.NOATIME, 0);
  return file === -errno.EPERM ? sys.openat(fd, cstring(name), flags, 0) : file;
}

/**
 * Holes are compared as they are on disk: in space that is allocated but not written, a page that
 * was merely read counts as data, until the kernel drops it.
 */
function forgetPages(file: number, path: string): void {
  check(sys.fdatasync(file), path, 'write out');
  sys.posixFadvise(file, 0, 0, FADV_DONTNEED);
}

/**
 * The same for all files of the machine: what is underneath a filter cannot be forgotten through it. `sync` first, since
 * pages that are to be written stay.
 */
export function forgetAllPages(): void {
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '1');
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Ranges with data of an open file, merged. The whole file where SEEK_DATA is not supported. */
function dataRanges(file: number, size: number): Range[] {
  const ranges: Range[] = [];
  let at = 0;
  while (at < size) {
    const from = sys.lseek(file, at, SEEK.DATA);
    if (from === -errno.ENXIO) break;
    if (from < 0) return [{ from: 0, to: size }];
    const to = Math.min(sys.lseek(file, from, SEEK.HOLE), size);
    if (to <= from) break;
    ranges.push({ from, to });
    at = to;
  }
  return ranges;
}

function describeRanges(ranges: readonly Range[], size: number): string {
  const merged: { from: number; to: number }[] = [];
  for (const range of ranges) {
    const from = Math.floor(range.from / HOLE_GRAIN_BYTES) * HOLE_GRAIN_BYTES;
    const to = Math.min(size, Math.ceil(range.to / HOLE_GRAIN_BYTES) * HOLE_GRAIN_BYTES);
    const last = merged.at(-1);
    if (last !== undefined && last.to >= from) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged.map(({ from, to }) => `${from}-${to}`).join(',');
}

/** Whether `inner` lies within `middle`, and that within `outer`; ranges as in `TreeEntry.data`. */
function isWithin(inner: string, middle: string, outer: string): boolean {
  const end = (text: string): number => Number(text.slice(text.lastIndexOf('-') + 1));
  const size = Math.max(end(inner), end(middle));
  const union = (a: string, b: string): string =>
    describeRanges(
      [...parseRanges(a), ...parseRanges(b)].sort((x, y) => x.from - y.from),
      size,
    );
  const cut = describeRanges(
    parseRanges(outer).filter(({ from }) => from < size),
    size,
  );
  return union(inner, middle) === middle && union(middle, cut) === cut;
}

function parseRanges(text: string): Range[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [from = 0, to = 0] = part.split('-').map(Number);
      return { from, to };
    });
}

/** struct fiemap and struct fiemap_extent, include/uapi/linux/fiemap.h. */
const FS_IOC_FIEMAP = 0xc020_660b;
const FIEMAP_HEADER_BYTES = 32;
const FIEMAP_EXTENT_BYTES = 56;
const FIEMAP_EXTENTS_MAX = 512;
const FIEMAP_EXTENT_LAST = 1;

/** Ranges of a file for which its file system has space, written or not. */
function allocated(path: string, tree: Tree): string {
  const place = `${tree.root}/${path}`;
  const file = openForReading(AT.FDCWD, place);
  check(file, place, 'open');
  const map = Buffer.alloc(FIEMAP_HEADER_BYTES + FIEMAP_EXTENTS_MAX * FIEMAP_EXTENT_BYTES);
  const ranges: Range[] = [];
  try {
    for (let isLast = false; !isLast;) {
      map.fill(0);
      map.writeBigUInt64LE(BigInt(ranges.at(-1)?.to ?? 0), 0);
      map.writeBigUInt64LE(2n ** 63n - 1n, 8);
      map.writeUInt32LE(FIEMAP_EXTENTS_MAX, 24);
      check(sys.ioctl(file, FS_IOC_FIEMAP, map), place, 'ask for the extents');
      const count = map.readUInt32LE(20);
      isLast = count === 0;
      for (let i = 0; i < count; i += 1) {
        const at = FIEMAP_HEADER_BYTES + i * FIEMAP_EXTENT_BYTES;
        const from = Number(map.readBigUInt64LE(at));
        ranges.push({ from, to: from + Number(map.readBigUInt64LE(at + 16)) });
        if ((map.readUInt32LE(at + 40) & FIEMAP_EXTENT_LAST) !== 0) isLast = true;
      }
    }
  } finally {
    sys.close(file);
  }
  return describeRanges(ranges, Number.MAX_SAFE_INTEGER);
}

const block = Buffer.alloc(BLOCK_BYTES);
const position = Buffer.alloc(8);

/** Blocks that are all zero do not count, so a hole and written zeros have the same hash. */
function hashContents(file: number, ranges: readonly Range[], path: string): string {
  const hash = Xxh3.withSeed();
  let next = 0;
  for (const range of ranges) {
    let at = Math.max(next, Math.floor(range.from / BLOCK_BYTES) * BLOCK_BYTES);
    for (; at < range.to; at += BLOCK_BYTES) {
      const bytes = sys.pread(file, block, BLOCK_BYTES, at);
      check(bytes, path, 'read');
      block.fill(0, bytes);
      if (block.equals(ZEROS)) continue;
      position.writeBigUInt64LE(BigInt(at));
      hash.update(position).update(block);
    }
    next = at;
  }
  return hash.digest().toString(16);
}

const FIELDS = ['mode', 'uid', 'gid', 'nlink', 'linkedTo', 'size', 'rdev', 'target'] as const;

/**
 * Differences between two trees (or the trees at two directories) as sentences; empty when they are
 * equal. For contents the first differing offset is looked up in the files themselves.
 */
export function compareTrees(
  a: Tree | string,
  b: Tree | string,
  options: CompareOptions = {},
): string[] {
  const left = typeof a === 'string' ? snapshotTree(a) : a;
  const right = typeof b === 'string' ? snapshotTree(b) : b;
  const limit = options.limit ?? 100;
  const differences: string[] = [];
  for (const [path, entry] of left.entries) {
    const other = right.entries.get(path);
    if (other === undefined) {
      differences.push(`${shown(path)}: ${entry.type} is missing in ${right.root}`);
    } else {
      differences.push(...compareEntries(path, { left, right, options }));
    }
    if (differences.length > limit) break;
  }
  for (const [path, entry] of right.entries) {
    if (!left.entries.has(path)) {
      differences.push(`${shown(path)}: ${entry.type} is missing in ${left.root}`);
    }
  }
  if (differences.length > limit) differences.splice(limit, Infinity, '… and more');
  return differences;
}

interface Comparison {
  readonly left: Tree;
  readonly right: Tree;
  readonly options: CompareOptions;
}

function compareEntries(path: string, { left, right, options }: Comparison): string[] {
  const a = left.entries.get(path) as TreeEntry;
  const b = right.entries.get(path) as TreeEntry;
  if (a.type !== b.type) return [`${shown(path)}: ${a.type} became ${b.type}`];
  const differences: string[] = [];
  const differ = (what: string, x: string | number, y: string | number): void => {
    differences.push(`${shown(path)}: ${what} ${format(what, x)} became ${format(what, y)}`);
  };
  for (const name of FIELDS) if (a[name] !== b[name]) differ(name, a[name], b[name]);
  if (a.xattrs !== b.xattrs) differ('xattrs', a.xattrs, b.xattrs);
  if (options.mtime !== false && a.mtime !== b.mtime) differ('mtime', a.mtime, b.mtime);
  if (a.hash !== b.hash) differ('contents', a.hash, `${b.hash}${where(path, left, right)}`);
  else if (a.data !== b.data && options.holes !== false) {
    const isAllowed =
      options.holes === 'allocated' && isWithin(a.data, b.data, allocated(path, left));
    if (!isAllowed) differ('data ranges', a.data, b.data);
  }
  return differences;
}

function format(what: string, value: string | number): string {
  if (what === 'mode') return `0${Number(value).toString(8)}`;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** `, from offset N on`, as far as the files still show it. */
function where(path: string, left: Tree, right: Tree): string {
  const files = [left, right].map((tree) => openForReading(AT.FDCWD, `${tree.root}/${path}`));
  const [a = -1, b = -1] = files;
  try {
    if (a < 0 || b < 0) return '';
    const blockA = Buffer.alloc(BLOCK_BYTES);
    const blockB = Buffer.alloc(BLOCK_BYTES);
    for (let at = 0; ; at += BLOCK_BYTES) {
      const bytesA = sys.pread(a, blockA, BLOCK_BYTES, at);
      const bytesB = sys.pread(b, blockB, BLOCK_BYTES, at);
      const common = Math.min(bytesA, bytesB);
      for (let i = 0; i < common; i += 1) {
        if (blockA[i] !== blockB[i]) return `, from offset ${at + i} on`;
      }
      if (common < BLOCK_BYTES) return '';
    }
  } finally {
    for (const file of files) if (file >= 0) sys.close(file);
  }
}

const shown = (path: string): string => (path === '' ? '(root)' : JSON.stringify(path));

function check(result: number, path: string, what: string): void {
  if (result < 0) throw failure(result, path, what);
}

function failure(negative: number, path: string, what: string): Error {
  return new Error(`cannot ${what} ${shown(path)}: ${errnoName(negative)}`);
}
