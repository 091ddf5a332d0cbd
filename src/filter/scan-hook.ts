// What the operation families know of a first copy: that it wants to hear of moved objects.
import type { Node } from './inode-table.ts';
import type { Mount } from './mount.ts';

export interface RevisitedByScan {
  /** `node` got another place in the mirrored tree. */
  revisit(mount: Mount, node: Node): void;
}
