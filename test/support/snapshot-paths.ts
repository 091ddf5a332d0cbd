// Names and kinds below a directory, for small trees.
import { O } from '../../src/linux/constants.ts';
import { DT, readDirectory } from '../../src/linux/dirents.ts';
import { cstring, sys } from '../../src/linux/libc.ts';

export type PathKind = 'file' | 'directory' | 'symlink' | 'other';

const KINDS: Readonly<Record<number, PathKind>> = {
  [DT.REG]: 'file',
  [DT.DIR]: 'directory',
  [DT.LNK]: 'symlink',
};

/** All paths below the open directory `fd`, without `.understudy`, with their kinds. */
export function snapshotPaths(fd: number): Map<string, PathKind> {
  const paths = new Map<string, PathKind>();
  walk(fd, '', paths);
  return paths;
}

function walk(fd: number, top: string, paths: Map<string, PathKind>): void {
  const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
  const directory = sys.openat(fd, cstring(top === '' ? '.' : top), flags, 0);
  const entries = readDirectory(directory);
  sys.close(directory);
  if (typeof entries === 'number') throw new Error(`cannot read ${top}: ${entries}`);
  for (const { name, type } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (top === '' && name === '.understudy') continue;
    const path = top === '' ? name : `${top}/${name}`;
    const kind = KINDS[type] ?? 'other';
    paths.set(path, kind);
    if (kind === 'directory') walk(fd, path, paths);
  }
}
