// Which extents of which files were changed since the stream was marked last (see journal/marks.ts): so
// that a scan of mode `changed` need not read the whole of a large file of which little was changed.
//
// Only plain changes of contents are told apart. Whatever else happens to a file (it is made, cut, gets
// another name) makes all of it changed. A file that is not here at all may still have been changed, by
// somebody beneath the filter for one: its ctime decides, and then all of it is compared.
//
//   generation   ──mark──▶ the next one begins; the oldest ones are forgotten
//   per file     bits of extents (a number for the first 31, else words) │ ALL
import { assert } from '../core/assert.ts';

/** Grain; equals the blocks whose hashes a scan sends. */
export const EXTENT_BYTES = 64 * 1024;
const ALL = -1;
const SMALL_EXTENTS = 31;
/** Marks come once a minute, and the standby's lag behind by less. */
const GENERATIONS_MAX = 8;
/** Over all files of a generation; beyond it nothing is known of that generation. */
const WORDS_MAX = 4 * 1024 * 1024;
const FILES_MAX = 500_000;
/** Of one file: 4 TiB. A change beyond makes all of it changed. */
const FILE_EXTENTS_MAX = 64 * 1024 * 1024;
const FILE_WORDS = 4;
/** Protected directories of a group. */
const DIRECTORIES_MAX = 64;

type Extents = number | Uint32Array;

interface Generation {
  /** Changes behind this record. */
  readonly after: number;
  /** Per protected directory, by inode number. */
  readonly files: Map<number, Extents>[];
  words: number;
  isLost: boolean;
}

/** Extents of one file in order, without gaps between those that touch. Bytes. */
export interface ExtentRun {
  readonly from: number;
  readonly to: number;
}

export class ChangedExtents {
  readonly #generations: Generation[] = [];
  #current: Generation | undefined;
  /** What was touched last: most changes come in rows. */
  #lastFile = -1;
  #lastExtent = -1;

  /** Every change from now on comes behind record `sequence`. */
  mark(sequence: number): void {
    const files = Array.from({ length: DIRECTORIES_MAX }, () => new Map<number, Extents>());
    this.#current = { after: sequence, files, words: 0, isLost: false };
    this.#generations.push(this.#current);
    if (this.#generations.length > GENERATIONS_MAX) this.#generations.shift();
    this.#lastFile = -1;
  }

  /** Bytes `from` to `to` of a file may have changed. */
  touch(directory: number, ino: number, from: number, to: number): void {
    const current = this.#current;
    if (current === undefined || current.isLost || to <= from) return;
    const first = Math.floor(from / EXTENT_BYTES);
    const last = Math.floor((to - 1) / EXTENT_BYTES);
    const file = ino * DIRECTORIES_MAX + directory;
    if (file === this.#lastFile && first === last && first === this.#lastExtent) return;
    this.#lastFile = file;
    this.#lastExtent = last;
    const files = current.files[directory];
    assert(files !== undefined, 'a change is in a protected directory');
    const before = files.get(ino);
    if (before === ALL) return;
    if (last >= FILE_EXTENTS_MAX) return this.touchAll(directory, ino);
    const after = add(before ?? 0, first, last);
    if (after === before) return;
    const grown = wordsOf(after) - (before === undefined ? 0 : wordsOf(before));
    current.words += before === undefined ? FILE_WORDS + grown : grown;
    if (typeof after === 'number' || after !== before) files.set(ino, after);
    if (current.words > WORDS_MAX || files.size > FILES_MAX) this.#lose(current);
  }

  /** All of a file may have changed, or be another's now. */
  touchAll(directory: number, ino: number): void {
    const current = this.#current;
    if (current === undefined || current.isLost) return;
    const files = current.files[directory];
    assert(files !== undefined, 'a change is in a protected directory');
    const before = files.get(ino);
    if (before === ALL) return;
    current.words += before === undefined ? FILE_WORDS : -wordsOf(before);
    files.set(ino, ALL);
    this.#lastFile = -1;
    if (files.size > FILES_MAX) this.#lose(current);
  }

  #lose(generation: Generation): void {
    generation.isLost = true;
    for (const files of generation.files) files.clear();
  }

  /**
   * What was changed behind record `sequence`, at which the stream was marked; undefined when that is
   * not known (any more).
   */
  since(sequence: number): ChangedSince | undefined {
    const from = this.#generations.findIndex(({ after }) => after === sequence);
    const wanted = from < 0 ? [] : this.#generations.slice(from);
    if (wanted.length === 0 || wanted.some(({ isLost }) => isLost)) return undefined;
    return new ChangedSince(wanted.map(({ files }) => files));
  }
}

/** A view that goes on with the changes. */
export class ChangedSince {
  readonly #generations: readonly (readonly Map<number, Extents>[])[];

