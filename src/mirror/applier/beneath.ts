// Opening objects beneath a directory, and nowhere else.
//
// Every resolution goes through openat2(2) with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
// RESOLVE_NO_XDEV: neither a path nor a symbolic link nor a mount below the protected directory can
// lead out of it. What the last component is, is looked at before it is opened for reading or
// writing, so no device, fifo or socket is ever opened. Needs Linux 5.6.
import { AT, O, S, errno } from '../../linux/constants.ts';
import { addressOf, cstring, sys } from '../../linux/libc.ts';
import type { Stat } from '../../linux/stat.ts';

const OPENAT2 = 437;
const RESOLVE = { NO_XDEV: 1, NO_SYMLINKS: 4, BENEATH: 8 } as const;
const HOW_BYTES = 24;
const TRIES = 16;
/** The kernel takes paths below 4096 bytes; longer ones are opened in two steps. */
const PATH_STEP_BYTES = 4000;

class OpenHow {
  readonly #bytes = new Uint8Array(new ArrayBuffer(HOW_BYTES));
  readonly address = addressOf(this.#bytes);

  constructor(flags: number) {
    const view = new DataView(this.#bytes.buffer);
    view.setBigUint64(0, BigInt(flags | O.CLOEXEC), true);
    view.setBigUint64(16, BigInt(RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS | RESOLVE.BENEATH), true);
  }
}

const howDirectory = new OpenHow(O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
const howHandle = new OpenHow(O.PATH | O.NOFOLLOW);

function openBeneath(fd: number, path: string, how: OpenHow): number {
  if (path.length > PATH_STEP_BYTES) {
    const slash = path.lastIndexOf('/', PATH_STEP_BYTES);
    if (slash <= 0) return -errno.ENAMETOOLONG;
    const middle = openBeneath(fd, path.slice(0, slash), howDirectory);
    if (middle < 0) return middle;
    const result = openBeneath(middle, path.slice(slash + 1), how);
    sys.close(middle);
    return result;
  }
  const cpath = cstring(path === '' ? '.' : path);
  let result = -errno.EAGAIN;
  // EAGAIN: something was renamed during the resolution, so that it could not be checked.
  for (let tries = 0; tries < TRIES && result === -errno.EAGAIN; tries += 1) {
    result = sys.syscall(OPENAT2, fd, cpath, how.address, HOW_BYTES);
  }
  return result;
}

/** Opens a directory beneath `fd` for reading. Returns a descriptor or a negative errno. */
export function openDirectoryBeneath(fd: number, path: string): number {
  return openBeneath(fd, path, howDirectory);
}

/** An O_PATH descriptor of the object beneath `fd`, a symbolic link itself included. */
export function openHandleBeneath(fd: number, path: string): number {
  return openBeneath(fd, path, howHandle);
}

/**
 * Opens a regular file beneath `fd` for reading and writing; fills `stat`. Anything that is not a
 * regular file: EISDIR, ELOOP (symbolic link) or EINVAL.
 */
export function openFileBeneath(fd: number, path: string, stat: Stat): number {
  const handle = openHandleBeneath(fd, path);
  if (handle < 0) return handle;
  let result = stat.fd(handle);
  if (result === 0) {
    const type = stat.mode & S.IFMT;
    if (type === S.IFDIR) result = -errno.EISDIR;
    else if (type === S.IFLNK) result = -errno.ELOOP;
    else if (type !== S.IFREG) result = -errno.EINVAL;
    else result = sys.openat(AT.FDCWD, procPath(handle), O.RDWR | O.NOATIME | O.CLOEXEC, 0);
  }
  sys.close(handle);
  return result;
}

/** The path through which calls reach the object of a descriptor that they do not take themselves. */
export function procPath(fd: number): Buffer {
  return cstring(`/proc/self/fd/${fd}`);
}
