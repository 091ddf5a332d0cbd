// Processes as /proc shows them. A process id alone says nothing after a while: it is used again. With
// the time of its start it names one process (proc_pid_stat(5)).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Of the states below: it holds nothing any more (proc_pid_stat(5)). */
const DEAD: readonly string[] = ['Z', 'X', 'x'];

export interface ProcessEntry {
  readonly pid: number;
  /** `R`, `S`, `D`, `T` (stopped), `Z` and `X` (dead, not yet waited for), … */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks since the boot. */
  readonly startTime: number;
}

/** Undefined when there is no such process. */
export function processEntry(pid: number): ProcessEntry | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The name stands in parentheses and may hold anything, also parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const number = (index: number): number => Number(fields[index] ?? 0);
  return {
    pid,
    state: fields[0] ?? '?',
    parent: number(1),
    group: number(2),
    session: number(3),
    startTime: number(19),
  };
}

/** Undefined also for one that is dead and only waited for. One that was sent a SIGKILL lives for a moment yet. */
export function livingProcess(pid: number): ProcessEntry | undefined {
  const entry = processEntry(pid);
  return entry === undefined || DEAD.includes(entry.state) ? undefined : entry;
}

/** All processes that live. */
export function livingProcesses(): ProcessEntry[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) && pid > 0 ? (livingProcess(pid) ?? []) : [];
  });
}

/** Processes that were started with `NAME=VALUE` in their environment, and have not replaced it. */
export function processesMarked(name: string, value: string): number[] {
  const wanted = `${name}=${value}`;
  return livingProcesses().flatMap(({ pid }) =>
    environmentOf(pid).split('\0').includes(wanted) ? [pid] : [],
  );
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

/**
 * Takes from a process that was just started what it inherited of the service's protection from the kernel's
 * out-of-memory killer: an application that eats all memory has to be ended, not what it stands beside.
 */
export function unprotect(pid: number): void {
  try {
    const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    if (own < 0) writeFileSync(`/proc/${pid}/oom_score_adj`, '0');
  } catch {
    // It ended by itself in this moment.
  }
}

/** Sends a signal; false when the process has ended by itself. A negative id means a process group. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * SIGKILL to a program that leads its session, and to all in there: a member may have made a process group of its own, as
 * timeout(1) does.
 */
export function killSession(leader: number): void {
  sendSignal(-leader, 'SIGKILL');
  for (const { pid, session } of livingProcesses()) {
    if (session === leader) sendSignal(pid, 'SIGKILL');
  }
}
