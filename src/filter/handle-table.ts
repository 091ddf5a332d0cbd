// What applications have open: the numbers given to the kernel and the descriptors behind them.
import type { Node } from './node.ts';

/** An open file or directory. */
export class Handle {
  readonly node: Node;
  readonly fd: number;
  /** What it was opened with underneath. */
  readonly flags: number;
  /** Reads and writes bypass the driver. */
  readonly passthrough: boolean;
  /** Directories: entries read but not yet given to the kernel. */
  listing: Listing | undefined;

  constructor(node: Node, fd: number, flags: number, passthrough: boolean) {
    this.node = node;
    this.fd = fd;
    this.flags = flags;
    this.passthrough = passthrough;
  }

  /** It is open to list a directory. */
  get isListing(): boolean {
    return this.node.isDirectory;
  }
}

/** Where the table notes for a successor what is open. */
export interface HandleLog {
  opened(fh: number, handle: Handle): void;
  closed(fh: number): void;
}

/** Buffer of getdents64 entries; `offset` cookies are opaque 64-bit values of the file system. */
export interface Listing {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly address: number;
  /** Valid bytes. */
  length: number;
  /** First entry not yet given out. */
  at: number;
  /** Cookie that the kernel will ask for next. */
  nextLow: number;
  nextHigh: number;
}

export class HandleTable {
  readonly #handles: (Handle | undefined)[] = [];
  #free: number[] = [];
  readonly #log: HandleLog;

  constructor(log: HandleLog) {
    this.#log = log;
  }

  /** Returns the number for the kernel. */
  add(handle: Handle): number {
    const fh = this.#free.pop() ?? this.#handles.length;
    this.#handles[fh] = handle;
    this.#log.opened(fh, handle);
    return fh;
  }

  /** Puts back handles that the kernel has from another process, by their numbers. */
  restore(handles: ReadonlyMap<number, Handle>): void {
    for (const [fh, handle] of handles) this.#handles[fh] = handle;
    this.#free = [];
    for (let fh = this.#handles.length - 1; fh >= 0; fh -= 1) {
      if (this.#handles[fh] !== undefined) continue;
      this.#handles[fh] = undefined;
      this.#free.push(fh);
    }
  }

  get(fh: number): Handle | undefined {
    return this.#handles[fh];
  }

  remove(fh: number): Handle | undefined {
    const handle = this.#handles[fh];
    if (handle === undefined) return undefined;
    this.#handles[fh] = undefined;
    this.#free.push(fh);
    this.#log.closed(fh);
    return handle;
  }

  /** Another open handle of `node` that can stand in for its attributes. */
  another(node: Node): Handle | undefined {
    return this.#handles.find((handle) => handle?.node === node);
  }

  *all(): Generator<Handle> {
    for (const handle of this.#handles) if (handle !== undefined) yield handle;
  }

  *entries(): Generator<readonly [number, Handle]> {
    for (const [fh, handle] of this.#handles.entries())
      if (handle !== undefined) yield [fh, handle];
  }
}
