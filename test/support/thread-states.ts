// What the threads of a process do just now, for whoever has stopped it and has to know that it stands.
import { readdirSync, readFileSync } from 'node:fs';

/** One letter per thread, as in proc_pid_stat(5). */
export function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
  });
}
