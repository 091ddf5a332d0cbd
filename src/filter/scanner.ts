// First copy and resync: walks the mirrored trees and puts what it finds into the stream.
//
// The scanner runs in the capture thread, in small steps between requests. Hence what it reads and
// what applications change have one order, and nothing needs to be locked or compared afterwards:
// a chunk is as of its place in the stream, and every later change comes behind it.
//
//   scanBegin → per directory: scanDirBegin, scanObject/scanLink…, contents, scanDirEnd → … → scanEnd
//
// In mode `hash` the standby has data already: contents are announced by their hashes, and only the
// blocks it then asks for are sent. In mode `changed` files that were not changed here since a given
// time are only named; the standby asks for the hashes of those that it has changed itself. A directory or file that is renamed during the scan is visited
// again, since its new place may have been passed already.
import { xxh3 } from '@node-rs/xxhash';
import {
  attrMask,
  encodeXattrs,
  HASH_BLOCK_BYTES,
  HASH_BYTES,
  NAMESPACE_BYTES,
  ORPHAN_DIRECTORY,
  PAYLOAD_BYTES_MAX,
  recordFlag,
  recordType,
} from '../journal/record.ts';
import type { ScanPace } from '../core/scan-pace.ts';
import { O, S, SEEK } from '../linux/constants.ts';
import { DirectoryReader } from '../linux/dirents.ts';
import { addressOf, cstring, EMPTY_NAME, sys } from '../linux/libc.ts';
import type { Capture } from './capture.ts';
import type { ChangedSince } from './changed-extents.ts';
import type { Node, NodeName } from './node.ts';
import type { Mount } from './mount.ts';
import { recordAttributes } from './operations/attributes.ts';
import { endOrphan } from './operations/creation.ts';
import { ringAddress } from './operations/subtree.ts';
import { readXattrs } from './operations/xattr.ts';

/** What a scan is to compare. */
export type ScanPlan =
  | { readonly mode: 'full' | 'hash' }
  /**
   * `sinceMs`: wall clock; what was not changed here since then is as the standby once had it. It was the
   * moment of record `sinceSequence`, at which the stream was marked, perhaps by another process.
   */
  | { readonly mode: 'changed'; readonly sinceMs: number; readonly sinceSequence: number };

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

export interface ScanProgress {
  readonly files: number;
  /** Bytes of contents passed, whether sent or found equal. */
  readonly bytes: number;
  readonly sentBytes: number;
}

/** Bytes of file contents handled at a time; a multiple of the hash block. */
const CHUNK_BYTES = 1024 * 1024;
/** Extended attributes beyond this go as records of their own. */
const XATTR_TAIL_BYTES_MAX = PAYLOAD_BYTES_MAX - NAMESPACE_BYTES - 4096;

/** More files are not announced by hash before the standby has dealt with earlier ones. */
const HASHED_FILES_MAX = 20_000;

interface PendingDirectory {
  readonly mount: Mount;
  readonly node: Node;
}

interface PendingName extends PendingDirectory {
  /** Undefined for a file without a name (an orphan on the standby). */
  readonly at: NodeName | undefined;
}

/** A directory whose entries follow. */
interface PendingTree extends PendingDirectory {
  /** It may have been moved since the time that the scan starts from: nothing below it is old. */
  readonly isMoved: boolean;
}

interface OpenDirectory extends PendingTree {
  /** Names in it may have come or gone since the time that the scan starts from. */
  readonly isChanged: boolean;
  readonly reader: DirectoryReader;
}

interface OpenFile extends PendingDirectory {
  readonly fd: number;
  at: number;
  /** Only what was changed is looked at. */
  readonly isPartial: boolean;
}

const NOT_MOVED = { isMoved: false, isChanged: false } as const;
const MOVED = { isMoved: true, isChanged: true } as const;

interface HashedFile {
  readonly node: Node;
  readonly sequence: number;
}

