// What an object of a copy was like before a scan: from the undo log where it was changed, else as it is.
import { attrField, decodeXattrs, readI53, readU53 } from '../../journal/record.ts';
import { S } from '../../linux/constants.ts';
import { readXattrs } from '../../linux/dirents.ts';
import { Stat, packDevice } from '../../linux/stat.ts';
import { isOwnXattr } from '../applier/attributes.ts';
import { procPath } from '../applier/beneath.ts';
import type { Time } from '../applier/open-objects.ts';
import type { WantedObject } from '../applier/rollback-plan.ts';

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** As `packDevice` has it. */
  readonly rdev: number;
  readonly size: number;
  readonly atime: Time;
  readonly mtime: Time;
}

export interface OwnObject extends Attributes {
  /** ctime in ms; 0: not known. */
  readonly changedMs: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** The fields of an attribute block. */
export function attributeView(block: Buffer): Attributes {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const field = (at: number): number => view.getUint32(at, true);
  return {
    mode: field(attrField.mode),
    uid: field(attrField.uid),
    gid: field(attrField.gid),
    rdev: field(attrField.rdev),
    size: readU53(view, attrField.size),
    atime: { sec: readI53(view, attrField.atimeSec), nsec: field(attrField.atimeNsec) },
    mtime: { sec: readI53(view, attrField.mtimeSec), nsec: field(attrField.mtimeNsec) },
  };
}

function statAttributes(stat: Stat): Attributes {
  return {
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    rdev: packDevice(stat),
    size: stat.size,
    atime: { sec: stat.atimeSec, nsec: stat.atimeNsec },
    mtime: { sec: stat.mtimeSec, nsec: stat.mtimeNsec },
  };
}

const stat = new Stat();

/** The object behind `fd` (perhaps O_PATH) as it is; or a negative errno. */
export function presentObject(fd: number): (OwnObject & { ino: number; blocks: number }) | number {
  const result = stat.fd(fd);
  if (result < 0) return result;
  const { ino, blocks, ctimeMs } = stat;
  const attributes = statAttributes(stat);
  const xattrs = xattrsOf(fd);
  if (typeof xattrs === 'number') return xattrs;
  return { ...attributes, ino, blocks, changedMs: Math.floor(ctimeMs), xattrs };
}

function xattrsOf(fd: number): Map<string, Buffer> | number {
  const path = procPath(fd);
  const xattrs = readXattrs(path.toString('latin1', 0, path.length - 1), true);
  if (typeof xattrs === 'number') return xattrs;
  for (const name of xattrs.keys()) if (isOwnXattr(name)) xattrs.delete(name);
  return xattrs;
}

/** What it was before; `known`: what the log has of it. */
export function formerObject(present: OwnObject, known: WantedObject | undefined): OwnObject {
  if (known === undefined) return present;
  const xattrs = known.xattrs === undefined ? undefined : decodeXattrs(known.xattrs);
  return {
    ...attributeView(known.attributes),
    changedMs: known.changedMs,
    xattrs: xattrs ?? present.xattrs,
  };
}

export const typeOf = ({ mode }: Attributes): number => mode & S.IFMT;

/** Owner, mode and extended attributes; times are not looked at. */
export function hasSameAttributes(a: OwnObject, b: OwnObject): boolean {
  const isLink = typeOf(a) === S.IFLNK;
  if (a.uid !== b.uid || a.gid !== b.gid || (!isLink && a.mode !== b.mode)) return false;
  if (a.xattrs.size !== b.xattrs.size) return false;
  for (const [name, value] of a.xattrs)
    if (b.xattrs.get(name)?.equals(value) !== true) return false;
  return true;
}
