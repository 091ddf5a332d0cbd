// A comparison from its beginning to its result, and the repair of what differs: what "understudy verify" waits for.
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../core/errors.ts';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import type { NodeService } from './node-service.ts';
import { freshStatus, type CopyProgress, type GroupStatus } from './status.ts';
import { repair, startVerify } from './verification.ts';

const POLL_MS = 500;
/** The standby has to apply what is in the stream before it can tell the end; one that is gone may come back. */
const RESULT_PATIENCE_MS = 600_000;

export type VerifyPhase = 'comparing' | 'repairing';

export interface VerifyOutcome {
  /** What was found last. */
  readonly report: VerifyReportData;
  /** What was found before the repair; null: nothing was repaired. */
  readonly repaired: VerifyReportData | null;
}

export interface VerifyRunOptions {
  readonly repair: boolean;
  readonly onProgress: (phase: VerifyPhase, progress: CopyProgress | null) => void;
}

/**
 * Compares; with `repair`, makes the copy equal when it is not, and compares again. On the primary. Errors:
 * GROUP_UNKNOWN, NOT_PRIMARY_HERE, VERIFY_NOT_POSSIBLE, VERIFY_RUNNING, VERIFY_INTERRUPTED.
 */
export async function runVerify(
  service: NodeService,
  group: string,
  options: VerifyRunOptions,
): Promise<VerifyOutcome> {
  const report = await compare(service, group, options);
  if (report.state !== 'differs' || !options.repair) return { report, repaired: null };
  await repairCopy(service, group, options);
  return { report: await compare(service, group, options), repaired: report };
}

/** What the last comparison found. Errors: GROUP_UNKNOWN, VERIFY_NOT_POSSIBLE. */
export async function lastReport(service: NodeService, name: string): Promise<VerifyReportData> {
  const { verify: report, standby } = await statusOf(service, name);
  if (report !== null) return report;
  throw new UnderstudyError(
    'VERIFY_NOT_POSSIBLE',
    `the standby of "${name}" (${standby ?? 'unknown'}), which keeps the result, does not answer`,
  );
}

async function compare(
  service: NodeService,
  name: string,
  { onProgress }: VerifyRunOptions,
): Promise<VerifyReportData> {
  const before = (await lastReport(service, name)).beganAtMs;
  await startVerify(service, name);
  let deadline = Infinity;
  for (;;) {
    await sleep(POLL_MS);
    const { verify: report, verifying } = await statusOf(service, name);
    onProgress('comparing', verifying);
    if (report !== null && report.beganAtMs !== before && report.state !== 'running') return report;
    if (verifying !== null) continue;
    if (deadline === Infinity) deadline = performance.now() + RESULT_PATIENCE_MS;
    if (performance.now() < deadline) continue;
    throw interrupted(name, 'comparison');
  }
}

function interrupted(group: string, what: 'comparison' | 'repair'): UnderstudyError {
  return new UnderstudyError(
    'VERIFY_INTERRUPTED',
    `the ${what} of "${group}" did not come to an end: see "understudy status", and start it again`,
  );
}

async function repairCopy(
  service: NodeService,
  name: string,
  { onProgress }: VerifyRunOptions,
): Promise<void> {
  await repair(service, name);
  let busyAt = performance.now();
  for (;;) {
    await sleep(POLL_MS);
    const { scan, copy } = await statusOf(service, name);
    if (scan === null && copy === 'up-to-date') return;
    onProgress('repairing', scan);
    if (scan !== null) busyAt = performance.now();
    if (performance.now() - busyAt > RESULT_PATIENCE_MS) throw interrupted(name, 'repair');
  }
}

async function statusOf(service: NodeService, name: string): Promise<GroupStatus> {
  service.group(name);
  const { groups } = await freshStatus(service);
  const group = groups.find((candidate) => candidate.name === name);
  if (group !== undefined) return group;
  throw new UnderstudyError('GROUP_UNKNOWN', `group "${name}" was deleted meanwhile`);
}
