// LOOKUP, FORGET, BATCH_FORGET: which objects the kernel knows.
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { errno } from '../../linux/constants.ts';
import type { Request } from '../channel.ts';
import { forgetOne } from '../fuse-protocol.ts';
import type { Mount } from '../mount.ts';
import { restoreNode } from '../names.ts';

export function lookup(mount: Mount, request: Request): void {
  const name = request.name(0);
  if (isReserved(mount, request.nodeid, name)) return mount.channel.noEntry(request);
  if (name === '.' || name === '..') return lookupDots(mount, request, name);
  const parent = mount.node(request);
  if (parent === undefined) return;
  const found = mount.inodes.lookup(parent, request.address(0), name);
  if (found === -errno.ENOENT) return mount.channel.noEntry(request);
  if (typeof found === 'number') return mount.channel.result(request, found);
  mount.replyEntry(request, found);
}

/**
 * The kernel asks for `.` and `..` only on behalf of NFS and open_by_handle_at(2), to turn a file
 * handle into an object, which may have been forgotten here.
 */
function lookupDots(mount: Mount, request: Request, name: string): void {
  const { inodes } = mount;
  const node = inodes.get(request.nodeid) ?? restoreNode(inodes, request.nodeid);
  const target = name === '.' ? node : node?.parent;
  if (target === undefined) return mount.channel.result(request, -errno.ESTALE);
  const result = inodes.refresh(target);
  if (result < 0) return mount.channel.result(request, result);
  mount.replyEntry(request, target);
}

/** The name of the standby's orphan directory does not exist for applications. */
export function isReserved(mount: Mount, parent: number, name: string): boolean {
  return parent === mount.inodes.root.nodeid && name === ORPHAN_DIRECTORY;
}

export function forget(mount: Mount, request: Request): void {
  mount.inodes.forget(request.nodeid, request.u64(0));
}

export function batchForget(mount: Mount, request: Request): void {
  const count = request.u32(0);
  for (let i = 0; i < count; i += 1) {
    const at = 8 + i * forgetOne.bytes;
    mount.inodes.forget(request.u64(at + forgetOne.nodeid), request.u64(at + forgetOne.nlookup));
  }
}
