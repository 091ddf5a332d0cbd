// A comparison of both copies while applications work: walks the mirrored trees and puts what it sees into
// the stream, for the standby to compare.
//
// Like a scan it runs in the capture thread between requests, so each record is as of its place in the
// one order, and the standby compares it when it has applied exactly what came before: both look at the
// same moment. Unlike a scan it changes nothing and remembers nothing. An object that is moved to a
// directory already passed is not met: the next comparison will.
//
//   verifyBegin → per directory: verifyNames, then per object verifyObject, verifyHash/verifyZeros… → verifyEnd
import type { ScanPace } from '../core/scan-pace.ts';
import {
  encodeXattrs,
  NAMESPACE_BYTES,
  ORPHAN_DIRECTORY,
  PAYLOAD_BYTES_MAX,
  recordType,
  verifyMask,
} from '../journal/record.ts';
import { errno, O, S, SEEK } from '../linux/constants.ts';
import { DirectoryReader, DT } from '../linux/dirents.ts';
import { addressOf, sys } from '../linux/libc.ts';
import type { Capture } from './capture.ts';
import type { Mount } from './mount.ts';
import type { Node, NodeName } from './node.ts';
import { readTarget } from './operations/subtree.ts';
import { readXattrs } from './operations/xattr.ts';
import { type ReadFault, ReadFaults } from './read-faults.ts';
import { hashBlocks } from './scan-contents.ts';
import type { ScanProgress } from './scanner.ts';

const CHUNK_BYTES = 1024 * 1024;
const NAMES_BYTES_MAX = PAYLOAD_BYTES_MAX - 1024;
const XATTR_TAIL_BYTES_MAX = PAYLOAD_BYTES_MAX - NAMESPACE_BYTES - 4096;
/** Live records must not queue behind a comparison: it stops when so much of the ring is in use. */
const RING_SHARE = 1 / 8;

interface PendingDirectory {
  readonly mount: Mount;
  readonly node: Node;
}

interface OpenDirectory extends PendingDirectory {
  readonly names: readonly string[];
  next: number;
}

interface OpenFile extends PendingDirectory {
  readonly fd: number;
  at: number;
}

export class Verifier {
  readonly #capture: Capture;
  readonly #pace: ScanPace;
  readonly #pending: PendingDirectory[] = [];
  #directory: OpenDirectory | undefined;
  #file: OpenFile | undefined;
  /** Per mount: first path met of files with several names. */
  readonly #linked: Map<number, string>[];
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  readonly #chunkAddress = addressOf(this.#chunk);
  readonly #faults = new ReadFaults();
  #files = 0;
  #bytes = 0;
  finished = false;

  constructor(mounts: readonly Mount[], capture: Capture, pace: ScanPace) {
    this.#capture = capture;
    this.#pace = pace;
    this.#linked = mounts.map(() => new Map());
    capture.draft(recordType.verifyBegin, 0, '');
    capture.publishBare();
    for (const mount of mounts.toReversed()) this.#push(mount, mount.inodes.root);
    for (const mount of mounts) this.#object(mount, mount.inodes.root, undefined);
  }

