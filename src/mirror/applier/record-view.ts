// One record, taken apart for the applier. The object is used again for every record.
//
// The checksums were checked by whoever read the record from the journal; here the rest is checked:
// a hostile primary can seal anything.
import { addressOf } from '../../linux/libc.ts';
import { FILE_END_MAX } from '../../linux/stat.ts';
import {
  ATTR_BYTES,
  HASH_BLOCK_BYTES,
  HASH_BYTES,
  HEADER_BYTES,
  NAMESPACE_BYTES,
  NO_TIME,
  attrField,
  field,
  padded,
  PAYLOAD_BYTES_MAX,
  readI53,
  readU53,
  recordFlag,
  recordType,
} from '../../journal/record.ts';

/** Least payload per record type; types that are not here need none. */
const PAYLOAD_BYTES_MIN: ReadonlyMap<number, number> = new Map([
  [recordType.setattr, ATTR_BYTES],
  [recordType.create, NAMESPACE_BYTES],
  [recordType.mkdir, NAMESPACE_BYTES],
  [recordType.mknod, NAMESPACE_BYTES],
  [recordType.symlink, NAMESPACE_BYTES],
  [recordType.link, NAMESPACE_BYTES],
  [recordType.rename, NAMESPACE_BYTES],
  [recordType.unlink, NAMESPACE_BYTES],
  [recordType.rmdir, NAMESPACE_BYTES],
  [recordType.scanObject, NAMESPACE_BYTES],
  [recordType.scanDirEnd, NAMESPACE_BYTES],
  [recordType.verifyObject, NAMESPACE_BYTES],
]);
const NSEC = 1_000_000_000;
/** Largest end of a range; behind the size of a file a record may have a payload that is no range. */
const RANGE_END_MAX = FILE_END_MAX + PAYLOAD_BYTES_MAX;

export class RecordView {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  type = 0;
  duringScan = false;
  /** See `recordFlag.unchanged`. */
  isUnchanged = false;
  /** See `recordFlag.partlyChanged`. */
  isPartlyChanged = false;
  directory = 0;
  epoch = 0;
  sequence = 0;
  aux = 0;
  offset = 0;
  length = 0;
  mtimeSec = 0;
  mtimeNsec: number = NO_TIME;
  /** Offset of the payload within `bytes`. */
  payloadAt = 0;
  payloadLength = 0;
  /** Bytes of the record with padding. */
  totalBytes = 0;
  path = '';
  path2 = '';
  #source: ArrayBufferLike | undefined;
  #address = 0;

  /** Takes the record at `at` of `bytes`; `view` covers the same memory. */
  load(bytes: Uint8Array, view: DataView, at: number): void {
    if (this.#source !== bytes.buffer || this.bytes.byteOffset !== bytes.byteOffset) {
      this.#source = bytes.buffer;
      this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#address = addressOf(this.bytes);
    }
    this.view = view;
    this.type = view.getUint8(at + field.type);
    const flags = view.getUint8(at + field.flags);
    this.duringScan = (flags & recordFlag.duringScan) !== 0;
    this.isUnchanged = (flags & recordFlag.unchanged) !== 0;
    this.isPartlyChanged = (flags & recordFlag.partlyChanged) !== 0;
    this.directory = view.getUint8(at + field.directory);
    this.epoch = view.getUint32(at + field.epoch, true);
    this.sequence = readU53(view, at + field.sequence);
    this.aux = view.getUint32(at + field.aux, true);
    this.offset = readU53(view, at + field.offset);
    this.length = readU53(view, at + field.length);
    this.mtimeSec = readI53(view, at + field.mtimeSec);
    this.mtimeNsec = view.getUint32(at + field.mtimeNsec, true);
    this.payloadAt = at + HEADER_BYTES;
    this.payloadLength = view.getUint32(at + field.payloadLength, true);
    const pathAt = this.payloadAt + this.payloadLength;
    const path2At = pathAt + view.getUint16(at + field.pathLength, true);
    const end = path2At + view.getUint16(at + field.path2Length, true);
    this.totalBytes = padded(end - at);
    this.path = pathAt === path2At ? '' : this.bytes.toString('latin1', pathAt, path2At);
    this.path2 = path2At === end ? '' : this.bytes.toString('latin1', path2At, end);
  }

  /** Address of the payload, for system calls. */
  get payloadAddress(): number {
    return this.#address + this.payloadAt;
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.payloadAt, this.payloadAt + this.payloadLength);
  }

  /** A 32-bit field of the attribute block at the front of the payload. */
  attribute(at: number): number {
    return this.view.getUint32(this.payloadAt + at, true);
  }

  /** A time of the attribute block: seconds. */
  seconds(at: number): number {
    return readI53(this.view, this.payloadAt + at);
  }

  /** Whether sizes, ranges and times are ones that the record's type can have. */
  isWellFormed(): boolean {
    if (this.payloadLength < (PAYLOAD_BYTES_MIN.get(this.type) ?? 0)) return false;
    if (this.offset + Math.max(this.length, this.payloadLength) > RANGE_END_MAX) return false;
    if (!isNsec(this.mtimeNsec)) return false;
    if (this.type === recordType.scanHash || this.type === recordType.verifyHash) {
      return this.payloadLength === Math.ceil(this.length / HASH_BLOCK_BYTES) * HASH_BYTES;
    }
    const minimum = PAYLOAD_BYTES_MIN.get(this.type);
    if (minimum === undefined) return true;
    if (!isNsec(this.attribute(attrField.atimeNsec))) return false;
    if (!isNsec(this.attribute(attrField.mtimeNsec))) return false;
    if (minimum === ATTR_BYTES) return true;
    const parents = [attrField.parentNsec, attrField.parent2Nsec];
    return parents.every((at) => isNsec(this.attribute(at)));
  }
}

/** Other values have a meaning of their own for utimensat(2): now, omit. */
const isNsec = (value: number): boolean => value < NSEC || value === NO_TIME;
