// What is wrong with a group, as codes with parameters, and how bad that is. Pure: the web application makes sentences of the
// codes in its own languages.
import type { GroupView } from '../../service/node-protocol.ts';
import { isIdlePrimary } from '../../service/role-decision.ts';
import type { GroupStatus } from '../../service/status.ts';

export const LEVELS = ['ok', 'info', 'warning', 'error'] as const;
export type Level = (typeof LEVELS)[number];

export interface Problem {
  readonly code: string;
  readonly level: Exclude<Level, 'ok'>;
  /** For the sentence: names, reasons as the node says them. */
  readonly params: Readonly<Record<string, string | number>>;
}

/** The part of a status that is judged. */
export type JudgedGroup = Pick<
  GroupStatus,
  | 'primary'
  | 'standby'
  | 'copy'
  | 'link'
  | 'linkReason'
  | 'alone'
  | 'halted'
  | 'scan'
  | 'verify'
  | 'troubles'
  | 'local'
  | 'remote'
>;

export function problemsOf(group: JudgedGroup): Problem[] {
  return [...roleProblems(group), ...copyProblems(group), ...stateProblems(group)];
}

/** The worst of several. */
export function worst(levels: readonly Level[]): Level {
  return levels.reduce<Level>(
    (one, other) => (LEVELS.indexOf(other) > LEVELS.indexOf(one) ? other : one),
    'ok',
  );
}

export function problem(
  level: Problem['level'],
  code: string,
  params: Problem['params'] = {},
): Problem {
  return { level, code, params };
}

function roleProblems({ primary, standby, local, remote }: JudgedGroup): Problem[] {
  const found: Problem[] = [];
  if (serves(local) && serves(remote)) {
    found.push(problem('error', 'SPLIT_BRAIN'));
  }
  if (primary === null) found.push(problem('error', 'NO_PRIMARY'));
  if (standby === null) found.push(problem('error', 'NO_STANDBY'));
  for (const view of [local, remote]) {
    if (view === null) continue;
    const { process, role } = view;
    if (process === 'failed') found.push(problem('error', 'PROCESS_FAILED', { role }));
    if (process === 'waiting' && role === 'primary') found.push(problem('error', 'PRIMARY_WAITS'));
  }
  return found;
}

const serves = (view: GroupView | null): boolean =>
  view?.role === 'primary' && !isIdlePrimary(view);

function copyProblems({
  copy,
  alone,
  halted,
  verify,
  link,
  linkReason,
  scan,
}: JudgedGroup): Problem[] {
  const found: Problem[] = [];
  if (alone) found.push(problem('error', 'ALONE'));
  if (halted !== null) found.push(problem('error', 'HALTED', { reason: halted }));
  if (copy === 'diverged') found.push(problem('error', 'COPY_DIVERGED'));
  if (verify?.state === 'differs') {
    found.push(problem('error', 'COPY_DIFFERS', { count: verify.count }));
  }
  if (copy === 'syncing' || copy === 'empty') found.push(problem('warning', 'COPY_INCOMPLETE'));
  if (copy === 'catching-up') found.push(problem('warning', 'COPY_BEHIND'));
  if (copy === 'unknown') found.push(problem('warning', 'COPY_UNKNOWN'));
  if (copy === 'up-to-date' && scan !== null) found.push(problem('info', 'RESYNC'));
  if (link !== 'connected' && link !== 'unknown') {
    found.push(problem('warning', 'LINK_DOWN', { link, reason: linkReason ?? '' }));
  }
  return found;
}

function stateProblems({ troubles, local, remote }: JudgedGroup): Problem[] {
  const found = troubles.map((reason) => problem('error', 'TROUBLE', { reason }));
  const machines = [local.failover, remote?.failover ?? null];
  if (machines.some((machine) => machine?.['paused'] === true)) {
    found.push(problem('info', 'PAUSED'));
  }
  for (const machine of machines) {
    const { waiting, leaving } = machine ?? {};
    const isWaiting = typeof waiting === 'string' && waiting !== '';
    if (!isWaiting && leaving !== true) continue;
    found.push(problem('warning', 'NO_TAKEOVER', { reason: String(machine?.['reason'] ?? '') }));
  }
  return found;
}
