// The log of a child of the service: one file, and the one before it.
import { existsSync, openSync, renameSync, statSync } from 'node:fs';

const LOG_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Descriptor to append to `path` with; a file that has grown too large is put aside first. On a disk that does not let it be
 * opened nothing is logged: whoever serves data is started all the same.
 */
export function openLogFile(path: string): number {
  try {
    const size = existsSync(path) ? statSync(path).size : 0;
    if (size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
    return openSync(path, 'a', 0o600);
  } catch {
    return openSync('/dev/null', 'a');
  }
}
