// Finding names that the table does not know.
//
// A file that has an unmirrored name may have a mirrored one as well, which nobody has looked up yet:
// its changes belong into the stream all the same. The only way to know is to look through the
// mirrored directories. That happens only for files with more names than are known, of which none
// that is known is mirrored, and once for each while it is in use.
import { errno, O } from '../linux/constants.ts';
import { type DirectoryEntry, DirectoryReader, DT } from '../linux/dirents.ts';
import { cstring, pin, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';
import type { InodeTable } from './inode-table.ts';
import type { Node } from './node.ts';
import { UNSERVED } from './read-faults.ts';

const stat = new Stat();
const link = Buffer.alloc(8192);
const linkAddress = pin(link);

/**
 * Makes the table know all mirrored names of `nodes` (not directories). May read every directory. 0, or the negative errno for
 * which some may be missing.
 */
export function completeNames(inodes: InodeTable, nodes: readonly Node[]): number {
  const incomplete = nodes.filter((node) => !node.namesComplete && !node.isDirectory);
  const result = search(inodes, incomplete, inodes.root, false);
  if (result === 0) for (const node of incomplete) node.namesComplete = true;
  return result;
}

/** The same for the names below `directory`, mirrored or not. */
export function completeNamesBelow(
  inodes: InodeTable,
  directory: Node,
  nodes: Iterable<Node>,
): number {
  return search(inodes, nodes, directory, true);
}

function search(
  inodes: InodeTable,
  nodes: Iterable<Node>,
  from: Node,
  everywhere: boolean,
): number {
  const wanted = new Map<number, number>();
  for (const node of nodes) {
    const fd = inodes.descriptor(node);
    const result = fd < 0 ? fd : stat.fd(fd);
    if (result < 0) return result;
    const missing = stat.nlink - node.nameCount;
    if (missing > 0) wanted.set(node.nodeid, missing);
  }
  return wanted.size === 0 ? 0 : new Search(inodes, wanted, everywhere).run(from);
}

/** Looks through directories, depth first, until every wanted name has been looked up. */
class Search {
  readonly #inodes: InodeTable;
  /** Number of names to be found, by inode number. */
  readonly #wanted: Map<number, number>;
  /** In directories that are not mirrored, too. */
  readonly #everywhere: boolean;
  readonly #pending: Node[] = [];
  /** The first negative errno for which something was not looked at. */
  #failure = 0;

  constructor(inodes: InodeTable, wanted: Map<number, number>, everywhere: boolean) {
    this.#inodes = inodes;
    this.#wanted = wanted;
    this.#everywhere = everywhere;
  }

  /** 0, or a negative errno: names may be where it could not look. */
  run(from: Node): number {
    this.#push(from);
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      if (this.#wanted.size > 0) this.#read(next);
      next.pins -= 1;
      this.#inodes.collect(next);
    }
    return this.#wanted.size > 0 ? this.#failure : 0;
  }

  #note(result: number): void {
    if (result < 0 && result !== -errno.ENOENT && !UNSERVED.has(result)) this.#failure ||= result;
  }

  #push(directory: Node): void {
    directory.pins += 1;
    this.#pending.push(directory);
  }

  #read(directory: Node): void {
    const fd = this.#inodes.open(directory, O.RDONLY | O.DIRECTORY | O.CLOEXEC);
    if (fd < 0) return this.#note(fd);
    const reader = new DirectoryReader(fd);
    let entry = reader.next();
    for (; typeof entry === 'object'; entry = reader.next()) this.#look(directory, entry);
    this.#note(entry ?? 0);
    reader.close();
  }

  #look(directory: Node, entry: DirectoryEntry): void {
    const missing = this.#wanted.get(entry.ino);
    const mayBeDirectory = entry.type === DT.DIR || entry.type === DT.UNKNOWN;
    if (missing === undefined && !mayBeDirectory) return;
    const before = this.#inodes.get(entry.ino);
    const isNews = before === undefined || !before.isNamed(directory, entry.name);
    const found = this.#inodes.lookup(directory, cstring(entry.name), entry.name);
    if (typeof found === 'number') return this.#note(found);
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
  new Search(inodes, new Map([[nodeid, 1]]), true).run(inodes.root);
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
