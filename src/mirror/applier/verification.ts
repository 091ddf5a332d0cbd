// The standby's half of a comparison (see filter/verifier.ts): each record says what the primary had at
// this place of the stream, and what is here after everything before it was applied is held against that.
//
// Everything is opened anew: a descriptor that the applier keeps could show what is there no more.
// Nothing of the copy is changed. What differs is told; a record never fails.
import {
  attrField,
  decodeXattrs,
  HASH_BLOCK_BYTES,
  NAMESPACE_BYTES,
  recordType,
  verifyMask,
} from '../../journal/record.ts';
import { errno, S, SEEK } from '../../linux/constants.ts';
import { readXattrs } from '../../linux/dirents.ts';
import { EMPTY_NAME, sys } from '../../linux/libc.ts';
import { packDevice, Stat } from '../../linux/stat.ts';
import { hasSameTime, isOwnXattr } from './attributes.ts';
import { openFileBeneath, openHandleBeneath, procPath } from './beneath.ts';
import { hasHash, isZero, readBlock, ZEROS } from './blocks.ts';
import type { ApplyContext } from './context.ts';
import { surplusIn } from './own-entries.ts';
import type { RecordView } from './record-view.ts';

/** What is not equal. */
export type DifferenceKind =
  | 'missing'
  | 'surplus'
  | 'type'
  | 'owner'
  | 'mode'
  | 'size'
  | 'mtime'
  | 'xattrs'
  | 'target'
  | 'link'
  | 'contents'
  | 'unreadable';

export interface Difference {
  readonly directory: number;
  /** Latin1. */
  readonly path: string;
  readonly kind: DifferenceKind;
  /** Of `contents`: bytes. */
  readonly offset: number;
  readonly length: number;
}

export type VerifyNotice =
  | { readonly kind: 'begin' }
  | { readonly kind: 'difference'; readonly difference: Difference }
  | { readonly kind: 'end'; readonly objects: number; readonly bytes: number };

/** Names of one directory that are kept while its parts come in. */
const NAMES_MAX = 10_000_000;
const PERMISSIONS = 0o7777;
const target = Buffer.alloc(4096);
const other = new Stat();

export const isVerifyRecord = (type: number): boolean =>
  type >= recordType.verifyBegin && type <= recordType.verifyEnd;

export class Verification {
  readonly #onNotice: (notice: VerifyNotice) => void;
  #isRunning = false;
  /** Names of a directory that comes in several parts. */
  readonly #names = new Set<string>();

  constructor(onNotice: (notice: VerifyNotice) => void) {
    this.#onNotice = onNotice;
  }

  begin(): void {
    this.#isRunning = true;
    this.#names.clear();
    this.#onNotice({ kind: 'begin' });
  }

  end({ offset, length }: { readonly offset: number; readonly length: number }): void {
    if (this.#isRunning) this.#onNotice({ kind: 'end', objects: offset, bytes: length });
    this.#isRunning = false;
  }

  /** Holds one record against what is here. */
  compare(context: ApplyContext): void {
    if (!this.#isRunning) return;
    const { record, volume } = context;
    // Times that are set at the end of the batch count as set.
    volume.open.flushTimes();
    if (record.type === recordType.verifyNames) this.#compareNames(context);
    else if (record.type === recordType.verifyObject) this.#compareObject(context);
    else if (record.type === recordType.verifyHash) this.#compareHashes(context);
    else if (record.type === recordType.verifyZeros) this.#compareZeros(context);
  }

  #tell(
    { record, volume }: ApplyContext,
    kind: DifferenceKind,
    { path = record.path, offset = 0, length = 0 } = {},
  ): void {
    const difference = { directory: volume.index, path, kind, offset, length };
    this.#onNotice({ kind: 'difference', difference });
  }

  #compareNames(context: ApplyContext): void {
    const { record, volume } = context;
    const { path } = record;
    for (const name of record.payload.toString('latin1').split('\0')) {
      if (name !== '' && this.#names.size < NAMES_MAX) this.#names.add(name);
    }
    if ((record.aux & 1) === 0) return;
    const directory = volume.directory(path);
    // One that is not here was told of as an object.
    if (typeof directory !== 'number') this.#tellSurplus(context, directory.fd);
    this.#names.clear();
  }

  #tellSurplus(context: ApplyContext, fd: number): void {
    const { path } = context.record;
    const surplus = surplusIn(context.patterns, { fd, path }, this.#names);
    for (const { name } of typeof surplus === 'number' ? [] : surplus) {
      this.#tell(context, 'surplus', { path: path === '' ? name : `${path}/${name}` });
    }
  }

  #compareObject(context: ApplyContext): void {
    const { record, volume } = context;
    const fd = openHandleBeneath(volume.root.fd, record.path);
    if (fd === -errno.ENOENT || fd === -errno.ENOTDIR) this.#tell(context, 'missing');
    else if (fd < 0 || volume.stat.fd(fd) < 0) this.#tell(context, 'unreadable');
    else this.#compareAttributes(context, fd);
    if (fd >= 0) sys.close(fd);
  }

