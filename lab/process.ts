// Processes by number and start time, so that a number used again is never taken for the old one.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Identity of a process for as long as the machine runs. */
export interface ProcessReference {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat (proc_pid_stat(5)). */
  readonly startTicks: string;
}

/** Reference to a living process, or undefined. */
export function referenceTo(pid: number): ProcessReference | undefined {
  const fields = statFields(pid);
  const startTicks = fields?.[19];
  if (startTicks === undefined || fields?.[0] === 'Z') return undefined;
  return { pid, startTicks };
}

/** Whether exactly that process still lives (a zombie does not). */
export function isAlive(reference: ProcessReference | null): reference is ProcessReference {
  return reference !== null && referenceTo(reference.pid)?.startTicks === reference.startTicks;
}

/** Numbers of the direct children of `pid`. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((text) => text !== '')
      .map(Number);
  } catch {
    return [];
  }
}

/** Name of the program that `pid` runs, or undefined. */
export function programOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Identity of the mount namespace of `pid`, or undefined. */
export function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** Mount points in the mount namespace of `pid`, as /proc/PID/mountinfo writes them. */
export function mountPointsOf(pid: number): string[] {
  try {
    const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
    return lines.map((line) => line.split(' ')[4] ?? '');
  } catch {
    return [];
  }
}

/** Fields of /proc/PID/stat from the state letter (field 3) on. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Whether `pid` has the FUSE device open: it serves a mount. */
export function holdsFuseDevice(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some(
      (fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === '/dev/fuse',
    );
  } catch {
    return false;
  }
}
