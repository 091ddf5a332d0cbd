// Whether a process is there: by its pid file, or by what its command line looks like.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Agent, defineAgent, type ProbeResult } from '../agent.ts';
import { livingProcesses, type ProcessEntry, livingProcess } from '../sdk/process-table.ts';
import { commandLine } from './support/processes.ts';
import { absolutePath } from './support/parameters.ts';

function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const parameters = z
  .strictObject({
    pidFile: absolutePath.optional().describe('File whose first number is the process id'),
    pattern: z
      .string()
      .min(1)
      .max(1024)
      .refine(isRegularExpression, 'write a regular expression')
      .optional()
      .describe('Regular expression that matches the command line: "scada-server --line 3"'),
    min: z.int().min(1).max(10_000).default(1).describe('So many processes must match the pattern'),
  })
  .refine(
    ({ pidFile, pattern }) => (pidFile === undefined) !== (pattern === undefined),
    'takes either "pidFile" or "pattern"',
  );

export type ProcessParameters = z.infer<typeof parameters>;

export const processAgent: Agent<ProcessParameters> = defineAgent({
  name: 'process',
  title: 'Process',
  description: 'Looks for a process by its pid file or command line, and whether it is stopped',
  parameters,
  defaults: { probeTimeoutMs: 3000 },
  probe: async (given) => await Promise.resolve(probe(given)),
  processes: async (given) => await Promise.resolve(found(given).map(({ pid }) => pid)),
});

function probe(given: ProcessParameters): ProbeResult {
  const processes = found(given);
  const what =
    given.pidFile === undefined
      ? `process matches /${given.pattern ?? ''}/`
      : `process runs that ${given.pidFile} names`;
  const measures = { processes: processes.length, residentMiB: residentMiB(processes) };
  if (processes.length === 0) return { state: 'stopped', sentence: `no ${what}`, measures };
  const stopped = processes.find(({ state }) => state === 'T' || state === 't');
  if (stopped !== undefined) {
    const sentence = `process ${stopped.pid} is stopped by a signal`;
    return { state: 'failed', sentence, measures };
  }
  if (processes.length < given.min) {
    const sentence = `only ${processes.length} of ${given.min} processes run that have to match /${given.pattern ?? ''}/`;
    return { state: 'failed', sentence, measures };
  }
  const pids = processes.slice(0, 5).map(({ pid }) => pid);
  const sentence = `process ${pids.join(', ')}${processes.length > 5 ? ', …' : ''} runs`;
  return { state: 'ok', sentence, measures };
}

function found({ pidFile, pattern }: ProcessParameters): ProcessEntry[] {
  if (pidFile !== undefined) {
    const entry = livingProcess(numberIn(pidFile));
    return entry === undefined ? [] : [entry];
  }
  const matches = new RegExp(pattern ?? '');
  // This process has the pattern among its own arguments, perhaps.
  return livingProcesses().filter(
    ({ pid }) => pid !== process.pid && matches.test(commandLine(pid).join(' ')),
  );
}

function numberIn(pidFile: string): number {
  try {
    return Number(/\d+/.exec(readFileSync(pidFile, 'utf8'))?.[0] ?? 0);
  } catch {
    return 0;
  }
}

function residentMiB(processes: readonly ProcessEntry[]): number {
  const kib = processes.map(({ pid }) => {
    try {
      return Number(
        /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0,
      );
    } catch {
      return 0;
    }
  });
  return Math.round(kib.reduce((sum, one) => sum + one, 0) / 1024);
}
