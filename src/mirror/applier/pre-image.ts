// Takes the pre-images of a run of records for the undo log, before any of them is applied: of every
// object and name that the run changes, the state that is on the disk now, once in a stretch of runs.
//
// What is saved may be more than what will change, never less. While a scan runs it is not known before
// whether an object of old data is kept or made anew; then both its name and its contents are saved.
import {
  ATTR_BYTES,
  attrField,
  encodeXattrs,
  NAMESPACE_BYTES,
  ORPHAN_DIRECTORY,
  recordType,
  writeI53,
  writeU53,
} from '../../journal/record.ts';
import type { Patterns } from '../../core/patterns.ts';
import type { UndoLog } from '../../journal/undo-log.ts';
import { FALLOC, RENAME, S, SEEK, errno } from '../../linux/constants.ts';
import { DT, readDirectory, readXattrs } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { packDevice, type Stat } from '../../linux/stat.ts';
import { isOwnXattr } from './attributes.ts';
import { procPath } from './beneath.ts';
import { isMissing } from './fault.ts';
import { NameOverlay } from './name-overlay.ts';
import type { ApplyContext } from './context.ts';
import type { RecordView } from './record-view.ts';
import type { ScanState } from './scan-state.ts';
import { surplusIn } from './own-entries.ts';
import { SHELF_NAME } from './shelf.ts';
import type { Volume } from './volume.ts';
import { nameOf, parentOf } from './paths.ts';

/** An object of which something is saved in the present stretch. */
interface Saved {
  readonly ino: number;
  /** Path before the run. */
  origin: string;
  /** When it was saved. */
  readonly size: number;
  readonly isRegular: boolean;
  readonly isDirectory: boolean;
  readonly nlink: number;
  /** Its contents are not wanted. */
  readonly isForeign: boolean;
  /** Its attributes are in the log. */
  isSaved: boolean;
  hasXattrs: boolean;
  /** Ranges that are saved: from, to, from, to … ascending, apart. */
  readonly ranges: number[];
}

/** Beyond that more is saved than is needed. */
const FOREIGN_MAX = 1_000_000;
/** Told as their ctime, which is another as soon as they are changed: older than what is wanted. */
const FOREIGN_MS = 1;

const block = Buffer.from(new ArrayBuffer(ATTR_BYTES));
const blockView = new DataView(block.buffer);

function attributesOf(stat: Stat): Buffer {
  blockView.setUint32(attrField.mode, stat.mode, true);
  blockView.setUint32(attrField.uid, stat.uid, true);
  blockView.setUint32(attrField.gid, stat.gid, true);
  blockView.setUint32(attrField.rdev, packDevice(stat), true);
  writeI53(blockView, attrField.atimeSec, stat.atimeSec);
  writeI53(blockView, attrField.mtimeSec, stat.mtimeSec);
  blockView.setUint32(attrField.atimeNsec, stat.atimeNsec, true);
  blockView.setUint32(attrField.mtimeNsec, stat.mtimeNsec, true);
  writeU53(blockView, attrField.size, stat.size);
  return block;
}

const typeOf = (record: RecordView): number => record.attribute(attrField.mode) & S.IFMT;

/** Saves what the records of one protected directory destroy. */
export class PreImages {
  readonly #log: UndoLog;
  readonly #volume: Volume;
  readonly #scan: ScanState;
  readonly #patterns: Patterns;
  readonly #overlay = new NameOverlay();
  /** By the record's path, as long as no name changes; null: nothing was there before the run. */
  readonly #byPath = new Map<string, Saved | null>();
  readonly #byIno = new Map<number, Saved>();
  /** Names that are saved in this stretch: inode of the directory, slash, name. */
  readonly #names = new Set<string>();
  /** The record at hand belongs to a scan, or came while one runs. */
  #isScan = false;
  readonly #ownSinceMs: number;
  /** Objects that were older than that when they were met first. */
  readonly #foreign = new Set<number>();

