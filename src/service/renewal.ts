// Whether another process can go on in the place of one that runs, without anybody noticing: for changes of settings that a process
// reads at its start (group-edit.ts), and for another version of the program (upgrade.ts).
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { requireReadable } from '../journal/standby-state.ts';
import type { GroupProcess, ProcessStatus } from './group-process.ts';
import type { Role } from './node-protocol.ts';

/** Why the process cannot be replaced now, as a sentence that says what to do; null: it can. */
export function whyNotRenewable(
  role: Role,
  status: ProcessStatus,
  from: {
    readonly process: Pick<GroupProcess, 'whyNotSucceedable'>;
    /** Of a standby. */
    readonly stateDirectory: string | null;
  },
): string | null {
  // Another process would begin either anew.
  if (status['scan'] != null)
    return 'its copy is being completed at this moment: wait until "understudy status" shows it up-to-date';
  if (isComparing(role, status))
    return 'its copies are being compared at this moment: wait until that is done';
  if (from.stateDirectory !== null) return whyUnreadable(from.stateDirectory);
  const why = from.process.whyNotSucceedable;
  if (why !== null) {
    return `${why}. Make the other node the primary ("understudy switchover"), and do it here when this node is the standby`;
  }
  return null;
}

/** The state that the standby of this version would begin with. */
function whyUnreadable(stateDirectory: string): string | null {
  try {
    requireReadable(stateDirectory);
    return null;
  } catch (thrown) {
    return `this version does not understand what the running one keeps (${messageOf(thrown)}). Go back to the version before, or have the group copied anew`;
  }
}

/** A primary tells how far it is, a standby the report that it writes. */
function isComparing(role: Role, { verify }: ProcessStatus): boolean {
  if (role === 'primary') return verify != null;
  return (verify as { readonly state?: string } | null | undefined)?.state === 'running';
}

/** Nothing has changed. */
export function renewalNotPossible(group: string, why: string): UnderstudyError {
  return new UnderstudyError(
    'RENEWAL_NOT_POSSIBLE',
    `the process of group "${group}" cannot be replaced while it runs: ${why}`,
    { details: { group } },
  );
}

export function renewalFailed(group: string, troubles: readonly string[]): UnderstudyError {
  const why = troubles.length === 0 ? 'see its log' : troubles.join('; ');
  return new UnderstudyError(
    'RENEWAL_FAILED',
    `the process of group "${group}" was ended and no other one runs in its place yet, it is tried again: ${why}`,
    { details: { group } },
  );
}
