// Replaces a small file as a whole, so that a power cut leaves the old one or the new one.
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, UnderstudyError } from '../core/errors.ts';

/** Writes aside, makes it durable, renames over `path`. Errors: STATE_IO. */
export function replaceFile(path: string, text: string): void {
  try {
    const fd = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, path);
    syncDirectory(dirname(path));
  } catch (cause) {
    const why = `cannot write ${path}: ${messageOf(cause)}; check space and that disk`;
    throw new UnderstudyError('STATE_IO', why, { cause });
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
