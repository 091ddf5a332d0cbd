// The contents of a scan: of the file at hand, of what the standby asked for, and of files that it doubts.
//
//   open ──▶ scanData… (mode `full`) │ scanHash… ──▶ the standby asks for blocks ──▶ scanData
//   pass ──▶ nothing ──▶ the standby asks for hashes ──▶ scanHash…
import { xxh3 } from '@node-rs/xxhash';
import type { ScanPace } from '../core/scan-pace.ts';
import {
  attrMask,
  HASH_BLOCK_BYTES,
  HASH_BYTES,
  isSafePath,
  recordType,
} from '../journal/record.ts';
import { errno, O, S, SEEK } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import type { Capture } from './capture.ts';
import type { ChangedSince } from './changed-extents.ts';
import type { Mount } from './mount.ts';
import type { Node } from './node.ts';
import { recordAttributes } from './operations/attributes.ts';
import { ringAddress } from './operations/subtree.ts';
import { readXattrs } from './operations/xattr.ts';
import type { ReadFaults } from './read-faults.ts';

/**
 * A range whose contents the standby lacks, or with `compare` a file whose hashes it wants. Bytes;
 * `path` as it was when the file was recorded.
 */
export interface NeededRange {
  readonly directory: number;
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  readonly compare: boolean;
}

export interface ScanContentsOptions {
  readonly mounts: readonly Mount[];
  readonly capture: Capture;
  readonly pace: ScanPace;
  readonly faults: ReadFaults;
  /** Contents are sent at once, not announced. */
  readonly isFull: boolean;
  /** Undefined: not known, or not asked for. */
  readonly changed: ChangedSince | undefined;
  /** Whether the standby has the file under a name by which records can speak of it. */
  readonly isReachable: (mount: Mount, node: Node) => boolean;
}

/** Bytes of file contents handled at a time; a multiple of the hash block. */
const CHUNK_BYTES = 1024 * 1024;
/** More files are not announced by hash before the standby has dealt with earlier ones. */
const HASHED_FILES_MAX = 20_000;

interface OpenFile {
  readonly mount: Mount;
  readonly node: Node;
  readonly fd: number;
  at: number;
  /** Only what was changed is looked at. */
  readonly isPartial: boolean;
}

interface DoubtedFile {
  readonly mount: Mount;
  readonly node: Node;
}

interface HashedFile {
  readonly node: Node;
  readonly sequence: number;
}

export class ScanContents {
  readonly #mounts: readonly Mount[];
  readonly #capture: Capture;
  readonly #pace: ScanPace;
  readonly #faults: ReadFaults;
  readonly #isFull: boolean;
  readonly #changed: ChangedSince | undefined;
  readonly #isReachable: ScanContentsOptions['isReachable'];
  #file: OpenFile | undefined;
  readonly #needs: NeededRange[] = [];
  /** Files to be announced by hash because the standby asked for it. */
  readonly #doubted: DoubtedFile[] = [];
  /** Of what the standby asked for, what is not dealt with as far as the sender knows. */
  #waiting = 0;
  /** Per mount: files announced by hash, by the path they had then. */
  readonly #hashed: Map<string, HashedFile>[];
  /** Last record that the standby may answer with a need. */
  #lastAskingSequence = 0;
  #appliedSequence = 0;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  readonly #chunkAddress = addressOf(this.#chunk);
  /** Bytes of contents passed, whether sent or found equal. */
  bytes = 0;
  sentBytes = 0;

  constructor(options: ScanContentsOptions) {
    this.#mounts = options.mounts;
    this.#capture = options.capture;
    this.#pace = options.pace;
    this.#faults = options.faults;
    this.#isFull = options.isFull;
    this.#changed = options.changed;
    this.#isReachable = options.isReachable;
    this.#hashed = options.mounts.map(() => new Map<string, HashedFile>());
  }

  /** The standby lacks these ranges. */
  need(ranges: readonly NeededRange[]): void {
    this.#needs.push(...ranges);
    this.#waiting += ranges.length;
  }

