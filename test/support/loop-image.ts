// File systems in image files, for tests that need a disk of their own (real limits, real mounts).
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { loopDevicesOf } from '../../lab/disk.ts';

const RELEASE_MS_MAX = 30_000;
const RELEASE_POLL_MS = 5;

export type FileSystemKind = 'ext4' | 'xfs' | 'btrfs';

export interface LoopImageOptions {
  /** Image file; must not exist. */
  readonly image: string;
  /** Directory to mount it on; made if missing. */
  readonly dir: string;
  readonly bytes: number;
  readonly kind?: FileSystemKind;
  /** More arguments of mkfs and of `mount -o`. */
  readonly mkfs?: readonly string[];
  readonly mountOptions?: string;
}

const MKFS: Readonly<Record<FileSystemKind, readonly string[]>> = {
  // Nothing reserved, so that root meets a full disk like everybody else.
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

/** Makes an image with an empty file system and mounts it. */
export function mountLoopImage(options: LoopImageOptions): void {
  const fd = fs.openSync(options.image, 'wx', 0o600);
  fs.ftruncateSync(fd, options.bytes);
  fs.closeSync(fd);
  const [mkfs = '', ...args] = MKFS[options.kind ?? 'ext4'];
  execFileSync(mkfs, [...args, ...(options.mkfs ?? []), options.image], { stdio: 'pipe' });
  fs.mkdirSync(options.dir, { recursive: true });
  const mountOptions = ['loop', options.mountOptions ?? ''].filter((text) => text !== '').join(',');
  execFileSync('mount', ['-o', mountOptions, options.image, options.dir], { stdio: 'pipe' });
  fs.rmSync(`${options.dir}/lost+found`, { recursive: true, force: true });
}

/**
 * Mounts again what the image has, as after a boot. The file system has to be unmounted. While anybody begins a mount namespace
 * (a host of a lab, for one), that has a copy of every mount for a moment and keeps the file system in memory: mounted in that
 * moment, it would be the one of before, which after a power cut knows nothing but EIO.
 */
export function mountAgain(image: string, dir: string): void {
  const deadline = performance.now() + RELEASE_MS_MAX;
  const path = fs.realpathSync(image);
  while (loopDevicesOf(path).length > 0) {
    if (performance.now() > deadline) {
      throw new Error(`somebody keeps the file system of ${image} in memory: ${keepersOf(dir)}`);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RELEASE_POLL_MS);
  }
  execFileSync('mount', ['-o', 'loop', image, dir], { stdio: 'pipe' });
}

/** Processes that see something mounted at `dir`. */
function keepersOf(dir: string): string {
  const pids = fs.readdirSync('/proc').filter((name) => {
    try {
      return fs.readFileSync(`/proc/${name}/mountinfo`, 'latin1').includes(` ${dir} `);
    } catch {
      return false;
    }
  });
  return pids.join(', ') || 'nobody sees it mounted';
}

/** Takes a mount away, whatever still uses it. */
export function unmountLazily(dir: string): void {
  try {
    execFileSync('umount', ['-l', dir], { stdio: 'pipe' });
  } catch {
    // Not mounted any more.
  }
}
