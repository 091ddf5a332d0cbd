// Files of segments, created with their final size.
//
// A file that is made in advance is filled with zeros: an fdatasync into blocks that were only
// preallocated would have to write metadata for each of them.
import { closeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { MiB } from '../core/units.ts';
import { AT, O } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';

const ZEROS = Buffer.alloc(MiB);

/** Creates a file of `bytes` bytes, all of them written through. */
export async function createFilled(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    for (let at = 0; at < bytes; at += ZEROS.length) {
      await file.write(ZEROS, 0, Math.min(ZEROS.length, bytes - at), at);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

/**
 * Creates a file at once, with preallocated blocks only, for when a filled one is not ready yet.
 * Returns its descriptor, or a negative errno.
 */
export function createPreallocated(path: string, bytes: number): number {
  const name = cstring(Buffer.from(path).toString('latin1'));
  const fd = sys.openat(AT.FDCWD, name, O.RDWR | O.CREAT | O.TRUNC | O.CLOEXEC, 0o600);
  if (fd < 0) return fd;
  const allocated = sys.fallocate(fd, 0, 0, bytes);
  if (allocated === 0) return fd;
  closeSync(fd);
  return allocated;
}
