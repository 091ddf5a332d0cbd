// What a run of records does to names, played before any of it is done: where an object that a record
// names was before the run. Pure.
//
// As in `redo-plan.ts` nothing is known about the tree and nothing needs to be: what a path leads to is
// made up on the way, with the path that it has on the disk now.
import { nameOf, parentOf } from './paths.ts';

class OverlayNode {
  /** Path before the run; undefined: the run made it. */
  readonly origin: string | undefined;
  /** Names that are known; null: known to lead nowhere. */
  readonly children = new Map<string, OverlayNode | null>();

  constructor(origin: string | undefined) {
    this.origin = origin;
  }

  child(name: string): OverlayNode | null {
    const known = this.children.get(name);
    if (known !== undefined) return known;
    if (this.origin === undefined) return null;
    const made = new OverlayNode(this.origin === '' ? name : `${this.origin}/${name}`);
    this.children.set(name, made);
    return made;
  }
}

export class NameOverlay {
  #root = new OverlayNode('');
  #isChanged = false;

  /** A new run begins. */
  clear(): void {
    if (this.#isChanged) this.#root = new OverlayNode('');
    this.#isChanged = false;
  }

  /** Whether the run has changed names so far; if not, every path is its own origin. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** Path before the run of what `path` leads to now; undefined: nothing, or something new. */
  origin(path: string): string | undefined {
    return this.#isChanged ? this.#resolve(path)?.origin : path;
  }

  create(path: string): void {
    this.#put(path, new OverlayNode(undefined));
  }

  /** Something is at `path` from now on, made by the run if nothing was there. */
  appear(path: string): void {
    if (this.#resolve(path) === null) this.create(path);
  }

  remove(path: string): void {
    this.#put(path, null);
  }

  link(path: string, path2: string): void {
    this.#put(path2, this.#resolve(path));
  }

  rename(path: string, path2: string): void {
    const moved = this.#resolve(path);
    this.#put(path, null);
    this.#put(path2, moved);
  }

  exchange(path: string, path2: string): void {
    const first = this.#resolve(path);
    const second = this.#resolve(path2);
    this.#put(path, second);
    this.#put(path2, first);
  }

  #resolve(path: string): OverlayNode | null {
    let at: OverlayNode | null = this.#root;
    if (path === '') return at;
    for (const name of path.split('/')) {
      at = at.child(name);
      if (at === null) return null;
    }
    return at;
  }

  #put(path: string, node: OverlayNode | null): void {
    this.#isChanged = true;
    this.#resolve(parentOf(path))?.children.set(nameOf(path), node);
  }
}
