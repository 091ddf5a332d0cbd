// The kernel's FUSE protocol, version 7.31 and later (uapi/linux/fuse.h): numbers and field offsets.
// Offsets of `in` structures count from the end of the request header, those of `out` structures
// from the end of the reply header.

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const WRITE_IN_BYTES = 40;

/** struct fuse_in_header */
export const inHeader = {
  len: 0,
  opcode: 4,
  unique: 8,
  nodeid: 16,
  uid: 24,
  gid: 28,
  pid: 32,
} as const;

export const op = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
} as const;

/** INIT flags, low and high word. */
export const initFlag = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;
export const initFlag2 = {
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5,
  HAS_RESEND: 1 << 7,
} as const;

/** struct fuse_init_in / fuse_init_out */
export const initIn = { major: 0, minor: 4, maxReadahead: 8, flags: 12, flags2: 16 } as const;
export const initOut = {
  major: 0,
  minor: 4,
  maxReadahead: 8,
  flags: 12,
  maxBackground: 16,
  congestionThreshold: 18,
  maxWrite: 20,
  timeGran: 24,
  maxPages: 28,
  flags2: 32,
  maxStackDepth: 36,
  bytes: 64,
} as const;

/** struct fuse_attr */
export const attr = {
  ino: 0,
  size: 8,
  blocks: 16,
  atime: 24,
  mtime: 32,
  ctime: 40,
  atimeNsec: 48,
  mtimeNsec: 52,
  ctimeNsec: 56,
  mode: 60,
  nlink: 64,
  uid: 68,
  gid: 72,
  rdev: 76,
  blksize: 80,
  flags: 84,
  bytes: 88,
} as const;
/** struct fuse_entry_out */
export const entryOut = {
  nodeid: 0,
  generation: 8,
  entryValid: 16,
  attrValid: 24,
  entryValidNsec: 32,
  attrValidNsec: 36,
  attr: 40,
  bytes: 128,
} as const;
/** struct fuse_attr_out */
export const attrOut = { attrValid: 0, attrValidNsec: 8, attr: 16, bytes: 104 } as const;
/** struct fuse_open_out */
export const openOut = { fh: 0, openFlags: 8, backingId: 12, bytes: 16 } as const;

export const getattrIn = { flags: 0, fh: 8 } as const;
export const GETATTR_FH = 1;
export const setattrIn = {
  valid: 0,
  fh: 8,
  size: 16,
  atime: 32,
  mtime: 40,
  atimeNsec: 56,
  mtimeNsec: 60,
  mode: 68,
  uid: 76,
  gid: 80,
} as const;
export const fattr = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  FH: 64,
  ATIME_NOW: 128,
  MTIME_NOW: 256,
  KILL_SUIDGID: 2048,
} as const;
export const openIn = { flags: 0, openFlags: 4 } as const;
export const OPEN_KILL_SUIDGID = 1;
/** struct fuse_create_in, also of TMPFILE; the name follows. */
export const createIn = { flags: 0, mode: 4, umask: 8, openFlags: 12, bytes: 16 } as const;
export const mknodIn = { mode: 0, rdev: 4, umask: 8, bytes: 16 } as const;
export const mkdirIn = { mode: 0, umask: 4, bytes: 8 } as const;
export const renameIn = { newdir: 0, bytes: 8 } as const;
export const rename2In = { newdir: 0, flags: 8, bytes: 16 } as const;
export const linkIn = { oldNodeid: 0, bytes: 8 } as const;
/** struct fuse_read_in, also of READDIR */
export const readIn = { fh: 0, offset: 8, size: 16 } as const;
export const writeIn = { fh: 0, offset: 8, size: 16, writeFlags: 20 } as const;
export const WRITE_KILL_SUIDGID = 4;
export const releaseIn = { fh: 0 } as const;
export const fsyncIn = { fh: 0, flags: 8 } as const;
export const FSYNC_FDATASYNC = 1;
export const setxattrIn = { size: 0, flags: 4, setxattrFlags: 8, bytes: 16 } as const;
export const SETXATTR_ACL_KILL_SGID = 1;
export const getxattrIn = { size: 0, bytes: 8 } as const;
export const fallocateIn = { fh: 0, offset: 8, length: 16, mode: 24 } as const;
export const lseekIn = { fh: 0, offset: 8, whence: 16 } as const;
export const copyFileRangeIn = {
  fhIn: 0,
  offIn: 8,
  nodeidOut: 16,
  fhOut: 24,
  offOut: 32,
  len: 40,
} as const;
export const forgetOne = { nodeid: 0, nlookup: 8, bytes: 16 } as const;
/** struct fuse_dirent; the name follows, padded to 8 bytes. */
export const dirent = { ino: 0, off: 8, namelen: 16, type: 20, bytes: 24 } as const;

export const openFlag = { DIRECT_IO: 1, KEEP_CACHE: 2, CACHE_DIR: 8, PASSTHROUGH: 128 } as const;

/** ioctls of /dev/fuse */
export const BACKING_OPEN = 0x4010e501;
export const BACKING_CLOSE = 0x4004e502;

export const ROOT_ID = 1;
/** The root plus the kernel's own limit: one request of this size must fit the read buffer. */
export const MAX_WRITE_BYTES = 1024 * 1024;
