// Changes of names: create, mkdir, mknod, symlink, link, rename, unlink, rmdir.
//
// Each has two parts. The *change* is marked before (see `marker.ts`) and done once. *Settling* gives
// the object its attributes and the parents their times; it may be done any number of times.
//
// While a scan runs, the copy may lack what the record is about (the scan will bring it) and may have
// old things in the way (they are removed: on the primary they cannot be there any more).
import { attrField, recordType } from '../../journal/record.ts';
import { O, S, errno } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { unpackDevice } from '../../linux/stat.ts';
import {
  applyObjectTimes,
  applyOwnerAndMode,
  dropInheritedAcls,
  inheritsAcl,
} from './attributes.ts';
import { type ApplyContext, SKIPPED, mark } from './context.ts';
import { isMissing } from './fault.ts';
import { isCreation } from './name-changes.ts';
import { OpenObject } from './open-objects.ts';
import { removeDirectory } from './own-entries.ts';
import { parentOf } from './paths.ts';
import type { RecordView } from './record-view.ts';
import { rename } from './rename-record.ts';
import type { Place } from './volume.ts';

const PERMISSIONS = 0o777;

/** Makes the change. Returns 0, SKIPPED, or a negative errno. */
export function changeNames(context: ApplyContext): number {
  switch (context.record.type) {
    case recordType.link:
      return link(context);
    case recordType.rename:
      return rename(context);
    case recordType.unlink:
      return unlink(context);
    case recordType.rmdir:
      return rmdir(context);
    default:
      return create(context);
  }
}

function create(context: ApplyContext): number {
  const { volume, record, scan } = context;
  let result = volume.prepareOrphans(record.path);
  if (result < 0) return result;
  const place = volume.place(record.path);
  if (typeof place === 'number') return orSkip(record, place);
  if (record.duringScan) {
    result = makeWay(context, place, record.path);
    if (result < 0) return result;
  } else {
    result = mark(context, 0, 0);
    if (result < 0) return result;
  }
  result = makeObject(context, place, record.path);
  if (result === 0) scan.saw(record.path);
  return result;
}

function orSkip(record: RecordView, negative: number): number {
  return record.duringScan && isMissing(negative) ? SKIPPED : negative;
}

/** Marks, and removes what is at the place. */
function makeWay(context: ApplyContext, place: Place, path: string): number {
  const { volume, scan } = context;
  const present = volume.statPlace(place, volume.stat);
  if (present < 0 && present !== -errno.ENOENT) return present;
  const result = mark(context, 0, present === 0 ? volume.stat.ino : 0);
  if (result < 0 || present < 0) return result;
  scan.removed(path);
  return volume.clear(place, path);
}

/**
 * Makes the object of a creating record (or `scanObject`) at a free place, by the type in its
 * attribute block. Owner, mode and times are left to settling.
 */
export function makeObject(context: ApplyContext, place: Place, path: string): number {
  const { record, volume } = context;
  const { parent, name } = place;
  const mode = record.attribute(attrField.mode);
  const permissions = mode & PERMISSIONS;
  switch (mode & S.IFMT) {
    case S.IFREG:
      return makeFile(context, place, path);
    case S.IFDIR: {
      const result = sys.mkdirat(parent.fd, name, permissions);
      // Kept open: entries of it are likely to follow.
      if (result === 0) volume.directory(path);
      return result;
    }
    case S.IFLNK:
      return sys.symlinkat(cstring(record.path2), parent.fd, name);
    case S.IFIFO:
    case S.IFSOCK:
    case S.IFCHR:
    case S.IFBLK: {
      const device = Number(unpackDevice(record.attribute(attrField.rdev)));
      return sys.mknodat(parent.fd, name, (mode & S.IFMT) | permissions, device);
    }
    default:
      return -errno.EINVAL;
  }
}

function makeFile({ record, volume }: ApplyContext, place: Place, path: string): number {
  const { parent, name } = place;
  const flags = O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW | O.NOATIME | O.CLOEXEC;
  const fd = sys.openat(parent.fd, name, flags, record.attribute(attrField.mode) & PERMISSIONS);
  if (fd < 0) return fd;
  if (volume.stat.fd(fd) === 0) {
    volume.open.addFile(path, new OpenObject(fd, volume.stat.ino, false));
  } else sys.close(fd);
  return 0;
}

