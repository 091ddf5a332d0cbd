// Attribute blocks and extended attributes, brought to an object through a descriptor of it.
//
// Order matters: chown takes setuid bits and file capabilities away, an access ACL and the mode
// change each other. So: owner, extended attributes, mode, times.
import { statfsSync } from 'node:fs';
import { NO_TIME, attrField, attrMask } from '../../journal/record.ts';
import { AT, S, errno } from '../../linux/constants.ts';
import { readXattrs } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import type { Stat } from '../../linux/stat.ts';
import { procPath } from './beneath.ts';
import type { OpenObject } from './open-objects.ts';
import type { RecordView } from './record-view.ts';
import type { Volume } from './volume.ts';

const EMPTY = cstring('');
const PERMISSIONS = 0o7777;
const UNCHANGED = 0xffffffff;
/** With more of the disk free, room is not what an attribute lacks. */
const FREE_SHARE = 0.01;
export const ACL_ACCESS = 'system.posix_acl_access';
export const ACL_DEFAULT = 'system.posix_acl_default';

/**
 * Attributes that are this machine's own: our marker, the second form in which XFS shows ACLs, and
 * labels that the security modules of the standby give by themselves.
 */
const OWN_XATTRS = /^(trusted\.(understudy\.|SGI_ACL_)|security\.(ima|evm)$)/;
/** Set when the primary has it, never removed because the primary lacks it. */
const KEPT_XATTRS = /^security\.selinux$/;

export const isOwnXattr = (name: string): boolean => OWN_XATTRS.test(name);

type Use = (fd: number, known: OpenObject | undefined) => number;

/** Changes attributes of the object at `path`, noting it when the object has several names. */
function changeObject(volume: Volume, record: RecordView, path: string, use: Use): number {
  return volume.withObject(path, (fd, known) => {
    const { stat } = volume;
    const isShared = stat.nlink > 1 && (stat.mode & S.IFMT) !== S.IFDIR && !record.duringScan;
    const noted = isShared ? volume.noteChange(stat.ino, record.sequence - 1) : 0;
    return noted < 0 ? noted : use(fd, known);
  });
}

/** `setattr`: sets what the mask in `aux` names. */
export function applySetattr(volume: Volume, record: RecordView, path: string): number {
  return changeObject(volume, record, path, (fd, known) => {
    const mask = record.aux;
    const isLink = (volume.stat.mode & S.IFMT) === S.IFLNK;
    if ((mask & (attrMask.uid | attrMask.gid)) !== 0) {
      const uid = (mask & attrMask.uid) === 0 ? UNCHANGED : record.attribute(attrField.uid);
      const gid = (mask & attrMask.gid) === 0 ? UNCHANGED : record.attribute(attrField.gid);
      const result = sys.fchownat(fd, EMPTY, uid, gid, AT.EMPTY_PATH);
      if (result < 0) return result;
    }
    if ((mask & attrMask.mode) !== 0 && !isLink) {
      const result = changeMode(fd, record.attribute(attrField.mode));
      if (result < 0) return result;
    }
    return applyTimes(volume, record, { fd, known, mask });
  });
}

interface TimesTarget {
  readonly fd: number;
  readonly known: OpenObject | undefined;
  readonly mask: number;
}

function applyTimes(volume: Volume, record: RecordView, { fd, known, mask }: TimesTarget): number {
  const atimeNsec = (mask & attrMask.atime) === 0 ? NO_TIME : record.attribute(attrField.atimeNsec);
  const mtimeNsec = (mask & attrMask.mtime) === 0 ? NO_TIME : record.attribute(attrField.mtimeNsec);
  const atime = { sec: record.seconds(attrField.atimeSec), nsec: atimeNsec };
  const mtime = { sec: record.seconds(attrField.mtimeSec), nsec: mtimeNsec };
  return volume.setTimes(fd, known, atime, mtime);
}

/** chmod(2) through /proc, which also reaches O_PATH descriptors. */
export function changeMode(fd: number, mode: number): number {
  return sys.fchmodat(AT.FDCWD, procPath(fd), mode & PERMISSIONS, 0);
}

/**
 * Owner and mode of a new object as the record's attribute block has them; only what differs is set.
 * `volume.stat` has the present ones.
 */
