// What every new object goes through: the caller's umask and ownership, registration, its record.
import { ORPHAN_DIRECTORY, recordType, type RecordType } from '../../journal/record.ts';
import { AT, errno, S } from '../../linux/constants.ts';
import { EMPTY_NAME, sys } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import type { Node } from '../node.ts';
import type { Mount } from '../mount.ts';
import { changeMode } from './attributes.ts';
import { defaultAclOf, recordAcls } from './xattr.ts';

const UNCHANGED = 0xffffffff;

let currentUmask = -1;

/** The caller's umask, which the file system underneath applies unless an inherited ACL overrides it. */
export function setUmask(mask: number): void {
  if (mask === currentUmask) return;
  sys.umask(mask & 0o777);
  currentUmask = mask;
}

/** {@link beginMaking}: the object is there, made by a process that died before it could say so. */
export const ALREADY_MADE = 1;

/**
 * To be called before an object is made under a name. 0: make it; {@link ALREADY_MADE}: it was made for
 * this very request, go on as if it had just been; a negative errno: answer that. What is there under the
 * name afterwards was made by this request, since nothing was there before.
 */
export function beginMaking(
  mount: Mount,
  request: Request,
  parentFd: number,
  nameAddress: number,
): number {
  const noted = request.isResent ? mount.resume(request) : undefined;
  const found = mount.parentStat.at(parentFd, nameAddress);
  if (noted !== undefined && found === 0) return ALREADY_MADE;
  mount.capture.muted = false;
  if (found === 0) return -errno.EEXIST;
  if (found !== -errno.ENOENT) return found;
  if (noted === undefined) mount.intent.begin(request, mount.capture.sequence);
  return 0;
}

/** What was just created: by name in its directory, or a descriptor when it has no name. */
interface Created {
  readonly mode: number;
  readonly name?: string;
  readonly nameAddress?: number;
  readonly fd?: number;
}

/**
 * Gives a new object to its creator and registers it. Objects are created as root; ownership follows
 * before the kernel hears of the object, so nobody can see it owned by root. `stat` is filled.
 * Returns a negative errno after removing the object when that fails (for example over quota).
 */
export function adopt(
  mount: Mount,
  request: Request,
  parent: Node,
  created: Created,
): Node | number {
  const parentFd = mount.inodes.descriptor(parent);
  const at = created.fd ?? parentFd;
  const path = created.nameAddress ?? EMPTY_NAME;
  if (request.uid !== 0 || request.gid !== 0) {
    const inherits = mount.parentStat.fd(parentFd) === 0 && (mount.parentStat.mode & S.ISGID) !== 0;
    const gid = inherits ? UNCHANGED : request.gid;
    const flags = AT.SYMLINK_NOFOLLOW | (created.fd === undefined ? 0 : AT.EMPTY_PATH);
    const result = sys.fchownat(at, path, request.uid, gid, flags);
    if (result < 0) return discard(parentFd, created, result);
  }
  const node =
    created.fd === undefined
      ? mount.inodes.lookup(parent, path, created.name ?? '')
      : mount.inodes.admitNameless(created.fd);
  if (typeof node === 'number') return discard(parentFd, created, node);
  // The number may have been another file's.
  mount.capture.changed.touchAll(mount.index, node.nodeid);
  const lost = created.mode & (S.ISUID | S.ISGID) & ~mount.stat.mode;
  if (lost !== 0 && !node.isDirectory) {
    if (created.fd !== undefined) node.openFd = created.fd;
    changeMode(mount, node, mount.stat.mode | lost);
    mount.inodes.refresh(node);
  }
  return node;
}

function discard(parentFd: number, created: Created, result: number): number {
  if (created.nameAddress === undefined) return result;
  const removed = sys.unlinkat(parentFd, created.nameAddress, 0);
  if (removed === -errno.EISDIR) sys.unlinkat(parentFd, created.nameAddress, AT.REMOVEDIR);
  return result;
}

/** Records a new object whose attributes are in `stat`, with the ACLs that it inherited. */
export function recordCreation(
  mount: Mount,
  parent: Node,
  node: Node,
  type: RecordType,
  target?: string,
): void {
  if (!mount.records(node)) return;
  const draft = mount.capture.draft(type, mount.index, mount.inodes.pathOf(node) ?? '');
  if (target !== undefined) draft.path2 = target;
  mount.capture.publishNamespace(mount.stat, mount.refreshParent(parent, mount.parentStat));
  if (type !== recordType.symlink && defaultAclOf(mount, parent)) recordAcls(mount, node);
}

/** The standby knows the node by a name again, or not at all. */
export function endOrphan(mount: Mount, node: Node): void {
  mount.inodes.setOrphan(node, undefined);
  mount.orphans.delete(node);
}

/** Gives a nameless node its path in the orphan directory. */
export function makeOrphan(mount: Mount, node: Node): string {
  const path = orphanPathOf(node.nodeid, node.generation);
  mount.inodes.setOrphan(node, path);
  mount.orphans.set(node, path);
  return path;
}

/** Path on the standby of a file that is open but has no name. */
export function orphanPathOf(nodeid: number, generation: number): string {
  return `${ORPHAN_DIRECTORY}/${nodeid.toString(16)}-${generation.toString(16)}`;
}
