// What the operation families know of a first copy: that it wants to hear of moved objects.
import type { Node, NodeName } from './node.ts';
import type { Mount } from './mount.ts';

export interface RevisitedByScan {
  /** An object is about to be recorded as moved into `directory`, which the standby must have. */
  prepare(mount: Mount, directory: Node): void;
  /** The first name of `node` is gone; those that are left may not be on the standby yet. */
  firstNameGone(mount: Mount, node: Node): void;
  /** `node` is not mirrored any more, though it is still there. */
  removed(node: Node): void;
  /** `node` got the name `at` in the mirrored tree. */
  revisit(mount: Mount, node: Node, at: NodeName): void;
}