  /** `ownSinceMs`: contents of objects with an older ctime are not saved; NaN: all are. */
  constructor(
    log: UndoLog,
    { volume, scan, patterns }: Pick<ApplyContext, 'volume' | 'scan' | 'patterns'>,
    ownSinceMs = Number.NaN,
  ) {
    this.#log = log;
    this.#volume = volume;
    this.#scan = scan;
    this.#patterns = patterns;
    this.#ownSinceMs = ownSinceMs;
  }

  /** Objects and names of the present stretch. */
  get count(): number {
    return this.#byIno.size + this.#names.size;
  }

  /** A new stretch begins: everything is saved anew. */
  beginStretch(): void {
    this.#byIno.clear();
    this.#names.clear();
  }

  /** A new run begins: what the one before did to paths is on the disk by now. */
  beginRun(): void {
    this.#overlay.clear();
    this.#byPath.clear();
  }

  /** Saves the names of the orphans, which a scan takes away at its beginning. */
  saveOrphans(): number {
    const orphans = this.#volume.directory(ORPHAN_DIRECTORY);
    if (typeof orphans === 'number') return isMissing(orphans) ? 0 : orphans;
    const entries = readDirectory(orphans.fd);
    if (typeof entries === 'number') return entries;
    for (const { name } of entries) {
      const result = name === SHELF_NAME ? 0 : this.#saveName(`${ORPHAN_DIRECTORY}/${name}`);
      if (result < 0) return result;
    }
    return 0;
  }

  /** Saves what `record`, the next of the run, destroys. Returns 0 or a negative errno. */
  save(record: RecordView): number {
    this.#isScan = record.duringScan || record.type >= recordType.scanBegin;
    const result = this.#save(record);
    // The record will meet the same, and say what it means.
    return isMissing(result) ? 0 : result;
  }

