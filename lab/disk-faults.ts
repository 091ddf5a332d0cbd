// A data disk that fails while the host goes on.
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { present } from '../src/core/assert.ts';
import { cutDiskPower, loopDevicesOf } from './disk.ts';

/**
 * `error`: every access fails from now on (EIO), as when the controller is gone. `read-only`: the file system
 * meets an error of its own and goes read-only (`errors=remount-ro`), as ext4 does by default on servers.
 */
export type DiskFault = 'error' | 'read-only';

/** `directory` is the lab's directory of the host, `mountPoint` its disk as seen from outside. */
export function breakDisk(directory: string, mountPoint: string, fault: DiskFault): void {
  if (fault === 'error') {
    present(cutDiskPower(mountPoint) ? true : undefined, `disk at ${mountPoint}`);
    return;
  }
  const device = present(loopDevicesOf(directory)[0], `loop device of ${directory}`);
  writeFileSync(join('/sys/fs/ext4', basename(device), 'trigger_fs_error'), '1');
}
