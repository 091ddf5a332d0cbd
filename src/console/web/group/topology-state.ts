// Where each node stands in the drawing, and how the link looks. Pure.
import type { GroupOverview } from '../../fleet/overview.ts';
import type { GroupView } from '../../../service/node-protocol.ts';
import type { GroupStatus } from '../../../service/status.ts';

export interface Place {
  /** Null: not known. */
  readonly name: string | null;
  /** The console's id; null: it does not have that node. */
  readonly id: string | null;
  readonly role: 'primary' | 'standby' | null;
  readonly view: GroupView | null;
}

export type LinkState = 'flowing' | 'idle' | 'waiting' | 'broken';

type Known = Pick<GroupOverview, 'primary' | 'standby' | 'primaryId' | 'standbyId'>;

/** By name, so that they do not change places with their roles; one that is not known stands second. */
export function placesOf(group: Known, status: GroupStatus | undefined): readonly [Place, Place] {
  const view = (role: 'primary' | 'standby'): GroupView | null => {
    if (status === undefined) return null;
    return [status.local, status.remote].find((one) => one?.role === role) ?? null;
  };
  const primary = {
    name: group.primary,
    id: group.primaryId,
    role: 'primary',
    view: view('primary'),
  } as const;
  const standby = {
    name: group.standby,
    id: group.standbyId,
    role: 'standby',
    view: view('standby'),
  } as const;
  const isInOrder =
    standby.name === null ||
    (primary.name !== null && primary.name.localeCompare(standby.name) <= 0);
  return isInOrder ? [primary, standby] : [standby, primary];
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
