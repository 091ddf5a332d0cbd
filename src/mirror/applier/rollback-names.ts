// Puts the names of a copy back as they were.
//
// First everything that is in a wrong place goes aside, then everything wanted goes to its place. As
// all that is out of place is aside by then, and the wanted names are a tree, no order can be wrong.
// What nobody wants any more remains aside and is removed at the end.
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { errno } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';
import type { RollbackPlan, WantedName } from './rollback-plan.ts';
import { type CopyTree, must, ORPHANS } from './rollback-tree.ts';
import { SHELF } from './shelf.ts';

/** Directory on the shelf for what is out of place. */
export const ASIDE = 'aside';
const MODE = 0o700;

/** Puts the names back. Throws RollbackFailure. */
export function restoreNames(tree: CopyTree, plan: RollbackPlan): void {
  const names = [...namesAt(tree, plan)];
  const aside = openAside(tree);
  try {
    for (const each of moveAside(tree, aside, names)) place(tree, each);
    tree.close();
  } finally {
    sys.close(aside.fd);
  }
}

/** Puts aside what is in the places of others; returns the names that lead nowhere now, and are to. */
function moveAside(
  tree: CopyTree,
  aside: { readonly fd: number; readonly ino: number },
  names: readonly WantedName[],
): WantedName[] {
  const wanted: WantedName[] = [];
  let count = 0;
  for (const each of names) {
    const parent = tree.open(each.parent);
    const present = must(parent, 'open a directory') < 0 ? 0 : tree.lookUp(parent, each.name);
    if (present === each.ino) continue;
    if (each.ino !== 0) wanted.push(each);
    if (present === 0) continue;
    const name = freeName(aside.fd, count);
    count = Number(name) + 1;
    must(sys.renameat2(parent, cstring(each.name), aside.fd, cstring(name), 0), 'move aside');
    const here = { parent: inodeOf(tree, each.parent), name: each.name };
    tree.moved(present, here, { parent: aside.ino, name });
  }
  return wanted;
}

/** The directory of the orphans is known by a number of its own in names. */
const inodeOf = (tree: CopyTree, parent: number): number =>
  parent === ORPHANS ? tree.orphans : parent;

function freeName(fd: number, from: number): string {
  for (let at = from; ; at += 1) {
    // Left by a former attempt.
    if (sys.readlinkat(fd, cstring(String(at)), scratch, 1) === -errno.ENOENT) return String(at);
  }
}
const scratch = Buffer.alloc(8);

function place(tree: CopyTree, { parent, name, ino }: WantedName): void {
  const from = tree.location(ino);
  if (from === undefined) must(-errno.ENOENT, `find inode ${ino}, which was ${name}`);
  if (from === undefined) return;
  // Two descriptors at once: the tree keeps one open only.
  const source = sys.fcntl(must(tree.open(from.parent), 'open a directory'), F_DUPFD_CLOEXEC, 3);
  must(source, 'duplicate a descriptor');
  const target = must(tree.open(parent), 'open a directory');
  const oldName = cstring(from.name);
  const newName = cstring(name);
  tree.lookUp(source, from.name);
  const isDirectory = tree.wasDirectory;
  const result = isDirectory
    ? sys.renameat2(source, oldName, target, newName, 0)
    : sys.linkat(source, oldName, target, newName, 0);
  sys.close(source);
  must(result, `put ${name} back`);
  const here = { parent: inodeOf(tree, parent), name };
  if (isDirectory) tree.moved(ino, from, here);
  else tree.named(ino, here);
}
const F_DUPFD_CLOEXEC = 1030;

function openAside(tree: CopyTree): { fd: number; ino: number } {
  for (const path of [ORPHAN_DIRECTORY, SHELF, `${SHELF}/${ASIDE}`]) {
    const made = sys.mkdirat(tree.rootFd, cstring(path), MODE);
    if (made !== -errno.EEXIST) must(made, `make ${path}`);
  }
  return tree.adoptAside(`${SHELF}/${ASIDE}`);
}

/**
 * The wanted names whose directory was there at the moment to go back to. Directories that came later
 * go as a whole, and what the log says of the names in them concerns moments in between.
 */
function* namesAt(tree: CopyTree, { names }: RollbackPlan): Generator<WantedName> {
  const places = new Map<number, WantedName[]>();
  for (const each of names.values()) {
    if (each.ino === 0) continue;
    const list = places.get(each.ino);
    if (list === undefined) places.set(each.ino, [each]);
    else list.push(each);
  }
  const known = new Map<number, boolean>([
    [tree.root, true],
    [ORPHANS, true],
  ]);
  const wasThere = (ino: number): boolean => {
    const answer = known.get(ino);
    if (answer !== undefined) return answer;
    // While it is being found out: no directory is within itself.
    known.set(ino, false);
    const found = (places.get(ino) ?? []).some(({ parent }) => wasThere(parent)) || stayed(ino);
    known.set(ino, found);
    return found;
  };
  /** It is where it was, as far as the log knows. */
  const stayed = (ino: number): boolean => {
    const at = tree.location(ino);
    if (at === undefined || at.parent === tree.shelf || at.parent === tree.orphans) return false;
    return !names.has(`${at.parent}/${at.name}`) && wasThere(at.parent);
  };
  for (const each of names.values()) if (wasThere(each.parent)) yield each;
}
