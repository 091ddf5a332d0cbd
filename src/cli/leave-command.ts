// The command leave.
import type { Command } from 'commander';
import type { LeaveReport, LeftGroup } from '../service/leave.ts';
import { runOperation } from './admin.ts';
import { exitCode, print, table } from './output.ts';

export function addLeaveCommand(program: Command): void {
  program
    .command('leave')
    .description('hand everything over before this machine is shut down')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      const report = await runOperation<LeaveReport>({ method: 'POST', path: '/leave', body: {} });
      print(json, report, leaveText);
      if (report.groups.some(({ result }) => UNDONE.includes(result))) {
        process.exitCode = exitCode.failed;
      }
    });
}

const WORDS: Readonly<Record<LeftGroup['result'], string>> = {
  standby: 'standby, has said goodbye',
  moved: 'the other node serves it',
  offered: 'stopped here, THE OTHER NODE HAS NOT SAID THAT IT SERVES IT',
  stopped: 'STOPPED, nobody serves it',
  unmanaged: 'has no failover, stays as it is',
  failed: 'SERVED HERE STILL',
  unsaid: 'standby, HAS NOT SAID GOODBYE',
  unknown: 'UNKNOWN, see "understudy status"',
};
const UNDONE: readonly LeftGroup['result'][] = ['failed', 'unsaid', 'unknown'];

function leaveText({ node, groups }: LeaveReport): string {
  if (groups.length === 0) return `node ${node}: no groups`;
  const rows = groups.map(({ group, result }) => [group, WORDS[result]]);
  const notes = groups.flatMap(({ group, why }) => (why === null ? [] : [`! ${group}: ${why}`]));
  return [table([['GROUP', `NODE ${node} LEAVES`], ...rows]), ...notes].join('\n');
}
