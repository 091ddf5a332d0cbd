// Makes records without a filter: does an operation on a source directory and writes down what it
// did, as the filter would. For tests of what comes after the filter.
import {
  ATTR_BYTES,
  HEADER_BYTES,
  NAMESPACE_BYTES,
  NO_TIME,
  RECORD_MAGIC,
  RECORD_VERSION,
  type RecordType,
  attrField,
  attrMask,
  field,
  padded,
  recordFlag,
  recordType,
  sealRecord,
  writeI53,
  writeU53,
} from '../../src/journal/record.ts';
import { AT, O, RENAME, errnoName } from '../../src/linux/constants.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { Stat, packDevice } from '../../src/linux/stat.ts';

export interface RecordFields {
  readonly type: RecordType;
  readonly sequence: number;
  readonly path?: string;
  readonly path2?: string;
  readonly payload?: Uint8Array;
  readonly directory?: number;
  readonly epoch?: number;
  readonly flags?: number;
  readonly aux?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly mtimeSec?: number;
  readonly mtimeNsec?: number;
}

/** A sealed record. */
export function makeRecord(fields: RecordFields): Buffer {
  const path = Buffer.from(fields.path ?? '', 'latin1');
  const path2 = Buffer.from(fields.path2 ?? '', 'latin1');
  const payload = fields.payload ?? new Uint8Array(0);
  const total = padded(HEADER_BYTES + payload.length + path.length + path2.length);
  const bytes = Buffer.from(new ArrayBuffer(total));
  const view = new DataView(bytes.buffer);
  view.setUint32(field.magic, RECORD_MAGIC, true);
  view.setUint8(field.version, RECORD_VERSION);
  view.setUint8(field.type, fields.type);
  view.setUint8(field.flags, fields.flags ?? 0);
  view.setUint8(field.directory, fields.directory ?? 0);
  view.setUint32(field.epoch, fields.epoch ?? 1, true);
  view.setUint16(field.pathLength, path.length, true);
  view.setUint16(field.path2Length, path2.length, true);
  writeU53(view, field.sequence, fields.sequence);
  view.setUint32(field.payloadLength, payload.length, true);
  view.setUint32(field.aux, fields.aux ?? 0, true);
  writeU53(view, field.offset, fields.offset ?? 0);
  writeU53(view, field.length, fields.length ?? 0);
  writeI53(view, field.mtimeSec, fields.mtimeSec ?? 0);
  view.setUint32(field.mtimeNsec, fields.mtimeNsec ?? NO_TIME, true);
  writeU53(view, field.capturedAt, Date.now() * 1000);
  bytes.set(payload, HEADER_BYTES);
  bytes.set(path, HEADER_BYTES + payload.length);
  bytes.set(path2, HEADER_BYTES + payload.length + path.length);
  sealRecord(bytes, view, 0);
  return bytes;
}

/** The attribute block of `stat`; zeros for none. */
export function attributeBlock(stat: Stat | undefined, bytes = ATTR_BYTES): Buffer {
  const block = Buffer.from(new ArrayBuffer(bytes));
  if (stat === undefined) return block;
  const view = new DataView(block.buffer);
  view.setUint32(attrField.mode, stat.mode, true);
  view.setUint32(attrField.uid, stat.uid, true);
  view.setUint32(attrField.gid, stat.gid, true);
  view.setUint32(attrField.rdev, packDevice(stat), true);
  writeI53(view, attrField.atimeSec, stat.atimeSec);
  writeI53(view, attrField.mtimeSec, stat.mtimeSec);
  view.setUint32(attrField.atimeNsec, stat.atimeNsec, true);
  view.setUint32(attrField.mtimeNsec, stat.mtimeNsec, true);
  writeU53(view, attrField.size, stat.size);
  return block;
}

