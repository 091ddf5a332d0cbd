// Small file systems of their own for applications that are to meet a full or read-only disk.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Takes all space but `leaveKiB`. */
  fill(leaveKiB?: number): void;
  free(): void;
  readOnly(is: boolean): void;
}

/** A tmpfs of `sizeMiB` at `path`, unmounted at the end whoever still uses it. */
export function smallDisk(path: string, sizeMiB: number): SmallDisk {
  mkdirSync(path, { recursive: true });
  const mount = (...args: string[]): void => void execFileSync('mount', args);
  mount('-t', 'tmpfs', '-o', `size=${sizeMiB}M`, 'understudy-test', path);
  const ballast = join(path, 'ballast');
  return {
    path,
    fill: (leaveKiB = 0) => {
      const { bavail, bsize } = statfsSync(path);
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leaveKiB * 1024)));
    },
    free: () => rmSync(ballast, { force: true }),
    readOnly: (is) => mount('-o', `remount,${is ? 'ro' : 'rw'}`, path),
    [Symbol.dispose]: () => void execFileSync('umount', ['-l', path]),
  };
}
