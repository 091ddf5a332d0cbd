// The read-only covers over the protected directories on the standby: everybody sees the copy, only the
// applier, through descriptors of what is beneath, can write it.
//
// Which directories are covered is noted in a file first: after a crash the cover is still there
// and has to be told apart from a mount of the operator's.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { bootId } from '../linux/boot-id.ts';
import { errnoName, MNT } from '../linux/constants.ts';
import { cover, hasCover, isCovered, openUnderneath } from '../linux/directory-cover.ts';
import { cpath, sys } from '../linux/libc.ts';
import type { MountEntry } from '../linux/mount-table.ts';

const NOTE_FILE = 'covers.json';
const noteSchema = z.strictObject({ bootId: z.string(), dirs: z.array(z.string()) });

/** A protected directory and a descriptor of what is beneath the cover. */
export interface CoveredDirectory {
  readonly dir: string;
  readonly fd: number;
}

/**
 * Opens the directories and covers them; covers of a former process stay, so that nobody can write in between.
 * Errors: DIRECTORY_UNUSABLE, COVER_FAILED; then nothing is covered.
 */
export function coverDirectories(
  dirs: readonly string[],
  stateDirectory: string,
): CoveredDirectory[] {
  writeFileSync(join(stateDirectory, NOTE_FILE), JSON.stringify({ bootId: bootId(), dirs }), {
    mode: 0o600,
  });
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
    uncoverDirectories(stateDirectory);
    throw error;
  }
}

/** Takes away the covers that the note in `stateDirectory` names. */
export function uncoverDirectories(stateDirectory: string): void {
  const path = join(stateDirectory, NOTE_FILE);
  if (!existsSync(path)) return;
  const note = noteSchema.safeParse(parse(readFileSync(path, 'utf8')));
  if (note.success && note.data.bootId === bootId()) {
    for (const dir of note.data.dirs) {
      for (let tries = 0; tries < 8 && isCovered(dir); tries += 1) {
        sys.umount2(cpath(dir), MNT.DETACH);
      }
    }
  }
  rmSync(path, { force: true });
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
