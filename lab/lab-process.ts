// A program started inside a host, seen from outside: the wrapper that entered the host, and its child.
import type { ChildProcess } from 'node:child_process';
import { childrenOf } from './process.ts';
import { killGroup } from './run.ts';

/** A program running inside a host. */
export class LabProcess {
  readonly child: ChildProcess;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly ended: Promise<number | null>;

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code));
    });
  }

  /** Number of the program itself as the machine sees it; undefined before it runs. */
  get pid(): number | undefined {
    return childrenOf(this.child.pid ?? 0)[0];
  }

  /** Sends a signal to the program (not to what it started), except SIGKILL, which ends them all. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    const pid = this.pid;
    if (signal === 'SIGKILL' || pid === undefined) killGroup(this.child.pid, signal);
    else process.kill(pid, signal);
  }
}
