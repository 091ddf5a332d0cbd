// Which paths of a protected directory are mirrored.
//
// A path is mirrored when its parent directory is, no exclude pattern matches it, and, unless it is
// a directory, some include pattern matches it. `cache/**` excludes what is in `cache` and keeps the
// empty directory (applications expect their directories to exist); `cache` excludes both.
//
// Patterns are a person's, names anybody's who may write there: whatever both are, a name is matched in milliseconds.
import picomatch from 'picomatch';
import { UnderstudyError } from './errors.ts';
import { LinearRegExp } from './linear-regexp.ts';

type Matcher = (path: string) => boolean;

const never: Matcher = () => false;

/** As they are written. */
export interface PatternTexts {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export const EVERYTHING: PatternTexts = { include: ['**'], exclude: [] };

/** Include and exclude wildcards of one protected directory (picomatch, leading dots match). */
export class Patterns {
  /** True when every path is mirrored: lets the hot paths skip matching. */
  readonly everything: boolean;
  readonly #included: Matcher;
  readonly #excluded: Matcher;
  readonly #directoryExcluded: Matcher;

  constructor(include: readonly string[], exclude: readonly string[]) {
    this.everything = exclude.length === 0 && include.some((pattern) => pattern === '**');
    this.#included = compile(include);
    this.#excluded = compile(exclude);
    this.#directoryExcluded = compile(exclude.filter((pattern) => !pattern.endsWith('/**')));
  }

  /**
   * Whether the object at `path` (relative, latin1, not the root) is mirrored, given that its parent
   * directory is.
   */
  matches(path: string, isDirectory: boolean): boolean {
    if (this.everything) return true;
    const text = asText(path);
    if (isDirectory) return !this.#directoryExcluded(text);
    return this.#included(text) && !this.#excluded(text);
  }

  /** Whether the object at `path` is mirrored, all directories on the way considered. */
  matchesWholly(path: string, isDirectory: boolean): boolean {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
      if (!this.matches(path.slice(0, at), true)) return false;
    return this.matches(path, isDirectory);
  }
}

/** Names are bytes; patterns are text. Valid UTF-8 is matched as text, anything else byte by byte. */
function asText(latin1: string): string {
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(latin1)) return latin1;
  const bytes = Buffer.from(latin1, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : latin1;
}

function compile(patterns: readonly string[]): Matcher {
  if (patterns.length === 0) return never;
  const matchers = patterns.map((pattern) => {
    if (pattern === '' || pattern.startsWith('/') || pattern.split('/').includes('..')) {
      throw new UnderstudyError(
        'PATTERN_INVALID',
        `pattern "${pattern}" cannot match: write it relative to the protected directory, without leading "/" or ".."`,
      );
    }
    return matcherOf(pattern);
  });
  return (path) => matchers.some((matches) => matches(path));
}

/** A name may have line breaks, too ("Icon\r" of macOS): `s` lets `**` match them. */
const OPTIONS = { dot: true, nonegate: true, flags: 's' } as const;
/** So many ways through a text are gone in milliseconds, and mostly the first or second matches. */
const WAYS_MAX = 1_000_000;

function matcherOf(pattern: string): Matcher {
  const matches = picomatch(pattern, OPTIONS);
  const linear = linearOf(pattern);
  if (linear === undefined) return matches;
  return (path) =>
    linear.waysMax(path.length) <= WAYS_MAX ? matches(path) : path === pattern || linear.test(path);
}

function linearOf(pattern: string): LinearRegExp | undefined {
  return LinearRegExp.of(picomatch.makeRe(pattern, OPTIONS).source);
}

/** False: it is no wildcard but a regular expression that may take years for one name. */
export function isBounded(pattern: string): boolean {
  return linearOf(pattern) !== undefined;
}
