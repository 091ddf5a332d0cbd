// Servers that an agent starts itself: detached, so that they outlive the agent, their output in a log.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../core/errors.ts';
import type { AgentContext } from '../../agent.ts';
import { applicationEnvironment } from '../../sdk/run.ts';
import { asUser, lastWords, type ProgramOptions } from './run-program.ts';

const LOOK_INTERVAL_MS = 100;
const TAIL_BYTES = 4096;

export interface Daemon {
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  ended(): string | undefined;
}

/** Starts `argv` detached; its output goes to the end of the agent's log. */
export function startDaemon(argv: readonly string[], options: ProgramOptions): Daemon {
  const { logFile } = options.context;
  options.context.signal.throwIfAborted();
  const log = openSync(logFile, 'a', 0o600);
  let end: string | undefined;
  try {
    const child = spawnDetached(argv, options, log);
    child.once('error', (error) => (end = messageOf(error)));
    child.once('exit', (code, signal) => (end = signal ?? `exit code ${code ?? '?'}`));
    child.unref();
    return { pid: child.pid ?? 0, ended: () => end };
  } finally {
    closeSync(log);
  }
}

function spawnDetached(
  argv: readonly string[],
  { user, env = {}, cwd = '/' }: ProgramOptions,
  log: number,
): ChildProcess {
  // The service is protected from the kernel's killer of processes; an application is not.
  const script = 'echo 0 2>/dev/null >/proc/self/oom_score_adj; exec "$@"';
  return spawn('/bin/sh', ['-c', script, 'sh', ...asUser(user), ...argv], {
    cwd,
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      ...applicationEnvironment(),
      ...(user === undefined ? {} : { HOME: user.home, USER: user.name }),
      ...env,
    },
  });
}

export interface ServingOptions {
  readonly what: string;
  readonly context: AgentContext;
  /** How the started program ended, if it did; for one that never runs in the background. */
  readonly ended?: () => string | undefined;
}

/** Resolves when `serves` says so. Rejects when the program ends before, or the time is over. */
export async function untilServing(
  serves: () => Promise<boolean>,
  { what, context, ended }: ServingOptions,
): Promise<void> {
  for (;;) {
    if (await serves()) return;
    const end = ended?.();
    if (end !== undefined) throw new Error(failure(`${what} ended (${end})`, context.logFile));
    if (context.signal.aborted) {
      throw new Error(failure(`${what} was started and does not serve in time`, context.logFile));
    }
    await sleep(LOOK_INTERVAL_MS);
  }
}

function failure(what: string, logFile: string): string {
  const said = tailOf(logFile);
  return `${what}${said === '' ? '' : `: ${said}`}. See ${logFile}`;
}

/** The last words in a log. */
export function tailOf(logFile: string): string {
  if (!existsSync(logFile)) return '';
  const fd = openSync(logFile, 'r');
  try {
    const { size } = statSync(logFile);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    return lastWords(bytes.toString('utf8'));
  } finally {
    closeSync(fd);
  }
}
