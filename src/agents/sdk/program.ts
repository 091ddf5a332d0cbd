// A program that an agent keeps running: started detached with its output in the agent's log, found again
// by a pid file, ended with everything it started. It depends on no process of Understudy: whoever
// started it may die.
import { spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentContext, ProbeResult } from '../agent.ts';
import {
  livingProcess,
  livingProcesses,
  type ProcessEntry,
  processEntry,
  sendSignal,
  unprotect,
} from './process-table.ts';
import { applicationEnvironment, argvOf, lastLine } from './run.ts';

/** A program that ends within so long after its start has failed to start. */
const SETTLE_MS = 300;
const STOP_PATIENCE_MS = 10_000;
const KILL_PATIENCE_MS = 5000;
const LOOK_INTERVAL_MS = 20;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const LOG_TAIL_BYTES = 4096;

export interface Program {
  /** Arguments, or a text for `/bin/sh`. It has to stay in the foreground. */
  readonly run: readonly string[] | string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
}

type Place = Pick<AgentContext, 'runtimeDirectory' | 'logFile'>;
type Operation = Place & Pick<AgentContext, 'signal'>;

/** Starts it unless it runs. Throws when it ends at once, with the last line of its log. */
export async function startProgram(program: Program, context: Operation): Promise<void> {
  context.signal.throwIfAborted();
  if (leaderOf(context) !== undefined) return;
  // What a program left behind that died would be in the way of the next one.
  await stopProgram(context, { patienceMs: 0 });
  const [name = '', ...args] = argvOf(program.run, program.user);
  const log = openSync(context.logFile, 'a', 0o600);
  let pid: number;
  try {
    pid = await spawned(name, args, { program, log });
  } finally {
    closeSync(log);
  }
  const startTime = processEntry(pid)?.startTime ?? 0;
  const aside = `${pidFile(context)}.new`;
  writeFileSync(aside, JSON.stringify({ pid, startTime }));
  renameSync(aside, pidFile(context));
  await sleep(SETTLE_MS, undefined, { signal: context.signal });
  if (leaderOf(context) !== undefined) return;
  const said = lastLine(tailOf(context.logFile));
  throw new Error(
    `the program ended right after its start${said === '' ? '' : ` ("${said}")`}: it has to stay in the foreground`,
  );
}

async function spawned(
  name: string,
  args: readonly string[],
  { program, log }: { program: Program; log: number },
): Promise<number> {
  const child = spawn(name, args, {
    cwd: program.cwd ?? '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...applicationEnvironment(), ...program.env },
  });
  child.unref();
  if (child.pid !== undefined) unprotect(child.pid);
  return new Promise((resolve, reject) => {
    child.once('error', ({ message }) => {
      reject(new Error(`"${name}" cannot be started: ${message}`));
    });
    child.once('spawn', () => resolve(child.pid ?? 0));
  });
}

/** Ends it with all processes of its session: with `signal`, and by force after `patienceMs`. */
export async function stopProgram(
  context: Operation,
  {
    signal = 'SIGTERM',
    patienceMs = STOP_PATIENCE_MS,
  }: { readonly signal?: NodeJS.Signals; readonly patienceMs?: number } = {},
): Promise<void> {
  const began = performance.now();
  let isTold = false;
  for (;;) {
    const members = membersOf(context);
    if (members.length === 0) break;
    context.signal.throwIfAborted();
    const waitedMs = performance.now() - began;
    const isForced = waitedMs >= patienceMs;
    if (!isTold || isForced) {
      for (const { pid } of members) {
        sendSignal(pid, isForced ? 'SIGKILL' : signal);
        // A stopped process hears nothing else.
        if (!isForced) sendSignal(pid, 'SIGCONT');
      }
      isTold = true;
    }
    if (waitedMs > patienceMs + KILL_PATIENCE_MS) {
      const pids = members.map(({ pid }) => pid).join(', ');
      throw new Error(`these processes cannot be killed: ${pids}`);
    }
    await sleep(LOOK_INTERVAL_MS, undefined, { signal: context.signal });
  }
  rmSync(pidFile(context), { force: true });
}

/** Whether it runs; a program that is stopped by a signal does not work. */
export function programState(context: Place): ProbeResult & { readonly pid: number | null } {
  keepLogSmall(context.logFile);
  const leader = leaderOf(context);
  if (leader === undefined) {
    return { state: 'stopped', sentence: 'the program does not run', pid: null };
  }
  const { pid, state } = leader;
  if (state === 'T' || state === 't') {
    return { state: 'failed', sentence: `process ${pid} is stopped by a signal`, pid };
  }
  return { state: 'ok', sentence: `process ${pid} runs`, pid };
}

/** Ids of all its processes. */
export function programProcesses(context: Place): number[] {
  return membersOf(context).map(({ pid }) => pid);
}

const pidFile = ({ runtimeDirectory }: Place): string => join(runtimeDirectory, 'program.json');

interface Kept {
  readonly pid: number;
  readonly startTime: number;
}

function kept(context: Place): Kept | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(pidFile(context), 'utf8')) as Partial<Kept>;
    return typeof pid === 'number' && pid > 1 ? { pid, startTime: startTime ?? 0 } : undefined;
  } catch {
    return undefined;
  }
}

function leaderOf(context: Place): ProcessEntry | undefined {
  const one = kept(context);
  const entry = one === undefined ? undefined : livingProcess(one.pid);
  return entry?.startTime === one?.startTime ? entry : undefined;
}

/** The session outlives its leader; its id is not given to anybody else meanwhile. */
function membersOf(context: Place): ProcessEntry[] {
  const one = kept(context);
  if (one === undefined) return [];
  const leader = processEntry(one.pid);
  if (leader !== undefined && leader.startTime !== one.startTime) return [];
  return livingProcesses().filter(
    ({ pid, session, startTime }) =>
      (session === one.pid && startTime >= one.startTime) || pid === leader?.pid,
  );
}

function tailOf(path: string): string {
  try {
    return readFileSync(path).subarray(-LOG_TAIL_BYTES).toString('utf8');
  } catch {
    return '';
  }
}

/** Writers have the file open: it is copied and emptied, and they go on at its end (O_APPEND). */
export function keepLogSmall(path: string): void {
  try {
    if (statSync(path).size <= LOG_BYTES_MAX) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  } catch {
    // No log, or a disk that has failed: the application matters more.
  }
}
