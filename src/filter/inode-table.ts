// Every object the kernel knows by number: its identity underneath and its names for the records.
//
// The node id is the inode number underneath (the root is 1, as the protocol wants it), so hard links
// meet in one node and NFS handles stay valid.
//
// Names: the kernel remembers every name it was told of and goes on using the object under any of
// them without asking again. So the table keeps all of them, until they are removed or the kernel
// has forgotten the object. A file is mirrored when one of its names is; records call it by that.
import { assert } from '../core/assert.ts';
import { PATH_BYTES_MAX } from '../journal/record.ts';
import { AT, errno, S } from '../linux/constants.ts';
import { EMPTY_NAME, type Pointer } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';
import { Descriptors } from './descriptors.ts';
import { ROOT_ID } from './fuse-protocol.ts';
import { Node, type NodeName } from './node.ts';
import type { Patterns } from '../core/patterns.ts';

/** Result of {@link InodeTable.lookup} when it is not a node: a negative errno. */
export type LookupResult = Node | number;

/** Where the table notes for a successor what the kernel knows: see state-log.ts. */
export interface NodeLog {
  told(node: Node): void;
  untold(node: Node): void;
  nameAdded(node: Node, parent: Node, name: string): void;
  nameDropped(node: Node, parent: Node, name: string): void;
  gone(node: Node): void;
  deleted(node: Node): void;
  orphan(node: Node, isOne: boolean): void;
}

/** Where a name is, or would be. */
export interface ChildPath {
  /** Relative to the protected directory. */
  readonly path: string;
  /** The patterns include it. */
  readonly captured: boolean;
}

export class InodeTable {
  readonly root: Node;
  readonly rootFd: number;
  readonly patterns: Patterns;
  /** Result of the last lookup or refresh. */
  readonly stat = new Stat();
  readonly descriptors: Descriptors;
  /** Nothing is collected: what is put back refers to what comes later. */
  restoring = false;
  readonly #log: NodeLog;
  readonly #nodes = new Map<number, Node>();
  readonly #rootDevice: number;
  /** Bytes of the longest path that was ever asked for. */
  #longestPath = 0;
  /** Moves on when a directory is renamed: cached paths below it are void. */
  #pathEpoch = 0;

  /** `rootFd`: descriptor of the protected directory, opened before the filter is mounted on it. */
  constructor(rootFd: number, patterns: Patterns, descriptorsMax: number, log: NodeLog) {
    this.#log = log;
    this.rootFd = rootFd;
    this.patterns = patterns;
    this.descriptors = new Descriptors(rootFd, descriptorsMax);
    const result = this.stat.fd(rootFd);
    assert(result === 0, 'the root of a protected directory can be examined');
    this.#rootDevice = this.#device();
    this.root = new Node(ROOT_ID, 0, S.IFDIR);
    this.root.fd = rootFd;
    this.root.lookups = 1;
    this.#nodes.set(ROOT_ID, this.root);
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(nodeid: number): Node | undefined {
    return this.#nodes.get(nodeid);
  }

  #device(): number {
    return this.stat.devMajor * 0x100000 + this.stat.devMinor;
  }

  /**
   * Finds `name` (NUL-terminated bytes, `text` the same as latin1) in `parent` and fills `stat`.
   * The caller owns one kernel reference of the result when it tells the kernel of it.
   */
  lookup(parent: Node, name: Pointer, text: string): LookupResult {
    const above = this.pathOf(parent);
    if (above !== undefined && above.length + 1 + text.length > PATH_BYTES_MAX)
      return -errno.ENAMETOOLONG;
    const parentFd = this.descriptor(parent);
    if (parentFd < 0) return parentFd;
    const result = this.stat.at(parentFd, name);
    if (result < 0) return result;
    const refused = this.#refusal();
    if (refused < 0) return refused;
    const known = this.#nodes.get(this.stat.ino);
    // An object that lost its names in unknown ways may be gone, and its number used anew.
    const isSame = known !== undefined && !known.deleted && known.parent !== undefined;
    const node = isSame ? known : this.#admit(parentFd, name, 0);
    if (typeof node !== 'number') this.addName(node, parent, text);
    return node;
  }

  /** Registers the object behind an open descriptor, whose names are not known. `stat` is filled. */
  admitNameless(fd: number): LookupResult {
    const result = this.stat.fd(fd);
    if (result < 0) return result;
    const refused = this.#refusal();
    if (refused < 0) return refused;
    return this.#admit(fd, EMPTY_NAME, AT.EMPTY_PATH);
  }