  #save(record: RecordView): number {
    const { path } = record;
    switch (record.type) {
      case recordType.write:
      case recordType.scanData:
        return this.#saveRange(record, record.offset, record.payloadLength);
      case recordType.truncate:
        return this.#saveRange(record, record.offset, Number.MAX_SAFE_INTEGER);
      case recordType.scanHole:
        return this.#saveRange(record, record.offset, record.length);
      case recordType.fallocate:
        return this.#saveFallocate(record);
      case recordType.scanHash:
        return this.#saveHoles(record);
      case recordType.setattr:
        return this.#saveChanged(record, false);
      case recordType.setxattr:
      case recordType.removexattr:
        return this.#saveChanged(record, true);
      case recordType.scanObject:
        return this.#saveScanned(record);
      case recordType.scanDirEnd:
        return this.#saveSurplus(path);
      case recordType.create:
      case recordType.mkdir:
      case recordType.mknod:
      case recordType.symlink:
      case recordType.link:
      case recordType.rename:
      case recordType.unlink:
      case recordType.rmdir:
      case recordType.scanLink:
        return this.#saveNames(record);
      default:
        return 0;
    }
  }

  /** The names that a record changes; afterwards the overlay has them as they are after it. */
  #saveNames(record: RecordView): number {
    const { path, path2 } = record;
    const isTwo =
      record.type === recordType.link ||
      record.type === recordType.rename ||
      record.type === recordType.scanLink;
    let result = this.#saveName(path);
    if (isTwo && result === 0) result = this.#saveName(path2);
    if (result === 0 && record.type === recordType.rmdir) result = this.#saveOwnBelow(path);
    const replaces = record.type === recordType.rename && (record.aux & RENAME.EXCHANGE) === 0;
    if (result === 0 && replaces) result = this.#saveOwnBelow(path2);
    if (result < 0) return result;
    this.#byPath.clear();
    const overlay = this.#overlay;
    if (record.type === recordType.rename) {
      if ((record.aux & RENAME.EXCHANGE) === 0) overlay.rename(path, path2);
      else overlay.exchange(path, path2);
    } else if (isTwo) overlay.link(path, path2);
    else if (record.type === recordType.unlink || record.type === recordType.rmdir) {
      overlay.remove(path);
    } else overlay.create(path);
    return 0;
  }

  /** Where a name led before the run, the directory's attributes, and those of a directory there. */
  #saveName(path: string): number {
    const parentPath = parentOf(path);
    const name = nameOf(path);
    const isOrphan = parentPath === ORPHAN_DIRECTORY;
    const parent = isOrphan ? undefined : this.#object(parentPath);
    if (typeof parent === 'number') return parent;
    // While a scan runs, something else may be where a directory is going to be.
    if (parent === null || parent?.isDirectory === false) return 0;
    const key = `${parent?.ino ?? 0}/${name}`;
    if (this.#names.has(key)) return 0;
    const origin = `${parent?.origin ?? ORPHAN_DIRECTORY}`;
    const there = this.#disk(origin === '' ? name : `${origin}/${name}`);
    if (typeof there === 'number' && !isMissing(there)) return there;
    this.#names.add(key);
    const ino = typeof there === 'number' ? 0 : there.ino;
    this.#log.putName(this.#volume.index, parent?.ino ?? 0, name, ino);
    // It may be taken away as a whole, see `Volume.takeAway`.
    const isTree = this.#isScan && typeof there !== 'number' && there.isDirectory;
    return isTree ? this.#saveShared(there.origin) : 0;
  }

  /** What is this node's own goes with a directory that is removed: see own-entries.ts. */
  #saveOwnBelow(path: string): number {
    if (this.#patterns.everything) return 0;
    const there = this.#object(path);
    if (typeof there === 'number') return isMissing(there) ? 0 : there;
    return there?.isDirectory === true ? this.#saveShared(there.origin) : 0;
  }

  /** Names below a directory that lead to files with several: these do not go with the directory. */
  #saveShared(path: string): number {
    const directory = this.#volume.directory(path);
    if (typeof directory === 'number') return directory;
    const entries = readDirectory(directory.fd);
    if (typeof entries === 'number') return entries;
    const { stat } = this.#volume;
    for (const { name, type } of entries) {
      const below = `${path}/${name}`;
      let isDirectory = type === DT.DIR;
      if (type !== DT.DIR) {
        const found = stat.at(directory.fd, cstring(name));
        if (found < 0) return found;
        isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
        if (!isDirectory && stat.nlink < 2) continue;
      }
      const result = isDirectory ? this.#saveShared(below) : this.#saveDiskName(below);
      if (result < 0) return result;
    }
    return 0;
  }

  /** Where a name leads on the disk now. */
  #saveDiskName(path: string): number {
    const parent = this.#disk(parentOf(path));
    if (typeof parent === 'number') return parent;
    const name = nameOf(path);
    const key = `${parent.ino}/${name}`;
    if (this.#names.has(key)) return 0;
    const there = this.#disk(path);
    if (typeof there === 'number') return there;
    this.#names.add(key);
    this.#log.putName(this.#volume.index, parent.ino, name, there.ino);
    return 0;
  }

  /**
   * The object that a record is about, its attributes saved; null: it was not there before the run.
   * `mayStay`: it is not going to be changed when it is as old as both nodes know.
   */
  #object(path: string, mayStay = false): Saved | null | number {
    const known = this.#byPath.get(path);
    if (known === null || known?.isSaved === true) return known;
    if (known !== undefined && mayStay) return known;
    const origin = this.#overlay.origin(path);
    const found = origin === undefined ? null : this.#disk(origin, mayStay);
    if (typeof found === 'number') return found;
    this.#byPath.set(path, found);
    return found;
  }

  /** The object at a path before the run, its attributes saved; a negative errno. */
  #disk(origin: string, mayStay = false): Saved | number {
    const { stat } = this.#volume;
    let saved: Saved | undefined;
    const result = this.#volume.withObject(origin, () => {
      saved = this.#byIno.get(stat.ino) ?? this.#meet(stat, origin);
      // Since it was met in an earlier run it may have been renamed.
      saved.origin = origin;
      if (saved.isSaved || (saved.isForeign && mayStay)) return 0;
      saved.isSaved = true;
      const changedMs = saved.isForeign ? FOREIGN_MS : stat.ctimeMs;
      this.#log.putObject(this.#volume.index, saved.ino, attributesOf(stat), changedMs);
      return 0;
    });
    return result < 0 || saved === undefined ? result : saved;
  }

  #meet(stat: Stat, origin: string): Saved {
    const { ino, size, nlink } = stat;
    const isRegular = (stat.mode & S.IFMT) === S.IFREG;
    const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
    const kind = { isRegular, isDirectory, isForeign: this.#isForeign(stat), isSaved: false };
    const saved = { ino, origin, size, ...kind, nlink, hasXattrs: false, ranges: [] };
    this.#byIno.set(ino, saved);
    return saved;
  }

  #isForeign({ ino, ctimeMs }: Stat): boolean {
    if (this.#foreign.has(ino)) return true;
    if (!(ctimeMs < this.#ownSinceMs) || this.#foreign.size >= FOREIGN_MAX) return false;
    this.#foreign.add(ino);
    return true;
  }

  /** Attributes of the object, extended ones too when asked for. */
  #saveChanged(record: RecordView, withXattrs: boolean): number {
    const saved = this.#object(record.path);
    if (typeof saved === 'number') return saved;
    if (saved === null) return 0;
    const result = withXattrs ? this.#saveXattrs(saved) : 0;
    return result < 0 ? result : this.#savePartable(record, saved);
  }

  /**
   * While a scan runs, a file that shares its inode may get one of its own: then its name leads
   * elsewhere.
   */
  #savePartable(record: RecordView, saved: Saved): number {
    const isShared = saved.nlink > 1 && !saved.isDirectory;
    return this.#isScan && isShared ? this.#saveName(record.path) : 0;
  }

  /** With `scanned` only where they are not what that record says. */
  #saveXattrs(saved: Saved, scanned?: RecordView): number {
    if (saved.hasXattrs || saved.isForeign) return 0;
    return this.#volume.withObject(saved.origin, (fd) => {
      const path = procPath(fd);
      const xattrs = readXattrs(path.toString('latin1', 0, path.length - 1), true);
      if (typeof xattrs === 'number') return xattrs;
      for (const name of xattrs.keys()) if (isOwnXattr(name)) xattrs.delete(name);
      const encoded = encodeXattrs(xattrs);
      // Many files have none, on both sides.
      if (scanned?.payload.subarray(NAMESPACE_BYTES).equals(encoded) === true) return 0;
      this.#log.putXattrs(this.#volume.index, saved.ino, encoded);
      saved.hasXattrs = true;
      return 0;
    });
  }

  #saveFallocate(record: RecordView): number {
    const clears = (record.aux & (FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) !== 0;
    return clears
      ? this.#saveRange(record, record.offset, record.length)
      : this.#saveChanged(record, false);
  }

  #saveRange(record: RecordView, offset: number, length: number): number {
    const saved = this.#object(record.path);
    if (typeof saved === 'number') return saved;
    if (saved === null || !saved.isRegular) return 0;
    const shared = this.#savePartable(record, saved);
    if (shared < 0) return shared;
    return this.#saveContents(saved, offset, Math.min(saved.size, offset + length));
  }

  /** The parts of `from … to` that are not saved yet. */
  #saveContents(saved: Saved, from: number, to: number): number {
    if (saved.isForeign || from >= to || isCovered(saved.ranges, from, to)) return 0;
    const file = this.#volume.file(saved.origin);
    if (typeof file === 'number') return file;
    for (const [gapFrom, gapTo] of cover(saved.ranges, from, to)) {
      const result = this.#saveExtents(saved.ino, file.fd, gapFrom, gapTo);
      if (result < 0) return result;
    }
    return 0;
  }

  #saveExtents(ino: number, fd: number, from: number, to: number): number {
    const { index } = this.#volume;
    for (let at = from; at < to;) {
      const found = sys.lseek(fd, at, SEEK.DATA);
      // Nothing but a hole up to the end of the file.
      const data = found === -errno.ENXIO ? to : found;
      if (data < 0) return data;
      const holeEnd = Math.min(data, to);
      if (holeEnd > at) this.#log.putHole(index, ino, at, holeEnd - at);
      at = holeEnd;
      if (at >= to) return 0;
      const hole = sys.lseek(fd, at, SEEK.HOLE);
      if (hole < 0) return hole;
      const end = Math.min(hole, to);
      const result = this.#log.putData(index, ino, { fd, offset: at, length: end - at });
      if (result < 0) return result;
      at = end;
    }
    return 0;
  }

  /** Comparing hashes fills holes that have zeros on the primary. */
  #saveHoles(record: RecordView): number {
    const saved = this.#object(record.path);
    if (typeof saved === 'number') return saved;
    if (saved === null || !saved.isRegular) return 0;
    const file = this.#volume.file(saved.origin);
    if (typeof file === 'number') return file;
    const to = Math.min(saved.size, record.offset + record.length);
    if (record.offset >= to) return 0;
    const hole = sys.lseek(file.fd, record.offset, SEEK.HOLE);
    if (hole < 0 || hole >= to) return Math.min(hole, 0);
    return this.#saveContents(saved, record.offset, to);
  }

  /** `scanObject`: what is at its path is changed, or gives way to something else, or is right. */
  #saveScanned(record: RecordView): number {
    const { path } = record;
    const kept = this.#isKept(record);
    if (typeof kept === 'number') return kept;
    if (!kept && path !== '') {
      const result = this.#saveName(path);
      if (result < 0) return result;
    }
    const saved = this.#object(path, record.isUnchanged);
    if (typeof saved === 'number') {
      if (!isMissing(saved)) return saved;
      this.#byPath.clear();
      this.#overlay.create(path);
      return 0;
    }
    if (saved === null) {
      // Also in a directory that the run made: what moves there later is found again.
      this.#overlay.appear(path);
      return 0;
    }
    const result = this.#saveXattrs(saved, record);
    // Something of another kind is moved aside as it is.
    if (result < 0 || !saved.isRegular || typeOf(record) !== S.IFREG) return result;
    return this.#saveContents(saved, record.offset, saved.size);
  }

  /** Whether the object at the path surely stays the same one. */
  #isKept(record: RecordView): boolean | number {
    const origin = this.#overlay.origin(record.path);
    if (origin === undefined) return false;
    const { stat } = this.#volume;
    let kept = false;
    const result = this.#volume.withObject(origin, () => {
      const type = stat.mode & S.IFMT;
      const mayStay = type === S.IFDIR || (type === S.IFREG && stat.nlink === 1);
      kept = mayStay && type === typeOf(record);
      return 0;
    });
    return isMissing(result) || result === 0 ? kept : result;
  }

  /** `scanDirEnd`: mirrored names that the scan has not seen go. */
  #saveSurplus(path: string): number {
    const directory = this.#object(path);
    if (typeof directory === 'number') return directory;
    if (directory === null) return 0;
    const saved = this.#saveXattrs(directory);
    if (saved < 0) return saved;
    const open = this.#volume.directory(directory.origin);
    if (typeof open === 'number') return open;
    const seen = this.#scan.seenIn(directory.origin);
    const surplus = surplusIn(this.#patterns, { fd: open.fd, path }, seen);
    if (typeof surplus === 'number') return surplus;
    for (const { name } of surplus) {
      const result = this.#saveName(path === '' ? name : `${path}/${name}`);
      if (result < 0) return result;
    }
    return 0;
  }
}

/** Whether `from … to` lies within one of the ranges. */
function isCovered(ranges: readonly number[], from: number, to: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if ((ranges[at] ?? 0) <= from && to <= (ranges[at + 1] ?? 0)) return true;
  }
  return false;
}

/** Adds `from … to` to the ranges; returns the parts that none of them had. */
export function cover(ranges: number[], from: number, to: number): [number, number][] {
  const gaps: [number, number][] = [];
  let first = 0;
  while (first < ranges.length && (ranges[first + 1] ?? 0) < from) first += 2;
  let start = from;
  let end = to;
  let at = from;
  let last = first;
  while (last < ranges.length && (ranges[last] ?? 0) <= to) {
    const [rangeFrom, rangeTo] = [ranges[last] ?? 0, ranges[last + 1] ?? 0];
    if (at < rangeFrom) gaps.push([at, rangeFrom]);
    at = Math.max(at, rangeTo);
    start = Math.min(start, rangeFrom);
    end = Math.max(end, rangeTo);
    last += 2;
  }
  if (at < to) gaps.push([at, to]);
  ranges.splice(first, last - first, start, end);
  return gaps;
}
