// A file system that loses power: what had not reached its disk is gone, as in a real power cut.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { AT, O, errnoName } from '../../src/linux/constants.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { type FileSystemKind, mountAgain, mountLoopImage, unmountLazily } from './loop-image.ts';

/** FS_IOC_SHUTDOWN of ext4 and XFS (uapi/linux/fs.h): nothing more is written, not even the log. */
const FS_IOC_SHUTDOWN = 0x8004587d;
const NO_LOG_FLUSH = 2;

/** From now on nothing reaches the disk of the file system at `dir`. */
export function cutPower(dir: string): void {
  const fd = sys.openat(AT.FDCWD, cstring(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const flag = Buffer.alloc(4);
  flag.writeUInt32LE(NO_LOG_FLUSH);
  const result = fd < 0 ? fd : sys.ioctl(fd, FS_IOC_SHUTDOWN, flag);
  if (fd >= 0) sys.close(fd);
  if (result < 0) throw new Error(`cannot cut the power of ${dir}: ${errnoName(result)}`);
}

export class PowerCutDisk {
  readonly dir: string;
  readonly #image: string;

  /** Makes a file system in `base`, mounted at `dir`. */
  constructor(base: string, kind: FileSystemKind, bytes: number) {
    this.#image = join(base, 'disk.img');
    this.dir = join(base, 'disk');
    // Small images would get blocks of 1 KiB, which hardly anybody has.
    const mkfs = kind === 'ext4' ? ['-b', '4096'] : [];
    mountLoopImage({ image: this.#image, dir: this.dir, bytes, kind, mkfs });
  }

  /** The power goes. Descriptors on the file system are to be closed before {@link powerOn}. */
  cut(): void {
    cutPower(this.dir);
  }

  /** Mounts what is on the disk. */
  powerOn(): void {
    execFileSync('umount', [this.dir], { stdio: 'pipe' });
    mountAgain(this.#image, this.dir);
  }

  /** Unmounts and removes everything. */
  close(): void {
    unmountLazily(this.dir);
    fs.rmSync(this.#image, { force: true });
  }
}
