// One protected directory under the filter: its connection, tables and the shared capture.
// The operation families in `operations/` work on this.
import type { Capture } from './capture.ts';
import { FuseChannel, type Request, RESENT } from './channel.ts';
import type { CommitGate } from './commit-gate.ts';
import { HandleTable } from './handle-table.ts';
import type { Intent, Noted } from './intent.ts';
import type { InodeTable } from './inode-table.ts';
import type { Node } from './node.ts';
import { completeNames, restoreNode } from './names.ts';
import type { RevisitedByScan } from './scan-hook.ts';
import { mountInfo } from './shared-state.ts';
import type { MountLog } from './state-log.ts';
import type { DescriptorStore } from '../linux/descriptor-store.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { errno } from '../linux/constants.ts';
import { Stat } from '../linux/stat.ts';

/** A search may read every directory, and applications wait for it. */
const SEARCH_AGAIN_MS = 600_000;

export interface MountOptions {
  /** Number of the protected directory within its group. */
  readonly index: number;
  /** Path of the protected directory, for messages. */
  readonly directory: string;
  readonly fuseFd: number;
  readonly inodes: InodeTable;
  readonly capture: Capture;
  readonly gate: CommitGate;
  readonly log: MountLog;
  readonly intent: Intent;
  readonly store: DescriptorStore;
}

export class Mount {
  readonly index: number;
  readonly directory: string;
  readonly channel: FuseChannel;
  readonly inodes: InodeTable;
  readonly handles: HandleTable;
  readonly capture: Capture;
  readonly gate: CommitGate;
  readonly log: MountLog;
  readonly intent: Intent;
  readonly #store: DescriptorStore;
  /** Another process served this mount before. */
  isTakenOver = false;
  /** Number of the request that the other process settled last. */
  settledBefore: { readonly low: number; readonly high: number } | undefined;
  /** Number of the handle that the other process gave out last. */
  lastOpened = -1;
  /** Attributes of the object an operation is about. */
  readonly stat: Stat;
  /** Attributes of its directory, and of a second directory. */
  readonly parentStat = new Stat();
  readonly parent2Stat = new Stat();
  /** Files that are open under a name of `.understudy/` on the standby. */
  readonly orphans = new Map<Node, string>();
  /** The scan under way, which must hear of moved objects. */
  scanner: RevisitedByScan | undefined;
  /** A search of names has met something unreadable: the scan that was asked for then tells people of it. */
  #searchAgainMs = 0;
  readonly #procPath = Buffer.alloc(64);
  readonly #procAddress = addressOf(this.#procPath);

  constructor(options: MountOptions) {
    this.index = options.index;
    this.directory = options.directory;
    this.channel = new FuseChannel(options.fuseFd);
    this.inodes = options.inodes;
    this.capture = options.capture;
    this.gate = options.gate;
    this.log = options.log;
    this.intent = options.intent;
    this.#store = options.store;
    this.handles = new HandleTable(this.log);
    this.channel.onError = (result) => this.gate.noteFault(result);
    this.channel.beforeReply = (request) => {
      this.capture.ring.flush();
      this.log.settle(request.uniqueLow, request.uniqueHigh);
    };
    this.stat = options.inodes.stat;
  }

  /** The node a request is about; answers ESTALE and returns undefined when there is none. */
  node(request: Request): Node | undefined {
    const node = this.inodes.get(request.nodeid) ?? this.#restored(request.nodeid);
    if (node === undefined) this.channel.result(request, -errno.ESTALE);
    return node;
  }

  /**
   * The kernel gives references back one by one now and then, and a successor does not know how many
   * there are: it may have forgotten an object too early.
   */
  #restored(nodeid: number): Node | undefined {
    if (!this.isTakenOver) return undefined;
    const node = restoreNode(this.inodes, nodeid);
    if (node !== undefined) this.inodes.told(node);
    return node;
  }

  /**
   * To be called before an object that is open loses its last name: what is in it must outlive this
   * process, which alone has it open.
   */
  keep(node: Node): void {
    if (node.opens === 0 || node.isKept) return;
    const fd = this.inodes.descriptor(node);
    if (fd >= 0) this.keepOpened(node, fd);
  }

  keepOpened(node: Node, fd: number): void {
    const key = { space: this.index, id: node.nodeid, check: node.generation };
    node.isKept = this.#store.put(key, fd) === 0;
  }

  /** Nobody has it open any more. */
  keepNoLonger(node: Node): void {
    if (!node.isKept) return;
    node.isKept = false;
    this.#store.remove(this.index, node.nodeid);
  }

  /** Whether everything about a request that is asked for again was done but its answer. */
  isSettled(request: Request): boolean {
    const settled = this.settledBefore;
    if (settled === undefined || request.uniqueLow !== settled.low) return false;
    return (request.uniqueHigh & ~RESENT) === (settled.high & ~RESENT);
  }

  /** The kernel passes reads and writes of unmirrored files through. Known after INIT. */
  get passthrough(): boolean {
    return (this.log.info & mountInfo.passthrough) !== 0;
  }

  /**
   * What a process that died noted about this very request, of which nothing is in the tables. From here
   * to the answer, records that are in the ring already are not made again.
   */
  resume(request: Request): Noted | undefined {
    const noted = this.intent.resume(request, this.capture.sequence);
    if (noted?.recorded === true) this.capture.muted = true;
    if (noted?.partial === true) this.capture.lack();
    return noted;
  }

  /** Whether changes of `node` go into the stream now. */
  records(node: Node): boolean {
    return this.capture.enabled && this.isMirrored(node);
  }

  /** Whether a name of `node` is mirrored, be it one that is still to be found out. */
  isMirrored(node: Node): boolean {
    if (this.inodes.isCaptured(node)) return true;
    if (node.namesComplete || node.deleted || node.isDirectory) return false;
    if (performance.now() < this.#searchAgainMs) return false;
    this.completeNames([node]);
    this.inodes.refresh(node);
    return this.inodes.isCaptured(node);
  }

  /** Makes all mirrored names of files known; where one may be that cannot be looked at, the stream lacks what it has. */
  completeNames(nodes: readonly Node[]): void {
    const result = completeNames(this.inodes, nodes);
    if (result >= 0) return;
    this.#searchAgainMs = performance.now() + SEARCH_AGAIN_MS;
    this.missed(result);
  }

  /** `/proc/self/fd/N` of a descriptor: how attributes of O_PATH descriptors are changed. */
  procPath(fd: number): number {
    this.#procPath.write(`/proc/self/fd/${fd}\0`, 'latin1');
    return this.#procAddress;
  }

  /** Answers with `fuse_entry_out` for a node whose attributes are in `stat`. */
  replyEntry(request: Request, node: Node): void {
    this.inodes.told(node);
    this.channel.entry(0, node, this.stat);
    this.channel.success(request, 128);
  }

  /** Reads the attributes of a directory after a change in it. */
  refreshParent(parent: Node, into: Stat): Stat {
    into.fd(this.inodes.descriptor(parent));
    return into;
  }

  /**
   * Something that was to be recorded cannot be read (`result`: a negative errno): the stream lacks it until a scan
   * brings it.
   */
  missed(result: number): void {
    this.gate.noteFault(result);
    // Before anything is recorded there is a scan anyway.
    if (!this.capture.enabled) return;
    this.intent.needsScan = true;
    this.capture.lack();
  }

  /** Closes what the mount holds. The connection itself is closed by whoever opened it. */
  close(): void {
    for (const handle of this.handles.all()) sys.close(handle.fd);
    this.inodes.close();
  }
}
