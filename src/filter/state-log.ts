// What the kernel was told and must find again whoever serves it: known objects with their names, open
// files. An append-only log in shared memory, rewritten from the tables when half of it is out of date.
//
// Entries gather and become valid together ({@link StateLog.flush}) when the records of an operation are
// in the ring and before the kernel is answered: the log never knows of an operation that has no
// record. Objects are logged when the kernel hears of them, with the directories above them.
//
//  offset size entry (little endian, padded to 8)
//   0     1   type, see `entry`
//   1     1   number of the protected directory
//   2     2   length of the entry / 8
//   4     4   a number
//   8     8   node id
//  16     8   a second number: node id of a parent, or two of 32 bits
//  24         bytes: a name, a file handle
import { assert } from '../core/assert.ts';
import { padded, readU53, writeU53 } from '../journal/record.ts';
import { discard } from '../linux/shared-memory.ts';
import type { Handle, HandleLog } from './handle-table.ts';
import type { NodeLog } from './inode-table.ts';
import type { Node } from './node.ts';
import {
  LOG_BYTES_MAX,
  logOffset,
  mountBase,
  mountWord,
  type SharedState,
  word,
} from './shared-state.ts';

export const entry = {
  /** number: generation; second: type bits of the mode, 1 when the kernel knows it; bytes: wide handle. */
  node: 1,
  /** The kernel knows a node that was logged for what is below it. */
  told: 2,
  /** number: length; second: parent; bytes: name. */
  name: 3,
  unname: 4,
  /** The table has dropped the node. */
  gone: 5,
  deleted: 6,
  /** number: 1 when it is one from now on, 0 when not. */
  orphan: 7,
  /** number: fh; second: open(2) flags, kind; third word pair: backing id. */
  open: 8,
  close: 9,
  /** The kernel has forgotten a node that stays for what is below it. */
  untold: 10,
} as const;
export const openKind = { directory: 1, passthrough: 2 } as const;

const HEAD_BYTES = 24;
const WINDOW_BYTES = 1024 * 1024;
/** A log is rewritten when it is larger than this, and twice as large as after the last time. */
const REWRITE_BYTES_MIN = 4 * 1024 * 1024;

/** How far a node is in the log. */
export const logged = { no: 0, below: 1, told: 2 } as const;

/** Everything that a snapshot is made of. */
export interface LoggedTables {
  readonly index: number;
  nodes(): Iterable<Node>;
  handles(): Iterable<readonly [number, Handle]>;
}

export class StateLog {
  readonly #state: SharedState;
  #half: number;
  #view: DataView;
  #bytes: Buffer;
  #window = 0;
  /** Behind the last entry, and behind the last valid one. */
  #tail: number;
  #valid: number;
  /** Bytes after the last rewriting. */
  #base = 0;

  constructor(state: SharedState) {
    this.#state = state;
    this.#half = state.words[word.logHalf] ?? 0;
    this.#tail = Atomics.load(state.words, word.logTail + this.#half);
    this.#valid = this.#tail;
    this.#base = this.#tail;
    this.#view = new DataView(new ArrayBuffer(0));
    this.#bytes = Buffer.alloc(0);
    this.#map(this.#tail + WINDOW_BYTES);
  }

  /** Bytes in use. */
  get size(): number {
    return this.#tail;
  }

