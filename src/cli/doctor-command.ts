// `understudy doctor`: what is missing on this machine, and how to get it. Works without the service.
import type { Command } from 'commander';
import type { Finding } from '../service/doctor.ts';
import { servicePaths } from '../service/service-paths.ts';
import { exitCode, print } from './output.ts';

const MARKS = { ok: ' ok ', warning: 'WARN', error: 'FAIL' } as const;

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine has what Understudy needs')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      // Loaded only here: it brings the system calls with it.
      const { runDoctor } = await import('../service/doctor.ts');
      const findings = await runDoctor(servicePaths(process.env));
      const ok = findings.every(({ level }) => level !== 'error');
      print(json, { ok, findings }, () => findings.map(findingText).join('\n'));
      if (!ok) process.exitCode = exitCode.failed;
    });
}

function findingText({ level, check, found, remedy }: Finding): string {
  const head = `[${MARKS[level]}] ${check}: ${found}`;
  return remedy === null ? head : `${head}\n       ${remedy}`;
}