export class Scanner {
  readonly #plan: ScanPlan;
  readonly #mounts: readonly Mount[];
  readonly #capture: Capture;
  readonly #pace: ScanPace;
  /** Undefined: not known, or not asked for. */
  readonly #changed: ChangedSince | undefined;
  readonly #directories: PendingTree[] = [];
  #directory: OpenDirectory | undefined;
  #file: OpenFile | undefined;
  readonly #orphans: PendingName[] = [];
  readonly #revisits: PendingName[] = [];
  readonly #needs: NeededRange[] = [];
  /** Files to be announced by hash because the standby asked for it. */
  readonly #doubted: PendingDirectory[] = [];
  /** Per mount: scanned files with several names. Pinned, so that all of these stay known. */
  readonly #linked: Set<Node>[];
  /** Per mount: files announced by hash, by the path they had then. */
  readonly #hashed: Map<string, HashedFile>[];
  /** Last record that the standby may answer with a need. */
  #lastAskingSequence = 0;
  #appliedSequence = 0;
  /** Directories that the standby has, wherever they move meanwhile. */
  readonly #sent = new WeakSet<Node>();
  /** Files that may be on the standby under none of their names: contents wait for the next visit. */
  readonly #nameless = new WeakSet<Node>();
  #files = 0;
  #bytes = 0;
  #sentBytes = 0;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  readonly #chunkAddress = addressOf(this.#chunk);
  readonly #target = Buffer.alloc(4096);
  finished = false;

  constructor(plan: ScanPlan, mounts: readonly Mount[], capture: Capture, pace: ScanPace) {
    this.#plan = plan;
    this.#mounts = mounts;
    this.#capture = capture;
    this.#pace = pace;
    this.#changed = plan.mode === 'changed' ? capture.changed.since(plan.sinceSequence) : undefined;
    this.#linked = mounts.map(() => new Set<Node>());
    this.#hashed = mounts.map(() => new Map<string, HashedFile>());
    capture.enabled = true;
    capture.duringScan = true;
    capture.draft(recordType.scanBegin, 0, '');
    capture.publishBare();
    for (const mount of mounts) {
      mount.scanner = this;
      this.#object(mount, mount.inodes.root, undefined, NOT_MOVED);
      this.#takeOrphans(mount);
    }
  }

