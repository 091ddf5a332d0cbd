// struct statx, which has one layout on every architecture (uapi/linux/stat.h).
import { assert } from '../core/assert.ts';
import { MiB } from '../core/units.ts';
import { AT } from './constants.ts';
import { addressOf, EMPTY_NAME, type Pointer, sys } from './libc.ts';

const STATX_BYTES = 256;
/** STATX_BASIC_STATS | STATX_BTIME is not needed: basic only. */
const STATX_BASIC_STATS = 0x7ff;
/**
 * Files are written and mirrored up to here: what a record says of a range, its payload behind it included, is a number
 * of 53 bits then.
 */
export const FILE_END_MAX = 2 ** 53 - 2 * MiB;

/**
 * A reusable statx result. Fields are read from the buffer on demand, so a call allocates nothing.
 * Times are seconds and nanoseconds, sizes are bytes.
 */
export class Stat {
  readonly #bytes = new Uint8Array(new ArrayBuffer(STATX_BYTES));
  readonly view = new DataView(this.#bytes.buffer);
  readonly address = addressOf(this.#bytes);

  /** statx(2) of `path` below `dirfd`, not following a symbolic link. Returns 0 or a negative errno. */
  at(dirfd: number, path: Pointer): number {
    return sys.statx(
      dirfd,
      path,
      AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT,
      STATX_BASIC_STATS,
      this.address,
    );
  }

  /** statx(2) of an open descriptor. Returns 0 or a negative errno. */
  fd(fd: number): number {
    return sys.statx(fd, EMPTY_NAME, AT.EMPTY_PATH, STATX_BASIC_STATS, this.address);
  }

  /** The inode number is beyond what a number can say: `ino` must not be read. */
  get inoExceeds53Bits(): boolean {
    return this.view.getUint32(36, true) >= 0x20_0000;
  }
  get nlink(): number {
    return this.view.getUint32(16, true);
  }
  get uid(): number {
    return this.view.getUint32(20, true);
  }
  get gid(): number {
    return this.view.getUint32(24, true);
  }
  get mode(): number {
    return this.view.getUint16(28, true);
  }
  get ino(): number {
    assert(!this.inoExceeds53Bits, 'an inode number fits 53 bits');
    return this.#u64(32);
  }
  /** At most FILE_END_MAX, which a file that was not written through the filter may exceed. */
  get size(): number {
    return Math.min(this.#u64(40), FILE_END_MAX);
  }
  get blocks(): number {
    return this.#u64(48);
  }
  get blksize(): number {
    return this.view.getUint32(4, true);
  }
  get atimeSec(): number {
    return this.#i53(64);
  }
  get atimeNsec(): number {
    return this.view.getUint32(72, true);
  }
  get ctimeSec(): number {
    return this.#i53(96);
  }
  /** Time of the last change of contents, attributes or names, ms since the Unix epoch. */
  get ctimeMs(): number {
    return this.ctimeSec * 1000 + this.ctimeNsec / 1e6;
  }
  get ctimeNsec(): number {
    return this.view.getUint32(104, true);
  }
  get mtimeSec(): number {
    return this.#i53(112);
  }
  get mtimeNsec(): number {
    return this.view.getUint32(120, true);
  }
  get rdevMajor(): number {
    return this.view.getUint32(128, true);
  }
  get rdevMinor(): number {
    return this.view.getUint32(132, true);
  }
  get devMajor(): number {
    return this.view.getUint32(136, true);
  }
  get devMinor(): number {
    return this.view.getUint32(140, true);
  }

  /** Exact below 2^53. */
  #u64(at: number): number {
    return this.view.getUint32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
  }

  #i53(at: number): number {
    return this.view.getInt32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
  }
}

/** Device number as mknod(2) takes it (glibc makedev). */
export function makedev(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return (
    ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn)
  );
}

/** The kernel's 32-bit device number (new_encode_dev): 12 bits major, 20 bits minor. */
export function packDevice(stat: Stat): number {
  const minor = stat.rdevMinor;
  return ((minor & 0xff) | (stat.rdevMajor << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Reverse of {@link packDevice}, as mknod(2) takes it. */
export function unpackDevice(packed: number): bigint {
  return makedev((packed >>> 8) & 0xfff, (packed & 0xff) | ((packed >>> 12) & ~0xff));
}
