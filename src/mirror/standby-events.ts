// What a standby tells its operator, as level, code and sentence.
import type { UndoNews } from './applier/undo-keeper.ts';
import type { Halt } from './guard/apply-gate.ts';
import type { EventDetails, EventLevel } from './receiver.ts';
import type { VerifyReportData } from './verify-report.ts';

export type StandbyEvent = readonly [EventLevel, string, string, EventDetails];

/** Nothing more is applied, and what a person can do about it. */
export function haltEvent(group: string, { sentence, sequence }: Halt): StandbyEvent {
  const what = `${sentence}. Records are received as before. If that was right, run "understudy accept ${group}" on this node; if not, "understudy takeover ${group} --force --accept-halted" makes this copy the primary`;
  return ['error', 'APPLY_HALTED', what, { sequence }];
}

/** Something looks like mass encryption. */
export function alarmEvent(group: string, what: string, since: string): StandbyEvent {
  const message = `group ${group} may be under attack: ${what}. It began at ${since}: if nobody meant it, disconnect the clients, and go back to before that moment`;
  return ['error', 'GUARD_ALARM', message, { since }];
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
export function verifyEvent({ state, objects, bytes, count }: VerifyReportData): StandbyEvent {
  const details = { objects, bytes, count };
  const seen = `${objects} objects and ${bytes} bytes were compared`;
  if (state === 'equal') return ['info', 'VERIFY_EQUAL', `both copies are equal: ${seen}`, details];
  const what = `${count} differences between the copies: ${seen}; see "understudy verify"`;
  return ['error', 'VERIFY_DIFFERS', what, details];
}