  /**
   * The standby has dropped the orphans of before. Files that never had a name (O_TMPFILE) may get
   * one later, so they are sent; the others have a name that will be found.
   */
  #takeOrphans(mount: Mount): void {
    for (const node of mount.orphans.keys()) {
      if (mount.inodes.refresh(node) < 0) continue;
      if (mount.stat.nlink > 0 || node.deleted) {
        endOrphan(mount, node);
        continue;
      }
      this.#pin(node);
      this.#orphans.push({ mount, node, at: undefined });
    }
  }

  get progress(): ScanProgress {
    return { files: this.#files, bytes: this.#bytes, sentBytes: this.#sentBytes };
  }

  /** A mirrored object got another place: what the standby has there may be incomplete. */
  revisit(mount: Mount, node: Node, { parent, name }: NodeName): void {
    this.#pin(node);
    this.#pin(parent);
    this.#revisits.push({ mount, node, at: { parent, name } });
  }

  /**
   * Something is about to move into `directory`: the standby must have it, or what moves would be
   * lost there.
   */
  prepare(mount: Mount, directory: Node): void {
    if (directory.parent === undefined || this.#sent.has(directory)) return;
    this.prepare(mount, directory.parent);
    if (!mount.inodes.isCaptured(directory) || mount.inodes.refresh(directory) < 0) return;
    this.#emit(mount, directory, mount.inodes.pathOf(directory) ?? '');
  }

  firstNameGone(mount: Mount, node: Node): void {
    if (node.isDirectory) return;
    this.#nameless.add(node);
    for (const name of node.names()) this.revisit(mount, node, name);
  }

  /** The standby lacks these ranges. */
  need(ranges: readonly NeededRange[]): void {
    this.#needs.push(...ranges);
  }

  /** The standby has applied everything up to `sequence`: it will ask for nothing before that. */
  applied(sequence: number): void {
    this.#appliedSequence = sequence;
    if (this.#needs.length > 0) return;
    this.#hashed.forEach((files, index) => {
      const mount = this.#mounts[index];
      for (const [path, file] of files) {
        // In the order of their sequences.
        if (file.sequence > sequence || mount === undefined) return;
        files.delete(path);
        this.#unpin(mount, file.node);
      }
    });
  }

  get #isAhead(): boolean {
    return this.#hashed.some((files) => files.size > HASHED_FILES_MAX);
  }

  /**
   * Works until `deadlineMs` (performance.now), until the ring is half full or until it is as far ahead
   * of what was sent as it may. True when it did something.
   */
  step(deadlineMs: number): boolean {
    let worked = false;
    while (!this.finished && performance.now() < deadlineMs) {
      if (this.#capture.ring.usedBytes > this.#capture.ring.capacity / 2) return worked;
      if (this.#pace.isAhead(this.#capture.ring.head)) return worked;
      if (!this.#advance()) return worked;
      worked = true;
    }
    return worked;
  }

  /** Gives up: the standby has gone or another scan starts. */
  abort(): void {
    this.#closeDirectory();
    this.#closeFile();
    for (const { mount, node } of [...this.#directories, ...this.#doubted])
      this.#unpin(mount, node);
    for (const pending of [...this.#orphans, ...this.#revisits]) this.#unpinName(pending);
    this.#leave();
  }

  #leave(): void {
    this.#linked.forEach((nodes, index) => {
      const mount = this.#mounts[index];
      if (mount !== undefined) for (const node of nodes) this.#unpin(mount, node);
    });
    this.#hashed.forEach((files, index) => {
      const mount = this.#mounts[index];
      if (mount !== undefined) for (const file of files.values()) this.#unpin(mount, file.node);
    });
    this.finished = true;
    this.#capture.duringScan = false;
    for (const mount of this.#mounts) mount.scanner = undefined;
  }

  /** One small piece of work; false when there is nothing to do but wait for the standby. */
  #advance(): boolean {
    const need = this.#needs.shift();
    if (need !== undefined) this.#obey(need);
    else if (this.#file !== undefined) this.#continueFile(this.#file);
    else if (this.#doubted.length > 0) this.#openDoubted();
    else if (this.#directory !== undefined) this.#continueDirectory(this.#directory);
    else if (this.#isAhead) return false;
    else if (this.#orphans.length > 0) this.#visit(this.#orphans.shift());
    else if (this.#directories.length > 0) this.#openDirectory();
    else if (this.#revisits.length > 0) this.#visit(this.#revisits.shift());
    else if (this.#appliedSequence < this.#lastAskingSequence) return false;
    else this.#finish();
    return true;
  }

  #finish(): void {
    this.#capture.draft(recordType.scanEnd, 0, '');
    this.#leave();
    this.#capture.publishBare();
    this.#capture.ring.wake();
  }

  #pin(node: Node): void {
    node.pins += 1;
  }

  #unpin(mount: Mount, node: Node): void {
    node.pins -= 1;
    mount.inodes.collect(node);
  }

  #unpinName({ mount, node, at }: PendingName): void {
    this.#unpin(mount, node);
    if (at !== undefined) this.#unpin(mount, at.parent);
  }

  /** An orphan, or a name that came to be during the scan; it may be gone again. */
  #visit(pending: PendingName | undefined): void {
    if (pending === undefined) return;
    const { mount, node, at } = pending;
    const isThere = at === undefined ? !node.deleted : node.isNamed(at.parent, at.name);
    if (isThere && at !== undefined) this.prepare(mount, at.parent);
    // What it was before is not known here: so it is taken as changed, with everything below.
    if (isThere) this.#object(mount, node, at, MOVED);
    // Its directory may have been complete already, and has changed on the standby now.
    if (isThere && at !== undefined) this.#directoryTime(mount, at.parent);
    this.#unpinName(pending);
  }

  #directoryTime(mount: Mount, directory: Node): void {
    if (!mount.inodes.isCaptured(directory) || mount.inodes.refresh(directory) < 0) return;
    recordAttributes(mount, directory, attrMask.mtime);
  }

  #openDirectory(): void {
    const next = this.#directories.pop();
    if (next === undefined) return;
    const { mount, node, isMoved } = next;
    const fd = mount.inodes.isCaptured(node)
      ? mount.inodes.open(node, O.RDONLY | O.DIRECTORY | O.CLOEXEC)
      : -1;
    if (fd < 0) return this.#unpin(mount, node);
    const isChanged = mount.stat.fd(fd) < 0 || this.#isChanged(mount);
    this.#directory = { mount, node, isMoved, reader: new DirectoryReader(fd), isChanged };
    this.#capture.draft(recordType.scanDirBegin, mount.index, mount.inodes.pathOf(node) ?? '');
    this.#capture.publishBare();
  }

  #continueDirectory(open: OpenDirectory): void {
    const { mount, node } = open;
    const entry = open.reader.next();
    if (typeof entry !== 'object' || !mount.inodes.isCaptured(node))
      return this.#endDirectory(open);
    // Left from when this directory was a copy itself.
    if (node === mount.inodes.root && entry.name === ORPHAN_DIRECTORY) return;
    const child = mount.inodes.lookup(node, cstring(entry.name), entry.name);
    if (typeof child === 'number') return;
    this.#object(mount, child, { parent: node, name: entry.name }, open);
    mount.inodes.collect(child);
  }

  #endDirectory({ mount, node }: OpenDirectory): void {
    if (mount.inodes.isCaptured(node) && mount.inodes.refresh(node) === 0) {
      this.#capture.draft(recordType.scanDirEnd, mount.index, mount.inodes.pathOf(node) ?? '');
      this.#capture.publishNamespace(mount.stat, undefined);
    }
    this.#closeDirectory();
  }

  #closeDirectory(): void {
    if (this.#directory === undefined) return;
    this.#directory.reader.close();
    this.#unpin(this.#directory.mount, this.#directory.node);
    this.#directory = undefined;
  }

  /**
   * Records one object under one of its names, if mirrored; its contents or entries are queued. `above`
   * is the directory that the name is in.
   */
  #object(
    mount: Mount,
    node: Node,
    at: NodeName | undefined,
    above: Pick<OpenDirectory, 'isMoved' | 'isChanged'>,
  ): void {
    const { path, captured } =
      at === undefined
        ? { path: mount.inodes.pathOf(node) ?? '', captured: true }
        : mount.inodes.childPath(at.parent, at.name, node.isDirectory);
    if (!captured || mount.inodes.refresh(node) < 0) return;
    if (!node.isDirectory && mount.stat.nlink > 1 && this.#isOtherName(mount, node, path)) return;
    // From here on records call the file by the name that the standby surely has.
    if (at !== undefined) mount.inodes.preferName(node, at.parent, at.name);
    const isChanged = this.#isChanged(mount);
    const isMoved = above.isMoved || (isChanged && above.isChanged);
    const isFile = node.type === S.IFREG && !above.isMoved && at !== undefined;
    const isOld = isFile && !isChanged;
    const isPartial = isFile && isChanged && this.#isPartlyKnown(mount, node);
    const partly = isPartial ? recordFlag.partlyChanged : 0;
    this.#emit(mount, node, path, isOld ? recordFlag.unchanged : partly);
    this.#files += 1;
    if (node.isDirectory) this.#queueDirectory(mount, node, isMoved);
    else if (isOld) this.#pass(mount);
    else if (node.type === S.IFREG) this.#openFile(mount, node, isPartial);
  }

  /** Whether it is known what of the file in `stat` was changed since the scan's point. */
  #isPartlyKnown(mount: Mount, node: Node): boolean {
    return mount.stat.nlink === 1 && this.#changed?.knows(mount.index, node.nodeid) === true;
  }

  /** Whether the object in `stat` was changed since the time that the scan starts from. */
  #isChanged(mount: Mount): boolean {
    return this.#plan.mode !== 'changed' || mount.stat.ctimeMs >= this.#plan.sinceMs;
  }

  /** Contents that do not have to be looked at, unless the standby asks. */
  #pass(mount: Mount): void {
    this.#lastAskingSequence = this.#capture.sequence;
    this.#bytes += mount.stat.size;
  }

  /** Records an object, whose attributes are in `stat`, without contents. */
  #emit(mount: Mount, node: Node, path: string, flags = 0): void {
    const xattrs = readXattrs(mount, mount.inodes.descriptor(node));
    mount.inodes.refresh(node);
    const tail = encodeXattrs(xattrs);
    const inline = tail.length <= XATTR_TAIL_BYTES_MAX;
    const draft = this.#capture.draft(recordType.scanObject, mount.index, path);
    draft.flags = flags;
    if (node.type === S.IFREG) draft.offset = mount.stat.size;
    if (node.type === S.IFLNK) draft.path2 = this.#readTarget(mount, node);
    this.#capture.publishNamespace(mount.stat, undefined, undefined, inline ? tail : undefined);
    if (!inline) for (const [name, value] of xattrs) this.#xattr(mount, node, name, value);
    if (node.isDirectory) this.#sent.add(node);
    else this.#nameless.delete(node);
  }

  #queueDirectory(mount: Mount, node: Node, isMoved: boolean): void {
    this.#pin(node);
    this.#directories.push({ mount, node, isMoved });
  }

  /** Records a further name of a file that was scanned already; false when it is the first name. */
  #isOtherName(mount: Mount, node: Node, path: string): boolean {
    const linked = this.#linked[mount.index];
    if (linked?.has(node) === true) {
      const first = mount.inodes.pathOf(node) ?? path;
      if (first === path || this.#nameless.has(node)) return false;
      const draft = this.#capture.draft(recordType.scanLink, mount.index, first);
      draft.path2 = path;
      this.#capture.publishBare();
      return true;
    }
    this.#pin(node);
    linked?.add(node);
    return false;
  }

  #readTarget(mount: Mount, node: Node): string {
    const length = sys.readlinkat(
      mount.inodes.descriptor(node),
      EMPTY_NAME,
      this.#target,
      this.#target.length,
    );
    return this.#target.toString('latin1', 0, Math.max(0, length));
  }

  #xattr(mount: Mount, node: Node, name: string, value: Uint8Array): void {
    const draft = this.#capture.draft(
      recordType.setxattr,
      mount.index,
      mount.inodes.pathOf(node) ?? '',
    );
    draft.path2 = name;
    this.#capture.publishPayload(value);
  }

  #openFile(mount: Mount, node: Node, isPartial = false): void {
    const fd = mount.stat.size === 0 ? -1 : mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
    if (fd < 0) return this.#endFile(mount, node);
    this.#pin(node);
    if (isPartial) this.#lastAskingSequence = this.#capture.sequence;
    this.#file = { mount, node, fd, at: 0, isPartial };
  }

  #continueFile(file: OpenFile): void {
    const { mount, node, fd } = file;
    const gone = !this.#isReachable(mount, node) || mount.stat.fd(fd) < 0;
    const size = gone ? 0 : this.#passUnchanged(file, mount.stat.size);
    const from = file.at >= size ? -1 : sys.lseek(fd, file.at, SEEK.DATA);
    const dataFrom = from < 0 ? size : Math.min(from, size);
    if (dataFrom > file.at) this.#hole(file, dataFrom);
    if (dataFrom >= size) {
      if (!gone && size < mount.stat.size) return;
      if (!gone) this.#endFile(mount, node);
      return this.#closeFile();
    }
    const hole = sys.lseek(fd, dataFrom, SEEK.HOLE);
    const isData = this.#plan.mode === 'full';
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
    this.#bytes += from - file.at;
    file.at = from;
    return Math.min(run?.to ?? size, size);
  }

  #isReachable(mount: Mount, node: Node): boolean {
    return mount.inodes.isCaptured(node) && !this.#nameless.has(node);
  }

  #hole(file: OpenFile, to: number): void {
    const path = file.mount.inodes.pathOf(file.node) ?? '';
    const draft = this.#capture.draft(recordType.scanHole, file.mount.index, path);
    draft.offset = file.at;
    draft.length = to - file.at;
    this.#capture.publishBare();
    this.#bytes += to - file.at;
    file.at = to;
  }

  /** Sends contents; the number of bytes that were there. */
  #data(mount: Mount, node: Node, fd: number, range: { offset: number; length: number }): number {
    const payloadAt = this.#capture.room(range.length);
    const read = sys.pread(fd, ringAddress(mount) + payloadAt, range.length, range.offset);
    if (read <= 0) return 0;
    const draft = this.#capture.draft(
      recordType.scanData,
      mount.index,
      mount.inodes.pathOf(node) ?? '',
    );
    draft.offset = range.offset;
    draft.payloadLength = read;
    this.#capture.publish(payloadAt);
    this.#bytes += read;
    this.#sentBytes += read;
    return read;
  }

  /** Announces contents by hash; the number of bytes that were there. */
  #hash(file: OpenFile, from: number, to: number): number {
    const { mount, node } = file;
    const read = sys.pread(file.fd, this.#chunkAddress, to - from, from);
    if (read <= 0) return 0;
    const path = mount.inodes.pathOf(node) ?? '';
    const draft = this.#capture.draft(recordType.scanHash, mount.index, path);
    draft.offset = from;
    draft.length = read;
    this.#capture.publishPayload(hashBlocks(this.#chunk.subarray(0, read)));
    this.#lastAskingSequence = this.#capture.sequence;
    this.#remember(mount, node, path);
    this.#bytes += read;
    return read;
  }

  #remember(mount: Mount, node: Node, path: string): void {
    const files = this.#hashed[mount.index];
    const known = files?.get(path);
    if (known?.node !== node) {
      if (known !== undefined) this.#unpin(mount, known.node);
      this.#pin(node);
    }
    files?.delete(path);
    files?.set(path, { node, sequence: this.#capture.sequence });
  }

  #obey(need: NeededRange): void {
    const mount = this.#mounts[need.directory];
    if (mount === undefined) return;
    const known = this.#hashed[need.directory]?.get(need.path)?.node;
    // A file that was only named is found again by its name: where that has gone elsewhere since, the
    // file was visited anew as one that has changed.
    const node = known ?? findNode(mount, need.path);
    if (node === undefined) return;
    if (node.type === S.IFREG && this.#isReachable(mount, node)) {
      if (need.compare) this.#doubt(mount, node);
      else this.#sendNeeded(mount, node, need);
    }
    mount.inodes.collect(node);
  }

  #doubt(mount: Mount, node: Node): void {
    this.#pin(node);
    this.#doubted.push({ mount, node });
  }

  #openDoubted(): void {
    const next = this.#doubted.shift();
    if (next === undefined) return;
    const { mount, node } = next;
    if (this.#isReachable(mount, node) && mount.inodes.refresh(node) === 0) {
      this.#bytes -= mount.stat.size;
      this.#openFile(mount, node);
    }
    this.#unpin(mount, node);
  }

  #sendNeeded(mount: Mount, node: Node, need: NeededRange): void {
    const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
    if (fd < 0) return;
    const length = Math.min(this.#pace.chunkBytes(CHUNK_BYTES), need.length);
    const sent = this.#data(mount, node, fd, { offset: need.offset, length });
    this.#bytes -= sent;
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
    const capability = readXattrs(mount, mount.inodes.descriptor(node)).get('security.capability');
    if (capability !== undefined) this.#xattr(mount, node, 'security.capability', capability);
    if (mount.inodes.refresh(node) < 0) return;
    recordAttributes(mount, node, attrMask.mode | attrMask.atime | attrMask.mtime);
  }

  #closeFile(): void {
    if (this.#file === undefined) return;
    sys.close(this.#file.fd);
    this.#unpin(this.#file.mount, this.#file.node);
    this.#file = undefined;
  }
}

/** The object at `path` now. The caller collects it. */
function findNode(mount: Mount, path: string): Node | undefined {
  let node = mount.inodes.root;
  for (const name of path.split('/')) {
    const next = mount.inodes.lookup(node, cstring(name), name);
    mount.inodes.collect(node);
    if (typeof next === 'number') return undefined;
    node = next;
  }
  return node;
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
