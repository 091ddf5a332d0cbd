// Changes of names: create, mkdir, mknod, symlink, link, rename, unlink, rmdir.
//
// Each has two parts. The *change* is marked before (see `marker.ts`) and done once. *Settling* gives
// the object its attributes and the parents their times; it may be done any number of times.
//
// While a scan runs, the copy may lack what the record is about (the scan will bring it) and may have
// old things in the way (they are removed: on the primary they cannot be there any more).
import { attrField, recordType } from '../../journal/record.ts';
import { AT, O, RENAME, S, errno } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { unpackDevice } from '../../linux/stat.ts';
import {
  applyObjectTimes,
  applyOwnerAndMode,
  dropInheritedAcls,
  inheritsAcl,
} from './attributes.ts';
import { type ApplyContext, mark } from './context.ts';
import { isMissing } from './fault.ts';
import { OpenObject } from './open-objects.ts';
import type { RecordView } from './record-view.ts';
import type { Place, Volume } from './volume.ts';

/** The change of a record was not to be made here: nothing is left to settle. */
export const SKIPPED = 1;

const PERMISSIONS = 0o777;

/** Whether a record changes names (outside scan records). */
export function isNameRecord(type: number): boolean {
  return type >= recordType.create && type <= recordType.rmdir;
}

/** Whether the record's object is one that the record itself brings into being. */
export function isCreation(type: number): boolean {
  return (
    type === recordType.create ||
    type === recordType.mkdir ||
    type === recordType.mknod ||
    type === recordType.symlink
  );
}

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
  return sys.unlinkat(place.parent.fd, place.name, 0);
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
  volume.open.forgetTree(record.path);
  return sys.unlinkat(place.parent.fd, place.name, AT.REMOVEDIR);
}

/** One end of a rename: its place and what is there. */
interface End {
  readonly path: string;
  readonly place: Place;
  /** 0 when nothing is there. */
  readonly ino: number;
  readonly nlink: number;
  readonly isDirectory: boolean;
}

function endOf(volume: Volume, path: string): End | number {
  const place = volume.place(path);
  if (typeof place === 'number') return place;
  const { stat } = volume;
  const result = volume.statPlace(place, stat);
  if (result === -errno.ENOENT) {
    return { path, place, ino: 0, nlink: 0, isDirectory: false };
  }
  if (result < 0) return result;
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
  return { path, place, ino: stat.ino, nlink: isDirectory ? 1 : stat.nlink, isDirectory };
}

function rename(context: ApplyContext): number {
  const { volume, record } = context;
  const prepared = volume.prepareOrphans(record.path2);
  if (prepared < 0) return prepared;
  const from = endOf(volume, record.path);
  const to = endOf(volume, record.path2);
  if (record.duringScan) return renameInScan(context, from, to);
  if (typeof from === 'number') return from;
  if (typeof to === 'number') return to;
  if (from.ino === 0) return -errno.ENOENT;
  // rename(2) does nothing to two names of one file; the primary would not have recorded it.
  if (from.ino === to.ino) return -errno.EEXIST;
  const result = beforeRename(context, from, to);
  return result < 0 ? result : moveNames(context, from, to);
}

/** Syncs when a name of several goes, and marks. */
function beforeRename(context: ApplyContext, from: End, to: End): number {
  const { record, volume } = context;
  const exchange = (record.aux & RENAME.EXCHANGE) !== 0;
  const result = exchange ? 0 : volume.nameGoes(to.ino, to.nlink, record.sequence - 1);
  return result < 0 ? result : mark(context, from.ino, to.ino);
}

function moveNames({ volume, record, scan }: ApplyContext, from: End, to: End): number {
  const { parent, name } = from.place;
  const flags = record.aux & (RENAME.NOREPLACE | RENAME.EXCHANGE);
  const result = sys.renameat2(parent.fd, name, to.place.parent.fd, to.place.name, flags);
  if (result < 0) return result;
  if ((flags & RENAME.EXCHANGE) !== 0) {
    volume.open.exchanged(from.path, to.path);
    scan.exchanged(from.path, to.path);
    scan.saw(from.path);
  } else {
    volume.open.moved(from.path, to.path, from.isDirectory);
    volume.orphanGoes(from.path);
    scan.moved(from.path, to.path);
  }
  scan.saw(to.path);
  return 0;
}

/**
 * While a scan runs either end may be missing or something old. What is known here moves as on the
 * primary; what cannot move is removed, and the scan brings it to its new place.
 */
function renameInScan(context: ApplyContext, from: End | number, to: End | number): number {
  const { record } = context;
  if (typeof from === 'number' && !isMissing(from)) return from;
  if (typeof to === 'number' && !isMissing(to)) return to;
  const source = typeof from === 'number' || from.ino === 0 ? undefined : from;
  const target = typeof to === 'number' ? undefined : to;
  const exchange = (record.aux & RENAME.EXCHANGE) !== 0;
  const result = mark(context, source?.ino ?? 0, target?.ino ?? 0);
  if (result < 0) return result;
  if (exchange && source === undefined) {
    if (target === undefined || target.ino === 0) return SKIPPED;
    if (typeof from === 'number') return removeEnd(context, target);
    return moveOver(context, target, from);
  }
  if (exchange && target !== undefined && target.ino !== 0 && source !== undefined) {
    return moveNames(context, source, target);
  }
  if (source === undefined) return target === undefined ? SKIPPED : removeEnd(context, target);
  if (target === undefined) return removeEnd(context, source);
  return moveOver(context, source, target);
}

function removeEnd({ volume, scan }: ApplyContext, end: End): number {
  scan.removed(end.path);
  const result = volume.clear(end.place, end.path);
  return result < 0 ? result : SKIPPED;
}

/** Moves to a place that is cleared before. */
function moveOver({ volume, scan }: ApplyContext, from: End, to: End): number {
  scan.removed(to.path);
  let result = volume.clear(to.place, to.path);
  if (result < 0) return result;
  const { parent, name } = from.place;
  result = sys.renameat2(parent.fd, name, to.place.parent.fd, to.place.name, 0);
  if (result < 0) return result;
  volume.open.moved(from.path, to.path, from.isDirectory);
  volume.orphanGoes(from.path);
  scan.moved(from.path, to.path);
  scan.saw(to.path);
  return 0;
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

/** Path of the directory that has `path`. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
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

/**
 * Whether `record`, a change of names, is the marked one and was made: before a crash, or before its
 * settling failed. While a scan runs, creations are made again (to no harm).
 */
export function isChangeMade(volume: Volume, record: RecordView): boolean {
  const { marker } = volume;
  if (marker?.sequence !== record.sequence) return false;
  const { sourceIno, targetIno } = marker;
  const from = endOf(volume, record.path);
  if (isCreation(record.type)) {
    if (record.duringScan) return false;
    return typeof from !== 'number' && from.ino !== 0;
  }
  const fromIno = typeof from === 'number' ? 0 : from.ino;
  if (record.type === recordType.unlink || record.type === recordType.rmdir) return fromIno === 0;
  const to = endOf(volume, record.path2);
  const toIno = typeof to === 'number' ? 0 : to.ino;
  if (record.type === recordType.link) return sourceIno !== 0 && toIno === sourceIno;
  const exchange = (record.aux & RENAME.EXCHANGE) !== 0;
  return toIno === sourceIno && fromIno === (exchange ? targetIno : 0);
}
