// What patterns would protect in a directory: files and bytes, in a bounded time, with progress.
import { constants } from 'node:fs';
import { lstat, open, opendir, realpath } from 'node:fs/promises';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { Patterns } from '../../core/patterns.ts';

const TIME_MS_MAX = 60_000;
const DIRECTORIES_WAITING_MAX = 200_000;
const SAMPLES_MAX = 50;
const TELL_EVERY_MS = 250;

export interface PatternPreview {
  /** Files that would be mirrored. */
  readonly files: number;
  readonly bytes: number;
  readonly leftOutFiles: number;
  readonly leftOutBytes: number;
  readonly directories: number;
  /** False: the time was up, or it was given up; the numbers are of what was seen by then. */
  readonly isComplete: boolean;
  /** Some names of each, as text, relative to the directory. */
  readonly samples: readonly string[];
  readonly leftOutSamples: readonly string[];
  /** Directories that could not be read. */
  readonly unreadable: number;
}

export interface PreviewWish {
  readonly dir: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface PreviewHandle {
  readonly signal: AbortSignal;
  readonly onProgress: (seen: PatternPreview) => void;
  readonly timeMs?: number;
}

/** Errors: PATTERN_INVALID, PATH_NOT_FOUND, PATH_IS_SYMLINK, PATH_NOT_READABLE. */
export async function previewPatterns(
  { dir, include, exclude }: PreviewWish,
  { signal, onProgress, timeMs = TIME_MS_MAX }: PreviewHandle,
): Promise<PatternPreview> {
  const patterns = new Patterns(include, exclude);
  await checkDirectory(dir);
  const walk = new Walk(dir, patterns);
  const end = performance.now() + timeMs;
  let told = performance.now();
  while (walk.hasMore && !signal.aborted && performance.now() < end) {
    await walk.step(end);
    if (performance.now() - told < TELL_EVERY_MS) continue;
    told = performance.now();
    onProgress(walk.seen(false));
  }
  return walk.seen(!walk.hasMore);
}

async function checkDirectory(dir: string): Promise<void> {
  const options = { details: { path: dir } };
  try {
    const handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
    await handle.close();
    if ((await realpath(dir)) === dir) return;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new UnderstudyError(
      isMissing ? 'PATH_NOT_FOUND' : 'PATH_NOT_READABLE',
      `${dir} cannot be looked at: ${messageOf(cause)}`,
      { ...options, cause },
    );
  }
  throw new UnderstudyError(
    'PATH_IS_SYMLINK',
    `${dir} leads through a symbolic link, which is not followed: choose the directory behind it`,
    options,
  );
}

/** Names are latin1 strings here, as everywhere in the data path: one character for each byte. */
class Walk {
  readonly #root: Buffer;
  readonly #patterns: Patterns;
  readonly #waiting: string[] = [''];
  readonly #samples: string[] = [];
  readonly #leftOutSamples: string[] = [];
  #files = 0;
  #bytes = 0;
  #leftOutFiles = 0;
  #leftOutBytes = 0;
  #directories = 0;
  #unreadable = 0;
  #overflown = false;

  constructor(root: string, patterns: Patterns) {
    this.#root = Buffer.from(root);
    this.#patterns = patterns;
  }

  get hasMore(): boolean {
    return this.#waiting.length > 0;
  }

  seen(isComplete: boolean): PatternPreview {
    return {
      files: this.#files,
      bytes: this.#bytes,
      leftOutFiles: this.#leftOutFiles,
      leftOutBytes: this.#leftOutBytes,
      directories: this.#directories,
      isComplete: isComplete && !this.#overflown,
      samples: this.#samples.slice(),
      leftOutSamples: this.#leftOutSamples.slice(),
      unreadable: this.#unreadable,
    };
  }

  /** Looks at one directory, until `endMs` at most. */
  async step(endMs: number): Promise<void> {
    const at = this.#waiting.pop();
    if (at === undefined) return;
    this.#directories += 1;
    try {
      for await (const entry of await opendir(this.#pathOf(at), { encoding: 'latin1' })) {
        const path = at === '' ? entry.name : `${at}/${entry.name}`;
        if (entry.isDirectory()) this.#enter(path);
        else if (!entry.isSymbolicLink()) await this.#count(path);
        if (performance.now() < endMs) continue;
        this.#overflown = true;
        return;
      }
    } catch {
      // Removed meanwhile, or not ours to read: it is told how many there were.
      this.#unreadable += 1;
    }
  }

  #enter(path: string): void {
    if (!this.#patterns.matches(path, true)) return;
    if (this.#waiting.length < DIRECTORIES_WAITING_MAX) this.#waiting.push(path);
    else this.#overflown = true;
  }

  async #count(path: string): Promise<void> {
    const stat = await lstat(this.#pathOf(path)).catch(() => undefined);
    if (stat === undefined) return;
    if (this.#patterns.matches(path, false)) {
      this.#files += 1;
      this.#bytes += stat.size;
      sample(this.#samples, path);
    } else {
      this.#leftOutFiles += 1;
      this.#leftOutBytes += stat.size;
      sample(this.#leftOutSamples, path);
    }
  }

  #pathOf(path: string): Buffer {
    return Buffer.concat([this.#root, Buffer.from(`/${path}`, 'latin1')]);
  }
}

function sample(list: string[], path: string): void {
  if (list.length < SAMPLES_MAX) list.push(Buffer.from(path, 'latin1').toString('utf8'));
}