export function applyOwnerAndMode(volume: Volume, record: RecordView, fd: number): number {
  const { stat } = volume;
  const uid = record.attribute(attrField.uid);
  const gid = record.attribute(attrField.gid);
  const mode = record.attribute(attrField.mode) & PERMISSIONS;
  let present = stat.mode & PERMISSIONS;
  const isLink = (stat.mode & S.IFMT) === S.IFLNK;
  if (stat.uid !== uid || stat.gid !== gid) {
    const result = sys.fchownat(fd, EMPTY, uid, gid, AT.EMPTY_PATH);
    if (result < 0) return result;
    // It may have taken special bits away.
    if ((present & (S.ISUID | S.ISGID)) !== 0) present = -1;
  }
  return present === mode || isLink ? 0 : changeMode(fd, mode);
}

/** Both times of the attribute block, now (atime) and at the end of the batch (mtime). */
export function applyObjectTimes(
  volume: Volume,
  record: RecordView,
  fd: number,
  known: OpenObject | undefined,
): number {
  return applyTimes(volume, record, { fd, known, mask: attrMask.atime | attrMask.mtime });
}

/** Whether an object has the modification time of the record's attribute block. */
export function hasSameTime(record: RecordView, stat: Stat): boolean {
  return (
    stat.mtimeSec === record.seconds(attrField.mtimeSec) &&
    stat.mtimeNsec === record.attribute(attrField.mtimeNsec)
  );
}

/** `setxattr`: attribute `path2` of `path` becomes the payload. */
export function applySetxattr(volume: Volume, record: RecordView, path: string): number {
  if (isOwnXattr(record.path2)) return 0;
  return changeObject(volume, record, path, (fd, known) => {
    if (known !== undefined && record.path2 === ACL_DEFAULT) known.defaultAcl = true;
    const name = cstring(record.path2);
    const { payloadAddress, payloadLength } = record;
    const result = sys.setxattr(procPath(fd), name, payloadAddress, payloadLength, 0);
    return withoutRoom(volume.root.fd, result);
  });
}

/**
 * The outcome of setting an attribute. ext4 says ENOSPC also of one that is too long for it, on an empty disk: E2BIG
 * then, because no room that is made is of any use.
 */
function withoutRoom(fd: number, result: number): number {
  if (result !== -errno.ENOSPC) return result;
  const { bavail, blocks } = statfsSync(`/proc/self/fd/${fd}`);
  return bavail > blocks * FREE_SHARE ? -errno.E2BIG : result;
}

export function applyRemovexattr(volume: Volume, record: RecordView, path: string): number {
  if (isOwnXattr(record.path2)) return 0;
  return changeObject(volume, record, path, (fd, known) => {
    if (known !== undefined && record.path2 === ACL_DEFAULT) known.defaultAcl = undefined;
    return sys.removexattr(procPath(fd), cstring(record.path2));
  });
}

/** Makes the extended attributes of the object behind `fd` exactly `wanted`. */
export function applyXattrs(fd: number, wanted: ReadonlyMap<string, Buffer>): number {
  const path = procPath(fd);
  const present = readXattrs(path.toString('latin1', 0, path.length - 1), true);
  if (typeof present === 'number') return present;
  for (const name of present.keys()) {
    if (wanted.has(name) || isOwnXattr(name) || KEPT_XATTRS.test(name)) continue;
    const result = sys.removexattr(path, cstring(name));
    if (result < 0 && result !== -errno.ENODATA) return result;
  }
  for (const [name, value] of wanted) {
    if (isOwnXattr(name) || present.get(name)?.equals(value) === true) continue;
    const result = sys.setxattr(path, cstring(name), value, value.length, 0);
    if (result < 0) return withoutRoom(fd, result);
  }
  return 0;
}

/** Whether new entries of the directory inherit an ACL from it. */
export function inheritsAcl(directory: OpenObject): boolean {
  directory.defaultAcl ??= sys.fgetxattr(directory.fd, DEFAULT_NAME, EMPTY, 0) > 0;
  return directory.defaultAcl;
}

/** Takes away the ACLs that a new object inherited here: the primary's own follow as records. */
export function dropInheritedAcls(fd: number, isDirectory: boolean): number {
  const path = procPath(fd);
  for (const name of isDirectory ? [ACCESS_NAME, DEFAULT_NAME] : [ACCESS_NAME]) {
    const result = sys.removexattr(path, name);
    if (result < 0 && result !== -errno.ENODATA && result !== -errno.EOPNOTSUPP) return result;
  }
  return 0;
}

const ACCESS_NAME = cstring(ACL_ACCESS);
const DEFAULT_NAME = cstring(ACL_DEFAULT);
