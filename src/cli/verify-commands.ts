// The command `verify`: are both copies equal?
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import type { GroupStatus, ServiceStatus } from '../service/status.ts';
import { callAdmin } from './admin.ts';
import { exitCode, print } from './output.ts';
import { progressText, scanOf, type ScanProgress, scanText, verifySummary } from './status-text.ts';

const POLL_MS = 500;
/** The standby has to apply what is in the stream before it can tell the end. */
const RESULT_PATIENCE_MS = 600_000;
const LISTED_MAX = 20;

interface VerifyOptions {
  readonly repair?: boolean;
  readonly show?: boolean;
  readonly json?: boolean;
}

export function addVerifyCommands(program: Command): void {
  program
    .command('verify')
    .description('compare both copies while applications work')
    .argument('<group>')
    .option('--repair', 'make the copy equal when it is not, and compare again')
    .option('--show', 'only show what the last comparison found')
    .option('--json', 'print JSON')
    .action(verify);
}

async function verify(
  group: string,
  { repair = false, show = false, json = false }: VerifyOptions,
): Promise<void> {
  let report = show ? await lastReport(group) : await compare(group, json);
  if (report.state === 'differs' && repair && !show) {
    if (!json) console.log(verifyText(report));
    await repairCopy(group, json);
    report = await compare(group, json);
  }
  print(json, report, verifyText);
  if (report.state !== 'equal') process.exitCode = exitCode.failed;
}

async function statusOf(name: string): Promise<GroupStatus> {
  const { groups } = await callAdmin<ServiceStatus>('status');
  const group = groups.find((candidate) => candidate.name === name);
  if (group !== undefined) return group;
  throw new UnderstudyError('GROUP_UNKNOWN', `there is no group "${name}" on this node`);
}

async function lastReport(name: string): Promise<VerifyReportData> {
  const { verify: report, standby } = await statusOf(name);
  if (report !== null) return report;
  throw new UnderstudyError(
    'VERIFY_NOT_POSSIBLE',
    `the standby of "${name}" (${standby ?? 'unknown'}), which keeps the result, does not answer`,
  );
}

async function compare(name: string, json: boolean): Promise<VerifyReportData> {
  const before = (await lastReport(name)).beganAtMs;
  await callAdmin('verify', { group: name });
  let deadline = Infinity;
  for (;;) {
    await sleep(POLL_MS);
    const { verify: report, verifying } = await statusOf(name);
    const isOurs = report !== null && report.beganAtMs !== before;
    showProgress(
      json,
      verifying === null ? null : progressText(verifying as ScanProgress, 'comparison'),
    );
    if (isOurs && report.state !== 'running') {
      showProgress(json, '');
      return report;
    }
    if (verifying !== null) continue;
    if (deadline === Infinity) deadline = Date.now() + RESULT_PATIENCE_MS;
    if (Date.now() < deadline) continue;
    throw new UnderstudyError(
      'VERIFY_INTERRUPTED',
      `the comparison of "${name}" did not come to an end: see "understudy status", and start it again`,
    );
  }
}

async function repairCopy(name: string, json: boolean): Promise<void> {
  await callAdmin('repair', { group: name });
  for (;;) {
    await sleep(POLL_MS);
    const group = await statusOf(name);
    const scan = scanOf(group);
    if (scan === null && group.copy === 'up-to-date') break;
    showProgress(json, scan === null ? null : scanText(scan));
  }
  showProgress(json, '');
}

/** One line that is written over; an empty one ends it. */
function showProgress(json: boolean, text: string | null): void {
  if (json || !process.stderr.isTTY || text === null) return;
  process.stderr.write(text === '' ? '\r\x1b[K' : `\r\x1b[K${text}`);
}

export function verifyText(report: VerifyReportData): string {
  const { count, differences } = report;
  const summary = verifySummary(report);
  if (report.state !== 'differs') return summary;
  const lines = differences.slice(0, LISTED_MAX).map(({ path, kind, offset, length }) => {
    const name = Buffer.from(path, 'latin1').toString('utf8');
    const where = kind === 'contents' ? `, ${length} bytes from ${offset} on` : '';
    return `  ${name === '' ? '(the directory itself)' : name}: ${kind}${where}`;
  });
  const more = count > lines.length ? [`  … and ${count - lines.length} more`] : [];
  const wayOut = '"understudy verify --repair" makes the copy equal';
  return [summary, ...lines, ...more, wayOut].join('\n');
}
