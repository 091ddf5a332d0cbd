// Replaces a small file as a whole: afterwards, also after a power cut, there is the old one or the new one.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, UnderstudyError } from '../core/errors.ts';

/** Writes aside, makes it durable, renames over `path`, makes the name durable. Errors: STATE_IO; then the old one stays. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  const aside = `${path}.new`;
  try {
    // One that was left behind may have other rights.
    rmSync(aside, { force: true });
    const fd = openSync(aside, 'wx', mode);
    try {
      // Not one write(2): on a disk that gets full in the middle it says how much it took, and fails the next time.
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(aside, path);
    syncDirectory(dirname(path));
  } catch (cause) {
    forget(aside);
    const why = `cannot write ${path}: ${messageOf(cause)}; check space and that disk`;
    throw new UnderstudyError('STATE_IO', why, { cause });
  }
}

/** On a full disk its space is needed. */
function forget(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The disk has failed, which is told already.
  }
}

/** Makes names created in, or removed from, `directory` durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
