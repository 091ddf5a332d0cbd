// The directory under test together with its model: picking objects, calling, and comparing.
import { UTIME, errno, errnoName, AT, O, S } from '../../../src/linux/constants.ts';
import { cstring, sys } from '../../../src/linux/libc.ts';
import { Stat } from '../../../src/linux/stat.ts';
import { Random } from '../random.ts';
import { type Dentry, type Inode, Model, isDirectory, isFile, underWay } from './model.ts';

/** The file system did something else than the model: the message has the last operations. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** A file that the generator keeps open; it may have lost its names. */
export interface Held {
  readonly fd: number;
  readonly inode: Inode;
  readonly append: boolean;
}

export interface WorldOptions {
  readonly seed: number;
  /** Number of different names per directory. */
  readonly names: number;
  /** Files seldom grow beyond this. */
  readonly fileBytesMax: number;
  readonly heldMax: number;
  /** Renames and links may be refused with EXDEV. */
  readonly partly: boolean;
}

const LAST_OPERATIONS = 30;
const RANDOM_BYTES = 1 << 20;
/** The clock that stamps files ticks up to this coarsely. */
const CLOCK_GRAIN_MS = 50;

export class World {
  readonly random: Random;
  readonly model: Model;
  readonly rootFd: number;
  readonly held: Held[] = [];
  readonly stat = new Stat();
  readonly options: WorldOptions;
  readonly #names: string[];
  readonly #source: Buffer;
  readonly #log: string[] = [];
  operations = 0;

