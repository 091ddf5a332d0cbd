// Divides a node's bandwidth limit among its groups. Pure.
//
// Each group is given what it needs, the hungry ones the same; never more than the limit altogether. A group
// that sends little keeps a part in reserve, because what it needs next is known a second later only.

export interface GroupDemand {
  readonly name: string;
  /** What it sent in the last second, bytes on the wire. */
  readonly sent: number;
  /** The limit in force for it in that second; null: none. */
  readonly allowed: number | null;
  /** Its own limit: more would be of no use; null: none. */
  readonly own: number | null;
}

/** A group that used so much of what it was allowed would have used more. */
const HUNGRY = 0.8;
/** What a group that is not hungry gets above what it sent. */
const HEADROOM = 1.5;
/** The part of an even share that a group has at least. */
const RESERVE = 0.25;

/**
 * Bytes per second by group. `kept` is what groups have that cannot be asked at the moment: they go on sending by it.
 * All together are `limit` at most, unless it has become so small that `kept` leaves next to nothing of it.
 */
export function divideLimit(
  limit: number,
  groups: readonly GroupDemand[],
  kept = 0,
): Map<string, number> {
  const total = Math.max(limit - kept, limit * RESERVE);
  const even = total / Math.max(1, groups.length);
  const shares = new Map<string, number>();
  const needs = groups.map((group) => ({ name: group.name, need: needOf(group, even) }));
  let left = total;
  let waiting = needs.toSorted((a, b) => a.need - b.need);
  for (const { name, need } of waiting) {
    const share = Math.min(need, left / (waiting.length - shares.size));
    shares.set(name, share);
    left -= share;
  }
  // What nobody needs now is there for whoever begins to.
  waiting = waiting.filter(({ name }) => ownOf(groups, name) > (shares.get(name) ?? 0));
  for (const { name } of waiting) {
    shares.set(name, Math.floor((shares.get(name) ?? 0) + left / waiting.length));
  }
  return shares;
}

function needOf({ sent, allowed, own }: GroupDemand, even: number): number {
  const most = own ?? Number.POSITIVE_INFINITY;
  if (allowed !== null && sent >= allowed * HUNGRY) return most;
  return Math.min(most, Math.max(sent * HEADROOM, even * RESERVE));
}

function ownOf(groups: readonly GroupDemand[], name: string): number {
  return groups.find((group) => group.name === name)?.own ?? Number.POSITIVE_INFINITY;
}
