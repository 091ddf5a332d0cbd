// Counts what is on the shelves, and removes what the undo log does not need any more, a little at a
// time: the applier has other things to do.
import { errno } from '../../linux/constants.ts';
import { openDirectory, readDirectory } from '../../linux/dirents.ts';
import { cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { sequenceOfItem, Shelf, SHELF } from './shelf.ts';
import type { Volume } from './volume.ts';

const SECTOR_BYTES = 512;

interface Item {
  readonly volume: Volume;
  readonly shelf: Shelf;
  readonly name: string;
}

/** Which removed objects the undo log speaks of: by records behind `after`, up to `until`. */
export interface ShelfRange {
  readonly after: number;
  readonly until: number;
}

export class ShelfKeeper {
  readonly #shelves: readonly { readonly volume: Volume; readonly shelf: Shelf }[];
  readonly #stat = new Stat();
  #surplus: Item[] = [];
  #countedBytes = 0;

  constructor(volumes: readonly Volume[]) {
    this.#shelves = volumes.map((volume) => ({ volume, shelf: new Shelf(volume.root.fd) }));
  }

  /** Removed objects are kept from now on. */
  keep(onLost: (negative: number) => void): void {
    for (const { volume, shelf } of this.#shelves) volume.keepRemoved(shelf, onLost);
  }

  /** Removed objects are removed for good. */
  release(): void {
    for (const { volume } of this.#shelves) volume.keepRemoved(undefined, () => undefined);
  }

  /** Bytes on all shelves. */
  get bytes(): number {
    const since = this.#shelves.reduce((sum, { volume }) => sum + volume.shelvedBytes, 0);
    return this.#countedBytes + since;
  }

  /** Whether something waits to be removed. */
  get hasSurplus(): boolean {
    return this.#surplus.length > 0;
  }

  /** Counts everything anew. */
  count(): void {
    this.#countedBytes = 0;
    for (const { volume, shelf } of this.#shelves) {
      volume.shelvedBytes = 0;
      if (this.#open(volume, shelf)) this.#countedBytes += this.#bytesBelow(shelf.fd);
    }
  }

  /** What was removed outside of `range` is removed for good: later, a little at a time. */
  limitTo({ after, until }: ShelfRange): void {
    this.#surplus = [];
    for (const { volume, shelf } of this.#shelves) {
      if (!this.#open(volume, shelf)) continue;
      const items = shelf.items();
      for (const name of typeof items === 'number' ? [] : items) {
        const sequence = sequenceOfItem(name);
        if (sequence !== undefined && sequence > after && sequence <= until) continue;
        this.#surplus.push({ volume, shelf, name });
      }
    }
  }

  /** Removes up to `itemsMax` of what is not needed. */
  sweep(itemsMax = Number.MAX_SAFE_INTEGER): void {
    for (let count = 0; count < itemsMax; count += 1) {
      const item = this.#surplus.pop();
      if (item === undefined) return;
      const { volume, shelf, name } = item;
      const bytes = this.#bytesOf(shelf.fd, name);
      const result = volume.removeTree(shelf.fd, cstring(name), 0);
      if (result === 0) this.#countedBytes -= bytes;
    }
  }

  /** Takes the shelves away where they are empty. */
  close(): void {
    for (const { shelf } of this.#shelves) shelf.close();
  }

  #open(volume: Volume, shelf: Shelf): boolean {
    if (shelf.isOpen) return true;
    // Only where there is one.
    return volume.directory(SHELF) instanceof Object && shelf.open() === 0;
  }

  #bytesOf(fd: number, name: string): number {
    const result = this.#stat.at(fd, cstring(name));
    if (result < 0) return 0;
    const own = this.#stat.blocks * SECTOR_BYTES;
    const below = openDirectory(fd, name);
    if (below === -errno.ENOTDIR || below < 0) return own;
    const bytes = this.#bytesBelow(below);
    sys.close(below);
    return bytes;
  }

  #bytesBelow(fd: number): number {
    const entries = readDirectory(fd);
    if (typeof entries === 'number') return 0;
    return entries.reduce((sum, { name }) => sum + this.#bytesOf(fd, name), 0);
  }
}