  constructor(dir: string, options: WorldOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    this.rootFd = sys.openat(AT.FDCWD, cstring(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    if (this.rootFd < 0) throw new Error(`cannot open ${dir}: ${errnoName(this.rootFd)}`);
    this.stat.fd(this.rootFd);
    this.model = new Model({ mode: this.stat.mode, uid: this.stat.uid, gid: this.stat.gid });
    this.#names = makeNames(options.names);
    this.#source = Buffer.alloc(RANDOM_BYTES);
    new Random(options.seed + 1).fill(this.#source);
    // Modes of new objects are compared exactly.
    sys.umask(0);
  }

  close(): void {
    for (const { fd } of this.held.splice(0)) sys.close(fd);
    sys.close(this.rootFd);
  }

  log(operation: string): void {
    this.operations += 1;
    underWay.beganMs = Date.now();
    this.#log.push(`${this.operations}: ${operation}`);
    if (this.#log.length > LAST_OPERATIONS) this.#log.shift();
  }

  fail(what: string): never {
    const { seed } = this.options;
    throw new Mismatch(`seed ${seed}: ${what}\nlast operations:\n  ${this.#log.join('\n  ')}`);
  }

  /** Compares the outcome of a call: a negative errno has to be equal, success has to be success. */
  expect(actual: number, expected: number, call: string): void {
    if (Math.min(actual, 0) === expected) return;
    this.fail(`${call}: expected ${outcome(expected)}, got ${outcome(actual)}`);
  }

  /** The directory is mirrored in part, and the call would have crossed the border. */
  isRefused(result: number): boolean {
    return this.options.partly && result === -errno.EXDEV;
  }

  /** Random bytes that differ from operation to operation. */
  bytes(length: number): Buffer {
    const result = Buffer.alloc(length);
    const from = this.random.below(RANDOM_BYTES);
    for (let at = 0; at < length;) {
      at += this.#source.copy(result, at, at === 0 ? from : 0);
    }
    if (length >= 8) result.writeUInt32LE(this.operations, 0);
    return result;
  }

  /** Any name: existing or not. */
  name(): Dentry {
    const parent = this.directory();
    const name = this.random.pick(this.#names);
    return { parent, name, inode: parent.children.get(name) };
  }

  directory(): Inode {
    return this.random.pick(this.model.directories);
  }

  /** A name that exists and whose object passes `filter`; undefined when a few tries found none. */
  existing(filter: (inode: Inode) => boolean = () => true): Dentry | undefined {
    for (let tries = 0; tries < 12; tries += 1) {
      const parent = this.directory();
      if (parent.children.size === 0) continue;
      const name = this.random.pick([...parent.children.keys()]);
      const inode = parent.children.get(name);
      if (inode !== undefined && filter(inode)) return { parent, name, inode };
    }
    return undefined;
  }

  /** An existing object, sometimes the root directory. */
  object(): Dentry | undefined {
    if (this.random.chance(0.03))
      return { parent: this.model.root, name: '', inode: this.model.root };
    return this.existing();
  }

  pathOf(dentry: Dentry): string {
    return dentry.name === '' ? '' : this.model.pathOf(dentry.parent, dentry.name);
  }

  /** A NUL-terminated path for `*at(rootFd, …)`. */
  cpath(dentry: Dentry): Buffer {
    return cstring(this.pathOf(dentry) || '.');
  }

  /** A path that works for calls without a descriptor, such as lsetxattr. */
  absolute(dentry: Dentry): Buffer {
    return cstring(`/proc/self/fd/${this.rootFd}/${this.pathOf(dentry) || '.'}`);
  }

  /** A file to read or write: one held open, or by its path. `done` closes what was opened. */
  file(flags: number): { fd: number; inode: Inode; label: string; done: () => void } | undefined {
    const held = this.random.chance(0.4) ? this.#heldFile(flags) : undefined;
    if (held !== undefined) {
      const label = `held file ${held.inode.id} (descriptor ${held.fd})`;
      return { fd: held.fd, inode: held.inode, label, done: () => {} };
    }
    const dentry = this.existing(isFile);
    if (dentry?.inode === undefined) return undefined;
    const fd = sys.openat(this.rootFd, this.cpath(dentry), flags | O.CLOEXEC, 0);
    if (fd < 0) this.fail(`open ${show(this.pathOf(dentry))}: ${errnoName(fd)}`);
    const label = `${show(this.pathOf(dentry))} (file ${dentry.inode.id})`;
    return { fd, inode: dentry.inode, label, done: () => void sys.close(fd) };
  }

  /** Compares the attributes that `stat` holds with the model. */
  checkAttributes(inode: Inode, label: string): void {
    const { stat } = this;
    const compare = (what: string, actual: number, expected: number): void => {
      if (actual !== expected) this.fail(`${label}: ${what} is ${actual}, expected ${expected}`);
    };
    if (stat.mode !== inode.mode) {
      this.fail(`${label}: mode is ${stat.mode.toString(8)}, expected ${inode.mode.toString(8)}`);
    }
    compare('uid', stat.uid, inode.uid);
    compare('gid', stat.gid, inode.gid);
    if (isFile(inode)) compare('size', stat.size, inode.data.size);
    if (!isDirectory(inode)) compare('nlink', stat.nlink, inode.nlink);
    if ([S.IFCHR, S.IFBLK].includes((inode.mode & S.IFMT) as never)) {
      compare('major', stat.rdevMajor, inode.rdev.major);
      compare('minor', stat.rdevMinor, inode.rdev.minor);
    }
    const mtimeNs = BigInt(stat.mtimeSec) * 1_000_000_000n + BigInt(stat.mtimeNsec);
    if (inode.mtimeNs !== undefined && inode.mtimeNs !== mtimeNs) {
      this.fail(`${label}: mtime is ${mtimeNs} ns, expected ${inode.mtimeNs}`);
    }
    const mtimeMs = stat.mtimeSec * 1000 + stat.mtimeNsec / 1e6;
    if (inode.mtimeNs === undefined && mtimeMs < inode.mtimeAfterMs - CLOCK_GRAIN_MS) {
      this.fail(`${label}: mtime was not renewed: ${mtimeMs}, changed at ${inode.mtimeAfterMs}`);
    }
  }

  #heldFile(flags: number): Held | undefined {
    const usable = this.held.filter((held) => !held.append);
    if (usable.length === 0 || flags & O.APPEND || flags & O.TRUNC) return undefined;
    return this.random.pick(usable);
  }
}

const outcome = (value: number): string => (value < 0 ? errnoName(value) : 'success');

/** Text of a path that may have any bytes. */
export const show = (path: string): string => JSON.stringify(path === '' ? '.' : path);

/** utimensat(2)'s two timespecs. */
export function timespecs(atimeNs: bigint | 'omit', mtimeNs: bigint): Buffer {
  const times = Buffer.alloc(32);
  if (atimeNs === 'omit') times.writeBigInt64LE(BigInt(UTIME.OMIT), 8);
  else writeTimespec(times, 0, atimeNs);
  writeTimespec(times, 16, mtimeNs);
  return times;
}

function writeTimespec(times: Buffer, at: number, ns: bigint): void {
  const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  times.writeBigInt64LE((ns - nanoseconds) / 1_000_000_000n, at);
  times.writeBigInt64LE(nanoseconds, at + 8);
}

function makeNames(count: number): string[] {
  const special = [
    '\xe9\xff\xfe',
    'with space',
    '-dash',
    'new\nline',
    'x'.repeat(255),
    'a"b\\c',
    '.hidden',
  ];
  return Array.from({ length: count }, (_, index) => special[index - 3] ?? `n${index}`);
}
