// Reading a directory (struct linux_dirent64, getdents64(2)) and extended attributes in whole.
import { errno, O, SEEK } from './constants.ts';
import { addressOf, cstring, sys } from './libc.ts';

const BUFFER_BYTES = 64 * 1024;
const HEAD_BYTES = 19;

/** One name of a directory; `type` is a DT_ value (4 directory, 8 regular, 10 symlink …; 0 unknown). */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

export const DT = {
  UNKNOWN: 0,
  FIFO: 1,
  CHR: 2,
  DIR: 4,
  BLK: 6,
  REG: 8,
  LNK: 10,
  SOCK: 12,
} as const;

/** Buffers of readers that are done: there is one per directory of a tree, and they are large. */
const spareBuffers: Buffer[] = [];
const SPARE_BUFFERS_MAX = 8;

/** Reads a directory piece by piece; `.` and `..` are left out. Owns its descriptor. */
export class DirectoryReader {
  readonly fd: number;
  readonly #buffer = spareBuffers.pop() ?? Buffer.alloc(BUFFER_BYTES);
  readonly #address = addressOf(this.#buffer);
  #length = 0;
  #at = 0;
  #ended = false;
  #isDetached = false;

  /** Takes over `fd`, an open directory. */
  constructor(fd: number) {
    this.fd = fd;
    sys.lseek(fd, 0, SEEK.SET);
  }

  /** The next entry, undefined at the end, or a negative errno. */
  next(): DirectoryEntry | undefined | number {
    for (;;) {
      if (this.#at >= this.#length) {
        if (this.#ended) return undefined;
        const read = sys.getdents64(this.fd, this.#address, BUFFER_BYTES);
        if (read === -errno.ENOENT) return undefined;
        if (read < 0) return read;
        this.#ended = read === 0;
        this.#length = read;
        this.#at = 0;
        continue;
      }
      const start = this.#at;
      this.#at += this.#buffer.readUInt16LE(start + 16);
      const end = this.#buffer.indexOf(0, start + HEAD_BYTES);
      const name = this.#buffer.toString('latin1', start + HEAD_BYTES, end);
      if (name !== '.' && name !== '..') {
        const ino = Number(this.#buffer.readBigUInt64LE(start));
        return { name, ino, type: this.#buffer[start + 18] ?? 0 };
      }
    }
  }

  /** Closes the descriptor. Nothing more can be read. */
  close(): void {
    sys.close(this.fd);
    this.detach();
  }

  /** Leaves the descriptor open. Nothing more can be read. */
  detach(): void {
    if (this.#isDetached) return;
    this.#isDetached = true;
    if (spareBuffers.length < SPARE_BUFFERS_MAX) spareBuffers.push(this.#buffer);
    this.#length = 0;
    this.#at = 0;
    this.#ended = true;
  }
}

/** Opens directory `name` below `dirfd` for reading; negative errno on failure. */
export function openDirectory(dirfd: number, name: string): number {
  return sys.openat(dirfd, cstring(name), O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
}

/**
 * Names in the open directory `fd`, without `.` and `..`. Names are latin1 strings (one character per
 * byte). Returns a negative errno when the directory is unreadable. `fd` stays open.
 */
export function readDirectory(fd: number): DirectoryEntry[] | number {
  const reader = new DirectoryReader(fd);
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const entry = reader.next();
    if (typeof entry === 'object') {
      entries.push(entry);
      continue;
    }
    reader.detach();
    return entry ?? entries;
  }
}

/** Largest value and largest list of names that Linux allows (XATTR_SIZE_MAX, XATTR_LIST_MAX). */
export const XATTR_BYTES_MAX = 64 * 1024;

const list = Buffer.alloc(XATTR_BYTES_MAX);
const value = Buffer.alloc(XATTR_BYTES_MAX);

/**
 * Extended attributes of the object at `path` (latin1, absolute or from the working directory). A
 * symbolic link in the last component is followed only when `follow` is given (as it has to be for
 * `/proc/self/fd/N`). A negative errno when they cannot be read; empty where there are none.
 */
export function readXattrs(path: string, follow = false): Map<string, Buffer> | number {
  const cpath = cstring(path);
  const listNames = follow ? sys.listxattr : sys.llistxattr;
  const getValue = follow ? sys.getxattr : sys.lgetxattr;
  const bytes = listNames(cpath, list, list.length);
  if (bytes === -errno.EOPNOTSUPP) return new Map();
  if (bytes < 0) return bytes;
  const xattrs = new Map<string, Buffer>();
  for (const name of list.toString('latin1', 0, bytes).split('\0')) {
    if (name === '') continue;
    const length = getValue(cpath, cstring(name), value, value.length);
    if (length === -errno.ENODATA) continue;
    if (length < 0) return length;
    xattrs.set(name, Buffer.from(value.subarray(0, length)));
  }
  return xattrs;
}
