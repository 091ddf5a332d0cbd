// One protected directory under the filter: its connection, tables and the shared capture.
// The operation families in `operations/` work on this.
import type { Capture } from './capture.ts';
import { FuseChannel, type Request } from './channel.ts';
import type { CommitGate } from './commit-gate.ts';
import { HandleTable } from './handle-table.ts';
import type { InodeTable } from './inode-table.ts';
import type { Node } from './node.ts';
import { completeNames } from './names.ts';
import type { RevisitedByScan } from './scan-hook.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { errno } from '../linux/constants.ts';
import { Stat } from '../linux/stat.ts';

export interface MountOptions {
  /** Number of the protected directory within its group. */
  readonly index: number;
  /** Path of the protected directory, for messages. */
  readonly directory: string;
  readonly fuseFd: number;
  readonly inodes: InodeTable;
  readonly capture: Capture;
  readonly gate: CommitGate;
}

export class Mount {
  readonly index: number;
  readonly directory: string;
  readonly channel: FuseChannel;
  readonly inodes: InodeTable;
  readonly handles = new HandleTable();
  readonly capture: Capture;
  readonly gate: CommitGate;
  /** Attributes of the object an operation is about. */
  readonly stat: Stat;
  /** Attributes of its directory, and of a second directory. */
  readonly parentStat = new Stat();
  readonly parent2Stat = new Stat();
  /** Files that are open under a name of `.understudy/` on the standby. */
  readonly orphans = new Map<Node, string>();
  /** The scan under way, which must hear of moved objects. */
  scanner: RevisitedByScan | undefined;
  /** The kernel passes reads and writes of unmirrored files through. Known after INIT. */
  passthrough = false;
  readonly #procPath = Buffer.alloc(64);
  readonly #procAddress = addressOf(this.#procPath);

  constructor(options: MountOptions) {
    this.index = options.index;
    this.directory = options.directory;
    this.channel = new FuseChannel(options.fuseFd);
    this.inodes = options.inodes;
    this.capture = options.capture;
    this.gate = options.gate;
    this.channel.onError = (result) => this.gate.noteFault(result);
    this.stat = options.inodes.stat;
  }

  /** The node a request is about; answers ESTALE and returns undefined when there is none. */
  node(request: Request): Node | undefined {
    const node = this.inodes.get(request.nodeid);
    if (node === undefined) this.channel.result(request, -errno.ESTALE);
    return node;
  }

  /** Whether changes of `node` go into the stream now. */
  records(node: Node): boolean {
    return this.capture.enabled && this.isMirrored(node);
  }

  /** Whether a name of `node` is mirrored, be it one that is still to be found out. */
  isMirrored(node: Node): boolean {
    if (this.inodes.isCaptured(node)) return true;
    if (node.namesComplete || node.deleted || node.isDirectory) return false;
    completeNames(this.inodes, [node]);
    this.inodes.refresh(node);
    return this.inodes.isCaptured(node);
  }

  /** `/proc/self/fd/N` of a descriptor: how attributes of O_PATH descriptors are changed. */
  procPath(fd: number): number {
    this.#procPath.write(`/proc/self/fd/${fd}\0`, 'latin1');
    return this.#procAddress;
  }

  /** Answers with `fuse_entry_out` for a node whose attributes are in `stat`. */
  replyEntry(request: Request, node: Node): void {
    node.lookups += 1;
    this.channel.entry(0, node, this.stat);
    this.channel.success(request, 128);
  }

  /** Reads the attributes of a directory after a change in it. */
  refreshParent(parent: Node, into: Stat): Stat {
    into.fd(this.inodes.descriptor(parent));
    return into;
  }

  /** Closes what the mount holds. The connection itself is closed by whoever opened it. */
  close(): void {
    for (const handle of this.handles.all()) sys.close(handle.fd);
    this.inodes.close();
  }
}
