// Files that share an inode on the standby but not on the primary.
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { O, SEEK, errno } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { type ApplyContext, mark } from './context.ts';

/**
 * Gives `path` an inode of its own with the same contents, so that it can change without the other
 * names. Attributes are left to the caller: a scan sets them anyway.
 */
export function separate(context: ApplyContext, path: string): number {
  const { volume, record } = context;
  const place = volume.place(path);
  if (typeof place === 'number') return place;
  const source = volume.file(path);
  if (typeof source === 'number') return source;
  let result = mark(context, source.ino, 0);
  if (result < 0) return result;
  const temporary = `${ORPHAN_DIRECTORY}/separate-${record.sequence}`;
  result = volume.prepareOrphans(temporary);
  if (result < 0) return result;
  const aside = volume.place(temporary);
  if (typeof aside === 'number') return aside;
  sys.unlinkat(aside.parent.fd, aside.name, 0);
  const flags = O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC;
  const copy = sys.openat(aside.parent.fd, aside.name, flags, 0o600);
  if (copy < 0) return copy;
  result = copyContents(context, source.fd, copy);
  sys.close(copy);
  if (result === 0) {
    result = sys.renameat2(aside.parent.fd, aside.name, place.parent.fd, place.name, 0);
  }
  if (result < 0) sys.unlinkat(aside.parent.fd, aside.name, 0);
  volume.open.forget(path);
  const tidied = volume.tidyOrphans();
  return result < 0 ? result : tidied;
}

/** Copies data, not holes, within the file system (sharing blocks where it can). */
function copyContents({ volume }: ApplyContext, from: number, to: number): number {
  let result = volume.stat.fd(from);
  if (result < 0) return result;
  const { size } = volume.stat;
  result = sys.ftruncate(to, size);
  const offsets = Buffer.alloc(16);
  let at = 0;
  while (result === 0 && at < size) {
    const data = sys.lseek(from, at, SEEK.DATA);
    if (data === -errno.ENXIO) return 0;
    const start = data < 0 ? at : data;
    const hole = data < 0 ? size : sys.lseek(from, start, SEEK.HOLE);
    const end = hole < 0 ? size : hole;
    offsets.writeBigInt64LE(BigInt(start), 0);
    offsets.writeBigInt64LE(BigInt(start), 8);
    const copied = sys.copyFileRange(from, offsets, to, offsets.subarray(8), end - start, 0);
    if (copied < 0) result = copied;
    at = start + Math.max(0, copied);
    // The file is shorter than it said: nobody else changes it, so the disk does not give it.
    if (copied === 0) result = -errno.EIO;
  }
  return result;
}
