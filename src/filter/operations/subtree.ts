// Objects that enter or leave the mirrored set as a whole: renamed across a pattern, linked in.
import { attrMask, PAYLOAD_BYTES_MAX, recordType } from '../../journal/record.ts';
import { errno, O, S, SEEK } from '../../linux/constants.ts';
import { readDirectory } from '../../linux/dirents.ts';
import { addressOf, cstring, EMPTY_NAME, pin, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import type { ChildPath } from '../inode-table.ts';
import type { Mount } from '../mount.ts';
import type { Node, NodeName } from '../node.ts';
import { UNSERVED } from '../read-faults.ts';
import { recordAttributesAt } from './attributes.ts';
import { readXattrs } from './xattr.ts';

const target = Buffer.alloc(4096);
const targetAddress = pin(target);

/**
 * What an operation brings into the mirrored set. While it is being recorded, names in there are on
 * the standby only if they were before or have been recorded already.
 */
export class Arrival {
  readonly #tops: readonly { readonly path: string; readonly before: string | undefined }[];
  readonly #recorded = new Set<string>();
  readonly #mount: Mount;

  /** `tops`: paths of moved objects, and where each was before if that was mirrored. */
  constructor(
    mount: Mount,
    tops: readonly { readonly path: string; readonly before: string | undefined }[],
  ) {
    this.#mount = mount;
    this.#tops = tops;
  }

  note(path: string): void {
    this.#recorded.add(path);
  }

  /** Whether the standby has a file under this mirrored name. */
  knows(path: string): boolean {
    for (const top of this.#tops) {
      if (path !== top.path && !path.startsWith(`${top.path}/`)) continue;
      if (this.#recorded.has(path)) return true;
      if (top.before === undefined) return false;
      const before = top.before + path.slice(top.path.length);
      return this.#mount.inodes.patterns.matchesWholly(before, false);
    }
    return true;
  }
}

/**
 * Records `node` under the name `at`, and everything mirrored below it, as newly created, contents
 * included. The caller's operation waits for it: the object must be complete on the standby before
 * anything else happens.
 */
export function captureSubtree(mount: Mount, node: Node, at: NodeName, arrival: Arrival): void {
  if (node.isDirectory) mount.completeNames(linkedFilesBelow(mount, node));
  captureObject(mount, node, at, arrival);
}

function captureObject(mount: Mount, node: Node, at: NodeName, arrival: Arrival): void {
  const { path, captured } = pathAt(mount, node, at);
  if (!captured) return;
  const result = mount.inodes.refresh(node);
  if (result < 0) return mount.missed(result);
  if (node.isDirectory) return captureDirectory(mount, node, at, arrival);
  const isLink = mount.stat.nlink > 1 && captureAsLink(mount, node, at, arrival);
  arrival.note(path);
  if (isLink) return;
  mount.inodes.refresh(node);
  if (node.type === S.IFREG) return captureFile(mount, node, at);
  captureSpecial(mount, node, at);
}

function pathAt(mount: Mount, node: Node, at: NodeName): ChildPath {
  return mount.inodes.childPath(at.parent, at.name, node.isDirectory);
}

/** Files with several names below a directory, as far as not all of those are known. */
function linkedFilesBelow(mount: Mount, directory: Node): Node[] {
  const found: Node[] = [];
  for (const child of childrenOf(mount, directory)) {
    const isWanted = !child.node.isDirectory && mount.stat.nlink > child.node.nameCount;
    if (isWanted) found.push(child.node);
    else {
      if (child.node.isDirectory) found.push(...linkedFilesBelow(mount, child.node));
      mount.inodes.collect(child.node);
    }
  }
  return found;
}

/** Records the name as a further one of a file that the standby has under another; false if it has not. */
function captureAsLink(mount: Mount, node: Node, at: NodeName, arrival: Arrival): boolean {
  mount.completeNames([node]);
  for (const other of node.names()) {
    if (other.parent === at.parent && other.name === at.name) continue;
    const known = pathAt(mount, node, other);
    if (!known.captured || !arrival.knows(known.path)) continue;
    mount.scanner?.prepare(mount, at.parent);
    mount.inodes.refresh(node);
    const draft = mount.capture.draft(recordType.link, mount.index, known.path);
    draft.path2 = pathAt(mount, node, at).path;
    const parentStat = mount.refreshParent(at.parent, mount.parent2Stat);
    mount.capture.publishNamespace(mount.stat, undefined, parentStat);
    mount.scanner?.revisit(mount, node, at);
    return true;
  }
  return false;
}

function draftCreation(
  mount: Mount,
  node: Node,
  at: NodeName,
  as: { type: number; target: string },
): void {
  const { path } = pathAt(mount, node, at);
  const draft = mount.capture.draft(recordType.create, mount.index, path);
  draft.type = as.type;
  draft.path2 = as.target;
  mount.capture.publishNamespace(mount.stat, mount.refreshParent(at.parent, mount.parentStat));
}

function captureSpecial(mount: Mount, node: Node, at: NodeName): void {
  const isLink = node.type === S.IFLNK;
  const type = isLink ? recordType.symlink : recordType.mknod;
  draftCreation(mount, node, at, {
    type,
    target: isLink ? readTarget(mount, node, (result) => mount.missed(result)) : '',
  });
  finishAttributes(mount, node, pathAt(mount, node, at).path);
}

/** Target of a symbolic link, latin1. `onFault` takes the negative errno for which it is empty. */
export function readTarget(mount: Mount, node: Node, onFault: (result: number) => void): string {
  const fd = mount.inodes.descriptor(node);
  const length = fd < 0 ? fd : sys.readlinkat(fd, EMPTY_NAME, targetAddress, target.length);
  if (length < 0) onFault(length);
  return target.toString('latin1', 0, Math.max(0, length));
}

function captureDirectory(mount: Mount, node: Node, at: NodeName, arrival: Arrival): void {
  draftCreation(mount, node, at, { type: recordType.mkdir, target: '' });
  for (const { node: child, name } of childrenOf(mount, node)) {
    captureObject(mount, child, { parent: node, name }, arrival);
    mount.inodes.collect(child);
  }
  finishAttributes(mount, node, pathAt(mount, node, at).path);
}

function captureFile(mount: Mount, node: Node, at: NodeName): void {
  draftCreation(mount, node, at, { type: recordType.create, target: '' });
  const { path } = pathAt(mount, node, at);
  const fd = mount.inodes.open(node, O.RDONLY | O.CLOEXEC);
  if (fd < 0) mount.missed(fd);
  else {
    const size = mount.stat.size;
    const result = forEachDataExtent(fd, { from: 0, to: size }, (from, to) =>
      captureRange(mount, path, fd, { from, to }),
    );
    if (result < 0) mount.missed(result);
    sys.close(fd);
    const draft = mount.capture.draft(recordType.truncate, mount.index, path);
    draft.offset = size;
    mount.capture.publishBare();
  }
  finishAttributes(mount, node, path);
}

/** Calls back with each part of a range of `fd` that holds data, in order. 0, or the negative errno that ended it. */
export function forEachDataExtent(
  fd: number,
  range: { from: number; to: number },
  visit: (from: number, to: number) => void,
): number {
  for (let at = range.from; at < range.to;) {
    const from = sys.lseek(fd, at, SEEK.DATA);
    if (from < 0 && from !== -errno.ENXIO) return from;
    if (from < 0 || from >= range.to) return 0;
    const hole = sys.lseek(fd, from, SEEK.HOLE);
    const to = hole < 0 ? range.to : Math.min(hole, range.to);
    visit(from, to);
    at = to;
  }
  return 0;
}

/** Records the bytes of a file between two offsets as writes; its current mtime goes with them. */
export function captureRange(
  mount: Mount,
  path: string,
  fd: number,
  range: { from: number; to: number },
): void {
  for (let at = range.from; at < range.to;) {
    const wanted = Math.min(PAYLOAD_BYTES_MAX, range.to - at);
    const payloadAt = mount.capture.room(wanted);
    const read = sys.pread(fd, ringAddress(mount) + payloadAt, wanted, at);
    if (read < 0) mount.missed(read);
    if (read <= 0) return;
    rangeStat.fd(fd);
    const draft = mount.capture.draft(recordType.write, mount.index, path);
    draft.offset = at;
    draft.mtimeSec = rangeStat.mtimeSec;
    draft.mtimeNsec = rangeStat.mtimeNsec;
    draft.payloadLength = read;
    mount.capture.publish(payloadAt);
    at += read;
  }
}

const rangeStat = new Stat();
const ringAddresses = new WeakMap<Uint8Array, number>();

/** Address of the ring's memory. */
export function ringAddress(mount: Mount): number {
  const bytes = mount.capture.ring.bytes;
  let address = ringAddresses.get(bytes);
  if (address === undefined) {
    address = addressOf(bytes);
    ringAddresses.set(bytes, address);
  }
  return address;
}

/** Extended attributes, mode and times, after everything else about the object was recorded. */
function finishAttributes(mount: Mount, node: Node, path: string): void {
  const missed = (result: number): void => mount.missed(result);
  for (const [name, value] of readXattrs(mount, mount.inodes.descriptor(node), missed)) {
    const draft = mount.capture.draft(recordType.setxattr, mount.index, path);
    draft.path2 = name;
    mount.capture.publishPayload(value);
  }
  if (mount.inodes.refresh(node) < 0) return;
  recordAttributesAt(mount, path, FINISHED);
}

/** Not the owner, whom the creation has set already: chown would take file capabilities away. */
const FINISHED = attrMask.mode | attrMask.atime | attrMask.mtime;

interface Child {
  readonly name: string;
  readonly node: Node;
}

/**
 * What is in a directory; `mount.stat` has each child's attributes while it is current. The
 * directory stays in the table meanwhile, though the kernel may not know it.
 */
function* childrenOf(mount: Mount, directory: Node): Generator<Child> {
  directory.pins += 1;
  yield* readChildren(mount, directory);
  directory.pins -= 1;
}

function* readChildren(mount: Mount, directory: Node): Generator<Child> {
  const fd = mount.inodes.open(directory, O.RDONLY | O.DIRECTORY | O.CLOEXEC);
  if (fd < 0) return mount.missed(fd);
  const entries = readDirectory(fd);
  sys.close(fd);
  if (typeof entries === 'number') return mount.missed(entries);
  for (const { name } of entries) {
    const node = mount.inodes.lookup(directory, cstring(name), name);
    if (typeof node !== 'number') yield { name, node };
    else if (!UNSERVED.has(node)) mount.missed(node);
  }
}

/**
 * Records that the mirrored part of what is now `node` is no longer at `path` in `parent`. `before`: where it was when the
 * patterns decided what of it the standby has.
 */
export function recordRemoval(
  mount: Mount,
  node: Node,
  { path, before = path, parent }: { path: string; before?: string; parent: Node },
): void {
  if (node.isDirectory) removeChildren(mount, node, path, before);
  else mount.scanner?.firstNameGone(mount, node);
  mount.scanner?.removed(node);
  const type = node.isDirectory ? recordType.rmdir : recordType.unlink;
  mount.capture.draft(type, mount.index, path);
  mount.capture.publishNamespace(undefined, mount.refreshParent(parent, mount.parentStat));
}

function removeChildren(mount: Mount, node: Node, path: string, before: string): void {
  for (const { node: child, name } of childrenOf(mount, node)) {
    const childPath = `${path}/${name}`;
    const childBefore = `${before}/${name}`;
    if (mount.inodes.patterns.matches(childBefore, child.isDirectory)) {
      if (child.isDirectory) removeChildren(mount, child, childPath, childBefore);
      else mount.scanner?.firstNameGone(mount, child);
      mount.scanner?.removed(child);
      const type = child.isDirectory ? recordType.rmdir : recordType.unlink;
      mount.capture.draft(type, mount.index, childPath);
      mount.capture.publishNamespace(undefined, undefined);
    }
    mount.inodes.collect(child);
  }
}

/**
 * A mirrored directory moved from `oldPath` to where `node` is now, and its contents with it. Some of
 * them may match the patterns at one place only: those are removed from the copy or captured anew.
 */
export function settleSubtree(mount: Mount, node: Node, oldPath: string, arrival: Arrival): void {
  for (const { node: child, name } of childrenOf(mount, node)) {
    const at = { parent: node, name };
    const childOldPath = oldPath === '' ? name : `${oldPath}/${name}`;
    const before = mount.inodes.patterns.matches(childOldPath, child.isDirectory);
    const { path, captured } = pathAt(mount, child, at);
    if (before && !captured)
      recordRemoval(mount, child, { path, before: childOldPath, parent: node });
    else if (!before && captured) captureSubtree(mount, child, at, arrival);
    else if (before && captured && child.isDirectory)
      settleSubtree(mount, child, childOldPath, arrival);
    mount.inodes.collect(child);
  }
}
