// What may keep a record from being applied, and which of two things it means.
import { errno, errnoName } from '../../linux/constants.ts';

/**
 * `blocked`: the standby cannot do it now (disk full, read error, no descriptors); the same record
 * is tried again. `diverged`: the copy is not what the record assumes, or the record is not one that
 * may be applied; nothing further is applied until a new scan or a person settles it.
 */
export type FaultKind = 'blocked' | 'diverged';

/** Why a record was not applied. */
export interface ApplyFault {
  readonly kind: FaultKind;
  /** Stable name: APPLY_BLOCKED, RECORD_NOT_APPLICABLE, JOURNAL_DAMAGED, MARKER_UNKNOWN. */
  readonly code: string;
  readonly sequence: number;
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
]);

/** Outcomes of what the primary's file system has and the one of the copy has not: long attributes, large files, ACLs. */
const LACKS: ReadonlySet<number> = new Set([errno.E2BIG, errno.EFBIG, errno.EOPNOTSUPP]);

/** Sorts a negative errno. */
export function faultKind(negative: number): FaultKind {
  return DIVERGED.has(-negative) ? 'diverged' : 'blocked';
}

/** The object, or a directory on the way to it, is not there (perhaps something else in its place). */
export function isMissing(negative: number): boolean {
  return [-errno.ENOENT, -errno.ENOTDIR, -errno.ELOOP].includes(negative);
}

/** Outcomes of a change of contents or attributes on an old object of another kind. */
const OTHER_KIND: ReadonlySet<number> = new Set([
  errno.EISDIR,
  errno.EINVAL,
  errno.ENODATA,
  errno.EPERM,
  errno.EACCES,
  errno.EOPNOTSUPP,
]);

/** The object is missing, or something else is where a scan has not come yet. */
export function isStillOld(negative: number): boolean {
  return isMissing(negative) || OTHER_KIND.has(-negative);
}

/** The fault of a failed call: `what` (such as a record type) on `where` (a path). */
export function callFault(
  negative: number,
  sequence: number,
  { what, where }: { what: string; where: string },
): ApplyFault {
  const name = errnoName(negative);
  const kind = faultKind(negative);
  const remedy = LACKS.has(-negative)
    ? 'the file system of the copy cannot hold this: use one like that of the primary, or take it away there and run ' +
      '"understudy verify GROUP --repair" on the primary'
    : 'make room or repair the disk, it is tried again';
  const message =
    kind === 'blocked'
      ? `cannot apply ${what} to ${where} (${name}): ${remedy}`
      : `the copy differs from the primary at ${where}: ${what} cannot be applied (${name}); ` +
        'a new scan has to compare and repair the copy';
  const code = kind === 'blocked' ? 'APPLY_BLOCKED' : 'RECORD_NOT_APPLICABLE';
  return { kind, code, sequence, errno: negative, message };
}
