// What a scan or a comparison could not read. What has gone is none of their business any more; anything else ends them
// without a result: contents that were left out would pass for contents that are equal.
import { errno } from '../linux/constants.ts';
import { cstring } from '../linux/libc.ts';
import type { Mount } from './mount.ts';
import type { Node } from './node.ts';

export interface ReadFault {
  /** Number of the protected directory. */
  readonly directory: number;
  /** Within it, latin1. */
  readonly path: string;
  /** Positive. */
  readonly errno: number;
}

/** ENXIO: no data from there on (SEEK_DATA). */
const GONE: ReadonlySet<number> = new Set([
  -errno.ENOENT,
  -errno.ENOTDIR,
  -errno.ESTALE,
  -errno.ENXIO,
]);
/** Lookups of what is not served, and hence not mirrored: see `InodeTable.lookup`. */
export const UNSERVED: ReadonlySet<number> = new Set([
  -errno.EXDEV,
  -errno.EOVERFLOW,
  -errno.ENAMETOOLONG,
]);

/**
 * open_by_handle_at(2) says ESTALE also of what the disk could not read. Whatever is removed is removed through the filter, which
 * takes its names away; where somebody has gone past it, the next scan finds that out.
 */
const isThere = (node: Node): boolean =>
  !node.deleted && (node.isRoot || node.parent !== undefined);

export class ReadFaults {
  /** The first one. */
  first: ReadFault | undefined;

  /** Takes the result of a system call: negative errno for a failure. Returns whether it succeeded. */
  passes(mount: Mount, node: Node, result: number, name = ''): boolean {
    if (result >= 0) return true;
    if (result === -errno.ESTALE && isThere(node))
      return this.passes(mount, node, -errno.EIO, name);
    if (GONE.has(result)) return false;
    const above = mount.inodes.pathOf(node) ?? '';
    const path = name === '' ? above : above === '' ? name : `${above}/${name}`;
    this.first ??= { directory: mount.index, path, errno: -result };
    return false;
  }

  /** The same, for calls that go on with what they have. */
  watch(mount: Mount, node: Node): (result: number) => void {
    return (result) => void this.passes(mount, node, result);
  }

  /** Fills `stat` for a node; false when it is gone, or cannot be read. */
  refreshes(mount: Mount, node: Node): boolean {
    return this.passes(mount, node, mount.inodes.refresh(node));
  }

  /** What is called `name` (latin1) in `parent`; undefined when it is gone, not served, or cannot be read. */
  lookup(mount: Mount, parent: Node, name: string): Node | undefined {
    const child = mount.inodes.lookup(parent, cstring(name), name);
    if (typeof child !== 'number') return child;
    if (!UNSERVED.has(child)) this.passes(mount, parent, child, name);
    return undefined;
  }
}
