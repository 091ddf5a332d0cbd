// What the operation families know of a first copy: that it wants to hear of moved objects.
import type { Node, NodeName } from './node.ts';
import type { Mount } from './mount.ts';

export interface RevisitedByScan {
  /** `node` got the name `at` in the mirrored tree. */
  revisit(mount: Mount, node: Node, at: NodeName): void;
}
