// Puts the tables of a filter back from the log of the process that served before.
import { AT } from '../linux/constants.ts';
import type { DescriptorStore, Stored } from '../linux/descriptor-store.ts';
import { sys } from '../linux/libc.ts';
import { Handle } from './handle-table.ts';
import type { Mount } from './mount.ts';
import { Node } from './node.ts';
import { endOrphan, orphanPathOf } from './operations/creation.ts';
import { entry, LogEntry, logged, openKind, type StateLog } from './state-log.ts';

interface Opened {
  readonly node: Node;
  readonly flags: number;
  readonly passthrough: boolean;
  readonly backingId: number;
}

/** What is gathered of one directory while the log is read. */
interface Restoring {
  readonly mount: Mount;
  readonly opened: Map<number, Opened>;
  lastOpened: number;
}

/** Fills the tables of `mounts` from the log, and opens again what applications have open. */
export function restoreTables(
  log: StateLog,
  mounts: readonly Mount[],
  store: DescriptorStore,
): void {
  const all = mounts.map((mount): Restoring => ({ mount, opened: new Map(), lastOpened: -1 }));
  for (const { inodes } of mounts) inodes.restoring = true;
  const { view, bytes, length } = log.entries;
  const one = new LogEntry(view, bytes);
  for (let at = 0; at < length;) {
    at = one.load(at);
    const restoring = all[one.mount];
    if (restoring !== undefined) take(restoring, one);
  }
  const kept = store.all();
  for (const restoring of all) {
    const { index } = restoring.mount;
    finish(
      log,
      restoring,
      new Map(kept.filter(({ space }) => space === index).map((stored) => [stored.id, stored])),
    );
  }
  for (const { space, id, fd } of kept) {
    sys.close(fd);
    // Closed, or a file that had just been made and that nobody was told of.
    if (all[space]?.mount.inodes.get(id)?.isKept !== true) store.remove(space, id);
  }
}

function take(restoring: Restoring, one: LogEntry): void {
  const { inodes } = restoring.mount;
  if (one.type === entry.node) return takeNode(restoring.mount, one);
  if (one.type === entry.close) return void restoring.opened.delete(one.number);
  const node = inodes.get(one.nodeid);
  if (node === undefined) return;
  const parent =
    one.type === entry.name || one.type === entry.unname ? inodes.get(one.parent) : undefined;
  switch (one.type) {
    case entry.told:
      node.lookups = 1;
      return;
    case entry.untold:
      node.lookups = 0;
      return;
    case entry.name:
      if (parent !== undefined) inodes.addName(node, parent, one.name);
      return;
    case entry.unname:
      if (parent !== undefined) inodes.dropName(node, parent, one.name);
      return;
    case entry.gone:
      inodes.remove(node);
      return;
    case entry.deleted:
      inodes.setDeleted(node);
      return;
    case entry.orphan:
      takeOrphan(restoring.mount, node, one.number === 1);
      return;
    case entry.open:
      restoring.opened.set(one.number, {
        node,
        flags: one.low,
        passthrough: (one.high & openKind.passthrough) !== 0,
        backingId: one.third,
      });
      restoring.lastOpened = one.number;
      return;
    default:
  }
}

function takeNode({ inodes }: Mount, one: LogEntry): void {
  const before = inodes.get(one.nodeid);
  if (before !== undefined) inodes.remove(before);
  const node = new Node(one.nodeid, one.number, one.low);
  node.wideHandle = one.handle;
  // How many references the kernel holds is not known; it gives them back together, as a rule.
  node.lookups = one.high & 1;
  inodes.restore(node);
}

function takeOrphan(mount: Mount, node: Node, isOne: boolean): void {
  if (!isOne) return endOrphan(mount, node);
  const path = orphanPathOf(node.nodeid, node.generation);
  node.orphanPath = path;
  mount.orphans.set(node, path);
}

/** Opens again what is open; without a name it is reached through the store only. */
function reopen(mount: Mount, { node, flags }: Opened, kept: Stored | undefined): number {
  if (kept?.check !== node.generation) return mount.inodes.open(node, flags);
  node.isKept = true;
  return sys.openat(AT.FDCWD, mount.procPath(kept.fd), flags, 0);
}

function finish(
  log: StateLog,
  { mount, opened, lastOpened }: Restoring,
  kept: ReadonlyMap<number, Stored>,
): void {
  const { inodes, handles } = mount;
  const restored = new Map<number, Handle>();
  for (const [fh, one] of opened) {
    const { node, flags, passthrough, backingId } = one;
    const fd = reopen(mount, one, kept.get(node.nodeid));
    restored.set(fh, new Handle(node, fd, flags, passthrough));
    node.opens += 1;
    if (!node.isDirectory && fd >= 0) node.openFd = fd;
    if (!passthrough) continue;
    node.passthroughOpens += 1;
    node.backingId = backingId;
  }
  handles.restore(restored);
  inodes.restoring = false;
  for (const node of inodes.nodes()) {
    if (!node.isRoot) node.logged = node.lookups > 0 ? logged.told : logged.below;
  }
  // What the other process needed for a moment only.
  for (const node of inodes.nodes()) inodes.collect(node);
  mount.isTakenOver = true;
  mount.lastOpened = lastOpened;
  mount.settledBefore = log.settled(mount.index);
}
