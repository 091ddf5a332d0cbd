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
// time are only named; the standby asks for the hashes of those that it has changed itself. Contents are
// the business of scan-contents.ts. A directory or file that is renamed during the scan is visited again,
// since its new place may have been passed already.
import {
  attrMask,
  encodeXattrs,
  NAMESPACE_BYTES,
  ORPHAN_DIRECTORY,
  PAYLOAD_BYTES_MAX,
  recordFlag,
  recordType,
} from '../journal/record.ts';
import type { ScanPace } from '../core/scan-pace.ts';
import { errno, O, S } from '../linux/constants.ts';
import { DirectoryReader } from '../linux/dirents.ts';
import type { Capture } from './capture.ts';
import type { Node, NodeName } from './node.ts';
import type { Mount } from './mount.ts';
import { recordAttributes } from './operations/attributes.ts';
import { endOrphan } from './operations/creation.ts';
import { readTarget } from './operations/subtree.ts';
import { readXattrs } from './operations/xattr.ts';
import { type ReadFault, ReadFaults } from './read-faults.ts';
import { type NeededRange, recordXattr, ScanContents } from './scan-contents.ts';

/** What a scan is to compare. */
export type ScanPlan =
  | { readonly mode: 'full' | 'hash' }
  /**
   * `sinceMs`: wall clock; what was not changed here since then is as the standby once had it. It was the
   * moment of record `sinceSequence`, at which the stream was marked, perhaps by another process.
   */
  | { readonly mode: 'changed'; readonly sinceMs: number; readonly sinceSequence: number };

export interface ScanProgress {
  readonly files: number;
  /** Bytes of contents passed, whether sent or found equal. */
  readonly bytes: number;
  readonly sentBytes: number;
}

/** Extended attributes beyond this go as records of their own. */
const XATTR_TAIL_BYTES_MAX = PAYLOAD_BYTES_MAX - NAMESPACE_BYTES - 4096;

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

const NOT_MOVED = { isMoved: false, isChanged: false } as const;
const MOVED = { isMoved: true, isChanged: true } as const;

export class Scanner {
  readonly #plan: ScanPlan;
  readonly #mounts: readonly Mount[];
  readonly #capture: Capture;
  readonly #pace: ScanPace;
  readonly #contents: ScanContents;
  readonly #directories: PendingTree[] = [];
  #directory: OpenDirectory | undefined;
  readonly #orphans: PendingName[] = [];
  readonly #revisits: PendingName[] = [];
  /** Per mount: scanned files with several names. Pinned, so that all of these stay known. */
  readonly #linked: Set<Node>[];
  /** Directories that the standby has, wherever they move meanwhile. */
  readonly #sent = new WeakSet<Node>();
  /** Files that may be on the standby under none of their names: contents wait for the next visit. */
  readonly #nameless = new WeakSet<Node>();
  readonly #faults = new ReadFaults();
  #files = 0;
  finished = false;

