// Carries out what the machine of a managed group decides about the role of this node.
import { UnderstudyError } from '../../core/errors.ts';
import { isFilterMount, leftoverMounts, readMountTable } from '../../linux/mount-table.ts';
import type { CopyState, Position } from '../../cluster/machine/types.ts';
import type { DataNotice } from '../data-notices.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import { positionSchema } from '../group-spec.ts';
import { firstSequenceAfter, type GroupState } from '../group-state.ts';
import { finish } from '../promotion.ts';

/** The copy that a standby has. */
export interface StandbyData {
  readonly copy: DataNotice['copy'];
  readonly position: Position;
  /** Another state is being received beside it. */
  readonly isStaged: boolean;
}

/** What becomes of the data here after a demotion. */
export interface Demoted extends StandbyData {
  readonly clean: boolean;
  readonly copy: CopyState;
}

export interface Promotion {
  readonly epoch: number;
  /** Where the other node closed its stream; null after a failover. */
  readonly base: Position | null;
  /** Copies that may be promoted. */
  readonly accepts: readonly CopyState[];
  /** Epoch of the data here while this node is a standby. */
  readonly dataEpoch: number;
  /** Makes the epoch durable as served, before anything can be written. */
  readonly noteServing: () => Promise<void>;
}

/**
 * Becomes primary: the standby process applies what it has, the primary process mounts. Resolves with the
 * position that the data stands at. Errors: POSITION_MISMATCH, and of the processes; the machine then
 * demotes this node.
 */
export async function promote(runtime: GroupRuntime, promotion: Promotion): Promise<Position> {
  const { epoch, base, accepts } = promotion;
  const before = runtime.state;
  // Asked for again by a service that was restarted after it had been done.
  if (before.role === 'primary' && before.epoch === epoch && runtime.process.isAlive) {
    return { epoch, sequence: before.lastSequence };
  }
  let reached: GroupState['position'] = null;
  if (before.role === 'standby') {
    // What this node wrote itself is `empty` for a process that has received nothing over it: any other knows better.
    reached = await finish(runtime, before.own === null ? accepts : [...accepts, 'empty']);
    if (base !== null && reached?.sequence !== base.sequence) {
      throw new UnderstudyError(
        'POSITION_MISMATCH',
        `the copy of group "${runtime.name}" ends at ${reached?.sequence ?? 'an earlier moment'}, the primary at ${base.sequence}: it is not promoted`,
      );
    }
    // Data that this node wrote itself is in no stream that a standby could carry on from.
    if (before.own !== null) reached = null;
  }
  try {
    await promotion.noteServing();
    await runtime.startPrimaryProcess(1, { epoch, position: reached });
  } catch (thrown) {
    const isMounted = hasFilter(runtime);
    await runtime.killProcess({ cover: true });
    if (isMounted) {
      // Who writes there does not ask whether the promotion has come to its end.
      const own = ownData(runtime.state);
      runtime.saveState({ role: 'standby', position: null, own });
      throw thrown;
    }
    // Nothing was written with this epoch: the data is what it was.
    const { role, own } = before;
    const kept = role === 'primary' ? ownData(before) : own;
    const dataEpoch = Math.max(before.epoch, reached === null ? 0 : promotion.dataEpoch);
    runtime.saveState({ role: 'standby', epoch: dataEpoch, position: reached, own: kept });
    throw thrown;
  }
  return { epoch, sequence: runtime.state.lastSequence };
}

/** The mounts of a primary are on its directories, whether it lives or not. */
function hasFilter({ definition }: GroupRuntime): boolean {
  const table = readMountTable();
  return definition.directories.some(({ dir }) => leftoverMounts(table, dir).some(isFilterMount));
}

/**
 * Gives the directories back with everything applied on the standby, and becomes standby. `onClosed`
 * is called as soon as the other node may serve: what follows concerns this one only. `stays`: nobody is to go on from there.
 */
export async function handOver(
  runtime: GroupRuntime,
  { timeoutMs, stays }: { readonly timeoutMs: number; readonly stays: boolean },
  onClosed: (demoted: Demoted) => void,
): Promise<void> {
  const { epoch } = runtime.state;
  const close = (result: unknown): void => {
    const { sequence } = positionSchema.parse(result);
    onClosed({ clean: true, copy: 'up-to-date', position: { epoch, sequence }, isStaged: false });
  };
  const position = positionSchema.parse(await runtime.callLast('handover', {}, timeoutMs, close));
  const own = { epoch, sequence: position.sequence };
  await tryToFollow(runtime, stays ? { position: null, own } : { position, own: null });
}

/**
 * Becomes standby, as far as the disk lets it: what this node gives up, the other one may have, whether
 * a copy can be kept here or not.
 */
async function tryToFollow(
  runtime: GroupRuntime,
  data: Pick<GroupState, 'position' | 'own'>,
): Promise<CopyState> {
  await runtime.becomeStandby(runtime.state.epoch, data.position, data.own);
  return runtime.process.isAlive ? 'up-to-date' : 'failed';
}

/** Ends whatever runs, at once, and becomes standby with the data as it is. */
export async function cease(runtime: GroupRuntime): Promise<Demoted> {
  const before = runtime.state;
  await runtime.killProcess({ cover: true });
  if (before.role === 'primary') {
    const own = ownData(before);
    const copy = await tryToFollow(runtime, { position: null, own });
    return { clean: false, copy, position: own, isStaged: false };
  }
  // A promotion that did not come to write anything: the copy goes on where it was.
  await runtime.resume();
  if (runtime.process.isAlive) return standbyData(runtime);
  const { epoch, lastSequence: sequence, own } = runtime.state;
  const position = own ?? { epoch, sequence };
  return { clean: false, copy: 'failed', position, isStaged: false };
}

/** Where the data of a standby stands that runs. */
export async function standbyData(runtime: GroupRuntime): Promise<Demoted> {
  const { own } = runtime.state;
  if (own !== null) return { clean: false, copy: 'up-to-date', position: own, isStaged: false };
  const { copy, position, isStaged } = dataOf(await runtime.process.status());
  return { clean: false, copy: copy === 'empty' ? 'syncing' : copy, position, isStaged };
}

/** What a standby has, by the status of its process. */
export function dataOf(status: Readonly<Record<string, unknown>>): StandbyData {
  return {
    copy: status['copy'] as DataNotice['copy'],
    position: dataPosition(status),
    isStaged: status['stagedSinceMs'] != null,
  };
}

/** Where the data of a standby stands that would be promoted, by the status of its process. */
function dataPosition(status: Readonly<Record<string, unknown>>): Position {
  const { data } = status;
  if (typeof data === 'object' && data !== null) {
    const { epoch, sequence } = data as Position;
    return { epoch: Number(epoch), sequence: Number(sequence) };
  }
  return { epoch: Number(status['epoch']), sequence: Number(status['receivedSequence']) };
}

/**
 * Where the data of a node stands that wrote it as primary and was not stopped in order. How far it
 * came exactly is not known; no standby of that epoch has come further.
 */
export function ownData(state: GroupState): NonNullable<GroupState['own']> {
  const sequence = firstSequenceAfter(null, Math.max(1, state.lastSequence)) - 1;
  return { epoch: state.epoch, sequence };
}
