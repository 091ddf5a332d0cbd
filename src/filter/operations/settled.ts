// Answers requests that a process carried out, recorded and noted completely before it died, and that
// the kernel therefore sends again: nothing is left to do but to answer.
import { cstring } from '../../linux/libc.ts';
import type { Request } from '../channel.ts';
import { createIn, entryOut, linkIn, mkdirIn, mknodIn, op } from '../fuse-protocol.ts';
import type { Node } from '../node.ts';
import type { Mount } from '../mount.ts';
import { replyOpendir } from './directory.ts';
import { replyHandle } from './open.ts';

/** Where the name is in requests that make one. */
const nameAt = new Map<number, number>([
  [op.MKDIR, mkdirIn.bytes],
  [op.MKNOD, mknodIn.bytes],
  [op.SYMLINK, 0],
  [op.LINK, linkIn.bytes],
  [op.CREATE, createIn.bytes],
]);
/** Those whose answer says nothing but that it was done. */
const plain = new Set<number>([
  op.UNLINK,
  op.RMDIR,
  op.RENAME,
  op.RENAME2,
  op.RELEASE,
  op.RELEASEDIR,
  op.REMOVEXATTR,
  op.SETXATTR,
]);

/** False when the request is not settled, or may be served as if it were new. */
export function answerSettled(mount: Mount, request: Request): boolean {
  if (!mount.isSettled(request)) return false;
  const { opcode } = request;
  if (plain.has(opcode)) {
    mount.channel.result(request, 0);
    return true;
  }
  if (opcode === op.OPEN || opcode === op.OPENDIR) return reopened(mount, request);
  if (opcode === op.TMPFILE)
    return entered(mount, request, mount.handles.get(mount.lastOpened)?.node);
  const offset = nameAt.get(opcode);
  if (offset === undefined) return false;
  const parent = mount.inodes.get(request.nodeid);
  const name = request.name(offset);
  const found = parent === undefined ? -1 : mount.inodes.lookup(parent, cstring(name), name);
  return entered(mount, request, typeof found === 'number' ? undefined : found);
}

function reopened(mount: Mount, request: Request): boolean {
  const handle = mount.handles.get(mount.lastOpened);
  if (handle === undefined || handle.node.nodeid !== request.nodeid) return false;
  if (request.opcode === op.OPENDIR) replyOpendir(mount, request, mount.lastOpened);
  else replyHandle(mount, request, mount.lastOpened, 0);
  return true;
}

function entered(mount: Mount, request: Request, node: Node | undefined): boolean {
  if (node === undefined || mount.inodes.refresh(node) < 0) return false;
  // The reference that the kernel gets now was counted then.
  mount.channel.entry(0, node, mount.stat);
  if (request.opcode === op.CREATE || request.opcode === op.TMPFILE)
    replyHandle(mount, request, mount.lastOpened, entryOut.bytes);
  else mount.channel.success(request, entryOut.bytes);
  return true;
}
