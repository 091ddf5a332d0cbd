// The command upgrade.
import type { Command } from 'commander';
import type { UpgradePart, UpgradeReport } from '../service/upgrade.ts';
import { runOperation } from './admin.ts';
import { exitCode, print, table } from './output.ts';

interface Options {
  readonly check?: boolean;
  readonly json?: boolean;
}

export function addUpgradeCommand(program: Command): void {
  program
    .command('upgrade')
    .description('replace processes of a version before, while applications work')
    .option('--check', 'only show what would happen')
    .option('--json', 'print JSON')
    .action(async ({ check = false, json = false }: Options) => {
      const path = '/upgrade';
      const report = await runOperation<UpgradeReport>({ method: 'POST', path, body: { check } });
      print(json, report, upgradeText);
      const isLeft = report.parts.some(({ result }) => result === 'refused' || result === 'failed');
      if (isLeft) process.exitCode = exitCode.failed;
    });
}

const WORDS: Readonly<Record<UpgradePart['result'], string>> = {
  current: 'runs this version',
  replaced: 'replaced',
  due: 'would be replaced',
  refused: 'NOT REPLACED',
  failed: 'FAILED',
};

function upgradeText({ node, version, installation, parts }: UpgradeReport): string {
  const head = `node ${node}: version ${version} in ${installation}`;
  if (parts.length === 0) return `${head}\nno processes`;
  const rows = parts.map(({ kind, group, role, from, result }) => [
    kind === 'group' ? `group ${group ?? ''}` : 'failover',
    role ?? '-',
    from ?? '-',
    WORDS[result],
  ]);
  const notes = parts.flatMap(({ why }) => (why === null ? [] : [`! ${why}`]));
  return [head, '', table([['PROCESS', 'ROLE', 'RAN', ''], ...rows]), ...notes].join('\n');
}
