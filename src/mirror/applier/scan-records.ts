// A scan (first copy or resync): the records say what there is, and the copy is made so. All of them
// may be applied any number of times.
import { NAMESPACE_BYTES, attrField, decodeXattrs } from '../../journal/record.ts';
import { S, errno } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { packDevice } from '../../linux/stat.ts';
import { applyObjectTimes, applyOwnerAndMode, applyXattrs, hasSameTime } from './attributes.ts';
import { type ApplyContext, mark } from './context.ts';
import { separate } from './hard-links.ts';
import { makeObject } from './name-records.ts';
import { surplusIn } from './own-entries.ts';
import type { Place } from './volume.ts';

const target = Buffer.alloc(4096);

/** `scanObject`: makes the object what the record says, unless it may be trusted to be so already. */
export function applyScanObject(context: ApplyContext, path: string): number {
  const { record, volume, onNeed } = context;
  const trusted = trustIn(context);
  const placed = placeObject(context);
  if (placed < 0 || (trusted && record.isUnchanged)) return placed;
  const settled = settleObject(context, path);
  const isNamedOnly = record.isUnchanged || record.isPartlyChanged;
  if (settled === 0 && !trusted && isNamedOnly && record.offset > 0) {
    const range = { offset: 0, length: record.offset, compare: true };
    onNeed({ directory: volume.index, path, ...range });
  }
  return settled;
}

/**
 * Whether what the primary says it has not changed is here as well. Looks at what is here before
 * anything of it is changed.
 */
function trustIn(context: ApplyContext): boolean {
  const { record, volume, trust } = context;
  const { path } = record;
  const { stat } = volume;
  const type = record.attribute(attrField.mode) & S.IFMT;
  const isNamedOnly = record.isUnchanged || record.isPartlyChanged;
  if (type !== S.IFDIR && !isNamedOnly) return false;
  const place = path === '' ? undefined : volume.place(path);
  if (typeof place === 'number') return false;
  const present = place === undefined ? stat.fd(volume.root.fd) : volume.statPlace(place, stat);
  const isSame = present === 0 && (stat.mode & S.IFMT) === type;
  if (type === S.IFDIR) {
    trust.meetDirectory(path, isSame ? stat : undefined);
    return false;
  }
  // Not a proof, but where it differs no other proof counts.
  const isLikely =
    record.isPartlyChanged || (stat.size === record.offset && hasSameTime(record, stat));
  return isSame && stat.nlink === 1 && isLikely && trust.isTrusted(path, stat);
}

/** `scanObject`, the names: something of the right type is at `path`, with an inode of its own. */
function placeObject(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const { path } = record;
  if (path === '') return 0;
  const prepared = volume.prepareOrphans(path);
  if (prepared < 0) return prepared;
  const place = volume.place(path);
  if (typeof place === 'number') return place;
  const present = volume.statPlace(place, volume.stat);
  if (present < 0 && present !== -errno.ENOENT) return present;
  if (present === 0 && isSameKind(context, place) && mayBeKept(context)) return keepObject(context);
  let result = mark(context, 0, 0);
  if (result === 0 && present === 0) {
    scan.removed(path);
    result = volume.clear(place, path);
  }
  if (result === 0) result = makeObject(context, place, path);
  if (result === 0) scan.saw(path);
  return result;
}

/** Only files can get an inode of their own; anything else that is another's by right is made anew. */
function mayBeKept({ volume, record, scan }: ApplyContext): boolean {
  const { stat } = volume;
  const type = stat.mode & S.IFMT;
  if (type === S.IFREG || type === S.IFDIR || stat.nlink < 2) return true;
  return scan.mayUse(stat.ino, record.path);
}

/** An object of the right kind is kept, unless it is a file that is the wrong one's other name. */
function keepObject(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const { stat } = volume;
  const { path } = record;
  let result = 0;
  if ((stat.mode & S.IFMT) !== S.IFDIR && stat.nlink > 1) {
    if (scan.mayUse(stat.ino, path)) scan.own(stat.ino, path);
    else result = separate(context, path);
  }
  if (result === 0) scan.saw(path);
  return result;
}

