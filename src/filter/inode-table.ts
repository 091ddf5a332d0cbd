// Every object the kernel knows by number: its identity underneath, its name for the records, and a
// bounded set of descriptors through which it is reached.
//
// The node id is the inode number underneath (the root is 1, as the protocol wants it), so hard links
// meet in one node and NFS handles stay valid. Objects are reached by file handle
// (open_by_handle_at), never by path: renames underneath cannot lead astray, and a million nodes
// need no descriptors. At most `descriptorsMax` O_PATH descriptors are kept, second chance.
import { assert } from '../core/assert.ts';
import { AT, errno, O, S } from '../linux/constants.ts';
import { EMPTY_NAME, pin, addressOf, cstring, type Pointer, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';
import { ROOT_ID } from './fuse-protocol.ts';
import type { Patterns } from './patterns.ts';

const HANDLE_BYTES_MAX = 128;
const HANDLE_HEAD_BYTES = 8;
/** FILEID_INO32_GEN: {ino u32, generation u32}, the handle of ext4 and of most XFS inodes. */
const FILEID_INO32_GEN = 1;

/** One known object. Fields are owned by {@link InodeTable} unless said otherwise. */
export class Node {
  readonly nodeid: number;
  /** From the file handle; tells a reused inode number from the object before it. */
  generation: number;
  /** Complete handle when it is not of the compact kind. */
  wideHandle: Uint8Array | undefined;
  /** Type bits of the mode. */
  readonly type: number;
  parent: Node | undefined;
  name: string;
  /** References that the kernel holds. */
  lookups = 0;
  /** Nodes whose parent this is. */
  children = 0;
  fd = -1;
  referenced = false;
  /** No name is left: changes need no record any more. */
  deleted = false;
  /** Place in the descriptor list. */
  slot = -1;
  /** Path on the standby of a file that is open but has no name here (below `.understudy/`). */
  orphanPath: string | undefined;
  /** Open file descriptors of applications; owned by the open family. */
  opens = 0;
  /** A descriptor that reads or writes the file, -1 when no application has it open. */
  openFd = -1;
  /** How the kernel has the file open: id of the backing file, 0 when not by passthrough. */
  backingId = 0;
  passthroughOpens = 0;
  /** Directories: whether new entries inherit an ACL; undefined = not looked yet. */
  hasDefaultAcl: boolean | undefined;
  #path = '';
  #captured = false;
  #pathEpoch = -1;

  constructor(nodeid: number, generation: number, type: number) {
    this.nodeid = nodeid;
    this.generation = generation;
    this.type = type;
    this.parent = undefined;
    this.name = '';
  }

  get isDirectory(): boolean {
    return this.type === S.IFDIR;
  }

  cachedPath(epoch: number): string | undefined {
    return this.#pathEpoch === epoch ? this.#path : undefined;
  }

  get cachedCaptured(): boolean {
    return this.#captured;
  }

  rememberPath(path: string, captured: boolean, epoch: number): void {
    this.#path = path;
    this.#captured = captured;
    this.#pathEpoch = epoch;
  }

  forgetPath(): void {
    this.#pathEpoch = -1;
  }
}

/** Result of {@link InodeTable.lookup} when it is not a node: a negative errno. */
export type LookupResult = Node | number;

export class InodeTable {
  readonly root: Node;
  readonly rootFd: number;
  readonly patterns: Patterns;
  /** Result of the last lookup or refresh. */
  readonly stat = new Stat();
  readonly #nodes = new Map<number, Node>();
  readonly #descriptorsMax: number;
  readonly #withDescriptor: Node[] = [];
  #hand = 0;
  /** Never closed by the next eviction, so that a caller can hold two descriptors. */
  #lastDescriptor: Node | undefined;
  readonly #handle = new Uint8Array(new ArrayBuffer(HANDLE_HEAD_BYTES + HANDLE_BYTES_MAX));
  readonly #handleView = new DataView(this.#handle.buffer);
  readonly #handleAddress = addressOf(this.#handle);
  readonly #mountId = new Uint8Array(new ArrayBuffer(8));
  readonly #mountIdAddress = addressOf(this.#mountId);
  readonly #rootDevice: number;
  /** Moves on when a directory is renamed: cached paths below it are void. */
  #pathEpoch = 0;

  /** `rootFd`: descriptor of the protected directory, opened before the filter is mounted on it. */
  constructor(rootFd: number, patterns: Patterns, descriptorsMax: number) {
    this.rootFd = rootFd;
    this.patterns = patterns;
    this.#descriptorsMax = descriptorsMax;
    const result = this.stat.fd(rootFd);
    assert(result === 0, 'the root of a protected directory can be examined');
    this.#rootDevice = this.stat.devMajor * 0x100000 + this.stat.devMinor;
    this.rootIno = this.stat.ino;
    this.root = new Node(ROOT_ID, 0, S.IFDIR);
    this.root.fd = rootFd;
    this.root.lookups = 1;
    this.#nodes.set(ROOT_ID, this.root);
  }

  readonly rootIno: number;

  get size(): number {
    return this.#nodes.size;
  }

  get(nodeid: number): Node | undefined {
    return this.#nodes.get(nodeid);
  }

  /**
   * Finds `name` (NUL-terminated bytes, `text` the same as latin1) in `parent` and fills `stat`.
   * The caller owns one kernel reference of the result when it tells the kernel of it.
   */
  lookup(parent: Node, name: Pointer, text: string): LookupResult {
    const parentFd = this.descriptor(parent);
    if (parentFd < 0) return parentFd;
    const result = this.stat.at(parentFd, name);
    if (result < 0) return result;
    if (this.stat.devMajor * 0x100000 + this.stat.devMinor !== this.#rootDevice)
      return -errno.EXDEV;
    const known = this.#nodes.get(this.stat.ino);
    if (known !== undefined && !known.deleted) {
      this.setName(known, parent, text);
      return known;
    }
    return this.#admit(parentFd, name, parent, text);
  }

  /** Registers the object behind an open descriptor that has no name (O_TMPFILE). `stat` is filled. */
  admitNameless(fd: number): LookupResult {
    const result = this.stat.fd(fd);
    if (result < 0) return result;
    return this.#admit(fd, EMPTY_NAME, undefined, '');
  }

  #admit(dirFd: number, name: Pointer, parent: Node | undefined, text: string): LookupResult {
    this.#handleView.setUint32(0, HANDLE_BYTES_MAX, true);
    const flags = parent === undefined ? AT.EMPTY_PATH : 0;
    const result = sys.nameToHandleAt(
      dirFd,
      name,
      this.#handleAddress,
      this.#mountIdAddress,
      flags,
    );
    if (result < 0) return result;
    const bytes = this.#handleView.getUint32(0, true);
    const compact = this.#handleView.getInt32(4, true) === FILEID_INO32_GEN && bytes === 8;
    const generation = compact ? this.#handleView.getUint32(12, true) : this.#generationOf(bytes);
    const previous = this.#nodes.get(this.stat.ino);
    const node = new Node(this.stat.ino, generation, this.stat.mode & S.IFMT);
    if (!compact) node.wideHandle = this.#handle.slice(0, HANDLE_HEAD_BYTES + bytes);
    if (previous !== undefined) this.#replace(previous, node);
    this.#nodes.set(node.nodeid, node);
    if (parent !== undefined) this.setName(node, parent, text);
    return node;
  }

  /** An inode number came back: the kernel's references to the dead object count down on the new one. */
  #replace(previous: Node, node: Node): void {
    node.lookups = previous.lookups;
    this.#dropDescriptor(previous);
    this.#unsetParent(previous);
  }

  #generationOf(bytes: number): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < bytes; i += 1) {
      hash = Math.imul(hash ^ (this.#handle[HANDLE_HEAD_BYTES + i] ?? 0), 0x01000193);
    }
    return hash >>> 0;
  }

  /** A descriptor of a node, perhaps O_PATH, valid until the call after the next. Negative errno on failure. */
  descriptor(node: Node): number {
    if (node.openFd >= 0) return node.openFd;
    if (node.fd >= 0) {
      node.referenced = true;
      this.#lastDescriptor = node;
      return node.fd;
    }
    const fd = this.open(node, O.PATH | O.NOFOLLOW | O.CLOEXEC);
    if (fd < 0) return fd;
    if (this.#withDescriptor.length >= this.#descriptorsMax) this.#evict();
    node.fd = fd;
    node.referenced = true;
    node.slot = this.#withDescriptor.push(node) - 1;
    this.#lastDescriptor = node;
    return fd;
  }

  /** Opens a node by its file handle with open(2) flags. Negative errno on failure. */
  open(node: Node, flags: number): number {
    if (node === this.root) return sys.openat(this.rootFd, DOT_ADDRESS, flags, 0);
    if (node.wideHandle !== undefined)
      return sys.openByHandleAt(this.rootFd, node.wideHandle, flags);
    this.#handleView.setUint32(0, 8, true);
    this.#handleView.setInt32(4, FILEID_INO32_GEN, true);
    this.#handleView.setUint32(8, node.nodeid, true);
    this.#handleView.setUint32(12, node.generation, true);
    return sys.openByHandleAt(this.rootFd, this.#handleAddress, flags);
  }

  /** Fills `stat` for a node. Returns 0 or a negative errno. */
  refresh(node: Node): number {
    const fd = this.descriptor(node);
    return fd < 0 ? fd : this.stat.fd(fd);
  }

  #evict(): void {
    for (;;) {
      this.#hand = (this.#hand + 1) % this.#withDescriptor.length;
      const node = this.#withDescriptor[this.#hand];
      assert(node !== undefined, 'the clock hand is within the descriptor list');
      if (node.referenced || node === this.#lastDescriptor) {
        node.referenced = false;
        continue;
      }
      this.#dropDescriptor(node);
      return;
    }
  }

  #dropDescriptor(node: Node): void {
    if (node.fd < 0 || node === this.root) return;
    sys.close(node.fd);
    node.fd = -1;
    const last = this.#withDescriptor.pop();
    if (last !== undefined && last !== node) {
      this.#withDescriptor[node.slot] = last;
      last.slot = node.slot;
    }
    node.slot = -1;
  }

  /** Says that `node` is to be called `name` in `parent` from now on. */
  setName(node: Node, parent: Node, name: string): void {
    if (node.parent === parent && node.name === name) return;
    if (node === this.root) return;
    const wasNamed = node.parent !== undefined;
    this.#unsetParent(node);
    node.parent = parent;
    parent.children += 1;
    node.name = name;
    node.orphanPath = undefined;
    if (wasNamed && node.isDirectory) this.#pathEpoch += 1;
    node.forgetPath();
  }

  /** The node lost the name the table knew; a later lookup may give it another. */
  unsetName(node: Node): void {
    this.#unsetParent(node);
    node.forgetPath();
  }

  #unsetParent(node: Node): void {
    const parent = node.parent;
    if (parent === undefined) return;
    node.parent = undefined;
    node.name = '';
    parent.children -= 1;
    this.#collect(parent);
  }

  /** Takes back `count` kernel references. */
  forget(nodeid: number, count: number): Node | undefined {
    const node = this.#nodes.get(nodeid);
    if (node === undefined || node === this.root) return undefined;
    node.lookups = Math.max(0, node.lookups - count);
    this.#collect(node);
    return node;
  }

  #collect(node: Node): void {
    if (node.lookups > 0 || node.children > 0 || node.opens > 0 || node === this.root) return;
    if (this.#nodes.get(node.nodeid) === node) this.#nodes.delete(node.nodeid);
    this.#dropDescriptor(node);
    this.#unsetParent(node);
  }

  /** Drops a node that is no longer open when the kernel has forgotten it before. */
  collect(node: Node): void {
    this.#collect(node);
  }

  /**
   * Path for records, relative to the protected directory; undefined when the object has no name
   * that the standby could know.
   */
  pathOf(node: Node): string | undefined {
    if (node.orphanPath !== undefined) return node.orphanPath;
    const cached = node.cachedPath(this.#pathEpoch);
    if (cached !== undefined) return cached;
    return this.#computePath(node) ? node.cachedPath(this.#pathEpoch) : undefined;
  }

  /** Whether changes of the node are to be recorded: it has a name and the patterns include it. */
  isCaptured(node: Node): boolean {
    if (node.deleted) return false;
    if (node.orphanPath !== undefined) return true;
    if (node.cachedPath(this.#pathEpoch) !== undefined) return node.cachedCaptured;
    return this.#computePath(node) && node.cachedCaptured;
  }

  #computePath(node: Node): boolean {
    if (node === this.root) {
      node.rememberPath('', true, this.#pathEpoch);
      return true;
    }
    const parent = node.parent;
    if (parent === undefined) return false;
    if (parent.cachedPath(this.#pathEpoch) === undefined && !this.#computePath(parent))
      return false;
    const above = parent.cachedPath(this.#pathEpoch) ?? '';
    const path = above === '' ? node.name : `${above}/${node.name}`;
    const captured = parent.cachedCaptured && this.patterns.matches(path, node.isDirectory);
    node.rememberPath(path, captured, this.#pathEpoch);
    return true;
  }

  /** Path and whether captured for an object `name` in `parent` that may not exist. */
  childPath(parent: Node, name: string, isDirectory: boolean): { path: string; captured: boolean } {
    const above = this.pathOf(parent);
    if (above === undefined) return { path: name, captured: false };
    const path = above === '' ? name : `${above}/${name}`;
    return { path, captured: this.isCaptured(parent) && this.patterns.matches(path, isDirectory) };
  }

  /** Closes every descriptor that the table opened. */
  close(): void {
    for (
      let node = this.#withDescriptor.at(-1);
      node !== undefined;
      node = this.#withDescriptor.at(-1)
    ) {
      this.#dropDescriptor(node);
    }
  }
}

const DOT = cstring('.');
const DOT_ADDRESS = pin(DOT);
