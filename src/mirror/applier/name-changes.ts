// What kinds of changes of names there are, and whether the marked one was made.
import { recordType } from '../../journal/record.ts';
import { RENAME } from '../../linux/constants.ts';
import type { RecordView } from './record-view.ts';
import { endOf } from './rename-record.ts';
import type { Volume } from './volume.ts';

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
