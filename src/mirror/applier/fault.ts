// What may keep a record from being applied, and which of two things it means.
import { errno, errnoName } from '../../linux/constants.ts';

/**
 * `blocked`: the standby cannot do it now (disk full, read error, no descriptors); the same record
 * is tried again. `diverged`: the copy is not what the record assumes, or the record is not one that
 * may be applied; nothing further is applied until a person or a new scan settles it.
 */
export type FaultKind = 'blocked' | 'diverged';

/** Why a record was not applied. Survives a thread border. */
export interface ApplyFault {
  readonly kind: FaultKind;
  readonly sequence: number;
  readonly type: number;
  /** Index of the protected directory. */
  readonly directory: number;
  /** Path of the object, latin1. */
  readonly path: string;
  /** Negative errno of the call that failed. */
  readonly errno: number;
  /** The sentence for the operator. */
  readonly message: string;
}

/** Outcomes that say that the copy differs from what the record was made on. */
const DIVERGED: ReadonlySet<number> = new Set([
  errno.ENOENT,
  errno.EEXIST,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.ENOTEMPTY,
  errno.ELOOP,
  errno.EXDEV,
  errno.EINVAL,
  errno.ENODATA,
  errno.ENXIO,
  errno.ESTALE,
]);

/** Sorts a negative errno. */
export function faultKind(negative: number): FaultKind {
  return DIVERGED.has(-negative) ? 'diverged' : 'blocked';
}

/** The object, or a directory on the way to it, is not there. */
export function isMissing(negative: number): boolean {
  return negative === -errno.ENOENT || negative === -errno.ENOTDIR;
}

/** Sentence about a fault on `path` below the protected directory `label`. */
export function faultMessage(negative: number, what: string, where: string): string {
  const name = errnoName(negative);
  return faultKind(negative) === 'blocked'
    ? `cannot apply ${what} to ${where}: ${name}; make room or repair the disk, it is tried again`
    : `the copy differs from the primary at ${where}: ${what} failed with ${name}; ` +
        'nothing more is applied until a new scan has compared and repaired the copy';
}