  /** `volume.stat` has the attributes of what is open as `fd`. */
  #compareAttributes(context: ApplyContext, fd: number): void {
    const { record, volume } = context;
    const { stat } = volume;
    const mode = record.attribute(attrField.mode);
    const type = mode & S.IFMT;
    if ((stat.mode & S.IFMT) !== type) return this.#tell(context, 'type');
    const isOwner =
      stat.uid === record.attribute(attrField.uid) && stat.gid === record.attribute(attrField.gid);
    if (!isOwner) this.#tell(context, 'owner');
    const isLink = type === S.IFLNK;
    if (!isLink && (stat.mode & PERMISSIONS) !== (mode & PERMISSIONS)) this.#tell(context, 'mode');
    // Those of directories also change by entries that are not mirrored.
    if (type !== S.IFDIR && !hasSameTime(record, stat)) this.#tell(context, 'mtime');
    if (type === S.IFREG && stat.size !== record.offset) this.#tell(context, 'size');
    if (type === S.IFREG && record.path2 !== '') this.#compareLink(context);
    if (isLink && readTarget(fd) !== record.path2) this.#tell(context, 'target');
    const isDevice = type === S.IFCHR || type === S.IFBLK;
    if (isDevice && packDevice(stat) !== record.attribute(attrField.rdev))
      this.#tell(context, 'type');
    if ((record.aux & verifyMask.xattrs) === 0 && !hasSameXattrs(context, fd))
      this.#tell(context, 'xattrs');
  }

  #compareLink(context: ApplyContext): void {
    const { record, volume } = context;
    const fd = openHandleBeneath(volume.root.fd, record.path2);
    const isSame = fd >= 0 && other.fd(fd) === 0 && other.ino === volume.stat.ino;
    if (fd >= 0) sys.close(fd);
    if (!isSame) this.#tell(context, 'link');
  }

  #compareHashes(context: ApplyContext): void {
    const { record } = context;
    this.#compareBlocks(context, (at, bytes) => hasHash(record, at, bytes));
  }

  #compareZeros(context: ApplyContext): void {
    this.#compareBlocks(context, (_, bytes) => isZero(bytes));
  }

  /** Reads the record's range in blocks; tells of those in a row that are not equal as one. */
  #compareBlocks(context: ApplyContext, isEqual: (at: number, bytes: Buffer) => boolean): void {
    const { record, volume } = context;
    const fd = openFileBeneath(volume.root.fd, record.path, volume.stat);
    // One that is not here, or no file, was told of as an object.
    if (fd < 0) return;
    this.#compareOpen(context, fd, isEqual);
    sys.close(fd);
  }

  #compareOpen(
    context: ApplyContext,
    fd: number,
    isEqual: (at: number, bytes: Buffer) => boolean,
  ): void {
    const { record } = context;
    let from = -1;
    const tellUpTo = (to: number): void => {
      if (from < 0) return;
      this.#tell(context, 'contents', { offset: record.offset + from, length: to - from });
      from = -1;
    };
    for (let at = 0; at < record.length; at += HASH_BLOCK_BYTES) {
      const next = afterHole(record, fd, at);
      if (next > at) tellUpTo(at);
      at = next;
      if (at >= record.length) return;
      const length = Math.min(HASH_BLOCK_BYTES, record.length - at);
      const bytes = readBlock(fd, length, record.offset + at);
      if (typeof bytes === 'number') return this.#tell(context, 'unreadable');
      if (bytes.length === length && isEqual(at, bytes)) tellUpTo(at);
      else if (from < 0) from = at;
      // However long the range is said to be, there is nothing to read behind the end.
      if (bytes.length < length) break;
    }
    tellUpTo(record.length);
  }
}

/** Where zeros are expected there is nothing to read in a hole: the block of the record's range to go on with. */
function afterHole(record: RecordView, fd: number, at: number): number {
  if (record.type !== recordType.verifyZeros) return at;
  const data = sys.lseek(fd, record.offset + at, SEEK.DATA);
  // Beyond the end there are no zeros, and the size was told of as not equal.
  if (data === -errno.ENXIO) return record.length;
  const blocks = Math.floor((data - record.offset) / HASH_BLOCK_BYTES);
  return data < 0 ? at : Math.max(at, blocks * HASH_BLOCK_BYTES);
}

function readTarget(fd: number): string {
  const length = sys.readlinkat(fd, EMPTY_NAME, target, target.length);
  return target.toString('latin1', 0, Math.max(0, length));
}

function hasSameXattrs({ record }: ApplyContext, fd: number): boolean {
  const wanted = decodeXattrs(record.payload.subarray(NAMESPACE_BYTES));
  const path = procPath(fd);
  const present = readXattrs(path.toString('latin1', 0, path.length - 1), true);
  if (wanted === undefined || typeof present === 'number') return false;
  const names = [...present.keys()].filter((name) => !isOwnXattr(name));
  const count = [...wanted.keys()].filter((name) => !isOwnXattr(name)).length;
  return (
    names.length === count &&
    names.every((name) => present.get(name)?.equals(wanted.get(name) ?? ZEROS) === true)
  );
}
