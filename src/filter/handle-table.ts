// What applications have open: the numbers given to the kernel and the descriptors behind them.
import type { Node } from './node.ts';

/** An open file or directory. */
export class Handle {
  readonly node: Node;
  readonly fd: number;
  /** Reads and writes bypass the driver. */
  readonly passthrough: boolean;
  /** Directories: entries read but not yet given to the kernel. */
  listing: Listing | undefined;

  constructor(node: Node, fd: number, passthrough: boolean) {
    this.node = node;
    this.fd = fd;
    this.passthrough = passthrough;
  }
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
  readonly #free: number[] = [];

  /** Returns the number for the kernel. */
  add(handle: Handle): number {
    const fh = this.#free.pop() ?? this.#handles.length;
    this.#handles[fh] = handle;
    return fh;
  }

  get(fh: number): Handle | undefined {
    return this.#handles[fh];
  }

  remove(fh: number): Handle | undefined {
    const handle = this.#handles[fh];
    if (handle === undefined) return undefined;
    this.#handles[fh] = undefined;
    this.#free.push(fh);
    return handle;
  }

  /** Another open handle of `node` that can stand in for its attributes. */
  another(node: Node): Handle | undefined {
    return this.#handles.find((handle) => handle?.node === node);
  }

  *all(): Generator<Handle> {
    for (const handle of this.#handles) if (handle !== undefined) yield handle;
  }
}
