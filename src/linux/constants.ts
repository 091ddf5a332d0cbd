// Numbers of the Linux user-space interface (uapi headers: fcntl.h, stat.h, mount.h, errno.h).
// Only O_DIRECTORY, O_NOFOLLOW, O_DIRECT and O_LARGEFILE differ between x86-64 and arm64.

const arm = process.arch === 'arm64';

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  ASYNC: 0o20000,
  SYNC: 0o4010000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  DIRECT: arm ? 0o200000 : 0o40000,
  LARGEFILE: arm ? 0o400000 : 0o100000,
  DIRECTORY: arm ? 0o40000 : 0o200000,
  NOFOLLOW: arm ? 0o100000 : 0o400000,
  TMPFILE: 0o20000000 | (arm ? 0o40000 : 0o200000),
} as const;

export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
  STATX_DONT_SYNC: 0x4000,
} as const;

export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o4000,
  ISGID: 0o2000,
  ISVTX: 0o1000,
  IXGRP: 0o010,
} as const;

export const FALLOC = {
  KEEP_SIZE: 1,
  PUNCH_HOLE: 2,
  COLLAPSE_RANGE: 8,
  ZERO_RANGE: 16,
  INSERT_RANGE: 32,
} as const;
export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const;
export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;
export const RWF = { NOWAIT: 8 } as const;
export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLERR = 8;
export const UTIME = { NOW: 0x3fffffff, OMIT: 0x3ffffffe } as const;

export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  REMOUNT: 32,
  BIND: 4096,
  REC: 16384,
  PRIVATE: 1 << 18,
} as const;
export const MNT = { FORCE: 1, DETACH: 2, EXPIRE: 4 } as const;

/** Positive errno values; system calls here return them negated. */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ESTALE: 116,
  EUCLEAN: 117,
  EDQUOT: 122,
} as const;

const names = new Map<number, string>(Object.entries(errno).map(([name, value]) => [value, name]));

/** `-2` → `ENOENT`. */
export function errnoName(negative: number): string {
  return names.get(-negative) ?? `errno ${-negative}`;
}
