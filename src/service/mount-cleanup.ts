// Takes away mounts that a group process left behind. Only called while the group's lock is free:
// then nobody serves the FUSE connection, and everything that touches the mount would hang.
import { errnoName, MNT } from '../linux/constants.ts';
import { abortConnection } from '../linux/fuse-connection.ts';
import { cstring, sys } from '../linux/libc.ts';
import { UnderstudyError } from '../core/errors.ts';
import { isFilterMount, leftoverMounts, readMountTable } from '../linux/mount-table.ts';

/**
 * Takes away the filter's dead mount on `dir`, and with `covers` also a standby's read-only cover.
 * Returns the number of mounts taken away. Errors: UNMOUNT_FAILED.
 */
export function removeLeftoverMounts(dir: string, { covers }: { covers: boolean }): number {
  const all = leftoverMounts(readMountTable(), dir);
  const end = all.findIndex((entry) => !covers && !isFilterMount(entry));
  const leftovers = end < 0 ? all : all.slice(0, end);
  for (const entry of leftovers) {
    // Requests wait there for a server that is gone.
    if (isFilterMount(entry)) abortConnection(entry.device);
    const result = sys.umount2(cstring(Buffer.from(dir).toString('latin1')), MNT.DETACH);
    if (result < 0) {
      throw new UnderstudyError(
        'UNMOUNT_FAILED',
        `a mount left behind on ${dir} cannot be taken away (${errnoName(result)}): run "umount -l ${dir}"`,
      );
    }
  }
  return leftovers.length;
}
