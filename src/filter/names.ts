// Finding names that the table does not know.
//
// A file that has an unmirrored name may have a mirrored one as well, which nobody has looked up yet:
// its changes belong into the stream all the same. The only way to know is to look through the
// mirrored directories. That happens only for files with more names than are known, of which none
// that is known is mirrored, and once for each while it is in use.
import { O } from '../linux/constants.ts';
import { type DirectoryEntry, DirectoryReader, DT } from '../linux/dirents.ts';
import { cstring, pin, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';
import type { InodeTable } from './inode-table.ts';
import type { Node } from './node.ts';

const stat = new Stat();
const link = Buffer.alloc(8192);
const linkAddress = pin(link);

/** Makes the table know all mirrored names of `nodes` (not directories). May read every directory. */
export function completeNames(inodes: InodeTable, nodes: readonly Node[]): void {
  const wanted = new Map<number, number>();
  for (const node of nodes) {
    if (node.namesComplete || node.isDirectory) continue;
    const fd = inodes.descriptor(node);
    const missing = fd < 0 || stat.fd(fd) < 0 ? 0 : stat.nlink - node.nameCount;
    node.namesComplete = true;
    if (missing > 0) wanted.set(node.nodeid, missing);
  }
  if (wanted.size > 0) new Search(inodes, wanted, false).run();
}

/** Looks through directories, depth first, until every wanted name has been looked up. */
class Search {
  readonly #inodes: InodeTable;
  /** Number of names to be found, by inode number. */
  readonly #wanted: Map<number, number>;
  /** In directories that are not mirrored, too. */
  readonly #everywhere: boolean;
  readonly #pending: Node[] = [];

  constructor(inodes: InodeTable, wanted: Map<number, number>, everywhere: boolean) {
    this.#inodes = inodes;
    this.#wanted = wanted;
    this.#everywhere = everywhere;
  }

  run(): void {
    this.#push(this.#inodes.root);
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      if (this.#wanted.size > 0) this.#read(next);
      next.pins -= 1;
      this.#inodes.collect(next);
    }
  }

  #push(directory: Node): void {
    directory.pins += 1;
    this.#pending.push(directory);
  }

  #read(directory: Node): void {
    const fd = this.#inodes.open(directory, O.RDONLY | O.DIRECTORY | O.CLOEXEC);
    if (fd < 0) return;
    const reader = new DirectoryReader(fd);
    for (let entry = reader.next(); typeof entry === 'object'; entry = reader.next())
      this.#look(directory, entry);
    reader.close();
  }

  #look(directory: Node, entry: DirectoryEntry): void {
    const missing = this.#wanted.get(entry.ino);
    const mayBeDirectory = entry.type === DT.DIR || entry.type === DT.UNKNOWN;
    if (missing === undefined && !mayBeDirectory) return;
    const before = this.#inodes.get(entry.ino);
    const isNews = before === undefined || !before.isNamed(directory, entry.name);
    const found = this.#inodes.lookup(directory, cstring(entry.name), entry.name);
    if (typeof found === 'number') return;
    if (missing !== undefined && isNews) {
      if (missing === 1) this.#wanted.delete(entry.ino);
      else this.#wanted.set(entry.ino, missing - 1);
    }
    if (found.isDirectory && (this.#everywhere || this.#inodes.isCaptured(found)))
      this.#push(found);
    else if (missing === undefined) this.#inodes.collect(found);
  }
}

/**
 * The object with inode number `nodeid`, which the kernel asks for though the table has forgotten it
 * (a file handle of NFS or of open_by_handle_at(2)). Undefined when it is not in the directory.
 */
export function restoreNode(inodes: InodeTable, nodeid: number): Node | undefined {
  const path = findPathByHandle(inodes, nodeid);
  const found = path === undefined ? undefined : lookupPath(inodes, path);
  if (found?.nodeid === nodeid) return found;
  new Search(inodes, new Map([[nodeid, 1]]), true).run();
  return inodes.get(nodeid);
}

/** Where the kernel believes the object to be; to be verified. Works while it is in its caches. */
function findPathByHandle(inodes: InodeTable, nodeid: number): string | undefined {
  const fd = inodes.descriptors.openNumber(nodeid, 0, O.PATH | O.NOFOLLOW | O.CLOEXEC);
  if (fd < 0) return undefined;
  const path = readDescriptorPath(fd);
  sys.close(fd);
  const root = readDescriptorPath(inodes.rootFd);
  // On a mount that is not to be seen anywhere, the directory itself is the root.
  const prefix = root === '/' ? root : `${root}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

function readDescriptorPath(fd: number): string {
  const length = sys.readlinkat(-1, cstring(`/proc/self/fd/${fd}`), linkAddress, link.length);
  return link.toString('latin1', 0, Math.max(0, length));
}

/** Looks a path up component by component, without following links. */
function lookupPath(inodes: InodeTable, path: string): Node | undefined {
  let node = inodes.root;
  for (const name of path.split('/')) {
    if (!node.isDirectory || name === '' || name === '.' || name === '..') return undefined;
    const next = inodes.lookup(node, cstring(name), name);
    if (typeof next === 'number') return undefined;
    node = next;
  }
  return node;
}
