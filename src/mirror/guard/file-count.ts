// Counts the files of a copy, as far as somebody needs to know. In slices, since the thread that counts
// also receives.
import { O } from '../../linux/constants.ts';
import { DirectoryReader, DT } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { ORPHAN_DIRECTORY } from '../../journal/record.ts';

/** The clock is looked at once in so many entries. */
const CLOCK_EVERY = 64;

interface Place {
  /** Descriptor that the path begins at. */
  readonly root: number;
  /** Latin1; empty for the root. */
  readonly path: string;
}

export class FileCount {
  readonly #left: Place[];
  #reader: { readonly place: Place; readonly entries: DirectoryReader } | undefined;
  /** Entries of all directories so far. */
  count = 0;

  /** `roots`: descriptors of directories, which stay the caller's. */
  constructor(roots: readonly number[]) {
    this.#left = roots.map((root) => ({ root, path: '' }));
  }

  /** Everything is counted. */
  get isComplete(): boolean {
    return this.#left.length === 0 && this.#reader === undefined;
  }

  /** Counts on until there are more than `enough`, or the time is over. What cannot be read is left out. */
  advance(enough: number, untilMs: number, now: () => number): void {
    for (let step = 1; this.count <= enough && !this.isComplete; step += 1) {
      if (step % CLOCK_EVERY === 0 && now() >= untilMs) return;
      this.#reader ??= this.#open();
      if (this.#reader !== undefined) this.#step(this.#reader);
    }
  }

  #open(): { place: Place; entries: DirectoryReader } | undefined {
    const place = this.#left.pop();
    if (place === undefined) return undefined;
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
    const fd = sys.openat(place.root, cstring(place.path === '' ? '.' : place.path), flags, 0);
    return fd < 0 ? undefined : { place, entries: new DirectoryReader(fd) };
  }

  #step({ place, entries }: { place: Place; entries: DirectoryReader }): void {
    const entry = entries.next();
    if (entry === undefined || typeof entry === 'number') {
      entries.close();
      this.#reader = undefined;
      return;
    }
    if (place.path === '' && entry.name === ORPHAN_DIRECTORY) return;
    this.count += 1;
    if (entry.type !== DT.DIR) return;
    const path = place.path === '' ? entry.name : `${place.path}/${entry.name}`;
    this.#left.push({ root: place.root, path });
  }

  close(): void {
    this.#reader?.entries.close();
    this.#reader = undefined;
    this.#left.length = 0;
  }
}
