// What the kernel keeps in memory of the disks.
import { writeFileSync } from 'node:fs';

/** What is read next comes from the disks. Does nothing where /proc is read-only. */
export function dropCleanPages(): void {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '1');
  } catch {
    // As good as can be.
  }
}
