// What can be done with a group: who may, which node is asked, when it makes sense, and what has to be confirmed. Pure.
import type { GroupOverview } from '../../../fleet/overview.ts';
import type { AccessRole } from '../../../../service/admin-api/caller.ts';
import type { GroupView } from '../../../../service/node-protocol.ts';
import type { GroupStatus } from '../../../../service/status.ts';

export const OPERATION_KINDS = [
  'switchover',
  'takeover',
  'yield',
  'accept',
  'pause',
  'resume',
  'clear-failures',
  'verify',
  'mark',
  'delete',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export interface OperationRule {
  readonly role: AccessRole;
  /** The name of the group has to be typed. */
  readonly isDangerous: boolean;
  /** Answered at once, not as an operation with progress. */
  readonly isQuick: boolean;
  /** Which node is asked. */
  readonly on: 'primary' | 'standby' | 'halted' | 'split' | 'any';
}

export const OPERATION_RULES: Readonly<Record<OperationKind, OperationRule>> = {
  switchover: { role: 'operator', isDangerous: true, isQuick: false, on: 'primary' },
  takeover: { role: 'operator', isDangerous: true, isQuick: false, on: 'standby' },
  yield: { role: 'operator', isDangerous: true, isQuick: false, on: 'split' },
  accept: { role: 'operator', isDangerous: true, isQuick: false, on: 'halted' },
  pause: { role: 'operator', isDangerous: false, isQuick: true, on: 'any' },
  resume: { role: 'operator', isDangerous: false, isQuick: true, on: 'any' },
  'clear-failures': { role: 'operator', isDangerous: false, isQuick: true, on: 'any' },
  verify: { role: 'operator', isDangerous: false, isQuick: false, on: 'primary' },
  mark: { role: 'operator', isDangerous: false, isQuick: false, on: 'any' },
  delete: { role: 'administrator', isDangerous: true, isQuick: false, on: 'any' },
};

/** Why something is not possible now; a code for a sentence. */
export type Hindrance = 'no-standby' | 'no-primary' | 'not-managed' | 'not-needed' | 'no-node';

type Known = Pick<GroupOverview, 'primary' | 'standby' | 'isManaged' | 'isPaused' | 'problems'>;

/** Null: possible, as far as is known here. The node decides. */
export function hindranceOf(kind: OperationKind, group: Known): Hindrance | null {
  const { primary, standby, isManaged, isPaused, problems } = group;
  const has = (code: string): boolean => problems.some((problem) => problem.code === code);
  switch (kind) {
    case 'switchover':
      if (primary === null) return 'no-primary';
      return standby === null ? 'no-standby' : null;
    case 'verify':
      return primary === null ? 'no-primary' : null;
    case 'takeover':
      return standby === null && !has('PRIMARY_WAITS') ? 'no-standby' : null;
    case 'yield':
      return has('SPLIT_BRAIN') ? null : 'not-needed';
    case 'accept':
      return has('HALTED') ? null : 'not-needed';
    case 'pause':
      if (!isManaged) return 'not-managed';
      return isPaused ? 'not-needed' : null;
    case 'resume':
      if (!isManaged) return 'not-managed';
      return isPaused ? null : 'not-needed';
    case 'clear-failures':
      return isManaged ? null : 'not-managed';
    case 'mark':
      return standby === null ? 'no-standby' : null;
    case 'delete':
      return null;
  }
}

/** A node that can be asked: its id in the console, and its name. */
export interface Target {
  readonly id: string;
  readonly name: string;
}

const waits = ({ problems }: GroupOverview): boolean =>
  problems.some(({ code }) => code === 'PRIMARY_WAITS');

const at = (id: string | null, name: string | null): Target[] =>
  id === null || name === null ? [] : [{ id, name }];

/**
 * The nodes that an operation may be asked of, the usual one first. Empty: this console does not have the one that it needs. `nodes`: the
 * pair.
 */
export function targetsOf(
  kind: OperationKind,
  group: GroupOverview,
  nodes: readonly { readonly id: string | null; readonly name: string }[],
): readonly Target[] {
  const primary = at(group.primaryId, group.primary);
  const standby = at(group.standbyId, group.standby);
  switch (OPERATION_RULES[kind].on) {
    case 'primary':
      return primary;
    case 'standby':
      // A primary that handed over and waits for an answer may be told that there will be none.
      return standby.length === 0 && waits(group) ? primary : standby;
    case 'halted':
      return [...standby, ...primary];
    case 'any':
      return primary.length > 0 ? primary : standby;
    case 'split':
      return nodes.flatMap(({ id, name }) => at(id, name));
  }
}

/**
 * The epoch that a node was seen with: it goes into `expectEpoch`, and the node refuses when it has another one by now.
 * `seenFrom`: the node that the status comes from.
 */
export function epochOf(
  target: Target,
  group: Pick<GroupOverview, 'epoch' | 'seenFrom'>,
  status: Pick<GroupStatus, 'local' | 'remote'> | undefined,
): number {
  const view: Pick<GroupView, 'epoch'> | null | undefined =
    target.id === group.seenFrom ? status?.local : status?.remote;
  return view?.epoch ?? group.epoch;
}
