// Where an application's data is within the protected directories.
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';

const DEPTH_MAX = 3;
const DIRECTORIES_MAX = 2000;

/**
 * Directories that hold the file `name` and `options.with`, at most three levels below `directories`.
 * Nothing below a found one is looked at.
 */
function findBelow(
  directories: readonly string[],
  name: string,
  options: { readonly with: string },
): string[] {
  const found: string[] = [];
  let queue = directories.map((path) => ({ path, depth: 0 }));
  for (let looked = 0; queue.length > 0 && looked < DIRECTORIES_MAX; looked += 1) {
    const [first, ...rest] = queue;
    queue = rest;
    if (first === undefined) break;
    if (existsSync(join(first.path, name)) && existsSync(join(first.path, options.with))) {
      found.push(first.path);
      continue;
    }
    if (first.depth >= DEPTH_MAX) continue;
    queue.push(...childrenOf(first.path).map((path) => ({ path, depth: first.depth + 1 })));
  }
  return found;
}

function childrenOf(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(directory, entry.name));
  } catch {
    return [];
  }
}

/** The one directory below `directories` that has `name` and `with`. Errors: there is none, or several. */
export function dataDirectoryBelow(
  directories: readonly string[],
  name: string,
  options: { readonly with: string },
): string {
  const found = findBelow(directories, name, options);
  if (found.length === 1 && found[0] !== undefined) return found[0];
  throw new Error(
    found.length === 0
      ? `there is no ${name} below ${directories.join(', ')}: give the agent its "dataDir"`
      : `there are several data directories (${found.join(', ')}): give the agent its "dataDir"`,
  );
}

/**
 * A directory as the kernel names it, without links: servers are found by the one that they work in. What cannot be reached stays
 * as people wrote it.
 */
export function realDirectory(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
