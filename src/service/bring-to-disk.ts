// What applications wrote into protected directories is brought to its disks, also what they had not asked to be there.
import { closeSync, constants, openSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import { syncFileSystem } from '../linux/syncfs.ts';

/** Nothing of the group may be mounted there but covers. Resolves with why it is not certain, as a sentence; null: it is. */
export async function bringToDisk(dirs: readonly string[]): Promise<string | null> {
  for (const dir of dirs) {
    const why = await syncOne(dir);
    if (why !== null) return `not everything in ${dir} may be on its disk: ${why}`;
  }
  return null;
}

async function syncOne(dir: string): Promise<string | null> {
  try {
    const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return (await syncFileSystem(fd)) ? null : 'its file system could not write everything';
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    return messageOf(thrown);
  }
}
