// How objects are reached: by file handle (open_by_handle_at), never by path. Renames underneath
// cannot lead astray, and a million nodes need no descriptors. At most `max` O_PATH descriptors are
// kept, second chance.
//
// Applications may have as many files open as this process can, less a reserve: what a rename brings into the
// mirrored set has to be read, the journal written, the standby called. What is kept here goes before an application
// is refused.
import { assert } from '../core/assert.ts';
import { O } from '../linux/constants.ts';
import { addressOf, cstring, pin, type Pointer, sys } from '../linux/libc.ts';
import { descriptorLimit } from '../linux/descriptor-limit.ts';
import type { Node } from './node.ts';

const HANDLE_BYTES_MAX = 128;
const HANDLE_HEAD_BYTES = 8;
/** Numbers of descriptors that applications do not get. */
const RESERVED = 256;
const F_DUPFD_CLOEXEC = 1030;
/** FILEID_INO32_GEN: {ino u32, generation u32}, the handle of ext4 and of most XFS inodes. */
const FILEID_INO32_GEN = 1;
const DOT = cstring('.');
const DOT_ADDRESS = pin(DOT);

/** What a file handle says of its object. */
export interface Identity {
  readonly generation: number;
  /** Complete handle when it is not of the compact kind. */
  readonly wideHandle: Uint8Array | undefined;
}

export class Descriptors {
  readonly rootFd: number;
  readonly #max: number;
  /** The first number of the reserve. */
  readonly #scarceFrom = descriptorLimit() - RESERVED;
  readonly #kept: Node[] = [];
  #hand = 0;
  /** Never closed by the next eviction, so that a caller can hold two descriptors. */
  #last: Node | undefined;
  readonly #handle = new Uint8Array(new ArrayBuffer(HANDLE_HEAD_BYTES + HANDLE_BYTES_MAX));
  readonly #view = new DataView(this.#handle.buffer);
  readonly #address = addressOf(this.#handle);
  readonly #mountId = new Uint8Array(new ArrayBuffer(8));
  readonly #mountIdAddress = addressOf(this.#mountId);

  constructor(rootFd: number, max: number) {
    assert(max >= 2, 'two descriptors can be kept at a time');
    this.rootFd = rootFd;
    this.#max = max;
  }

  /** Number of descriptors kept. */
  get size(): number {
    return this.#kept.length;
  }

  /** Identity of `name` in `dirFd`, or of `dirFd` itself with AT_EMPTY_PATH. Negative errno on failure. */
  identify(dirFd: number, name: Pointer, flags: number): Identity | number {
    this.#view.setUint32(0, HANDLE_BYTES_MAX, true);
    const result = sys.nameToHandleAt(dirFd, name, this.#address, this.#mountIdAddress, flags);
    if (result < 0) return result;
    const bytes = this.#view.getUint32(0, true);
    if (this.#view.getInt32(4, true) === FILEID_INO32_GEN && bytes === 8)
      return { generation: this.#view.getUint32(12, true), wideHandle: undefined };
    const wideHandle = this.#handle.slice(0, HANDLE_HEAD_BYTES + bytes);
    return { generation: hashOf(wideHandle), wideHandle };
  }

  /** A descriptor of a node, perhaps O_PATH, valid until the call after the next. Negative errno on failure. */
  of(node: Node): number {
    if (node.openFd >= 0) return node.openFd;
    if (node.fd >= 0) {
      node.referenced = true;
      this.#last = node;
      return node.fd;
    }
    const fd = this.open(node, O.PATH | O.NOFOLLOW | O.CLOEXEC);
    if (fd < 0) return fd;
    if (this.#kept.length >= this.#max || (fd >= this.#scarceFrom && this.#isEvictable))
      this.#evict();
    node.fd = fd;
    node.referenced = true;
    node.slot = this.#kept.push(node) - 1;
    this.#last = node;
    return fd;
  }

  /** Opens a node by its file handle with open(2) flags. Negative errno on failure. */
  open(node: Node, flags: number): number {
    if (node.fd === this.rootFd) return sys.openat(this.rootFd, DOT_ADDRESS, flags, 0);
    if (node.wideHandle !== undefined)
      return sys.openByHandleAt(this.rootFd, node.wideHandle, flags);
    return this.openNumber(node.nodeid, node.generation, flags);
  }

  /** Whether an application may have one more file open. Descriptors that {@link of} returned are void. */
  makeRoom(): boolean {
    for (;;) {
      // The lowest free number is the next one.
      const fd = sys.fcntl(this.rootFd, F_DUPFD_CLOEXEC, 0);
      if (fd >= 0) sys.close(fd);
      if (fd >= 0 && fd < this.#scarceFrom) return true;
      if (!this.#isEvictable) return false;
      this.#evict();
    }
  }

  /**
   * Opens an object by inode number where file handles are of the compact kind; generation 0 stands
   * for any on ext4. Negative errno on failure.
   */
  openNumber(ino: number, generation: number, flags: number): number {
    this.#view.setUint32(0, 8, true);
    this.#view.setInt32(4, FILEID_INO32_GEN, true);
    this.#view.setUint32(8, ino, true);
    this.#view.setUint32(12, generation, true);
    return sys.openByHandleAt(this.rootFd, this.#address, flags);
  }

  get #isEvictable(): boolean {
    return this.#kept.length > 1;
  }

  #evict(): void {
    for (;;) {
      this.#hand = (this.#hand + 1) % this.#kept.length;
      const node = this.#kept[this.#hand];
      assert(node !== undefined, 'the clock hand is within the descriptor list');
      if (node.referenced || node === this.#last) {
        node.referenced = false;
        continue;
      }
      this.drop(node);
      return;
    }
  }

  /** Closes the descriptor kept for a node, if any. The root's belongs to whoever opened it. */
  drop(node: Node): void {
    if (node.fd < 0 || node.slot < 0) return;
    sys.close(node.fd);
    node.fd = -1;
    const last = this.#kept.pop();
    if (last !== undefined && last !== node) {
      this.#kept[node.slot] = last;
      last.slot = node.slot;
    }
    node.slot = -1;
  }

  /** Closes every descriptor that is kept. */
  close(): void {
    for (let node = this.#kept.at(-1); node !== undefined; node = this.#kept.at(-1))
      this.drop(node);
  }
}

function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = HANDLE_HEAD_BYTES; i < bytes.length; i += 1)
    hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  return hash >>> 0;
}