  /** Contents do not travel: `sentBytes` is 0. */
  get progress(): ScanProgress {
    return { files: this.#files, bytes: this.#bytes, sentBytes: 0 };
  }

  /** What could not be read: the comparison goes no further, and is to be aborted. */
  get fault(): ReadFault | undefined {
    return this.#faults.first;
  }

  /** Works until `deadlineMs` (performance.now) or as far as others leave room. */
  step(deadlineMs: number): void {
    const { ring } = this.#capture;
    while (!this.finished && this.fault === undefined && performance.now() < deadlineMs) {
      if (ring.usedBytes > ring.capacity * RING_SHARE || this.#pace.isAhead(ring.head)) return;
      this.#advance();
    }
  }

  /** Ends without a result. */
  abort(): void {
    this.#closeFile();
    this.#leaveDirectory();
    for (const { mount, node } of this.#pending.splice(0)) this.#unpin(mount, node);
    this.finished = true;
  }

  #advance(): void {
    if (this.#file !== undefined) this.#continueFile(this.#file);
    else if (this.#directory !== undefined) this.#continueDirectory(this.#directory);
    else if (this.#pending.length > 0) this.#enterDirectory();
    else this.#finish();
  }

  #finish(): void {
    const draft = this.#capture.draft(recordType.verifyEnd, 0, '');
    draft.offset = this.#files;
    draft.length = this.#bytes;
    this.#capture.publishBare();
    this.finished = true;
  }

  #push(mount: Mount, node: Node): void {
    node.pins += 1;
    this.#pending.push({ mount, node });
  }

  #unpin(mount: Mount, node: Node): void {
    node.pins -= 1;
    mount.inodes.collect(node);
  }

  /** All names in one go: between two parts nothing may change. */
  #enterDirectory(): void {
    const next = this.#pending.pop();
    if (next === undefined) return;
    const { mount, node } = next;
    const path = mount.inodes.isCaptured(node) ? mount.inodes.pathOf(node) : undefined;
    const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
    const fd = path === undefined ? -errno.ENOENT : mount.inodes.open(node, flags);
    if (!this.#faults.passes(mount, node, fd) || path === undefined) {
      return this.#unpin(mount, node);
    }
    const names = this.#readNames(mount, node, fd);
    if (this.fault !== undefined) return this.#unpin(mount, node);
    this.#sendNames(mount, path, names);
    this.#directory = { mount, node, names, next: 0 };
  }

  #readNames(mount: Mount, node: Node, fd: number): string[] {
    const reader = new DirectoryReader(fd);
    const names: string[] = [];
    let entry = reader.next();
    for (; typeof entry === 'object'; entry = reader.next()) {
      const { name, type } = entry;
      if (node === mount.inodes.root && name === ORPHAN_DIRECTORY) continue;
      const isDirectory =
        type === DT.UNKNOWN ? this.#isDirectory(mount, node, name) : type === DT.DIR;
      if (mount.inodes.childPath(node, name, isDirectory).captured) names.push(name);
    }
    reader.close();
    this.#faults.passes(mount, node, entry ?? 0);
    return names;
  }