function link(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const from = volume.place(record.path);
  const to = volume.place(record.path2);
  if (typeof to === 'number') return orSkip(record, to);
  let present = typeof from === 'number' ? from : volume.statPlace(from, volume.stat);
  // An old directory is in the place of the file.
  if (present === 0 && (volume.stat.mode & S.IFMT) === S.IFDIR) present = -errno.ENOENT;
  if (typeof from === 'number' || present < 0) {
    if (!record.duringScan || !isMissing(present)) return present;
    const cleared = makeWay(context, to, record.path2);
    return cleared < 0 ? cleared : SKIPPED;
  }
  const { ino } = volume.stat;
  let result = mark(context, ino, 0);
  if (result === 0 && record.duringScan) {
    scan.removed(record.path2);
    result = volume.clear(to, record.path2);
  }
  if (result < 0) return result;
  result = sys.linkat(from.parent.fd, from.name, to.parent.fd, to.name, 0);
  if (result < 0) return result;
  const known = volume.open.file(record.path);
  if (known !== undefined) known.linked = true;
  if (record.duringScan) {
    scan.saw(record.path2);
    scan.own(ino, record.path);
    scan.own(ino, record.path2);
  }
  return 0;
}

function unlink(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const place = volume.place(record.path);
  if (typeof place === 'number') return orSkip(record, place);
  const { stat } = volume;
  let result = volume.statPlace(place, stat);
  if (result < 0) return orSkip(record, result);
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
  if (isDirectory && !record.duringScan) return -errno.EISDIR;
  const { ino } = stat;
  if (!isDirectory && !record.duringScan) {
    result = volume.nameGoes(ino, stat.nlink, record.sequence - 1);
  }
  if (result === 0) result = mark(context, ino, 0);
  if (result < 0) return result;
  scan.removed(record.path);
  if (isDirectory) return volume.clear(place, record.path);
  volume.open.forget(record.path);
  volume.orphanGoes(record.path);
  return volume.takeAway(place);
}

function rmdir(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const place = volume.place(record.path);
  if (typeof place === 'number') return orSkip(record, place);
  let result = volume.statPlace(place, volume.stat);
  if (result < 0) return orSkip(record, result);
  result = mark(context, volume.stat.ino, 0);
  if (result < 0) return result;
  scan.removed(record.path);
  if (record.duringScan) return volume.clear(place, record.path);
  return removeDirectory(context, place, record.path);
}

/** Where the object of a record and the parents of its paths are; undefined: gone since. */
export interface SettlePaths {
  readonly object: string | undefined;
  readonly parent: string | undefined;
  readonly parent2: string | undefined;
  /** The object may have inherited ACLs from the directory in which it was made. */
  readonly inherited: boolean;
}

/** Paths as the record itself has them; to be asked for after the change. */
export function pathsOf({ record, volume }: ApplyContext): SettlePaths {
  const parent = parentOf(record.path);
  const directory = isCreation(record.type) ? volume.directory(parent) : 0;
  return {
    object: record.type === recordType.rename ? record.path2 : record.path,
    parent,
    parent2: record.path2 === '' ? undefined : parentOf(record.path2),
    inherited: typeof directory !== 'number' && inheritsAcl(directory),
  };
}

/** Attributes of what was created, and the times of the parents. */
export function settleNames(context: ApplyContext, paths: SettlePaths): number {
  const { volume, record } = context;
  let result = 0;
  if (isCreation(record.type) && paths.object !== undefined) {
    result = volume.withObject(paths.object, (fd, known) => {
      const settled = paths.inherited ? withoutAcls(context, fd, known) : 0;
      const owned = settled < 0 ? settled : applyOwnerAndMode(volume, record, fd);
      return owned < 0 ? owned : applyObjectTimes(volume, record, fd, known);
    });
  }
  // Some file systems (XFS) change the mtime of a directory that gets another parent.
  if (record.type === recordType.rename && movesDirectory(record) && paths.object !== undefined) {
    const sec = record.seconds(attrField.mtimeSec);
    const nsec = record.attribute(attrField.mtimeNsec);
    result = volume.noteDirectoryTime(paths.object, sec, nsec);
  }
  if (result === 0 && paths.parent !== undefined) {
    const sec = record.seconds(attrField.parentSec);
    result = volume.noteDirectoryTime(paths.parent, sec, record.attribute(attrField.parentNsec));
  }
  if (result === 0 && paths.parent2 !== undefined) {
    const sec = record.seconds(attrField.parent2Sec);
    result = volume.noteDirectoryTime(paths.parent2, sec, record.attribute(attrField.parent2Nsec));
  }
  return result;
}

const movesDirectory = (record: RecordView): boolean =>
  (record.attribute(attrField.mode) & S.IFMT) === S.IFDIR;

/** The primary's own ACLs of the object, if any, follow as records. */
function withoutAcls({ volume }: ApplyContext, fd: number, known: OpenObject | undefined): number {
  const type = volume.stat.mode & S.IFMT;
  if (type === S.IFLNK) return 0;
  if (known !== undefined) known.defaultAcl = undefined;
  const result = dropInheritedAcls(fd, type === S.IFDIR);
  // Without its ACL the object has another mode.
  return result < 0 ? result : volume.stat.fd(fd);
}
