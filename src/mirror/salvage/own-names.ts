// Which names a copy had before a scan, as far as they may differ from those it has now: from the undo
// log, which has what changed, and from where the objects are.
//
// A name is worked out backwards: a directory that the log says nothing of is where it was. What was in a
// directory that was removed or moved as a whole is not in the log, and is found by walking it.
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';
import { S } from '../../linux/constants.ts';
import { DT, readDirectory } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { openDirectoryBeneath } from '../applier/beneath.ts';
import type { RollbackPlan } from '../applier/rollback-plan.ts';
import { type CopyTree, must, ORPHANS } from '../applier/rollback-tree.ts';
import { attributeView } from './own-object.ts';

/** A name as it was before the scan. */
export interface OwnName {
  /** Path from the root then. */
  readonly path: string;
  readonly ino: number;
  /** Path of the object now: on the shelf when it was removed. Undefined: it is nowhere. */
  readonly at: string | undefined;
}

const DEPTH_MAX = 4096;

export class OwnNames {
  readonly #tree: CopyTree;
  readonly #plan: RollbackPlan;
  /** Names that the log knows of, by inode of the object. */
  readonly #places = new Map<number, { parent: number; name: string }[]>();
  /** Paths of directories then; undefined: they were not there. */
  readonly #paths = new Map<number, string | undefined>();
  readonly #told = new Set<string>();
  readonly #stat = new Stat();

  constructor(tree: CopyTree, plan: RollbackPlan) {
    this.#tree = tree;
    this.#plan = plan;
    this.#paths.set(tree.root, '');
    this.#paths.set(ORPHANS, undefined);
    for (const { parent, name, ino } of plan.names.values()) {
      if (ino === 0) continue;
      const list = this.#places.get(ino);
      if (list === undefined) this.#places.set(ino, [{ parent, name }]);
      else list.push({ parent, name });
    }
  }

  /** Each name once. Throws RollbackFailure for what cannot be read. */
  *all(): Generator<OwnName> {
    const { names, objects } = this.#plan;
    for (const { parent, name, ino } of names.values()) {
      const path = ino === 0 ? undefined : this.#join(this.#directory(parent), name);
      if (path === undefined) continue;
      const at = this.#tree.path(ino);
      yield* this.#once({ path, ino, at });
      if (at !== undefined && this.#isDirectory(ino))
        yield* this.#below(path, ino, { at, depth: 0 });
    }
    for (const ino of objects.keys()) {
      if (ino === this.#tree.root) yield* this.#once({ path: '', ino, at: '' });
      for (const { parent, name } of this.#tree.locations(ino)) {
        if (names.has(`${parent}/${name}`)) continue;
        const path = this.#join(this.#directory(parent), name);
        if (path !== undefined) yield* this.#once({ path, ino, at: this.#tree.path(ino) });
      }
    }
  }

  *#once(name: OwnName): Generator<OwnName> {
    if (name.path === ORPHAN_DIRECTORY || this.#told.has(name.path)) return;
    this.#told.add(name.path);
    yield name;
  }

  /** What was in a directory whose own name has changed. */
  *#below(
    path: string,
    ino: number,
    { at, depth }: { at: string; depth: number },
  ): Generator<OwnName> {
    if (depth > DEPTH_MAX) return;
    const fd = must(openDirectoryBeneath(this.#tree.rootFd, at), `open ${at}`);
    const entries = readDirectory(fd);
    const directories = new Set<string>();
    for (const { name, type } of typeof entries === 'number' ? [] : entries)
      if (this.#isDirectoryAt(fd, name, type)) directories.add(name);
    sys.close(fd);
    if (typeof entries === 'number') must(entries, `read ${at}`);
    for (const entry of typeof entries === 'number' ? [] : entries) {
      if (this.#plan.names.has(`${ino}/${entry.name}`)) continue;
      const below = { path: `${path}/${entry.name}`, ino: entry.ino, at: `${at}/${entry.name}` };
      yield* this.#once(below);
      if (!directories.has(entry.name)) continue;
      yield* this.#below(below.path, entry.ino, { at: below.at, depth: depth + 1 });
    }
  }

  #isDirectoryAt(fd: number, name: string, type: number): boolean {
    if (type !== DT.UNKNOWN) return type === DT.DIR;
    return this.#stat.at(fd, cstring(name)) === 0 && (this.#stat.mode & S.IFMT) === S.IFDIR;
  }

  /** Of everything that a name of the log led to, the attributes are there too. */
  #isDirectory(ino: number): boolean {
    const known = this.#plan.objects.get(ino);
    return known !== undefined && (attributeView(known.attributes).mode & S.IFMT) === S.IFDIR;
  }

  #join(parent: string | undefined, name: string): string | undefined {
    if (parent === undefined) return undefined;
    return parent === '' ? name : `${parent}/${name}`;
  }

  #directory(ino: number): string | undefined {
    if (this.#paths.has(ino)) return this.#paths.get(ino);
    // While it is being found out: no directory is within itself.
    this.#paths.set(ino, undefined);
    const path = this.#placed(ino) ?? this.#stayed(ino);
    this.#paths.set(ino, path);
    return path;
  }

  #placed(ino: number): string | undefined {
    for (const { parent, name } of this.#places.get(ino) ?? []) {
      const path = this.#join(this.#directory(parent), name);
      if (path !== undefined) return path;
    }
    return undefined;
  }

  /** It is where it was, as far as the log knows. */
  #stayed(ino: number): string | undefined {
    const at = this.#tree.location(ino);
    if (at === undefined || at.parent === this.#tree.shelf || at.parent === this.#tree.orphans)
      return undefined;
    if (this.#plan.names.has(`${at.parent}/${at.name}`)) return undefined;
    return this.#join(this.#directory(at.parent), at.name);
  }
}
