// Renaming, with everything rename(2) can do: replace, exchange, move directories.
import { RENAME, S, errno } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { type ApplyContext, SKIPPED, mark } from './context.ts';
import { isMissing } from './fault.ts';
import { removeDirectory } from './own-entries.ts';
import type { Place, Volume } from './volume.ts';

/** One end of a rename: its place and what is there. */
export interface End {
  readonly path: string;
  readonly place: Place;
  /** 0 when nothing is there. */
  readonly ino: number;
  readonly nlink: number;
  readonly isDirectory: boolean;
}

/** What is at a path; a negative errno when its directory is not there. */
export function endOf(volume: Volume, path: string): End | number {
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

/** Makes the change of a `rename` record. Returns 0, SKIPPED, or a negative errno. */
export function rename(context: ApplyContext): number {
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

function moveNames(context: ApplyContext, from: End, to: End): number {
  const { volume, record, scan } = context;
  const { parent, name } = from.place;
  const flags = record.aux & (RENAME.NOREPLACE | RENAME.EXCHANGE);
  if (flags === 0 && to.ino !== 0) {
    const kept = makeWay(context, from, to);
    if (kept < 0) return kept;
  }
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
 * What is replaced goes aside first where it is kept: rename(2) itself would remove it for good, and replaces no
 * directory in which this node has something of its own.
 */
function makeWay(context: ApplyContext, from: End, to: End): number {
  const { volume } = context;
  if (from.isDirectory !== to.isDirectory) return 0;
  if (to.isDirectory) return removeDirectory(context, to.place, to.path);
  return volume.keepsRemoved ? volume.takeAway(to.place) : 0;
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
