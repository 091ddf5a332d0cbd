// The read-only covers over the protected directories on the standby: everybody sees the copy, only the
// applier, through descriptors of what is beneath, can write it.
import { UnderstudyError } from '../core/errors.ts';
import { errnoName, MNT } from '../linux/constants.ts';
import { cover, hasCover, isCovered, openUnderneath } from '../linux/directory-cover.ts';
import { cpath, sys } from '../linux/libc.ts';
import type { MountEntry } from '../linux/mount-table.ts';

/** Covers of one directory that are taken away at most. */
const TRIES = 8;

/** A protected directory and a descriptor of what is beneath the cover. */
export interface CoveredDirectory {
  readonly dir: string;
  readonly fd: number;
}

/**
 * Opens the directories and covers them; covers of a former process stay, so that nobody can write in between.
 * Errors: DIRECTORY_UNUSABLE, COVER_FAILED; what is covered by then stays so, too.
 */
export function coverDirectories(dirs: readonly string[]): CoveredDirectory[] {
  const covered: CoveredDirectory[] = [];
  try {
    for (const dir of dirs) {
      const fd = openUnderneath(dir);
      if (fd < 0) {
        const why = `cannot open the protected directory ${dir}: ${errnoName(fd)}`;
        throw new UnderstudyError('DIRECTORY_UNUSABLE', `${why}; create it or correct its rights`);
      }
      covered.push({ dir, fd });
      if (!isCovered(dir)) cover(dir);
    }
    return covered;
  } catch (error) {
    for (const { fd } of covered) sys.close(fd);
    throw error;
  }
}

/** Takes away the covers over `dirs`, also those of a former process. */
export function uncoverDirectories(dirs: readonly string[]): void {
  for (const dir of dirs) {
    for (let tries = 0; tries < TRIES && isCovered(dir); tries += 1) {
      sys.umount2(cpath(dir), MNT.DETACH);
    }
  }
}

/**
 * Covers again what somebody uncovered, and returns it. Where something else is mounted over the cover, nobody can
 * write the copy. Errors: COVER_FAILED.
 */
export function coverAgain(dirs: readonly string[], table: readonly MountEntry[]): string[] {
  const lost = dirs.filter((dir) => !hasCover(dir, table));
  for (const dir of lost) cover(dir);
  return lost;
}
