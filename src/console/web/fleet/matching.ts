// Which groups and nodes a search means. Pure.
import type { GroupOverview, NodeOverview } from '../../fleet/overview.ts';
import type { Level } from '../../fleet/problems.ts';

export interface Filter {
  /** Words; each must be somewhere. */
  readonly text: string;
  /** Null: all. */
  readonly level: Level | null;
}

export function matchingGroups(
  groups: readonly GroupOverview[],
  filter: Filter,
): readonly GroupOverview[] {
  return groups.filter(({ level, name, primary, standby, directories }) =>
    isWanted(filter, level, [name, primary ?? '', standby ?? '', ...directories]),
  );
}

export function matchingNodes(
  nodes: readonly NodeOverview[],
  filter: Filter,
): readonly NodeOverview[] {
  return nodes.filter(({ level, name, where, peerName }) =>
    isWanted(filter, level, [name, where, peerName ?? '']),
  );
}

function isWanted(filter: Filter, level: Level, texts: readonly string[]): boolean {
  if (filter.level !== null && filter.level !== level) return false;
  const hay = texts.join('\n').toLowerCase();
  return filter.text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}
