// System calls through koffi, called synchronously only.
//
// Every function returns a value >= 0, or a negative errno as the kernel itself does. Pointer
// parameters take a typed array or an address as a number (`addressOf(bytes) + offset`), which
// spares the hot paths an allocation per call. Names are bytes: `cstring('latin1 text')`.
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

/** A typed array, or an address obtained from {@link addressOf}. */
export type Pointer = Uint8Array | number;

type Argument = Pointer | null;
type Native = (...args: readonly Argument[]) => number;

/** The result, or the negative errno of a failed call. */
function checked(result: number): number {
  return result < 0 ? -koffi.errno() : result;
}

/**
 * One function per number of parameters: collecting and spreading arguments would cost as much as a
 * short system call.
 */
function define(signature: string): Native {
  const f = libc.func(signature) as Native;
  const parameters = signature.includes('()') ? 0 : signature.split(',').length;
  const byParameters: readonly Native[] = [
    () => checked(f()),
    (a = 0) => checked(f(a)),
    (a = 0, b = 0) => checked(f(a, b)),
    (a = 0, b = 0, c = 0) => checked(f(a, b, c)),
    (a = 0, b = 0, c = 0, d = 0) => checked(f(a, b, c, d)),
    (a = 0, b = 0, c = 0, d = 0, e = 0) => checked(f(a, b, c, d, e)),
    (...args) => checked(f(...args)),
  ];
  return byParameters[parameters] ?? ((...args) => checked(f(...args)));
}

/**
 * Address of the first byte of `bytes`. Valid as long as something refers to `bytes` itself (or its
 * buffer); a constant of a module that is not used any more does not count.
 */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}

const pinned: Uint8Array[] = [];

/** Address of memory that is kept for ever: for buffers that belong to a module. */
export function pin(bytes: Uint8Array): number {
  pinned.push(bytes);
  return addressOf(bytes);
}

const EMPTY = Buffer.alloc(8);

/** Address of the empty name: with AT_EMPTY_PATH a call is about the descriptor itself. */
export const EMPTY_NAME = pin(EMPTY);

/** NUL-terminated bytes of a name in which each character stands for one byte. */
export function cstring(latin1: string): Buffer {
  if (latin1 === '') return EMPTY;
  return Buffer.from(`${latin1}\0`, 'latin1');
}

/** NUL-terminated bytes of a path that is text: from configuration, not from a directory. */
export function cpath(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}

