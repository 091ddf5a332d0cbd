// The data disk of a host: an ext4 file system in a sparse image behind a loop device.
//
// A power cut is the ioctl FS_IOC_SHUTDOWN without a flush of the log: from that instant nothing
// reaches the image, as if the cable of the disk had been pulled. What the kernel had already handed
// to the loop device stays, which a disk with a volatile write cache might still lose.
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../src/core/errors.ts';
import { MiB } from '../src/core/units.ts';
import { errno, errnoName } from '../src/linux/constants.ts';
import { sys } from '../src/linux/libc.ts';
import { must, run, waitUntil } from './run.ts';

/** `_IOR('X', 125, __u32)`, shared by ext4, XFS and F2FS. */
const FS_IOC_SHUTDOWN = 0x8004587d;
/** Documentation/admin-guide/devices.txt */
const LOOP_MAJOR = 7;
const SHUTDOWN_NO_LOG_FLUSH = 2;
const FILL_BYTES = 4 * MiB;

/**
 * Makes an image with an empty file system. Sparse, unless `solid`: then every block is there from
 * the start, as on a real disk, and a flush does not make the machine's own file system allocate.
 */
export async function createDisk(image: string, bytes: number, solid = false): Promise<void> {
  const fd = openSync(image, 'wx', 0o600);
  ftruncateSync(fd, bytes);
  if (solid) {
    const zeros = Buffer.alloc(FILL_BYTES);
    for (let at = 0; at < bytes; at += zeros.length) {
      writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - at), at);
    }
    fsyncSync(fd);
  }
  closeSync(fd);
  // Nothing reserved, so that root meets a full disk like everybody else.
  const extended = 'nodiscard,lazy_itable_init=1,lazy_journal_init=1';
  await must(['mkfs.ext4', '-q', '-m', '0', '-E', extended, image]);
}

/**
 * Ends the file system at `path` as a power cut would; true when it was there to be ended. Only ever
 * touches loop devices: with a wrong path it would otherwise end the machine's own file system.
 */
export function cutDiskPower(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return false;
  }
  if (!isOnLoopDevice(fd)) {
    closeSync(fd);
    return false;
  }
  const mode = new Uint8Array(new Uint32Array([SHUTDOWN_NO_LOG_FLUSH]).buffer);
  const result = sys.ioctl(fd, FS_IOC_SHUTDOWN, mode);
  closeSync(fd);
  if (result < 0 && result !== -errno.EIO) {
    throw new UnderstudyError(
      'LAB_DISK_SHUTDOWN_FAILED',
      `cannot cut the power of the file system at ${path}: ${errnoName(result)}`,
    );
  }
  return true;
}

function isOnLoopDevice(fd: number): boolean {
  // Linux's layout of dev_t: the lower 12 bits of the major number are bits 8 to 19.
  return ((fstatSync(fd).dev >> 8) & 0xfff) === LOOP_MAJOR;
}

/** Loop devices whose image is `path` or lies below it. */
export function loopDevicesOf(path: string): string[] {
  const devices: string[] = [];
  for (const name of readdirSync('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    try {
      const file = readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim();
      if (file === path || file.startsWith(`${path}/`)) devices.push(`/dev/${name}`);
    } catch {
      // Not in use.
    }
  }
  return devices;
}

/** Waits until the kernel has let go of all images below `directory`, and insists after a while. */
export async function releaseLoopDevices(directory: string, timeoutMs: number): Promise<boolean> {
  const isFree = (): boolean => loopDevicesOf(directory).length === 0;
  if (await waitUntil(isFree, timeoutMs)) return true;
  for (const device of loopDevicesOf(directory)) await run(['losetup', '--detach', device]);
  return await waitUntil(isFree, 1000);
}

const FILLER = 'filler';

/** Takes all free space of the file system at `path` but `leaveBytes`; returns the bytes taken. */
export function fillDisk(path: string, leaveBytes: number): number {
  const fd = openSync(join(path, FILLER), 'a', 0o600);
  let taken = 0;
  const free = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize - leaveBytes;
  };
  try {
    // Metadata of the allocation takes room too, hence shrinking steps to the very end.
    for (let step = free(); step >= 4096; step = Math.min(step, free())) {
      const result = sys.fallocate(fd, 0, taken, step);
      if (result === 0) taken += step;
      else step = Math.floor(step / 2);
    }
  } finally {
    closeSync(fd);
  }
  return taken;
}

/** Gives the space back that {@link fillDisk} took; true when there was any. */
export function freeDisk(path: string): boolean {
  const filler = join(path, FILLER);
  if (!existsSync(filler)) return false;
  rmSync(filler);
  return true;
}