  /** Valid entries, for {@link replay}. */
  get entries(): { readonly view: DataView; readonly bytes: Buffer; readonly length: number } {
    return { view: this.#view, bytes: this.#bytes, length: this.#valid };
  }

  /** Makes every entry valid. */
  flush(): void {
    if (this.#tail === this.#valid) return;
    this.#valid = this.#tail;
    Atomics.store(this.#state.words, word.logTail + this.#half, this.#tail);
  }

  /**
   * The same after request `unique` of directory `mount`, whose records are in the ring. Whoever finds
   * the request asked for again knows that only its answer is missing.
   */
  settle(mount: number, uniqueLow: number, uniqueHigh: number): void {
    if (this.#tail === this.#valid) return;
    const { words } = this.#state;
    const at = mountBase(mount);
    Atomics.store(words, at + mountWord.settledTail, this.#tail);
    Atomics.store(words, at + mountWord.settledLow, uniqueLow | 0);
    Atomics.store(words, at + mountWord.settledHigh, uniqueHigh | 0);
    this.flush();
  }

  /** The request that was settled last; undefined when the end of its entries is missing. */
  settled(mount: number): { readonly low: number; readonly high: number } | undefined {
    const { words } = this.#state;
    const at = mountBase(mount);
    if ((words[at + mountWord.settledTail] ?? 0) > this.#valid) return undefined;
    const low = words[at + mountWord.settledLow] ?? 0;
    return { low: low >>> 0, high: (words[at + mountWord.settledHigh] ?? 0) >>> 0 };
  }

  /** Logs that the kernel knows `node`. */
  told(mount: number, node: Node): void {
    if (node.logged === logged.told) return;
    if (node.logged === logged.no) this.#node(mount, node, true);
    else this.#append(entry.told, mount, node.nodeid);
    node.logged = logged.told;
  }

  #node(mount: number, node: Node, isTold: boolean): void {
    for (const { parent } of node.names()) this.#above(mount, parent);
    const handle = node.wideHandle;
    const at = this.#append(entry.node, mount, node.nodeid, handle?.length ?? 0);
    this.#view.setUint32(at + 4, node.generation, true);
    this.#view.setUint32(at + 16, node.type, true);
    this.#view.setUint32(at + 20, (isTold ? 1 : 0) | ((handle?.length ?? 0) << 8), true);
    if (handle !== undefined) this.#bytes.set(handle, at + HEAD_BYTES);
    node.logged = isTold ? logged.told : logged.below;
    for (const { parent, name } of node.names()) this.#name(entry.name, mount, node, parent, name);
    if (node.deleted) this.#append(entry.deleted, mount, node.nodeid);
    if (node.orphanPath !== undefined) this.orphan(mount, node, true);
  }

  /** A directory has to be in the log before what has a name in it. */
  #above(mount: number, directory: Node): void {
    if (directory.logged === logged.no && !directory.isRoot) this.#node(mount, directory, false);
  }

  untold(mount: number, node: Node): void {
    if (node.logged !== logged.told) return;
    this.#append(entry.untold, mount, node.nodeid);
    node.logged = logged.below;
  }

  nameAdded(mount: number, node: Node, parent: Node, name: string): void {
    if (node.logged === logged.no) return;
    this.#above(mount, parent);
    this.#name(entry.name, mount, node, parent, name);
  }

  nameDropped(mount: number, node: Node, parent: Node, name: string): void {
    if (node.logged !== logged.no) this.#name(entry.unname, mount, node, parent, name);
  }

  #name(type: number, mount: number, node: Node, parent: Node, name: string): void {
    const at = this.#append(type, mount, node.nodeid, name.length);
    this.#view.setUint32(at + 4, name.length, true);
    writeU53(this.#view, at + 16, parent.nodeid);
    this.#bytes.write(name, at + HEAD_BYTES, 'latin1');
  }

  gone(mount: number, node: Node): void {
    if (node.logged === logged.no) return;
    this.#append(entry.gone, mount, node.nodeid);
    node.logged = logged.no;
  }

  deleted(mount: number, node: Node): void {
    if (node.logged !== logged.no) this.#append(entry.deleted, mount, node.nodeid);
  }

  orphan(mount: number, node: Node, isOne: boolean): void {
    if (node.logged === logged.no) return;
    const at = this.#append(entry.orphan, mount, node.nodeid);
    this.#view.setUint32(at + 4, isOne ? 1 : 0, true);
  }

  opened(mount: number, fh: number, handle: Handle): void {
    if (handle.node.logged === logged.no && !handle.node.isRoot)
      this.#node(mount, handle.node, false);
    const at = this.#append(entry.open, mount, handle.node.nodeid, 8);
    const kind =
      (handle.isListing ? openKind.directory : 0) | (handle.passthrough ? openKind.passthrough : 0);
    this.#view.setUint32(at + 4, fh, true);
    this.#view.setUint32(at + 16, handle.flags, true);
    this.#view.setUint32(at + 20, kind, true);
    this.#view.setUint32(at + HEAD_BYTES, handle.node.backingId, true);
  }

  closed(mount: number, fh: number): void {
    // The view is another one when the entry is the first of a larger window.
    const at = this.#append(entry.close, mount, 0);
    this.#view.setUint32(at + 4, fh, true);
  }

  /** Whether {@link rewrite} would be worth it. */
  get isBloated(): boolean {
    return this.#tail > REWRITE_BYTES_MIN && this.#tail > 2 * this.#base;
  }

  /** Writes everything that counts to the other half, and goes on there. */
  rewrite(tables: readonly LoggedTables[]): void {
    assert(this.#tail === this.#valid, 'the log is rewritten between two operations');
    const old = this.#half;
    const oldBytes = this.#tail;
    this.#half = 1 - old;
    this.#tail = 0;
    this.#window = 0;
    this.#map(WINDOW_BYTES);
    for (const { index, nodes, handles } of tables) {
      const told: Node[] = [];
      for (const node of nodes()) {
        if (node.logged === logged.told) told.push(node);
        node.logged = logged.no;
      }
      for (const node of told) this.told(index, node);
      for (const [fh, handle] of handles()) this.opened(index, fh, handle);
    }
    this.#valid = this.#tail;
    this.#base = this.#tail;
    const { words } = this.#state;
    for (const { index } of tables)
      Atomics.store(words, mountBase(index) + mountWord.settledTail, 0);
    Atomics.store(words, word.logTail + this.#half, this.#tail);
    Atomics.store(words, word.logHalf, this.#half);
    Atomics.store(words, word.logTail + old, 0);
    discard(this.#state.fd, logOffset(old), oldBytes);
  }

  #append(type: number, mount: number, nodeid: number, tailBytes = 0): number {
    const length = padded(HEAD_BYTES + tailBytes);
    if (this.#tail + length > this.#window) this.#grow(this.#tail + length);
    const at = this.#tail;
    this.#view.setUint8(at, type);
    this.#view.setUint8(at + 1, mount);
    this.#view.setUint16(at + 2, length / 8, true);
    writeU53(this.#view, at + 8, nodeid);
    this.#tail += length;
    return at;
  }

  #grow(bytes: number): void {
    if (bytes > LOG_BYTES_MAX) {
      // Served as ever; but the next process will have to begin anew.
      Atomics.store(this.#state.words, word.logBroken, 1);
      this.#tail = 0;
      return;
    }
    this.#map(bytes);
  }

  /** Windows that are not used any more stay mapped: a view of them may still be referred to. */
  #map(bytes: number): void {
    let window = Math.max(this.#window, WINDOW_BYTES);
    while (window < bytes) window *= 2;
    this.#window = window;
    const memory = this.#state.log(this.#half, window);
    this.#view = new DataView(memory);
    this.#bytes = Buffer.from(memory);
  }
}

/** The log of one protected directory, for its tables. */
export class MountLog implements HandleLog, NodeLog {
  readonly #log: StateLog;
  readonly #words: Int32Array;
  readonly #index: number;

  constructor(log: StateLog, state: SharedState, index: number) {
    this.#log = log;
    this.#words = state.words;
    this.#index = index;
  }

  /** What was agreed upon with the kernel: bits of `mountInfo`. */
  get info(): number {
    return this.#words[mountBase(this.#index) + mountWord.info] ?? 0;
  }
  set info(info: number) {
    Atomics.store(this.#words, mountBase(this.#index) + mountWord.info, info);
  }

  settle(uniqueLow: number, uniqueHigh: number): void {
    this.#log.settle(this.#index, uniqueLow, uniqueHigh);
  }
  flush(): void {
    this.#log.flush();
  }
  told(node: Node): void {
    this.#log.told(this.#index, node);
  }
  untold(node: Node): void {
    this.#log.untold(this.#index, node);
  }
  nameAdded(node: Node, parent: Node, name: string): void {
    this.#log.nameAdded(this.#index, node, parent, name);
  }
  nameDropped(node: Node, parent: Node, name: string): void {
    this.#log.nameDropped(this.#index, node, parent, name);
  }
  gone(node: Node): void {
    this.#log.gone(this.#index, node);
  }
  deleted(node: Node): void {
    this.#log.deleted(this.#index, node);
  }
  orphan(node: Node, isOne: boolean): void {
    this.#log.orphan(this.#index, node, isOne);
  }
  opened(fh: number, handle: Handle): void {
    this.#log.opened(this.#index, fh, handle);
  }
  closed(fh: number): void {
    this.#log.closed(this.#index, fh);
  }
}

/** One entry of the log, valid until the next one is read. */
export class LogEntry {
  type = 0;
  mount = 0;
  number = 0;
  nodeid = 0;
  parent = 0;
  low = 0;
  high = 0;
  #view: DataView;
  #bytes: Buffer;
  #at = 0;

  constructor(view: DataView, bytes: Buffer) {
    this.#view = view;
    this.#bytes = bytes;
  }

  /** Reads the entry at `at`; returns where the next one is. */
  load(at: number): number {
    const view = this.#view;
    this.#at = at;
    this.type = view.getUint8(at);
    this.mount = view.getUint8(at + 1);
    this.number = view.getUint32(at + 4, true);
    this.nodeid = readU53(view, at + 8);
    this.parent = readU53(view, at + 16);
    this.low = view.getUint32(at + 16, true);
    this.high = view.getUint32(at + 20, true);
    const length = view.getUint16(at + 2, true) * 8;
    assert(length >= HEAD_BYTES, 'an entry of the log has a length');
    return at + length;
  }

  get name(): string {
    const from = this.#at + HEAD_BYTES;
    return this.#bytes.toString('latin1', from, from + this.number);
  }

  get third(): number {
    return this.#view.getUint32(this.#at + HEAD_BYTES, true);
  }

  /** Bytes of a wide handle; undefined when there is none. */
  get handle(): Uint8Array | undefined {
    const length = this.high >>> 8;
    if (length === 0) return undefined;
    const from = this.#at + HEAD_BYTES;
    return Uint8Array.from(this.#bytes.subarray(from, from + length));
  }
}
