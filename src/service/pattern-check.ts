// Do the include patterns of a new group match anything? A pattern with a typing mistake would
// otherwise protect nothing, silently.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../core/errors.ts';
import { Patterns } from '../core/patterns.ts';

const ENTRIES_MAX = 200_000;

/**
 * Include patterns that match no file below `dir`. Looks at no more than ENTRIES_MAX entries; in a
 * larger directory patterns still unmatched then count as matching.
 */
export function unmatchedPatterns(dir: string, include: readonly string[]): string[] {
  let open = include
    .filter((pattern) => pattern !== '**')
    .map((pattern) => ({ pattern, patterns: new Patterns([pattern], []) }));
  const queue = [''];
  let seen = 0;
  while (open.length > 0) {
    const at = queue.pop();
    if (at === undefined) return open.map(({ pattern }) => pattern);
    const bytes = Buffer.from(dir);
    const path = Buffer.concat([bytes, Buffer.from(`/${at}`, 'latin1')]);
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) {
      const name = join(at, entry.name.toString('latin1'));
      if (entry.isDirectory()) queue.push(name);
      else open = open.filter(({ patterns }) => !patterns.matches(name, false));
      seen += 1;
      if (seen >= ENTRIES_MAX) return [];
    }
  }
  return [];
}

/** Errors: PATTERN_MATCHES_NOTHING, PATTERN_INVALID. */
export function checkPatterns(dir: string, include: readonly string[]): void {
  const unmatched = unmatchedPatterns(dir, include);
  if (unmatched.length === 0) return;
  throw new UnderstudyError(
    'PATTERN_MATCHES_NOTHING',
    `${unmatched.map((pattern) => `"${pattern}"`).join(', ')} matches no file in ${dir}: correct it, or pass --allow-empty-match when the files come later`,
    { details: { dir, patterns: unmatched } },
  );
}