  #isDirectory(mount: Mount, parent: Node, name: string): boolean {
    const child = this.#faults.lookup(mount, parent, name);
    if (child === undefined) return false;
    const { isDirectory } = child;
    mount.inodes.collect(child);
    return isDirectory;
  }

  #sendNames(mount: Mount, path: string, names: readonly string[]): void {
    let part: string[] = [];
    let bytes = 0;
    const send = (isLast: boolean): void => {
      const draft = this.#capture.draft(recordType.verifyNames, mount.index, path);
      draft.aux = isLast ? 1 : 0;
      this.#capture.publishPayload(Buffer.from(part.map((name) => `${name}\0`).join(''), 'latin1'));
      part = [];
      bytes = 0;
    };
    for (const name of names) {
      if (bytes + name.length + 1 > NAMES_BYTES_MAX) send(false);
      part.push(name);
      bytes += name.length + 1;
    }
    send(true);
  }

  #continueDirectory(open: OpenDirectory): void {
    const { mount, node } = open;
    const name = open.names[open.next];
    open.next += 1;
    if (name === undefined || !mount.inodes.isCaptured(node)) return this.#leaveDirectory();
    const child = this.#faults.lookup(mount, node, name);
    if (child === undefined) return;
    this.#object(mount, child, { parent: node, name });
    mount.inodes.collect(child);
  }

  #leaveDirectory(): void {
    if (this.#directory === undefined) return;
    this.#unpin(this.#directory.mount, this.#directory.node);
    this.#directory = undefined;
  }

  #object(mount: Mount, node: Node, at: NodeName | undefined): void {
    const { path, captured } =
      at === undefined
        ? { path: '', captured: true }
        : mount.inodes.childPath(at.parent, at.name, node.isDirectory);
    if (!captured || !this.#faults.refreshes(mount, node)) return;
    const first = this.#firstName(mount, node, path);
    this.#sendObject(mount, node, path, first);
    this.#files += 1;
    if (node.isDirectory && at !== undefined) this.#push(mount, node);
    if (node.type === S.IFREG && first === undefined) this.#openFile(mount, node);
  }

  /** Another name that a file was met under before. */
  #firstName(mount: Mount, node: Node, path: string): string | undefined {
    if (node.isDirectory || mount.stat.nlink < 2) return undefined;
    const linked = this.#linked[mount.index];
    const first = linked?.get(node.nodeid);
    if (first === undefined) linked?.set(node.nodeid, path);
    // It may have been renamed or removed since.
    const isThere = node.names().some(({ parent, name }) => {
      return mount.inodes.childPath(parent, name, false).path === first;
    });
    return isThere ? first : undefined;
  }

  #sendObject(mount: Mount, node: Node, path: string, first: string | undefined): void {
    const onFault = this.#faults.watch(mount, node);
    const tail = encodeXattrs(readXattrs(mount, mount.inodes.descriptor(node), onFault));
    this.#faults.refreshes(mount, node);
    const isInline = tail.length <= XATTR_TAIL_BYTES_MAX;
    const draft = this.#capture.draft(recordType.verifyObject, mount.index, path);
    draft.aux = isInline ? 0 : verifyMask.xattrs;
    draft.path2 = first ?? '';
    if (node.type === S.IFREG) draft.offset = mount.stat.size;
    if (node.type === S.IFLNK) draft.path2 = readTarget(mount, node, onFault);
    this.#capture.publishNamespace(mount.stat, undefined, undefined, isInline ? tail : undefined);
  }

  #openFile(mount: Mount, node: Node): void {
    if (mount.stat.size === 0) return;
    const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
    if (!this.#faults.passes(mount, node, fd)) return;
    node.pins += 1;
    this.#file = { mount, node, fd, at: 0 };
  }

  #continueFile(file: OpenFile): void {
    const { mount, node, fd } = file;
    const path = mount.inodes.isCaptured(node) ? mount.inodes.pathOf(node) : undefined;
    const size = path === undefined || mount.stat.fd(fd) < 0 ? 0 : mount.stat.size;
    if (path === undefined || file.at >= size) return this.#closeFile();
    const data = sys.lseek(fd, file.at, SEEK.DATA);
    this.#faults.passes(mount, node, data);
    if (this.fault !== undefined) return this.#closeFile();
    const from = data < 0 ? size : Math.min(data, size);
    if (from > file.at) {
      this.#send(recordType.verifyZeros, mount, path, { offset: file.at, length: from - file.at });
      file.at = from;
      return;
    }
    const hole = sys.lseek(fd, from, SEEK.HOLE);
    const to = Math.min(hole < 0 ? size : hole, size, from + CHUNK_BYTES);
    const read = sys.pread(fd, this.#chunkAddress, to - from, from);
    if (!this.#faults.passes(mount, node, read) || read === 0) return this.#closeFile();
    const hashes = hashBlocks(this.#chunk.subarray(0, read));
    this.#send(recordType.verifyHash, mount, path, { offset: from, length: read }, hashes);
    file.at = from + read;
  }

  #send(
    type: typeof recordType.verifyHash | typeof recordType.verifyZeros,
    mount: Mount,
    path: string,
    range: { readonly offset: number; readonly length: number },
    payload: Uint8Array = NOTHING,
  ): void {
    const draft = this.#capture.draft(type, mount.index, path);
    draft.offset = range.offset;
    draft.length = range.length;
    this.#capture.publishPayload(payload);
    this.#bytes += range.length;
  }

  #closeFile(): void {
    if (this.#file === undefined) return;
    sys.close(this.#file.fd);
    this.#unpin(this.#file.mount, this.#file.node);
    this.#file = undefined;
  }
}

const NOTHING = new Uint8Array(0);
