// What of an old copy may be taken as equal during a scan of mode `changed`, without comparing it.
//
// The primary says of a file that it has not changed it since a point that both nodes know (see
// journal/marks.ts). It is equal when this node has not changed its own since then either, and it is
// the same file. The second is the harder one: renaming a directory moves all files below it to other
// paths without a trace on them. But it leaves traces on the directory itself and on the one it is in.
//
//   directory   its ctime and that of its parent are later than the point, or it is below one like that:
//               perhaps moved, nothing below it is trusted
//
// Everything is looked at before the scan changes it. What is not known is not trusted.
import type { Stat } from '../../linux/stat.ts';
import { parentOf } from './paths.ts';

interface KnownDirectory {
  readonly isChanged: boolean;
  readonly isTrusted: boolean;
}

export class Trust {
  #sinceMs = Number.NaN;
  /** Directories that the scan has placed and not dealt with yet. */
  readonly #directories = new Map<string, KnownDirectory>();

  /** A scan begins; `sinceMs`: wall clock of this node at the point, NaN when there is none. */
  begin(sinceMs: number): void {
    this.#directories.clear();
    this.#sinceMs = sinceMs;
  }

  end(): void {
    this.begin(Number.NaN);
  }

  /** The scan comes to the directory `path`, which is here as `stat` says; undefined: it is not. */
  meetDirectory(path: string, stat: Stat | undefined): void {
    const isChanged = stat === undefined || !this.#isOld(stat);
    const parent = path === '' ? undefined : this.#directories.get(parentOf(path));
    const isRoot = path === '';
    const isUnmoved =
      stat !== undefined && parent?.isTrusted === true && !(isChanged && parent.isChanged);
    this.#directories.set(path, { isChanged, isTrusted: isRoot || isUnmoved });
  }

  /** Everything in the directory has been met. */
  leaveDirectory(path: string): void {
    this.#directories.delete(path);
  }

  /** Whether the file at `path`, here as `stat` says, is what it was at the point. */
  isTrusted(path: string, stat: Stat): boolean {
    return this.#isOld(stat) && this.#directories.get(parentOf(path))?.isTrusted === true;
  }

  #isOld(stat: Stat): boolean {
    // Not the same as `!(>=)`: NaN.
    return stat.ctimeMs < this.#sinceMs;
  }
}
