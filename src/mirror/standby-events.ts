// What a standby tells its operator, as level, code and sentence.
import type { UndoNews } from './applier/undo-keeper.ts';
import type { Halt } from './guard/apply-gate.ts';
import type { EventDetails, EventLevel } from './receiver.ts';
import type { SalvageCounts } from './salvage/salvage-report.ts';
import type { VerifyReportData } from './verify-report.ts';

export type StandbyEvent = readonly [EventLevel, string, string, EventDetails];

/** Nothing more is applied, and what a person can do about it. */
export function haltEvent(group: string, { sentence, sequence }: Halt): StandbyEvent {
  const what = `${sentence}. Records are received as before. If that was right, run "understudy accept ${group}" on this node; if not, "understudy takeover ${group} --force --accept-halted" makes this copy the primary`;
  return ['error', 'APPLY_HALTED', what, { sequence }];
}

/** Something looks like mass encryption. `isKept`: earlier states of the copy can be reached. */
export function alarmEvent(
  group: string,
  { what, since, isKept }: { what: string; since: string; isKept: boolean },
): StandbyEvent {
  // The moment itself has the first of the changes in it.
  const before = new Date(Date.parse(since) - 1).toISOString();
  const way = isKept
    ? `on this node, "understudy rewind browse ${group} --at ${before} --to DIRECTORY" shows the data as of before, and "understudy rewind restore ${group} --at ${before} --force" goes back to them`
    : 'this group keeps no earlier states (undo: off)';
  const message = `group ${group} may be under attack: ${what}. It began at ${since}: if nobody meant it, disconnect the clients; ${way}`;
  return ['error', 'GUARD_ALARM', message, { since, ...(isKept ? { rewindTo: before } : {}) }];
}

/** What became of the undo log. */
export function undoEvent(group: string, news: UndoNews): StandbyEvent {
  switch (news.kind) {
    case 'resumed':
      return ['info', 'UNDO_RESUMED', `changes to the copy of ${group} can be undone again`, {}];
    case 'shrunk': {
      const what = `less can be undone of the copy of ${group}: ${news.why}`;
      return ['warning', 'UNDO_SHRUNK', what, {}];
    }
    default: {
      const what = `changes to the copy of ${group} cannot be undone for now`;
      return ['warning', 'UNDO_SUSPENDED', `${what}: ${news.why}`, {}];
    }
  }
}

/** A comparison of the copies is over. */
export function verifyEvent(
  group: string,
  { state, objects, bytes, count }: VerifyReportData,
): StandbyEvent {
  const details = { objects, bytes, count };
  const seen = `${objects} objects and ${bytes} bytes were compared`;
  if (state === 'equal') return ['info', 'VERIFY_EQUAL', `both copies are equal: ${seen}`, details];
  const what = `${count} differences between the copies: ${seen}; see "understudy verify ${group} --show"`;
  return ['error', 'VERIFY_DIFFERS', what, details];
}

/** What only this node had is kept aside. */
export function salvageEvent(group: string, name: string, counts: SalvageCounts): StandbyEvent {
  const { paths, whole, ranges, none, changedBytes } = counts;
  const parts = ranges === 0 ? '' : `, ${ranges} of them only where they differ`;
  const lost = none === 0 ? '' : `; ${none} more were too large for the free space and are lost`;
  const message = `${whole + ranges} files of group ${group} that only this node had in this form are kept${parts}${lost}: see "understudy salvage show ${group} ${name}"`;
  const level = none === 0 ? 'warning' : 'error';
  return [level, 'SALVAGE_KEPT', message, { name, paths, bytes: changedBytes, lost: none }];
}
