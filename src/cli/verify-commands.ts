// The command `verify`: are both copies equal?
import type { Command } from 'commander';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import type { VerifyOutcome } from '../service/verification-run.ts';
import { callApi, runOperation, segment } from './admin.ts';
import { exitCode, print, printable } from './output.ts';
import { operationText, verifySummary } from './status-text.ts';

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
  const report = show ? await lastReport(group) : await compare(group, { repair, json });
  print(json, report, (one) => verifyText(group, one));
  if (report.state !== 'equal') process.exitCode = exitCode.failed;
}

const pathOf = (group: string): string => `/groups/${segment(group)}/verify`;

async function lastReport(group: string): Promise<VerifyReportData> {
  return callApi<VerifyReportData>({ method: 'GET', path: pathOf(group) });
}

async function compare(
  group: string,
  { repair, json }: { readonly repair: boolean; readonly json: boolean },
): Promise<VerifyReportData> {
  const { report, repaired } = await runOperation<VerifyOutcome>(
    { method: 'POST', path: pathOf(group), body: { repair } },
    (progress) => showProgress(json, operationText(progress)),
  );
  showProgress(json, '');
  if (repaired !== null && !json) console.log(verifyText(group, repaired));
  return report;
}

/** One line that is written over; an empty one ends it. */
function showProgress(json: boolean, text: string | null): void {
  if (json || !process.stderr.isTTY || text === null) return;
  process.stderr.write(text === '' ? '\r\x1b[K' : `\r\x1b[K${text}`);
}

export function verifyText(group: string, report: VerifyReportData): string {
  const { count, differences } = report;
  const summary = verifySummary(report);
  if (report.state !== 'differs') return summary;
  const lines = differences.slice(0, LISTED_MAX).map(({ path, kind, offset, length }) => {
    const name = printable(Buffer.from(path, 'latin1').toString('utf8'));
    const where = kind === 'contents' ? `, ${length} bytes from ${offset} on` : '';
    return `  ${name === '' ? '(the directory itself)' : name}: ${kind}${where}`;
  });
  const more = count > lines.length ? [`  … and ${count - lines.length} more`] : [];
  const wayOut = `"understudy verify ${group} --repair" makes the copy equal`;
  return [summary, ...lines, ...more, wayOut].join('\n');
}
