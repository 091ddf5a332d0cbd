// One process per purpose: a flock(2) on a file, held by an open descriptor. A descriptor that is
// inherited keeps the lock, so a group process is known to be alive even to a service that was
// started after it, and a lock cannot be left behind by a crash.
//
// The lock belongs to the open file, which parent and child share, not to a process: the service can
// take it for a child that inherited the descriptor long before, and the child can give it back.
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { errno } from '../linux/constants.ts';
import { sys } from '../linux/libc.ts';
import { UnderstudyError } from '../core/errors.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** Where a group process finds the lock that it inherited. */
export const INHERITED_LOCK_FD = 3;

/** A lock that is held until {@link release} is called and every heir of `fd` has ended. */
export interface ProcessLock {
  readonly fd: number;
  /** Notes whose lock it is, for people and for {@link lockOwner}. */
  readonly note: (pid: number) => void;
  /** Closes this process's descriptor. */
  readonly release: () => void;
}

/** A lock file that was opened, and is locked once {@link take} has succeeded. */
export interface LockFile extends ProcessLock {
  /** False when another process holds the lock. Errors: LOCK_FAILED. */
  readonly take: () => boolean;
  /** False when another file has taken the path since: locking this one would mean nothing. */
  readonly isCurrent: () => boolean;
}

/** Opens a lock file without locking it. */
export function openLock(path: string): LockFile {
  const fd = openSync(path, 'a+', 0o600);
  return {
    fd,
    take: () => {
      const result = sys.flock(fd, LOCK_EX | LOCK_NB);
      if (result === 0) return true;
      if (result === -errno.EAGAIN) return false;
      throw new UnderstudyError('LOCK_FAILED', `cannot lock ${path}: error ${-result}`);
    },
    isCurrent: () => {
      const own = fstatSync(fd);
      const present = statSync(path, { throwIfNoEntry: false });
      return present?.ino === own.ino && present.dev === own.dev;
    },
    note: (pid) => {
      ftruncateSync(fd);
      writeSync(fd, `${pid}\n`);
    },
    release: () => closeSync(fd),
  };
}

/** Takes the lock, or returns undefined when another process holds it. */
export function tryLock(path: string): ProcessLock | undefined {
  const lock = openLock(path);
  try {
    if (lock.take()) return lock;
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
  lock.release();
  return undefined;
}

/**
 * Gives back the inherited lock before the process ends: it uses nothing of its group's any more, and
 * whoever follows need not wait for its end.
 */
export function releaseInheritedLock(): void {
  // Without an inherited lock this is a descriptor that was never locked, or none: nothing happens.
  sys.flock(INHERITED_LOCK_FD, LOCK_UN);
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
