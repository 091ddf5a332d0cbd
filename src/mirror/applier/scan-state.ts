// What the applier has to remember during a scan (first copy or resync) of one protected directory:
// which names of the directories under way were seen, and which names of files with several names
// are known to be right.
//
// The second is about old data: a copy that is taken as a base may have files that share an inode
// although the primary's do not. Until their turn comes, a change of one must not show in a file
// that the scan has already dealt with.
import { nameOf, parentOf } from './paths.ts';
export class ScanState {
  /** Names seen per directory under way. */
  readonly #seen = new Map<string, Set<string>>();
  /** Per inode with several names: those that the scan or a live record put there. */
  readonly #owned = new Map<number, Set<string>>();

  reset(): void {
    this.#seen.clear();
    this.#owned.clear();
  }

  /** Names in `directory` follow. */
  begin(directory: string): void {
    this.#seen.set(directory, new Set());
  }

  /** Names seen since `begin`, or undefined when there was none. */
  seenIn(directory: string): ReadonlySet<string> | undefined {
    return this.#seen.get(directory);
  }

  end(directory: string): void {
    this.#seen.delete(directory);
  }

  /** `path` belongs to the primary's tree. */
  saw(path: string): void {
    if (this.#seen.size === 0 || path === '') return;
    this.#seen.get(parentOf(path))?.add(nameOf(path));
  }

  /** Whether the file may be used under this name: false when it is another file's by right. */
  mayUse(ino: number, path: string): boolean {
    return this.#owned.get(ino)?.has(path) ?? true;
  }

  /** Whether any file with several names was dealt with. */
  get ownsAny(): boolean {
    return this.#owned.size > 0;
  }

  /** `path` is a right name of the inode (which has several). */
  own(ino: number, path: string): void {
    const paths = this.#owned.get(ino);
    if (paths === undefined) this.#owned.set(ino, new Set([path]));
    else paths.add(path);
  }

  /** A name is gone, with everything below it. */
  removed(path: string): void {
    if (this.#isIdle()) return;
    for (const key of this.#seen.keys()) if (isWithin(key, path)) this.#seen.delete(key);
    for (const paths of this.#owned.values()) {
      for (const name of paths) if (isWithin(name, path)) paths.delete(name);
    }
  }

  /** Paths at and below `from` begin with `to` now. */
  moved(from: string, to: string): void {
    if (this.#isIdle()) return;
    this.removed(to);
    this.#rename((path) => (isWithin(path, from) ? to + path.slice(from.length) : path));
  }

  /** Paths at and below `a` and `b` changed places. */
  exchanged(a: string, b: string): void {
    if (this.#isIdle()) return;
    this.#rename((path) => {
      if (isWithin(path, a)) return b + path.slice(a.length);
      return isWithin(path, b) ? a + path.slice(b.length) : path;
    });
  }

  #isIdle(): boolean {
    return this.#seen.size === 0 && this.#owned.size === 0;
  }

  #rename(map: (path: string) => string): void {
    const seen = [...this.#seen];
    this.#seen.clear();
    for (const [path, names] of seen) this.#seen.set(map(path), names);
    for (const [ino, paths] of this.#owned) this.#owned.set(ino, new Set([...paths].map(map)));
  }
}

const isWithin = (path: string, top: string): boolean =>
  path === top || (path.startsWith(top) && path[top.length] === '/');
