// A program that an agent keeps running: started detached with its output in the agent's log, found again
// by a pid file, ended with everything it started. It depends on no process of Understudy: whoever
// started it may die.
import { spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
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
  processesMarked,
  sendSignal,
  unprotect,
} from './process-table.ts';
import { applicationEnvironment, argvOf, lastLine } from './run.ts';

/** In the environment of the program, and of what it starts: the runtime directory of its agent. */
const PROGRAM_VARIABLE = 'UNDERSTUDY_PROGRAM';
/** A program that ends within so long after its start has failed to start. */
const SETTLE_MS = 300;
const STOP_PATIENCE_MS = 10_000;
const KILL_PATIENCE_MS = 5000;
const LOOK_INTERVAL_MS = 20;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
/** Of one that has become longer. */
const LOG_KEPT_BYTES = 4 * 1024 * 1024;
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
    pid = await spawned(name, args, { program, log, mark: context.runtimeDirectory });
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
  { program, log, mark }: { program: Program; log: number; mark: string },
): Promise<number> {
  const child = spawn(name, args, {
    cwd: program.cwd ?? '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...applicationEnvironment(), ...program.env, [PROGRAM_VARIABLE]: mark },
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

/** Ends it with everything that it has started and that has not changed its environment: with `signal`, and by force after `patienceMs`. */
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
    const waitedMs = performance.now() - began;
    const isForced = waitedMs >= patienceMs;
    // Looking through the environments of all processes takes long: not again while its session is there.
    const session = isTold && !isForced ? membersOf(context).map(({ pid }) => pid) : [];
    const members = session.length > 0 ? session : remainsOf(context);
    if (members.length === 0) break;
    context.signal.throwIfAborted();
    if (!isTold || isForced) {
      for (const pid of members) {
        sendSignal(pid, isForced ? 'SIGKILL' : signal);
        // A stopped process hears nothing else.
        if (!isForced) sendSignal(pid, 'SIGCONT');
      }
      isTold = true;
    }
    if (waitedMs > patienceMs + KILL_PATIENCE_MS) {
      const pids = members.join(', ');
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

/** Its session, and what has left that (setsid, a daemon's fork): a program may change its process group as it likes. */
function remainsOf(context: Place): number[] {
  const escaped = processesMarked(PROGRAM_VARIABLE, context.runtimeDirectory);
  return [...new Set([...membersOf(context).map(({ pid }) => pid), ...escaped])];
}

/** The last bytes of a file, however long it is. */
function endOf(path: string, bytesMax: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, bytesMax));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, size - bytes.length));
  } finally {
    closeSync(fd);
  }
}

function tailOf(path: string): string {
  try {
    return endOf(path, LOG_TAIL_BYTES).toString('utf8');
  } catch {
    return '';
  }
}

/**
 * Writers have the file open: its end is copied, and they go on in an empty one (O_APPEND). However much a program
 * prints, that costs no more than a moment.
 */
export function keepLogSmall(path: string): void {
  try {
    if (statSync(path).size <= LOG_BYTES_MAX) return;
    const end = endOf(path, LOG_KEPT_BYTES);
    truncateSync(path);
    writeFileSync(`${path}.1`, end, { mode: 0o600 });
  } catch {
    // No log, or a disk that has failed: the application matters more.
  }
}
