import type { CopyProgress } from '../../../service/status.ts';

/** How far it is, 0 to 1; 0 while the end is not known. */
export function shareOf({ bytes, bytesTotal, files, filesTotal }: CopyProgress): number {
  if (bytesTotal > 0) return Math.min(1, bytes / bytesTotal);
  return filesTotal > 0 ? Math.min(1, files / filesTotal) : 0;
}
