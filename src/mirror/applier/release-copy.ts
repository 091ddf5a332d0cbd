// The end of a directory's life as a copy: nothing of ours stays in it.
import { removeMarker } from './marker.ts';
import { Volume } from './volume.ts';

/**
 * Takes the marker and the orphan directory (files that had no name any more on the primary) out of
 * an open directory that ceases to be a copy. The applier must have ended. Returns 0 or a negative errno.
 */
export function releaseCopy(fd: number): number {
  const volume = new Volume({ index: 0, label: '', fd, openMax: 1 });
  const removed = volume.removeOrphans();
  const settled = volume.close();
  const unmarked = removeMarker(fd);
  return Math.min(removed, settled, unmarked);
}
