// Reading a directory (struct linux_dirent64, getdents64(2)) and extended attributes in whole.
import { assert } from '../core/assert.ts';
import { errno } from './constants.ts';
import { cstring, sys } from './libc.ts';

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

/**
 * Names in the open directory `fd` from its present position on, without `.` and `..`. Names are
 * latin1 strings (one character per byte). Returns a negative errno when the directory is unreadable.
 */
export function readDirectory(fd: number): DirectoryEntry[] | number {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const bytes = sys.getdents64(fd, buffer, BUFFER_BYTES);
    if (bytes < 0) return bytes;
    if (bytes === 0) return entries;
    for (let at = 0; at < bytes;) {
      const length = buffer.readUInt16LE(at + 16);
      assert(length > HEAD_BYTES && at + length <= bytes, 'directory entries fill the buffer');
      const end = buffer.indexOf(0, at + HEAD_BYTES);
      const name = buffer.toString('latin1', at + HEAD_BYTES, end);
      if (name !== '.' && name !== '..') {
        const ino = Number(buffer.readBigUInt64LE(at));
        entries.push({ name, ino, type: buffer.readUInt8(at + 18) });
      }
      at += length;
    }
  }
}

/** Largest value and largest list of names that Linux allows (XATTR_SIZE_MAX, XATTR_LIST_MAX). */
export const XATTR_BYTES_MAX = 64 * 1024;

const list = Buffer.alloc(XATTR_BYTES_MAX);
const value = Buffer.alloc(XATTR_BYTES_MAX);

/**
 * Extended attributes of the object at `path` (latin1, absolute or from the working directory), not
 * following a symbolic link in the last component. A negative errno when they cannot be read; empty
 * where the file system has none.
 */
export function readXattrs(path: string): Map<string, Buffer> | number {
  const cpath = cstring(path);
  const bytes = sys.llistxattr(cpath, list, list.length);
  if (bytes === -errno.EOPNOTSUPP) return new Map();
  if (bytes < 0) return bytes;
  const xattrs = new Map<string, Buffer>();
  for (const name of list.toString('latin1', 0, bytes).split('\0')) {
    if (name === '') continue;
    const length = sys.lgetxattr(cpath, cstring(name), value, value.length);
    if (length === -errno.ENODATA) continue;
    if (length < 0) return length;
    xattrs.set(name, Buffer.from(value.subarray(0, length)));
  }
  return xattrs;
}