  constructor(plan: ScanPlan, mounts: readonly Mount[], capture: Capture, pace: ScanPace) {
    this.#plan = plan;
    this.#mounts = mounts;
    this.#capture = capture;
    this.#pace = pace;
    this.#contents = new ScanContents({
      mounts,
      capture,
      pace,
      faults: this.#faults,
      isFull: plan.mode === 'full',
      changed: plan.mode === 'changed' ? capture.changed.since(plan.sinceSequence) : undefined,
      isReachable: (mount, node) => mount.inodes.isCaptured(node) && !this.#nameless.has(node),
    });
    this.#linked = mounts.map(() => new Set<Node>());
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
      if (!this.#faults.refreshes(mount, node)) continue;
      if (mount.stat.nlink > 0 || node.deleted) {
        endOrphan(mount, node);
        continue;
      }
      this.#pin(node);
      this.#orphans.push({ mount, node, at: undefined });
    }
  }

  get progress(): ScanProgress {
    const { bytes, sentBytes } = this.#contents;
    return { files: this.#files, bytes, sentBytes };
  }

  /** What could not be read: the scan goes no further, and is to be given up with {@link fail}. */
  get fault(): ReadFault | undefined {
    return this.#faults.first;
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
    if (!mount.inodes.isCaptured(directory) || !this.#faults.refreshes(mount, directory)) return;
    this.#emit(mount, directory, mount.inodes.pathOf(directory) ?? '');
  }

  /** Should it be mirrored again, all of it is recorded anew: the standby knows nothing of the directory whose end would come. */
  removed(node: Node): void {
    if (this.#directory?.node === node) this.#closeDirectory();
  }

  firstNameGone(mount: Mount, node: Node): void {
    if (node.isDirectory) return;
    this.#nameless.add(node);
    for (const name of node.names()) this.revisit(mount, node, name);
  }

  /** The standby lacks these ranges. */
  need(ranges: readonly NeededRange[]): void {
    this.#contents.need(ranges);
  }

  /** The standby has applied everything up to `sequence`: it will ask for nothing before that. */
  applied(sequence: number): void {
    this.#contents.applied(sequence);
  }

  /**
   * Works until `deadlineMs` (performance.now), until the ring is half full or until it is as far ahead
   * of what was sent as it may. True when it did something.
   */
  step(deadlineMs: number): boolean {
    let worked = false;
    while (!this.finished && this.fault === undefined && performance.now() < deadlineMs) {
      if (this.#isRingFull) return worked;
      if (this.#pace.isAhead(this.#capture.ring.head)) return worked;
      if (!this.#advance()) return worked;
      worked = true;
    }
    return worked;
  }

  /** With the largest record, and what that may leave unused at the end of the ring, more than half would be used. */
  get #isRingFull(): boolean {
    const { usedBytes, capacity } = this.#capture.ring;
    return usedBytes > Math.max(capacity / 4, capacity / 2 - 2 * PAYLOAD_BYTES_MAX);
  }

  /** Gives up: the standby has gone or another scan starts. */
  abort(): void {
    this.#letGo();
    this.#capture.duringScan = false;
    this.#capture.endScan();
  }

  /** Gives up although the standby needs a scan: what follows in the stream is still for a copy amid one. */
  fail(): void {
    this.#letGo();
  }

  #letGo(): void {
    this.#closeDirectory();
    for (const { mount, node } of this.#directories) this.#unpin(mount, node);
    for (const pending of [...this.#orphans, ...this.#revisits]) this.#unpinName(pending);
    this.#leave();
  }

  #leave(): void {
    this.#linked.forEach((nodes, index) => {
      const mount = this.#mounts[index];
      if (mount !== undefined) for (const node of nodes) this.#unpin(mount, node);
    });
    this.#contents.close();
    this.finished = true;
    for (const mount of this.#mounts) mount.scanner = undefined;
  }

  /** One small piece of work; false when there is nothing to do but wait for the standby. */
  #advance(): boolean {
    if (this.#contents.advance()) return true;
    if (this.#contents.isAhead) return false;
    if (this.#directory !== undefined) this.#continueDirectory(this.#directory);
    else if (this.#orphans.length > 0) this.#visit(this.#orphans.shift());
    else if (this.#directories.length > 0) this.#openDirectory();
    else if (this.#revisits.length > 0) this.#visit(this.#revisits.shift());
    else if (!this.#contents.isSettled) return false;
    else this.#finish();
    return true;
  }

  #finish(): void {
    this.#capture.draft(recordType.scanEnd, 0, '');
    this.#leave();
    this.#capture.duringScan = false;
    this.#capture.publishBare();
    this.#capture.ring.wake();
    this.#capture.endScan();
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
    if (!mount.inodes.isCaptured(directory) || !this.#faults.refreshes(mount, directory)) return;
    recordAttributes(mount, directory, attrMask.mtime);
  }

  #openDirectory(): void {
    const next = this.#directories.pop();
    if (next === undefined) return;
    const { mount, node, isMoved } = next;
    const fd = mount.inodes.isCaptured(node)
      ? mount.inodes.open(node, O.RDONLY | O.DIRECTORY | O.CLOEXEC)
      : -errno.ENOENT;
    if (!this.#faults.passes(mount, node, fd)) return this.#unpin(mount, node);
    const isChanged = mount.stat.fd(fd) < 0 || this.#isChanged(mount);
    this.#directory = { mount, node, isMoved, reader: new DirectoryReader(fd), isChanged };
    this.#capture.draft(recordType.scanDirBegin, mount.index, mount.inodes.pathOf(node) ?? '');
    this.#capture.publishBare();
  }

  #continueDirectory(open: OpenDirectory): void {
    const { mount, node } = open;
    const entry = open.reader.next();
    // What it does not list would be removed from the copy.
    if (typeof entry === 'number' && !this.#faults.passes(mount, node, entry)) {
      return this.#closeDirectory();
    }
    if (typeof entry !== 'object' || !mount.inodes.isCaptured(node))
      return this.#endDirectory(open);
    // Left from when this directory was a copy itself.
    if (node === mount.inodes.root && entry.name === ORPHAN_DIRECTORY) return;
    const child = this.#faults.lookup(mount, node, entry.name);
    if (child === undefined) return;
    this.#object(mount, child, { parent: node, name: entry.name }, open);
    mount.inodes.collect(child);
  }

  #endDirectory({ mount, node }: OpenDirectory): void {
    if (mount.inodes.isCaptured(node) && this.#faults.refreshes(mount, node)) {
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
    if (!captured || !this.#faults.refreshes(mount, node)) return;
    if (!node.isDirectory && mount.stat.nlink > 1 && this.#isOtherName(mount, node, path)) return;
    // From here on records call the file by the name that the standby surely has.
    if (at !== undefined) mount.inodes.preferName(node, at.parent, at.name);
    const isChanged = this.#isChanged(mount);
    const isMoved = above.isMoved || (isChanged && above.isChanged);
    const isFile = node.type === S.IFREG && !above.isMoved && at !== undefined;
    const isOld = isFile && !isChanged;
    const isPartial = isFile && isChanged && this.#contents.isPartlyKnown(mount, node);
    const partly = isPartial ? recordFlag.partlyChanged : 0;
    this.#emit(mount, node, path, isOld ? recordFlag.unchanged : partly);
    this.#files += 1;
    if (node.isDirectory) this.#queueDirectory(mount, node, isMoved);
    else if (isOld) this.#contents.pass(mount);
    else if (node.type === S.IFREG) this.#contents.open(mount, node, isPartial);
  }

  /** Whether the object in `stat` was changed since the time that the scan starts from. */
  #isChanged(mount: Mount): boolean {
    return this.#plan.mode !== 'changed' || mount.stat.ctimeMs >= this.#plan.sinceMs;
  }

  /** Records an object, whose attributes are in `stat`, without contents. */
  #emit(mount: Mount, node: Node, path: string, flags = 0): void {
    const onFault = this.#faults.watch(mount, node);
    const xattrs = readXattrs(mount, mount.inodes.descriptor(node), onFault);
    this.#faults.refreshes(mount, node);
    const tail = encodeXattrs(xattrs);
    const inline = tail.length <= XATTR_TAIL_BYTES_MAX;
    const draft = this.#capture.draft(recordType.scanObject, mount.index, path);
    draft.flags = flags;
    if (node.type === S.IFREG) draft.offset = mount.stat.size;
    if (node.type === S.IFLNK) draft.path2 = readTarget(mount, node, onFault);
    this.#capture.publishNamespace(mount.stat, undefined, undefined, inline ? tail : undefined);
    if (!inline) for (const [name, value] of xattrs) recordXattr(mount, node, name, value);
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
}
