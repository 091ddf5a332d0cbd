// Where each node stands in the drawing, and how the link looks. Pure.
import type { GroupOverview } from '../../fleet/overview.ts';
import type { GroupView } from '../../../service/node-protocol.ts';
import type { GroupStatus } from '../../../service/status.ts';

export interface Place {
  /** Null: not known. */
  readonly name: string | null;
  /** The console's id; null: it does not have that node. */
  readonly id: string | null;
  /** Null: not known at present. */
  readonly role: 'primary' | 'standby' | null;
  readonly view: GroupView | null;
}

export type LinkState = 'flowing' | 'idle' | 'waiting' | 'broken';

type Known = Pick<GroupOverview, 'primary' | 'standby' | 'primaryId' | 'standbyId'>;

/**
 * The nodes in the order of their names, so that they do not change places with their roles. `nodes`: the pair, the one that `status`
 * comes from first; with a split brain both are primary, and one that does not answer has no role that is known.
 */
export function placesOf(
  group: Known,
  status: Pick<GroupStatus, 'local' | 'remote'> | undefined,
  nodes: readonly { readonly id: string | null; readonly name: string }[],
): readonly [Place, Place] {
  const [first, second] = nodes.map((node, index): Place => {
    const view = (index === 0 ? status?.local : status?.remote) ?? null;
    return { ...node, view, role: view?.role ?? toldRole(group, node.name) };
  });
  const nobody: Place = { name: null, id: null, role: null, view: null };
  if (first === undefined) return [nobody, nobody];
  if (second === undefined) return [first, nobody];
  const isInOrder = (first.name ?? '').localeCompare(second.name ?? '') <= 0;
  return isInOrder ? [first, second] : [second, first];
}

function toldRole({ primary, standby }: Known, name: string): Place['role'] {
  if (name === primary) return 'primary';
  return name === standby ? 'standby' : null;
}

export function linkState({
  link,
  isStale,
  wireBytesPerSecond,
}: Pick<GroupOverview, 'link' | 'isStale' | 'wireBytesPerSecond'>): LinkState {
  if (isStale || link === 'none' || link === 'unknown') return 'broken';
  if (link !== 'connected') return link === 'waiting' ? 'waiting' : 'broken';
  return (wireBytesPerSecond ?? 0) > 0 ? 'flowing' : 'idle';
}

const FAST_BYTES = 100 * 1024 * 1024;
const SECONDS_MAX = 2.4;
const SECONDS_MIN = 0.35;

/** How long an arrow takes for one step: shorter with more traffic, by its order of magnitude. */
export function stepSeconds(bytesPerSecond: number): number {
  const share = Math.min(1, Math.log10(1 + bytesPerSecond) / Math.log10(FAST_BYTES));
  return Math.round((SECONDS_MAX - share * (SECONDS_MAX - SECONDS_MIN)) * 100) / 100;
}
