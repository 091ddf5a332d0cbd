// The part of a tree that patterns include: what a copy has to have.
import type { Patterns } from '../../src/core/patterns.ts';
import type { Tree, TreeEntry } from './tree.ts';

/**
 * The mirrored part of `tree`. Link counts are those within the part. Times of directories are left
 * out, since unmirrored entries that come and go change them.
 */
export function filteredTree(tree: Tree, patterns: Patterns): Tree {
  const groups = new Map<string, { first: string; count: number; contents: TreeEntry }>();
  const kept = [...tree.entries].filter(([path, entry]) => {
    return path === '' || patterns.matchesWholly(path, entry.type === 'directory');
  });
  for (const [path, entry] of kept) {
    if (entry.linkedTo === '') continue;
    const group = groups.get(entry.linkedTo);
    if (group !== undefined) group.count += 1;
    else {
      const contents = tree.entries.get(entry.linkedTo) ?? entry;
      groups.set(entry.linkedTo, { first: path, count: 1, contents });
    }
  }
  const entries = new Map(
    kept.map(([path, entry]) => {
      if (entry.type === 'directory') return [path, { ...entry, mtime: '' }];
      const group = groups.get(entry.linkedTo);
      if (group === undefined) return [path, entry];
      const { hash, data } = group.first === path ? group.contents : { hash: '', data: '' };
      const linkedTo = group.count > 1 ? group.first : '';
      return [path, { ...entry, nlink: group.count, linkedTo, hash, data }];
    }),
  );
  return { root: tree.root, entries };
}