/** Whether the object that `volume.stat` describes may stay: same type, and what cannot be changed. */
function isSameKind({ volume, record }: ApplyContext, place: Place): boolean {
  const { stat } = volume;
  const type = stat.mode & S.IFMT;
  if (type !== (record.attribute(attrField.mode) & S.IFMT)) return false;
  if (type === S.IFCHR || type === S.IFBLK) {
    return packDevice(stat) === record.attribute(attrField.rdev);
  }
  if (type !== S.IFLNK) return true;
  const length = sys.readlinkat(place.parent.fd, place.name, target, target.length);
  return length >= 0 && target.toString('latin1', 0, length) === record.path2;
}

/** `scanObject`, the rest: owner, mode, extended attributes, times, size. */
function settleObject(context: ApplyContext, path: string): number {
  const { volume, record } = context;
  const xattrs = decodeXattrs(record.payload.subarray(NAMESPACE_BYTES));
  if (xattrs === undefined) return -errno.EINVAL;
  const isRegular = (record.attribute(attrField.mode) & S.IFMT) === S.IFREG;
  if (isRegular) {
    const result = settleSize(context, path);
    if (result < 0) return result;
  }
  return volume.withObject(path, (fd, known) => {
    // The owner first: chown takes capabilities away. The mode again after the ACLs, which change it.
    let result = applyOwnerAndMode(volume, record, fd);
    if (result === 0) result = applyXattrs(fd, xattrs);
    if (known !== undefined) known.defaultAcl = undefined;
    if (result === 0) result = volume.stat.fd(fd);
    if (result === 0) result = applyOwnerAndMode(volume, record, fd);
    return result < 0 ? result : applyObjectTimes(volume, record, fd, known);
  });
}

function settleSize({ volume, record }: ApplyContext, path: string): number {
  const file = volume.file(path);
  if (typeof file === 'number') return file;
  const result = volume.stat.fd(file.fd);
  if (result < 0 || volume.stat.size === record.offset) return result;
  return sys.ftruncate(file.fd, record.offset);
}

/** `scanLink`: `path2` is another name of the file at `path`. */
export function placeLink(context: ApplyContext): number {
  const { volume, record, scan } = context;
  const prepared = volume.prepareOrphans(record.path2);
  if (prepared < 0) return prepared;
  const from = volume.place(record.path);
  if (typeof from === 'number') return from;
  const to = volume.place(record.path2);
  if (typeof to === 'number') return to;
  let result = volume.statPlace(from, volume.stat);
  if (result < 0) return result;
  const { ino } = volume.stat;
  const present = volume.statPlace(to, volume.stat);
  if (present < 0 && present !== -errno.ENOENT) return present;
  if (present < 0 || volume.stat.ino !== ino) {
    result = mark(context, ino, 0);
    if (result === 0) {
      scan.removed(record.path2);
      result = volume.clear(to, record.path2);
    }
    if (result === 0) {
      result = sys.linkat(from.parent.fd, from.name, to.parent.fd, to.name, 0);
    }
    if (result < 0) return result;
  }
  const known = volume.open.file(record.path);
  if (known !== undefined) known.linked = true;
  scan.saw(record.path2);
  scan.own(ino, record.path);
  scan.own(ino, record.path2);
  return 0;
}

/** `scanDirEnd`, the names: those that were not seen since `scanDirBegin` go, unless they are not mirrored. */
export function pruneDirectory(context: ApplyContext): number {
  const { volume, record, scan, trust, patterns } = context;
  const { path } = record;
  trust.leaveDirectory(path);
  const seen = scan.seenIn(path);
  if (seen === undefined) return -errno.EINVAL;
  const directory = volume.directory(path);
  if (typeof directory === 'number') return directory;
  const surplus = surplusIn(patterns, { fd: directory.fd, path }, seen);
  if (typeof surplus === 'number') return surplus;
  let result = surplus.length === 0 ? 0 : mark(context, 0, 0);
  for (const { name } of surplus) {
    if (result < 0) return result;
    const gone = path === '' ? name : `${path}/${name}`;
    const place = { parent: directory, parentPath: path, name: cstring(name) };
    scan.removed(gone);
    result = volume.clear(place, gone);
  }
  if (result === 0) scan.end(path);
  return result;
}

/** `scanDirEnd`, the rest: final attributes of the directory. */
export function settleDirectory(context: ApplyContext, path: string): number {
  const { volume, record } = context;
  const directory = volume.directory(path);
  if (typeof directory === 'number') return directory;
  return volume.withObject(path, (fd, known) => {
    const result = applyOwnerAndMode(volume, record, fd);
    return result < 0 ? result : applyObjectTimes(volume, record, fd, known);
  });
}
