// What is sent for an operation, and what is said before. Pure.
import type { GroupOverview } from '../../../fleet/overview.ts';
import type { Method } from '../../app/api.ts';
import type { OperationKind } from './operations.ts';

export interface DialogOptions {
  readonly force: boolean;
  readonly acceptStale: boolean;
  readonly acceptIncomplete: boolean;
  readonly acceptHalted: boolean;
  readonly repair: boolean;
  readonly quiesce: boolean;
  readonly withoutOther: boolean;
  readonly name: string;
}

export const NO_OPTIONS: DialogOptions = {
  force: false,
  acceptStale: false,
  acceptIncomplete: false,
  acceptHalted: false,
  repair: false,
  quiesce: false,
  withoutOther: false,
  name: '',
};

type Known = Pick<GroupOverview, 'copy' | 'isManaged' | 'problems' | 'standby' | 'primary'>;

const USABLE_COPIES = ['up-to-date', 'catching-up'];

/** Which options are offered; `force` has to be chosen where it is. */
export function optionsOf(kind: OperationKind, group: Known): readonly (keyof DialogOptions)[] {
  const isHalted = group.problems.some(({ code }) => code === 'HALTED');
  switch (kind) {
    case 'takeover':
      return [
        'force',
        ...(group.isManaged ? (['acceptStale'] as const) : []),
        ...(USABLE_COPIES.includes(group.copy) ? [] : (['acceptIncomplete'] as const)),
        ...(isHalted ? (['acceptHalted'] as const) : []),
      ];
    case 'yield':
      return ['force'];
    case 'verify':
      return ['repair'];
    case 'mark':
      return ['name', 'quiesce'];
    case 'delete':
      return ['withoutOther'];
    default:
      return [];
  }
}

/** Keys of the sentences that tell what follows. */
export function consequencesOf(kind: OperationKind, group: Known): readonly string[] {
  const isBehind = group.copy !== 'up-to-date';
  switch (kind) {
    case 'switchover':
      return [
        'switchover.moves',
        'switchover.nothingLost',
        ...(isBehind ? ['switchover.notUpToDate'] : []),
      ];
    case 'takeover':
      return ['takeover.lost', 'takeover.twoPrimaries', 'takeover.betterSwitchover'];
    case 'yield':
      return ['yield.lost', 'yield.keptAside'];
    case 'accept':
      return ['accept.goesOn', 'accept.look'];
    case 'delete':
      return ['delete.ends', 'delete.dataStays', 'delete.historyGoes'];
    default:
      return [`${kind}.what`];
  }
}

export interface OperationRequest {
  readonly method: Method;
  readonly path: string;
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
}

export function requestOf(
  kind: OperationKind,
  {
    group,
    options,
    expectEpoch,
  }: {
    readonly group: string;
    readonly options: DialogOptions;
    readonly expectEpoch: number;
  },
): OperationRequest {
  const post = (path: string, body: unknown = {}): OperationRequest => ({
    method: 'POST',
    path: `/groups/${group}/${path}`,
    body,
  });
  const { force, acceptStale, acceptIncomplete, acceptHalted, repair, quiesce } = options;
  switch (kind) {
    case 'switchover':
    case 'accept':
      return post(kind, { expectEpoch });
    case 'takeover':
      return post(kind, { force, acceptStale, acceptIncomplete, acceptHalted, expectEpoch });
    case 'yield':
      return post(kind, { force, expectEpoch });
    case 'verify':
      return post(kind, { repair });
    case 'mark':
      return post('rewind/marks', { name: options.name.trim(), quiesce });
    case 'pause':
    case 'resume':
    case 'clear-failures':
      return post(kind);
    case 'delete':
      return {
        method: 'DELETE',
        path: `/groups/${group}`,
        query: { force: options.withoutOther, expectEpoch },
      };
  }
}
