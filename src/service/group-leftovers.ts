// Removes what a group leaves on this node.
import { readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GroupPaths } from './service-paths.ts';

/** Every trace of a group without a process, but the data and, with `keepsSalvage`, what is kept aside of it. */
export function removeGroupFiles(files: GroupPaths, keepsSalvage: boolean): void {
  const { directory, salvage, lock, controlSocket, spec, lease } = files;
  if (keepsSalvage) {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (path !== salvage) rmSync(path, { recursive: true, force: true });
    }
  } else rmSync(directory, { recursive: true, force: true });
  // A machine that is amid its end writes to the cells that it has mapped, never to those of a later group.
  for (const path of [lock, controlSocket, spec, lease]) rmSync(path, { force: true });
}

/**
 * What processes before the one of `present` left: a journal may be large, and nobody is to wait for that. Which they are is looked up
 * before anything is waited for: the next process may begin meanwhile.
 */
export async function removeFormerProcesses(
  places: readonly string[],
  present: string,
): Promise<void> {
  const former = places.flatMap(processesIn).filter((path) => path !== present);
  for (const path of former) {
    try {
      await rm(path, { recursive: true, force: true });
    } catch {
      // The group is being deleted, or the disk is failing: the next start tries again.
    }
  }
}

function processesIn(place: string): string[] {
  try {
    const names = readdirSync(place).filter((name) => name.startsWith('process-'));
    return names.map((name) => join(place, name));
  } catch {
    // Nothing is there, or the disk is failing.
    return [];
  }
}
