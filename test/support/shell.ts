// Running commands from tests, also as another user.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

export interface ShellOptions {
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Supplementary groups; default none. */
  readonly groups?: readonly number[];
}

/** Runs a bash script to its end and returns what it printed; throws with stderr when it fails. */
export function shell(script: string, options: ShellOptions = {}): string {
  const [command = '', ...args] = commandLine(script, options);
  return execFileSync(command, args, {
    cwd: options.cwd,
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    timeout: 100_000,
  });
}

/** The same, still running. */
export function startShell(script: string, options: ShellOptions = {}): ChildProcess {
  const [command = '', ...args] = commandLine(script, options);
  return spawn(command, args, { cwd: options.cwd, stdio: ['pipe', 'pipe', 'inherit'] });
}

/** What a failing script printed to stderr; throws when it does not fail. */
export function shellError(script: string, options: ShellOptions = {}): string {
  try {
    shell(script, options);
  } catch (thrown) {
    const { stderr } = thrown as { stderr?: string };
    if (typeof stderr === 'string') return stderr;
    throw thrown;
  }
  throw new Error(`"${script}" should fail`);
}

function commandLine(script: string, { uid, gid, groups }: ShellOptions): string[] {
  const bash = ['bash', '-c', script];
  if (uid === undefined) return bash;
  const list =
    groups === undefined || groups.length === 0 ? '--clear-groups' : `--groups=${groups}`;
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid ?? uid}`, list, ...bash];
}
