// What a record before the marker means for the state of a scan. The changes of names themselves are
// on the disk; the state is brought along record by record, with the paths of their time.
import { RENAME, S } from '../../linux/constants.ts';
import { recordType } from '../../journal/record.ts';
import type { ApplyContext } from './context.ts';

/** `object` is where the record's object is now, if it still is. */
export function noteScan(context: ApplyContext, object: string | undefined): void {
  const { record, scan } = context;
  switch (record.type) {
    case recordType.scanDirBegin:
      return scan.begin(record.path);
    case recordType.scanDirEnd:
      return scan.end(record.path);
    case recordType.scanObject:
      noteOwner(context, object, [record.path]);
      return scan.saw(record.path);
    case recordType.scanLink:
    case recordType.link:
      if (record.type === recordType.link && !record.duringScan) return undefined;
      noteOwner(context, object, [record.path, record.path2]);
      return scan.saw(record.path2);
    case recordType.create:
    case recordType.mkdir:
    case recordType.mknod:
    case recordType.symlink:
      return scan.saw(record.path);
    case recordType.unlink:
    case recordType.rmdir:
      return scan.removed(record.path);
    case recordType.rename:
      return noteRename(context);
    default:
      return undefined;
  }
}

function noteRename({ record, scan }: ApplyContext): void {
  if ((record.aux & RENAME.EXCHANGE) !== 0) {
    scan.exchanged(record.path, record.path2);
    scan.saw(record.path);
  } else scan.moved(record.path, record.path2);
  scan.saw(record.path2);
}

/** The inode behind `object` has several names, and `paths` are right ones. */
function noteOwner(context: ApplyContext, object: string | undefined, paths: string[]): void {
  const { volume, scan } = context;
  if (object === undefined) return;
  const place = volume.place(object);
  if (typeof place === 'number' || volume.statPlace(place, volume.stat) < 0) return;
  const { stat } = volume;
  if ((stat.mode & S.IFMT) === S.IFDIR || stat.nlink < 2) return;
  for (const path of paths) scan.own(stat.ino, path);
}
