// The processes of an application, found by what they are: a program that works in a directory. Ended in
// order, or by force.
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentContext } from '../../agent.ts';
import { livingProcesses, type ProcessEntry, sendSignal } from '../../sdk/process-table.ts';

const LOOK_INTERVAL_MS = 50;
const KILLED_PATIENCE_MS = 5000;

/** Processes of one of these programs that work in `directory`: database servers change to their data. */
export function programsIn(directory: string, programs: readonly string[]): ProcessEntry[] {
  return livingProcesses().filter(({ pid }) => {
    const program = programOf(pid);
    if (program === undefined || !programs.includes(basename(program))) return false;
    return workingDirectory(pid) === directory;
  });
}

/** Path of its program, also when an update has replaced it meanwhile. */
export function programOf(pid: number): string | undefined {
  return readLink(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, '');
}

export function workingDirectory(pid: number): string | undefined {
  return readLink(`/proc/${pid}/cwd`);
}

/** Its arguments, the program first; empty for a kernel thread. */
export function commandLine(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return text.replace(/\0+$/, '').split('\0');
  } catch {
    return [];
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

export interface EndOptions {
  /** Asks it to end: sends a signal to its main process. */
  readonly ask: (found: readonly ProcessEntry[]) => void;
  /** How long it may take after being asked; then everything is killed. */
  readonly patienceMs: number;
  readonly context: AgentContext;
  readonly what: string;
}

/**
 * Resolves when `find` finds nothing any more. What a signal has stopped cannot answer and is killed at
 * once; so is what is left when the time is over. Rejects when something cannot even be killed.
 */
export async function endProcesses(
  find: () => ProcessEntry[],
  { ask, patienceMs, context, what }: EndOptions,
): Promise<void> {
  let left = find();
  if (left.length === 0) return;
  const isStopped = left.some(({ state }) => state === 'T' || state === 't');
  if (isStopped) {
    context.log(`${what} was stopped by a signal and cannot end by itself: it is killed`);
  } else {
    ask(left);
    const deadline = performance.now() + patienceMs;
    while (left.length > 0 && performance.now() < deadline) {
      await sleep(LOOK_INTERVAL_MS, undefined, { signal: context.signal });
      left = find();
    }
    if (left.length > 0) context.log(`${what} did not end within ${patienceMs} ms: it is killed`);
  }
  await killProcesses(find, what);
}

/** SIGKILL to all that `find` finds, until it finds nothing. */
export async function killProcesses(find: () => ProcessEntry[], what: string): Promise<void> {
  const deadline = performance.now() + KILLED_PATIENCE_MS;
  for (;;) {
    const left = find();
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      const pids = left.map(({ pid }) => pid).join(', ');
      throw new Error(
        `${what} cannot be killed (processes ${pids}): they wait for a disk that does not answer`,
      );
    }
    for (const { pid } of left) sendSignal(pid, 'SIGKILL');
    await sleep(LOOK_INTERVAL_MS);
  }
}
