// Contents of files: write, truncate, fallocate, and the contents that a scan sends.
import { HASH_BLOCK_BYTES, HASH_BYTES } from '../../journal/record.ts';
import { FALLOC, SEEK, errno } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { hasHash, readBlock, ZEROS } from './blocks.ts';
import type { ApplyContext } from './context.ts';
import type { OpenObject } from './open-objects.ts';

/** What applications can do through the filter; collapsing and inserting ranges is not among it. */
const FALLOCATE_MODES = FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE;

/** Blocks of file systems are not larger. */
const BLOCK_BYTES_MAX = 64 * 1024;

function fileToChange({ volume, record }: ApplyContext, path: string): OpenObject | number {
  const file = volume.file(path);
  if (typeof file === 'number' || !file.linked || record.duringScan) return file;
  const result = volume.noteChange(file.ino, record.sequence - 1);
  return result < 0 ? result : file;
}

function noteTime(context: ApplyContext, file: OpenObject): void {
  const { record, volume } = context;
  volume.open.noteTime(file, record.mtimeSec, record.mtimeNsec);
}

/** Writes all of the payload at the record's offset. */
export function applyWrite(context: ApplyContext, path: string): number {
  const { record } = context;
  const file = fileToChange(context, path);
  if (typeof file === 'number') return file;
  let done = 0;
  while (done < record.payloadLength) {
    const left = record.payloadLength - done;
    const written = sys.pwrite(file.fd, record.payloadAddress + done, left, record.offset + done);
    if (written < 0 && written !== -errno.EINTR) return written;
    if (written === 0) return -errno.EIO;
    done += Math.max(0, written);
  }
  noteTime(context, file);
  return 0;
}

export function applyTruncate(context: ApplyContext, path: string): number {
  const file = fileToChange(context, path);
  if (typeof file === 'number') return file;
  const result = sys.ftruncate(file.fd, context.record.offset);
  if (result === 0) noteTime(context, file);
  return result;
}

export function applyFallocate(context: ApplyContext, path: string): number {
  const { record } = context;
  if ((record.aux & ~FALLOCATE_MODES) !== 0) return -errno.EINVAL;
  const file = fileToChange(context, path);
  if (typeof file === 'number') return file;
  let result = sys.fallocate(file.fd, record.aux, record.offset, record.length);
  if (result === -errno.EOPNOTSUPP) result = emulate(context, file);
  if (result === 0) noteTime(context, file);
  return result;
}

/** What a range operation means for the contents, on a file system that does not have it. */
function emulate({ record, volume }: ApplyContext, file: OpenObject): number {
  let result = volume.stat.fd(file.fd);
  if (result < 0) return result;
  const end = record.offset + record.length;
  const size = volume.stat.size;
  if ((record.aux & (FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) !== 0) {
    result = writeZeros(file.fd, record.offset, Math.min(end, size) - record.offset);
  }
  const keep = (record.aux & FALLOC.KEEP_SIZE) !== 0;
  return result < 0 || keep || size >= end ? result : sys.ftruncate(file.fd, end);
}

function writeZeros(fd: number, offset: number, length: number): number {
  for (let done = 0; done < length;) {
    const bytes = Math.min(ZEROS.length, length - done);
    const written = sys.pwrite(fd, ZEROS, bytes, offset + done);
    if (written <= 0) return written === 0 ? -errno.EIO : written;
    done += written;
  }
  return 0;
}

/** `scanHole`: makes the range a hole unless it is one. */
export function applyScanHole(context: ApplyContext, path: string): number {
  const { record } = context;
  const file = fileToChange(context, path);
  if (typeof file === 'number') return file;
  const data = sys.lseek(file.fd, record.offset, SEEK.DATA);
  const end = record.offset + record.length;
  if (data === -errno.ENXIO || data >= end) return 0;
  let result = context.volume.stat.fd(file.fd);
  if (result < 0) return result;
  const mode = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE;
  // A block that is punched in part stays; the last one of the file may go as a whole.
  const beyond = end >= context.volume.stat.size ? BLOCK_BYTES_MAX : 0;
  result = sys.fallocate(file.fd, mode, record.offset, record.length + beyond);
  if (result === -errno.EOPNOTSUPP) result = writeZeros(file.fd, record.offset, record.length);
  if (result === 0) noteTime(context, file);
  return result;
}

/** `scanHash`: compares blocks with their hashes, and asks for the ranges that differ. */
export function applyScanHash(context: ApplyContext, path: string): number {
  const { record, volume } = context;
  const file = volume.file(path);
  if (typeof file === 'number') return file;
  let from = -1;
  const blocks = record.payloadLength / HASH_BYTES;
  for (let index = 0; index < blocks; index += 1) {
    const at = index * HASH_BLOCK_BYTES;
    const length = Math.min(HASH_BLOCK_BYTES, record.length - at);
    const equal = compareBlock(context, file, { at, length });
    if (equal < 0) return equal;
    if (equal === 0 && from < 0) from = at;
    if (equal === 1 && from >= 0) {
      ask(context, path, from, at);
      from = -1;
    }
  }
  if (from >= 0) ask(context, path, from, record.length);
  return 0;
}

function ask(context: ApplyContext, path: string, from: number, to: number): void {
  const { record, onNeed, volume } = context;
  onNeed({
    directory: volume.index,
    path,
    offset: record.offset + from,
    length: to - from,
    compare: false,
  });
}

interface Block {
  /** Relative to the record's offset. */
  readonly at: number;
  readonly length: number;
}

/** 1 equal, 0 different, or a negative errno. */
function compareBlock({ record }: ApplyContext, file: OpenObject, { at, length }: Block): number {
  const offset = record.offset + at;
  const present = readBlock(file.fd, length, offset);
  if (typeof present === 'number') return present;
  if (present.length < length || !hasHash(record, at, present)) return 0;
  return fillHoles(file, offset, offset + length);
}

/** The primary has data from `from` to `end`, though zeros here and there; a hole would be equal only to the eye. */
function fillHoles(file: OpenObject, from: number, end: number): number {
  for (let at = from; at < end;) {
    const hole = sys.lseek(file.fd, at, SEEK.HOLE);
    if (hole < 0) return hole;
    if (hole >= end) break;
    const data = sys.lseek(file.fd, hole, SEEK.DATA);
    if (data < 0 && data !== -errno.ENXIO) return data;
    at = data < 0 ? end : Math.min(data, end);
    const result = writeZeros(file.fd, hole, at - hole);
    if (result < 0) return result;
  }
  return 1;
}