export const sys = {
  openat: define('int openat(int dirfd, const void *path, int flags, uint32_t mode)'),
  close: define('int close(int fd)'),
  read: define('int64_t read(int fd, void *buffer, size_t count)'),
  write: define('int64_t write(int fd, const void *buffer, size_t count)'),
  pread: define('int64_t pread(int fd, void *buffer, size_t count, int64_t offset)'),
  pwrite: define('int64_t pwrite(int fd, const void *buffer, size_t count, int64_t offset)'),
  preadv2: define('int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)'),
  lseek: define('int64_t lseek(int fd, int64_t offset, int whence)'),
  fsync: define('int fsync(int fd)'),
  fdatasync: define('int fdatasync(int fd)'),
  flock: define('int flock(int fd, int operation)'),
  syncfs: define('int syncfs(int fd)'),
  ftruncate: define('int ftruncate(int fd, int64_t length)'),
  fallocate: define('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
  copyFileRange: define(
    'int64_t copy_file_range(int in, void *inOffset, int out, void *outOffset, size_t length, uint32_t flags)',
  ),
  statx: define('int statx(int dirfd, const void *path, int flags, uint32_t mask, void *statx)'),
  fchmod: define('int fchmod(int fd, uint32_t mode)'),
  fchmodat: define('int fchmodat(int dirfd, const void *path, uint32_t mode, int flags)'),
  fchownat: define(
    'int fchownat(int dirfd, const void *path, uint32_t uid, uint32_t gid, int flags)',
  ),
  utimensat: define('int utimensat(int dirfd, const void *path, const void *times, int flags)'),
  mkdirat: define('int mkdirat(int dirfd, const void *path, uint32_t mode)'),
  mknodat: define('int mknodat(int dirfd, const void *path, uint32_t mode, uint64_t dev)'),
  symlinkat: define('int symlinkat(const void *target, int dirfd, const void *path)'),
  linkat: define(
    'int linkat(int olddir, const void *oldpath, int newdir, const void *newpath, int flags)',
  ),
  renameat2: define(
    'int renameat2(int olddir, const void *oldpath, int newdir, const void *newpath, uint32_t flags)',
  ),
  unlinkat: define('int unlinkat(int dirfd, const void *path, int flags)'),
  readlinkat: define('int64_t readlinkat(int dirfd, const void *path, void *buffer, size_t size)'),
  getdents64: define('int64_t getdents64(int fd, void *buffer, size_t size)'),
  fgetxattr: define('int64_t fgetxattr(int fd, const void *name, void *value, size_t size)'),
  fsetxattr: define(
    'int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)',
  ),
  flistxattr: define('int64_t flistxattr(int fd, void *list, size_t size)'),
  fremovexattr: define('int fremovexattr(int fd, const void *name)'),
  /** On a `/proc/self/fd/N` path: the way to the attributes of an O_PATH descriptor. */
  getxattr: define(
    'int64_t getxattr(const void *path, const void *name, void *value, size_t size)',
  ),
  setxattr: define(
    'int setxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  ),
  listxattr: define('int64_t listxattr(const void *path, void *list, size_t size)'),
  removexattr: define('int removexattr(const void *path, const void *name)'),
  lgetxattr: define(
    'int64_t lgetxattr(const void *path, const void *name, void *value, size_t size)',
  ),
  llistxattr: define('int64_t llistxattr(const void *path, void *list, size_t size)'),
  statfs: define('int fstatfs(int fd, void *statfs)'),
  nameToHandleAt: define(
    'int name_to_handle_at(int dirfd, const void *path, void *handle, void *mountId, int flags)',
  ),
  openByHandleAt: define('int open_by_handle_at(int mountfd, const void *handle, int flags)'),
  mount: define(
    'int mount(const void *source, const void *target, const void *type, uint64_t flags, const void *data)',
  ),
  umount2: define('int umount2(const void *target, int flags)'),
  ioctl: define('int ioctl(int fd, uint64_t request, void *argument)'),
  poll: define('int poll(void *fds, uint64_t count, int timeoutMs)'),
  eventfd: define('int eventfd(uint32_t initial, int flags)'),
  /** For calls that libc has no function for, such as openat2 (437). */
  syscall: define(
    'int64_t syscall(int64_t number, int64_t a, const void *b, const void *c, uint64_t d)',
  ),
  /** As `syscall`, for calls with five arguments; `c` and `d` take numbers and addresses alike. */
  syscall5: define(
    'int64_t syscall(int64_t number, int64_t a, const void *b, uint64_t c, uint64_t d, uint64_t e)',
  ),
  lremovexattr: define('int lremovexattr(const void *path, const void *name)'),
  lsetxattr: define(
    'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  ),
  umask: define('uint32_t umask(uint32_t mask)'),
  unshare: define('int unshare(int flags)'),
  capget: define('int capget(void *header, void *data)'),
  capset: define('int capset(void *header, const void *data)'),
  /** Returns 0 or, unlike the others, a positive errno. */
  posixFadvise: define('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)'),
  fcntl: define('int fcntl(int fd, int command, int64_t argument)'),
  prctl: define('int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)'),
  setpriority: define('int setpriority(int which, uint32_t who, int priority)'),
  kill: define('int kill(int pid, int signal)'),
  mallocTrim: define('int malloc_trim(size_t pad)'),
  /** Within a PID namespace it ends that namespace only. */
  reboot: define('int reboot(int command)'),
  /** The address as a number: below 2^47 on both architectures. */
  mmap: define(
    'int64_t mmap(uint64_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  ),
  mprotect: define('int mprotect(uint64_t address, size_t length, int protection)'),
  socket: define('int socket(int domain, int type, int protocol)'),
  socketpair: define('int socketpair(int domain, int type, int protocol, void *pair)'),
  sendmsg: define('int64_t sendmsg(int fd, const void *message, int flags)'),
  recvmsg: define('int64_t recvmsg(int fd, void *message, int flags)'),
  bind: define('int bind(int fd, const void *address, uint32_t length)'),
  setsockopt: define(
    'int setsockopt(int fd, int level, int option, const void *value, uint32_t length)',
  ),
  sendto: define(
    'int64_t sendto(int fd, const void *buffer, size_t count, int flags, const void *address, uint32_t length)',
  ),
  recv: define('int64_t recv(int fd, void *buffer, size_t count, int flags)'),
  recvfrom: define(
    'int64_t recvfrom(int fd, void *buffer, size_t count, int flags, void *address, void *length)',
  ),
  clockGettime: define('int clock_gettime(int clock, void *timespec)'),
  schedSetscheduler: define('int sched_setscheduler(int tid, int policy, const void *parameter)'),
} as const;