  /** The standby may ask for more. */
  #tellTaken(): void {
    const waiting = this.#needs.length + this.#doubted.length;
    this.#pace.needsTaken(this.#waiting - waiting);
    this.#waiting = waiting;
  }

  /** The standby has applied everything up to `sequence`: it will ask for nothing before that. */
  applied(sequence: number): void {
    this.#appliedSequence = sequence;
    this.#forgetApplied();
  }

  /** Files of which nothing can be asked for any more; not before all is obeyed that was asked for. */
  #forgetApplied(): void {
    if (this.#needs.length > 0) return;
    this.#hashed.forEach((files, index) => {
      const mount = this.#mounts[index];
      for (const [path, file] of files) {
        // In the order of their sequences.
        if (file.sequence > this.#appliedSequence || mount === undefined) return;
        files.delete(path);
        unpin(mount, file.node);
      }
    });
  }

  /** True while the standby has to deal with what was announced before more is. */
  get isAhead(): boolean {
    return this.#hashed.some((files) => files.size > HASHED_FILES_MAX);
  }

  /** True when the standby will ask for nothing more. */
  get isSettled(): boolean {
    return this.#appliedSequence >= this.#lastAskingSequence;
  }

  /** Whether it is known what of the file in `mount.stat` was changed since the scan's point. */
  isPartlyKnown(mount: Mount, node: Node): boolean {
    return mount.stat.nlink === 1 && this.#changed?.knows(mount.index, node.nodeid) === true;
  }

  /** Contents of the file in `mount.stat` that do not have to be looked at, unless the standby asks. */
  pass(mount: Mount): void {
    this.#lastAskingSequence = this.#capture.sequence;
    this.bytes += mount.stat.size;
  }

  /** One small piece of work; false when there is none. */
  advance(): boolean {
    const need = this.#needs.shift();
    if (need !== undefined) this.#obey(need);
    else if (this.#file !== undefined) this.#continueFile(this.#file);
    else if (this.#doubted.length > 0) this.#openDoubted();
    else return false;
    return true;
  }

  /** Lets go of everything. */
  close(): void {
    this.#closeFile();
    this.#needs.length = 0;
    for (const { mount, node } of this.#doubted.splice(0)) unpin(mount, node);
    this.#tellTaken();
    this.#hashed.forEach((files, index) => {
      const mount = this.#mounts[index];
      if (mount !== undefined) for (const file of files.values()) unpin(mount, file.node);
      files.clear();
    });
  }

  /** The contents of a file in `mount.stat` that was just recorded; `isPartial`: only what was changed. */
  open(mount: Mount, node: Node, isPartial = false): void {
    if (mount.stat.size === 0) return this.#endFile(mount, node);
    const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
    if (!this.#faults.passes(mount, node, fd)) return;
    node.pins += 1;
    if (isPartial) this.#lastAskingSequence = this.#capture.sequence;
    this.#file = { mount, node, fd, at: 0, isPartial };
  }

  #continueFile(file: OpenFile): void {
    const { mount, node, fd } = file;
    const gone =
      !this.#isReachable(mount, node) || !this.#faults.passes(mount, node, mount.stat.fd(fd));
    const size = gone ? 0 : this.#passUnchanged(file, mount.stat.size);
    const from = file.at >= size ? -errno.ENXIO : sys.lseek(fd, file.at, SEEK.DATA);
    this.#faults.passes(mount, node, from);
    if (this.#faults.first !== undefined) return this.#closeFile();
    const dataFrom = from < 0 ? size : Math.min(from, size);
    if (dataFrom > file.at) this.#hole(file, dataFrom);
    if (dataFrom >= size) {
      if (!gone && size < mount.stat.size) return;
      if (!gone) this.#endFile(mount, node);
      return this.#closeFile();
    }
    const hole = sys.lseek(fd, dataFrom, SEEK.HOLE);
    this.#faults.passes(mount, node, hole);
    const isData = this.#isFull;
    const chunk = isData ? this.#pace.chunkBytes(CHUNK_BYTES) : CHUNK_BYTES;
    const to = Math.min(hole < 0 ? size : hole, size, dataFrom + chunk);
    const done = isData
      ? this.#data(mount, node, fd, { offset: dataFrom, length: to - dataFrom })
      : this.#hash(file, dataFrom, to);
    file.at = done === 0 ? mount.stat.size : dataFrom + done;
  }

  /** Goes on to the next changed part; where that, or the file of `size` bytes, ends. */
  #passUnchanged(file: OpenFile, size: number): number {
    if (!file.isPartial || file.at >= size) return size;
    const run = this.#changed?.next(file.mount.index, file.node.nodeid, file.at);
    const from = Math.min(run?.from ?? size, size);
    this.bytes += from - file.at;
    file.at = from;
    return Math.min(run?.to ?? size, size);
  }

  #hole(file: OpenFile, to: number): void {
    const path = file.mount.inodes.pathOf(file.node) ?? '';
    const draft = this.#capture.draft(recordType.scanHole, file.mount.index, path);
    draft.offset = file.at;
    draft.length = to - file.at;
    this.#capture.publishBare();
    this.bytes += to - file.at;
    file.at = to;
  }

  /** Sends contents; the number of bytes that were there. */
  #data(mount: Mount, node: Node, fd: number, range: { offset: number; length: number }): number {
    const payloadAt = this.#capture.room(range.length);
    const read = sys.pread(fd, ringAddress(mount) + payloadAt, range.length, range.offset);
    if (!this.#faults.passes(mount, node, read) || read === 0) return 0;
    const draft = this.#capture.draft(
      recordType.scanData,
      mount.index,
      mount.inodes.pathOf(node) ?? '',
    );
    draft.offset = range.offset;
    draft.payloadLength = read;
    this.#capture.publish(payloadAt);
    this.bytes += read;
    this.sentBytes += read;
    return read;
  }

  /** Announces contents by hash; the number of bytes that were there. */
  #hash(file: OpenFile, from: number, to: number): number {
    const { mount, node } = file;
    const read = sys.pread(file.fd, this.#chunkAddress, to - from, from);
    if (!this.#faults.passes(mount, node, read) || read === 0) return 0;
    const path = mount.inodes.pathOf(node) ?? '';
    const draft = this.#capture.draft(recordType.scanHash, mount.index, path);
    draft.offset = from;
    draft.length = read;
    this.#capture.publishPayload(hashBlocks(this.#chunk.subarray(0, read)));
    this.#lastAskingSequence = this.#capture.sequence;
    this.#remember(mount, node, path);
    this.bytes += read;
    return read;
  }

  #remember(mount: Mount, node: Node, path: string): void {
    const files = this.#hashed[mount.index];
    const known = files?.get(path);
    if (known?.node !== node) {
      if (known !== undefined) unpin(mount, known.node);
      node.pins += 1;
    }
    files?.delete(path);
    files?.set(path, { node, sequence: this.#capture.sequence });
  }

  #obey(need: NeededRange): void {
    this.#send(need);
    this.#tellTaken();
    // Where that was the last one and put nothing into the stream, nobody may come to tell of progress again.
    this.#forgetApplied();
  }

  #send(need: NeededRange): void {
    const mount = this.#mounts[need.directory];
    if (mount === undefined) return;
    const known = this.#hashed[need.directory]?.get(need.path)?.node;
    // A file that was only named is found again by its name: where that has gone elsewhere since, the
    // file was visited anew as one that has changed.
    const node = known ?? this.#findNode(mount, need.path);
    if (node === undefined) return;
    if (node.type === S.IFREG && this.#isReachable(mount, node)) {
      if (need.compare) this.#doubt(mount, node);
      else this.#sendNeeded(mount, node, need);
    }
    mount.inodes.collect(node);
  }

  /** The object at `path` now; undefined when there is none any more, or can be none. The caller collects it. */
  #findNode(mount: Mount, path: string): Node | undefined {
    const bytes = Buffer.from(path, 'latin1');
    // Whoever is asked for `..` would go on above the protected directory.
    if (!isSafePath(bytes, 0, bytes.length)) return undefined;
    let node = mount.inodes.root;
    for (const name of path.split('/')) {
      const next = this.#faults.lookup(mount, node, name);
      mount.inodes.collect(node);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  #doubt(mount: Mount, node: Node): void {
    node.pins += 1;
    this.#doubted.push({ mount, node });
  }

  #openDoubted(): void {
    const next = this.#doubted.shift();
    if (next === undefined) return;
    this.#tellTaken();
    const { mount, node } = next;
    if (this.#isReachable(mount, node) && this.#faults.refreshes(mount, node)) {
      this.bytes -= mount.stat.size;
      this.open(mount, node);
    }
    unpin(mount, node);
  }

  #sendNeeded(mount: Mount, node: Node, need: NeededRange): void {
    const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
    if (!this.#faults.passes(mount, node, fd)) return;
    const length = Math.min(this.#pace.chunkBytes(CHUNK_BYTES), need.length);
    const sent = this.#data(mount, node, fd, { offset: need.offset, length });
    this.bytes -= sent;
    sys.close(fd);
    // What is left has its turn after other changes; the contents may have moved on by then.
    if (sent > 0 && sent < need.length) {
      this.#needs.unshift({ ...need, offset: need.offset + sent, length: need.length - sent });
      return;
    }
    this.#endFile(mount, node);
  }

  /** After contents: what writing them on the standby has disturbed. */
  #endFile(mount: Mount, node: Node): void {
    const onFault = this.#faults.watch(mount, node);
    const xattrs = readXattrs(mount, mount.inodes.descriptor(node), onFault);
    const capability = xattrs.get('security.capability');
    if (capability !== undefined) recordXattr(mount, node, 'security.capability', capability);
    if (!this.#faults.refreshes(mount, node)) return;
    recordAttributes(mount, node, attrMask.mode | attrMask.atime | attrMask.mtime);
  }

  #closeFile(): void {
    if (this.#file === undefined) return;
    sys.close(this.#file.fd);
    unpin(this.#file.mount, this.#file.node);
    this.#file = undefined;
  }
}

function unpin(mount: Mount, node: Node): void {
  node.pins -= 1;
  mount.inodes.collect(node);
}

/** Records an extended attribute of an object that the standby has. */
export function recordXattr(mount: Mount, node: Node, name: string, value: Uint8Array): void {
  const path = mount.inodes.pathOf(node) ?? '';
  const draft = mount.capture.draft(recordType.setxattr, mount.index, path);
  draft.path2 = name;
  mount.capture.publishPayload(value);
}

/** XXH3-128 of each block of HASH_BLOCK_BYTES, little endian, one after another. */
export function hashBlocks(bytes: Buffer): Buffer {
  const count = Math.ceil(bytes.length / HASH_BLOCK_BYTES);
  const hashes = Buffer.alloc(count * HASH_BYTES);
  for (let i = 0; i < count; i += 1) {
    const hash = xxh3.xxh128(bytes.subarray(i * HASH_BLOCK_BYTES, (i + 1) * HASH_BLOCK_BYTES));
    hashes.writeBigUInt64LE(hash & 0xffff_ffff_ffff_ffffn, i * HASH_BYTES);
    hashes.writeBigUInt64LE(hash >> 64n, i * HASH_BYTES + 8);
  }
  return hashes;
}