  /** Objects that cannot be served: on another file system, or with a number beyond what numbers here can say. */
  #refusal(): number {
    if (this.stat.inoExceeds53Bits) return -errno.EOVERFLOW;
    return this.#device() === this.#rootDevice ? 0 : -errno.EXDEV;
  }

  #admit(dirFd: number, name: Pointer, flags: number): LookupResult {
    const identity = this.descriptors.identify(dirFd, name, flags);
    if (typeof identity === 'number') return identity;
    const previous = this.#nodes.get(this.stat.ino);
    if (previous !== undefined && !previous.deleted && previous.generation === identity.generation)
      return previous;
    const node = new Node(this.stat.ino, identity.generation, this.stat.mode & S.IFMT);
    node.wideHandle = identity.wideHandle;
    if (previous !== undefined) this.#replace(previous, node);
    this.#nodes.set(node.nodeid, node);
    if (node.lookups > 0) this.#log.told(node);
    return node;
  }

  /** Every known object. */
  nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  /** The kernel is being told of `node`: it holds one more reference. */
  told(node: Node): void {
    node.lookups += 1;
    this.#log.told(node);
  }

  /** Puts back a node that another process knew. */
  restore(node: Node): void {
    this.#nodes.set(node.nodeid, node);
  }

  /** Removes what was put back and turned out to be gone, or not to be referred to. */
  remove(node: Node): void {
    if (this.#nodes.get(node.nodeid) === node) this.#nodes.delete(node.nodeid);
    this.#dropNames(node);
  }

  /** An inode number came back: the kernel's references to the dead object count down on the new one. */
  #replace(previous: Node, node: Node): void {
    node.lookups = previous.lookups;
    this.#log.gone(previous);
    this.descriptors.drop(previous);
    this.#dropNames(previous);
  }

  /** A descriptor of a node, perhaps O_PATH, valid until the call after the next. Negative errno on failure. */
  descriptor(node: Node): number {
    return this.descriptors.of(node);
  }

  /** Opens a node by its file handle with open(2) flags. Negative errno on failure. */
  open(node: Node, flags: number): number {
    return this.descriptors.open(node, flags);
  }

  /** Fills `stat` for a node. Returns 0 or a negative errno. */
  refresh(node: Node): number {
    const fd = this.descriptor(node);
    return fd < 0 ? fd : this.stat.fd(fd);
  }

  /** Notes that `node` is called `name` in `parent`, perhaps besides other names. */
  addName(node: Node, parent: Node, name: string): void {
    if (node === this.root || node.isNamed(parent, name)) return;
    parent.children += 1;
    if (node.parent !== undefined && node.isDirectory) {
      // A directory has one name: the one known before is not true any more.
      const before = node.parent;
      this.#log.nameDropped(node, before, node.name);
      node.parent = parent;
      node.name = name;
      this.#pathEpoch += 1;
      this.#childGone(before);
    } else if (node.parent === undefined) {
      node.parent = parent;
      node.name = name;
    } else {
      (node.others ??= []).push({ parent, name });
    }
    this.#log.nameAdded(node, parent, name);
    node.forgetPath();
  }

  /** Makes a known name the first: records use it as long as it is mirrored. */
  preferName(node: Node, parent: Node, name: string): void {
    if (node.parent === parent && node.name === name) return;
    const others = node.others ?? [];
    const at = others.findIndex((other) => other.parent === parent && other.name === name);
    if (at < 0 || node.parent === undefined) return;
    others[at] = { parent: node.parent, name: node.name };
    node.parent = parent;
    node.name = name;
    node.forgetPath();
  }

  /** The node lost a name. */
  dropName(node: Node, parent: Node, name: string): void {
    if (!node.isNamed(parent, name)) return;
    this.#log.nameDropped(node, parent, name);
    if (node.parent === parent && node.name === name) {
      const next = node.others?.shift();
      node.parent = next?.parent;
      node.name = next?.name ?? '';
    } else {
      const isOther = (other: NodeName): boolean => other.parent !== parent || other.name !== name;
      node.others = node.others?.filter(isOther);
    }
    if (node.others?.length === 0) node.others = undefined;
    node.forgetPath();
    this.#childGone(parent);
  }

  /** The node's name `from` is `to` now. */
  moveName(node: Node, from: NodeName, to: NodeName): void {
    if (!node.isNamed(from.parent, from.name)) return this.addName(node, to.parent, to.name);
    this.#log.nameDropped(node, from.parent, from.name);
    this.#log.nameAdded(node, to.parent, to.name);
    if (node.isDirectory) this.#pathEpoch += 1;
    to.parent.children += 1;
    if (node.parent === from.parent && node.name === from.name) {
      node.parent = to.parent;
      node.name = to.name;
    } else {
      node.others = node.others?.map((other) =>
        other.parent === from.parent && other.name === from.name
          ? { parent: to.parent, name: to.name }
          : other,
      );
    }
    node.forgetPath();
    this.#childGone(from.parent);
  }

  #dropNames(node: Node): void {
    for (const { parent, name } of node.names()) this.dropName(node, parent, name);
  }

  #childGone(parent: Node): void {
    parent.children -= 1;
    this.collect(parent);
  }

  /** No name of the object is left underneath. */
  setDeleted(node: Node): void {
    this.#dropNames(node);
    node.deleted = true;
    this.#log.deleted(node);
  }

  /** The standby knows the node by this path, or by its names again (undefined). */
  setOrphan(node: Node, path: string | undefined): void {
    if (node.orphanPath === path) return;
    node.orphanPath = path;
    this.#log.orphan(node, path !== undefined);
  }

  /** Takes back `count` kernel references. */
  forget(nodeid: number, count: number): void {
    const node = this.#nodes.get(nodeid);
    if (node === undefined || node === this.root) return;
    node.lookups = Math.max(0, node.lookups - count);
    this.collect(node);
    if (node.lookups === 0 && this.#nodes.get(nodeid) === node) this.#log.untold(node);
  }

  /** Drops a node that nobody refers to any more. */
  collect(node: Node): void {
    if (node.lookups > 0 || node.children > 0 || node.opens > 0 || node.pins > 0) return;
    if (node === this.root || this.restoring) return;
    if (this.#nodes.get(node.nodeid) === node) this.#nodes.delete(node.nodeid);
    this.#log.gone(node);
    this.descriptors.drop(node);
    this.#dropNames(node);
  }

  /**
   * Path for records, relative to the protected directory; undefined when the object has no name
   * that the standby could know.
   */
  pathOf(node: Node): string | undefined {
    const named = this.#findPath(node);
    if (node.orphanPath !== undefined && !(named && node.cachedCaptured)) return node.orphanPath;
    return named ? node.cachedPath(this.#pathEpoch) : undefined;
  }

  /** Whether changes of the node are to be recorded: it has a name that the patterns include. */
  isCaptured(node: Node): boolean {
    if (node.deleted) return false;
    if (node.orphanPath !== undefined) return true;
    return this.#findPath(node) && node.cachedCaptured;
  }

  /** Settles path and capture of a node from its names; false when it has none. */
  #findPath(node: Node): boolean {
    if (node.cachedPath(this.#pathEpoch) !== undefined) return true;
    if (node === this.root) {
      node.rememberPath('', true, this.#pathEpoch);
      return true;
    }
    if (node.parent === undefined) return false;
    let best = this.childPath(node.parent, node.name, node.isDirectory);
    if (!best.captured && node.others !== undefined) {
      for (const { parent, name } of node.others) {
        const other = this.childPath(parent, name, node.isDirectory);
        if (!other.captured) continue;
        best = other;
        break;
      }
    }
    node.rememberPath(best.path, best.captured, this.#pathEpoch);
    return true;
  }

  /** Path and whether captured for an object `name` in `parent` that may not exist. */
  childPath(parent: Node, name: string, isDirectory: boolean): ChildPath {
    const above = this.pathOf(parent);
    if (above === undefined) return { path: name, captured: false };
    const path = above === '' ? name : `${above}/${name}`;
    if (path.length > this.#longestPath) this.#longestPath = path.length;
    return { path, captured: this.isCaptured(parent) && this.patterns.matches(path, isDirectory) };
  }

  /**
   * Whether known objects below `directory` would get paths too long for records when its own path
   * grows by `bytes`.
   */
  wouldExceedPaths(directory: Node, bytes: number): boolean {
    if (bytes <= 0 || this.#longestPath + bytes <= PATH_BYTES_MAX) return false;
    const own = this.pathOf(directory);
    if (own === undefined) return false;
    for (const node of this.#nodes.values()) {
      for (const { parent, name } of node.names()) {
        const { path } = this.childPath(parent, name, node.isDirectory);
        if (path.length + bytes > PATH_BYTES_MAX && path.startsWith(`${own}/`)) return true;
      }
    }
    return false;
  }

  /** Closes every descriptor that the table opened. */
  close(): void {
    this.descriptors.close();
  }
}
