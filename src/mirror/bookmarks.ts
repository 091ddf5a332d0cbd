// Bookmarks: names that people and programs give to states of the copy, such as "before release 7".
// They last as long as the undo log reaches them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { replaceFile } from '../journal/replace-file.ts';

/** Begins with a letter: digits alone are a sequence, and times begin with digits too. */
export const BOOKMARK_NAME = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const BOOKMARKS_MAX = 1000;

const bookmarkSchema = z.strictObject({
  name: z.string().regex(BOOKMARK_NAME),
  sequence: z.int().min(0),
  /** When it was made, by the clock of the standby, in ms. */
  atMs: z.number(),
});
export type Bookmark = z.infer<typeof bookmarkSchema>;
const schema = z.strictObject({ version: z.literal(1), bookmarks: z.array(bookmarkSchema) });

const FILE = 'bookmarks.json';

export class Bookmarks {
  readonly #path: string;
  #all: readonly Bookmark[];

  /** Reads those below `directory`. Errors: STATE_UNREADABLE. */
  constructor(directory: string) {
    this.#path = join(directory, FILE);
    this.#all = read(this.#path);
  }

  /** In the order of their states. */
  get all(): readonly Bookmark[] {
    return this.#all;
  }

  find(name: string): Bookmark | undefined {
    return this.#all.find((each) => each.name === name);
  }

  /**
   * Adds one; durable when it returns. Those before `keptFrom` are forgotten.
   * Errors: BOOKMARK_INVALID, BOOKMARK_EXISTS, BOOKMARKS_FULL, STATE_IO.
   */
  add(bookmark: Bookmark, keptFrom: number): void {
    const kept = this.#all.filter(({ sequence }) => sequence >= keptFrom);
    this.check(bookmark.name);
    if (kept.length >= BOOKMARKS_MAX) {
      const why = `there are ${BOOKMARKS_MAX} bookmarks`;
      throw new UnderstudyError('BOOKMARKS_FULL', `${why}: they go when they are too old`);
    }
    this.#write([...kept, bookmark].toSorted((a, b) => a.sequence - b.sequence));
  }

  /** States behind `sequence` are given up; durable when it returns. Errors: STATE_IO. */
  forgetAfter(sequence: number): void {
    const kept = this.#all.filter((each) => each.sequence <= sequence);
    if (kept.length < this.#all.length) this.#write(kept);
  }

  #write(all: readonly Bookmark[]): void {
    replaceFile(this.#path, `${JSON.stringify({ version: 1, bookmarks: all })}\n`);
    this.#all = all;
  }

  /** Errors: BOOKMARK_INVALID, BOOKMARK_EXISTS. */
  check(name: string): void {
    if (!BOOKMARK_NAME.test(name)) {
      throw new UnderstudyError(
        'BOOKMARK_INVALID',
        `"${name}" cannot be the name of a bookmark: begin with a letter, then up to 63 letters, digits, dots, dashes and underscores`,
      );
    }
    if (this.find(name) === undefined) return;
    throw new UnderstudyError('BOOKMARK_EXISTS', `there is a bookmark "${name}" already`);
  }
}

function read(path: string): readonly Bookmark[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw unreadable(path, cause);
  }
  try {
    return schema.parse(JSON.parse(text)).bookmarks;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): UnderstudyError {
  return new UnderstudyError(
    'STATE_UNREADABLE',
    `cannot use ${path}: ${messageOf(cause)}; remove it to go on without bookmarks`,
    { cause },
  );
}
