// Which role a node takes when it starts a group, and what it concludes from what the other node says.
// Pure: the runtime gathers the facts and carries the decisions out.
import type { Position } from './group-spec.ts';
import type { GroupState } from './group-state.ts';
import type { GroupView } from './node-protocol.ts';

/** The peer's view of a group; undefined: it does not know the group. */
export type PeerAnswer = GroupView | 'unreachable' | undefined;

export type StartDecision =
  | { readonly kind: 'standby' }
  | { readonly kind: 'primary'; readonly epoch: number }
  /** The other node was promoted: become its standby, with data that stands at `position`. */
  | { readonly kind: 'follow'; readonly epoch: number; readonly position: Position | null }
  /** Handed over to a node that does not answer, or is still at it: neither role is safe. */
  | { readonly kind: 'wait' };

/**
 * | persisted role | handed over | the other node            | decision                          |
 * |----------------|-------------|---------------------------|-----------------------------------|
 * | standby        |             |                           | standby                           |
 * | primary        |             | primary, higher epoch     | follow                            |
 * | primary        | yes         | unreachable               | wait                              |
 * | primary        | yes         | changing its role         | wait                              |
 * | primary        | yes         | anything else             | primary, epoch above the promised |
 * | primary        | no          | anything else             | primary, same epoch               |
 */
export function decideStart(state: GroupState, other: PeerAnswer): StartDecision {
  const { role, epoch, handedOverTo, position } = state;
  if (role === 'standby') return { kind: 'standby' };
  if (typeof other === 'object' && other.role === 'primary' && other.epoch > epoch) {
    const known = handedOverTo === other.epoch ? position : null;
    return { kind: 'follow', epoch: other.epoch, position: known };
  }
  if (handedOverTo === null) return { kind: 'primary', epoch };
  if (other === 'unreachable' || other?.changing === true) return { kind: 'wait' };
  // A promotion that is still on its way there will be refused as stale.
  return { kind: 'primary', epoch: Math.max(epoch, handedOverTo) + 1 };
}

export type PeerConclusion =
  /** Nothing is wrong between the two. */
  | { readonly kind: 'fine' }
  /** This standby learns the epoch of its primary. */
  | { readonly kind: 'epoch'; readonly epoch: number }
  /** What could not be decided before can be now. */
  | { readonly kind: 'decide' }
  | { readonly kind: 'split-brain'; readonly newer: 'this' | 'other' }
  | { readonly kind: 'unknown-group' };

/** What the answer of a reachable peer means for a group that is in `phase` here. */
export function concludeFromPeer(
  own: {
    readonly groupId: string;
    readonly state: GroupState;
    readonly phase: GroupView['process'];
  },
  other: GroupView | undefined,
): PeerConclusion {
  const { groupId, state, phase } = own;
  if (other === undefined || other.groupId !== groupId) return { kind: 'unknown-group' };
  if (phase === 'waiting') return { kind: 'decide' };
  if (other.role === 'standby') return { kind: 'fine' };
  if (state.role === 'standby') {
    return other.epoch > state.epoch ? { kind: 'epoch', epoch: other.epoch } : { kind: 'fine' };
  }
  if (phase === 'running') {
    if (isIdlePrimary(other)) return { kind: 'fine' };
    return { kind: 'split-brain', newer: other.epoch > state.epoch ? 'other' : 'this' };
  }
  return other.epoch > state.epoch ? { kind: 'decide' } : { kind: 'fine' };
}

/** A primary that is one by name only: it has handed over, and waits to hear how that has ended, or asks the other node first. */
export function isIdlePrimary({
  process,
  changing,
}: Pick<GroupView, 'process' | 'changing'>): boolean {
  return process === 'waiting' || (process === 'stopped' && changing);
}