  constructor(generations: readonly (readonly Map<number, Extents>[])[]) {
    this.#generations = generations;
  }

  /** True when it is known which extents of a file may have changed. */
  knows(directory: number, ino: number): boolean {
    let isKnown = false;
    for (const files of this.#generations) {
      const extents = files[directory]?.get(ino);
      if (extents === ALL) return false;
      if (extents !== undefined) isKnown = true;
    }
    return isKnown;
  }

  /** The first run of changed extents of a file at or behind `offset`; undefined: there is none. */
  next(directory: number, ino: number, offset: number): ExtentRun | undefined {
    const sets = this.#generations.flatMap((files) => files[directory]?.get(ino) ?? []);
    const end = Math.max(0, ...sets.map(lengthOf));
    let first = Math.floor(offset / EXTENT_BYTES);
    const isSet = (extent: number): boolean => sets.some((set) => has(set, extent));
    // Of a large file most words are empty; the thread that looks also serves applications.
    while (first < end && !isSet(first)) first += isEmptyWord(sets, first) ? 32 : 1;
    if (first >= end) return undefined;
    let behind = first + 1;
    while (behind < end && isSet(behind)) behind += 1;
    return { from: Math.max(offset, first * EXTENT_BYTES), to: behind * EXTENT_BYTES };
  }
}

function wordsOf(extents: Extents): number {
  return typeof extents === 'number' ? 0 : extents.length;
}

/** Extents that a set has room for. */
function lengthOf(extents: Extents): number {
  return typeof extents === 'number' ? SMALL_EXTENTS : extents.length * 32;
}

function has(extents: Extents, extent: number): boolean {
  if (typeof extents === 'number') return extent < SMALL_EXTENTS && (extents & (1 << extent)) !== 0;
  return ((extents[extent >>> 5] ?? 0) & (1 << (extent & 31))) !== 0;
}

/** Whether none of the 32 extents from `first` on, the first of a word, is in a set of words. */
function isEmptyWord(sets: readonly Extents[], first: number): boolean {
  if ((first & 31) !== 0 || first < SMALL_EXTENTS) return false;
  return sets.every((set) => typeof set === 'number' || (set[first >>> 5] ?? 0) === 0);
}

/** The set with extents `first` to `last` in it: the same array where there is room. */
function add(extents: Extents, first: number, last: number): Extents {
  if (typeof extents === 'number' && last < SMALL_EXTENTS) {
    let bits = extents;
    for (let extent = first; extent <= last; extent += 1) bits |= 1 << extent;
    return bits;
  }
  const words = withRoom(extents, last);
  for (let extent = first; extent <= last; extent += 1) {
    const word = extent >>> 5;
    words[word] = (words[word] ?? 0) | (1 << (extent & 31));
  }
  return words;
}

function withRoom(extents: Extents, last: number): Uint32Array {
  const needed = (last >>> 5) + 1;
  if (typeof extents !== 'number' && extents.length >= needed) return extents;
  const words = new Uint32Array(Math.max(needed, 2 * wordsOf(extents)));
  if (typeof extents === 'number') words[0] = extents;
  else words.set(extents);
  return words;
}
