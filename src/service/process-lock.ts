// One process per purpose: a flock(2) on a file, held by an open descriptor. A descriptor that is
// inherited keeps the lock, so a group process is known to be alive even to a service that was
// started after it, and a lock cannot be left behind by a crash.
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { errno } from '../linux/constants.ts';
import { sys } from '../linux/libc.ts';
import { UnderstudyError } from '../core/errors.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A lock that is held until {@link release} is called and every heir of `fd` has ended. */
export interface ProcessLock {
  readonly fd: number;
  /** Notes whose lock it is, for people and for {@link lockOwner}. */
  readonly note: (pid: number) => void;
  /** Closes this process's descriptor. */
  readonly release: () => void;
}

/** Takes the lock, or returns undefined when another process holds it. */
export function tryLock(path: string): ProcessLock | undefined {
  const fd = openSync(path, 'a+', 0o600);
  const result = sys.flock(fd, LOCK_EX | LOCK_NB);
  if (result === 0) {
    return {
      fd,
      note: (pid) => {
        ftruncateSync(fd);
        writeSync(fd, `${pid}\n`);
      },
      release: () => closeSync(fd),
    };
  }
  closeSync(fd);
  if (result === -errno.EAGAIN) return undefined;
  throw new UnderstudyError('LOCK_FAILED', `cannot lock ${path}: error ${-result}`);
}

/** True while some process holds the lock. */
export function isLocked(path: string): boolean {
  const lock = tryLock(path);
  lock?.release();
  return lock === undefined;
}

/** Process id noted in a lock file. */
export function lockOwner(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}