/** The namespace block: object and mtimes of the parents. */
export function namespaceBlock(stat?: Stat, parent?: Stat, parent2?: Stat): Buffer {
  const block = attributeBlock(stat, NAMESPACE_BYTES);
  const view = new DataView(block.buffer);
  writeI53(view, attrField.parentSec, parent?.mtimeSec ?? 0);
  view.setUint32(attrField.parentNsec, parent?.mtimeNsec ?? NO_TIME, true);
  writeI53(view, attrField.parent2Sec, parent2?.mtimeSec ?? 0);
  view.setUint32(attrField.parent2Nsec, parent2?.mtimeNsec ?? NO_TIME, true);
  return block;
}

const parentOf = (path: string): string => path.split('/').slice(0, -1).join('/');

/** Operations on a source directory, each giving its record to `emit`. Throws on any errno. */
export class Recorder {
  readonly fd: number;
  duringScan = false;
  sequence: number;
  readonly #emit: (record: Buffer) => void;
  readonly #stat = new Stat();
  readonly #parent = new Stat();
  readonly #parent2 = new Stat();
  readonly #directory: number;

  /** `first` is the sequence of the first record. */
  constructor(dir: string, emit: (record: Buffer) => void, first = 1, directory = 0) {
    this.fd = sys.openat(AT.FDCWD, cstring(dir), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    check(this.fd, `open ${dir}`);
    this.#emit = emit;
    this.sequence = first - 1;
    this.#directory = directory;
    sys.umask(0);
  }

  close(): void {
    sys.close(this.fd);
  }

  /** Emits a record that no operation belongs to. */
  emit(fields: Omit<RecordFields, 'sequence'>): void {
    this.sequence += 1;
    const flags = this.duringScan ? recordFlag.duringScan : 0;
    this.#emit(
      makeRecord({ directory: this.#directory, flags, ...fields, sequence: this.sequence }),
    );
  }

  create(path: string, mode = 0o644): void {
    const fd = sys.openat(this.fd, cstring(path), O.CREAT | O.EXCL | O.WRONLY | O.CLOEXEC, mode);
    check(fd, `create ${path}`);
    sys.close(fd);
    this.#emitCreation(recordType.create, path);
  }

  mkdir(path: string, mode = 0o755): void {
    check(sys.mkdirat(this.fd, cstring(path), mode), `mkdir ${path}`);
    this.#emitCreation(recordType.mkdir, path);
  }

  mknod(path: string, mode: number, dev = 0): void {
    check(sys.mknodat(this.fd, cstring(path), mode, dev), `mknod ${path}`);
    this.#emitCreation(recordType.mknod, path);
  }

  symlink(target: string, path: string): void {
    check(sys.symlinkat(cstring(target), this.fd, cstring(path)), `symlink ${path}`);
    this.#emitCreation(recordType.symlink, path, target);
  }

  link(path: string, path2: string): void {
    check(sys.linkat(this.fd, cstring(path), this.fd, cstring(path2), 0), `link ${path2}`);
    const payload = namespaceBlock(this.stat(path), undefined, this.#parentStat(path2, 2));
    this.emit({ type: recordType.link, path, path2, payload });
  }

  rename(path: string, path2: string, flags = 0): void {
    const result = sys.renameat2(this.fd, cstring(path), this.fd, cstring(path2), flags);
    check(result, `rename ${path} ${path2}`);
    const parents = [this.#parentStat(path, 1), this.#parentStat(path2, 2)] as const;
    const payload = namespaceBlock(this.stat(path2), ...parents);
    this.emit({ type: recordType.rename, path, path2, payload, aux: flags });
    // The record has the attributes of one of two; XFS changes the mtime of both.
    if (flags === RENAME.EXCHANGE) this.setattr(path, attrMask.mtime);
  }

  unlink(path: string): void {
    check(sys.unlinkat(this.fd, cstring(path), 0), `unlink ${path}`);
    const payload = namespaceBlock(undefined, this.#parentStat(path, 1));
    this.emit({ type: recordType.unlink, path, payload });
  }

  rmdir(path: string): void {
    check(sys.unlinkat(this.fd, cstring(path), AT.REMOVEDIR), `rmdir ${path}`);
    const payload = namespaceBlock(undefined, this.#parentStat(path, 1));
    this.emit({ type: recordType.rmdir, path, payload });
  }

  write(path: string, offset: number, payload: Buffer): void {
    this.#withFile(path, (fd) => {
      check(sys.pwrite(fd, payload, payload.length, offset), `write ${path}`);
    });
    this.emit({ type: recordType.write, path, offset, payload, ...this.#mtime(path) });
  }

  truncate(path: string, size: number): void {
    this.#withFile(path, (fd) => check(sys.ftruncate(fd, size), `truncate ${path}`));
    this.emit({ type: recordType.truncate, path, offset: size, ...this.#mtime(path) });
  }

  fallocate(path: string, mode: number, offset: number, length: number): void {
    this.#withFile(path, (fd) => check(sys.fallocate(fd, mode, offset, length), 'fallocate'));
    const time = this.#mtime(path);
    this.emit({ type: recordType.fallocate, path, aux: mode, offset, length, ...time });
  }

  chmod(path: string, mode: number): void {
    check(sys.fchmodat(this.fd, cstring(path || '.'), mode, 0), `chmod ${path}`);
    this.setattr(path, 1);
  }

  chown(path: string, uid: number, gid: number): void {
    const cpath = cstring(path || '.');
    check(sys.fchownat(this.fd, cpath, uid, gid, AT.SYMLINK_NOFOLLOW), `chown ${path}`);
    this.setattr(path, 7);
  }

  utimes(path: string, times: Buffer): void {
    const cpath = cstring(path || '.');
    check(sys.utimensat(this.fd, cpath, times, AT.SYMLINK_NOFOLLOW), `utimes ${path}`);
    this.setattr(path, 24);
  }

  /** Emits the attributes that the object has now; `mask` as in `attrMask`. */
  setattr(path: string, mask: number): void {
    const payload = attributeBlock(this.stat(path));
    this.emit({ type: recordType.setattr, path, aux: mask, payload });
  }

  setxattr(path: string, name: string, value: Buffer): void {
    const result = sys.lsetxattr(this.#absolute(path), cstring(name), value, value.length, 0);
    check(result, `setxattr ${path} ${name}`);
    this.emit({ type: recordType.setxattr, path, path2: name, payload: value });
    if (name === 'system.posix_acl_access') this.setattr(path, 1);
  }

  removexattr(path: string, name: string): void {
    check(sys.lremovexattr(this.#absolute(path), cstring(name)), `removexattr ${path} ${name}`);
    this.emit({ type: recordType.removexattr, path, path2: name });
    if (name === 'system.posix_acl_access') this.setattr(path, 1);
  }

  /** Attributes of the object at `path`; valid until the next call. */
  stat(path: string): Stat {
    check(this.#stat.at(this.fd, cstring(path || '.')), `stat ${path}`);
    return this.#stat;
  }

  #absolute(path: string): Buffer {
    return cstring(`/proc/self/fd/${this.fd}/${path || '.'}`);
  }

  #emitCreation(type: RecordType, path: string, path2 = ''): void {
    const payload = namespaceBlock(this.stat(path), this.#parentStat(path, 1));
    this.emit({ type, path, path2, payload });
  }

  #parentStat(path: string, which: 1 | 2): Stat {
    const stat = which === 1 ? this.#parent : this.#parent2;
    check(stat.at(this.fd, cstring(parentOf(path) || '.')), `stat parent of ${path}`);
    return stat;
  }

  #mtime(path: string): { mtimeSec: number; mtimeNsec: number } {
    const stat = this.stat(path);
    return { mtimeSec: stat.mtimeSec, mtimeNsec: stat.mtimeNsec };
  }

  #withFile(path: string, use: (fd: number) => void): void {
    const fd = sys.openat(this.fd, cstring(path), O.RDWR | O.NOFOLLOW | O.CLOEXEC, 0);
    check(fd, `open ${path}`);
    try {
      use(fd);
    } finally {
      sys.close(fd);
    }
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw new Error(`${what}: ${errnoName(result)}`);
}
