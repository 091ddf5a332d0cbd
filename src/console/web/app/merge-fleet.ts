// One change of the fleet merged into what was known of it. Pure.
import type { FleetMessage } from '../../fleet/fleet.ts';
import type { FleetOverview } from '../../fleet/overview.ts';
import type { Level } from '../../fleet/problems.ts';

const LEVELS: readonly Level[] = ['error', 'warning', 'info', 'ok'];

export type FleetChange = Exclude<FleetMessage, { readonly name: 'event' | 'operation' }>;

export function mergeFleet(fleet: FleetOverview, change: FleetChange): FleetOverview {
  switch (change.name) {
    case 'node':
      return { ...fleet, nodes: replaced(fleet.nodes, change.data, ({ id }) => id) };
    case 'group':
      return { ...fleet, groups: replaced(fleet.groups, change.data, ({ groupId }) => groupId) };
    case 'removed': {
      const { nodes, groups } = change.data;
      return {
        ...fleet,
        nodes: fleet.nodes.filter(({ id }) => !nodes.includes(id)),
        groups: fleet.groups.filter(({ groupId }) => !groups.includes(groupId)),
      };
    }
    case 'counts':
      return { ...fleet, counts: change.data };
  }
}

function replaced<T extends { readonly level: Level; readonly name: string }>(
  all: readonly T[],
  one: T,
  keyOf: (each: T) => string,
): readonly T[] {
  const others = all.filter((each) => keyOf(each) !== keyOf(one));
  return [...others, one].toSorted(worstFirst);
}

/** Worst first, then by name. */
export function worstFirst(
  one: { readonly level: Level; readonly name: string },
  other: { readonly level: Level; readonly name: string },
): number {
  const difference = LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level);
  return difference === 0 ? one.name.localeCompare(other.name) : difference;
}
