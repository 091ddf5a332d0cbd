// Descriptors of another process: pidfd_open(2), pidfd_getfd(2) (Linux 5.6). The caller needs the right
// to trace that process.
import { sys } from './libc.ts';

const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;

/**
 * Copies of descriptors of process `pid`, in the same order, close-on-exec; or a negative errno, and then
 * none was copied.
 */
export function takeDescriptors(pid: number, fds: readonly number[]): number[] | number {
  const process = sys.syscall(PIDFD_OPEN, pid, 0, 0, 0);
  if (process < 0) return process;
  const taken: number[] = [];
  for (const fd of fds) {
    const copy = sys.syscall(PIDFD_GETFD, process, fd, 0, 0);
    if (copy < 0) {
      for (const one of taken) sys.close(one);
      sys.close(process);
      return copy;
    }
    taken.push(copy);
  }
  sys.close(process);
  return taken;
}
