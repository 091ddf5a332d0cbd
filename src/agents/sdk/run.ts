// Runs a program to its end for an agent: in a session of its own that is killed when the operation is
// given up or its time is over, with bounded output, whatever it leaves behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { killSession, livingProcess, processEntry, unprotect } from './process-table.ts';

/** A killed program is waited for: not for ever, because one that hangs in the kernel stays. */
const KILLED_PATIENCE_MS = 1000;
const LOOK_INTERVAL_MS = 10;
/** What a grandchild still has to say after the program itself has ended. */
const LAST_WORDS_MS = 100;
/** In the environment of every program: the call that started it. */
export const OPERATION_VARIABLE = 'UNDERSTUDY_OPERATION';
const OUTPUT_BYTES_MAX = 64 * 1024;
const FLOOD_BYTES = 4 * 1024 * 1024;
const FLOOD_PAUSE_MS = 20;

export interface RunOptions {
  /** The agent's context; its signal gives the program up. */
  readonly context: { readonly signal: AbortSignal; readonly operation?: string };
  /** A deadline of its own, within that of the operation, ms. */
  readonly timeoutMs?: number;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Run as this user. */
  readonly user?: string;
  /** Given on standard input. */
  readonly input?: string;
  /** Output is appended to this file and not returned. */
  readonly outputFile?: string;
  /**
   * A file that says which process runs: one at a time. What an earlier service has started and not
   * brought to its end is killed first.
   */
  readonly noteFile?: string;
}

export interface RunResult {
  /** Null when it was killed by a signal. */
  readonly code: number | null;
  readonly signal: string | null;
  /** It was killed because `timeoutMs` was over. */
  readonly isLate: boolean;
  /** The last 64 KiB of each. */
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/**
 * Runs a program to its end: `argv` directly, or a text through `/bin/sh`. Throws an Error when it cannot be
 * started, and when the operation is given up, with the last that it printed.
 */
export async function run(
  program: readonly string[] | string,
  options: RunOptions,
): Promise<RunResult> {
  const { context, timeoutMs } = options;
  const beganMs = performance.now();
  context.signal.throwIfAborted();
  const log = options.outputFile === undefined ? undefined : tryOpen(options.outputFile);
  const { noteFile } = options;
  try {
    if (noteFile !== undefined) await killNoted(noteFile);
    // Given up meanwhile: nobody would hear of it any more.
    context.signal.throwIfAborted();
    const child = start(argvOf(program, options.user), options, log);
    if (noteFile !== undefined) note(noteFile, child.pid);
    const output = collect(child);
    const end = await endOf(child, timeoutMs, context.signal);
    if (end.kind === 'not-started') throw new Error(notStarted(program, end.why));
    const said = await output.end();
    if (end.kind === 'aborted') {
      const last = lastLine(said.stderr) || lastLine(said.stdout);
      throw new Error(`it was given up and killed${last === '' ? '' : ` (${last})`}`);
    }
    const { code, signal } = end.kind === 'exited' ? end : { code: null, signal: 'SIGKILL' };
    const ms = performance.now() - beganMs;
    return { code, signal, isLate: end.kind === 'late', ...said, ms };
  } finally {
    if (log !== undefined) closeSync(log);
    if (noteFile !== undefined) rmSync(noteFile, { force: true });
  }
}

/** For the next service, should this one be killed while the program runs. */
function note(path: string, pid = 0): void {
  try {
    writeFileSync(path, JSON.stringify({ pid, startTime: processEntry(pid)?.startTime ?? 0 }));
  } catch {
    // A disk that has failed: the application must be stopped all the same.
  }
}

/** A command that is under way still, and its children. What it has left behind in order is none of it. */
async function killNoted(path: string): Promise<void> {
  const noted = readNote(path);
  if (noted === undefined) return;
  const isThere = (): boolean => livingProcess(noted.pid)?.startTime === noted.startTime;
  if (!isThere()) return;
  killSession(noted.pid);
  const deadline = performance.now() + KILLED_PATIENCE_MS;
  while (isThere() && performance.now() < deadline) await sleep(LOOK_INTERVAL_MS);
}

function readNote(path: string): { readonly pid: number; readonly startTime: number } | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return typeof pid === 'number' && pid > 1 ? { pid, startTime: Number(startTime) } : undefined;
  } catch {
    return undefined;
  }
}

/** The last line that is not empty, cut to a length for a sentence. */
export function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return (lines.findLast((line) => line !== '') ?? '').slice(0, 400);
}

/** "exit code 3" or "SIGKILL"; "no end within 400 ms". */
export function describeEnd({ code, signal, isLate, ms }: RunResult): string {
  if (isLate) return `no end within ${Math.round(ms)} ms`;
  return signal ?? `exit code ${code ?? '?'}`;
}

/** This process's own environment without what tunes this process. */
export function applicationEnvironment(): NodeJS.ProcessEnv {
  const own = new Set(['MALLOC_ARENA_MAX', 'NODE_COMPILE_CACHE', 'NODE_OPTIONS']);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.has(name)));
}

/** `program` as arguments, run as `user` where one is named (runuser(1)). */
export function argvOf(program: readonly string[] | string, user?: string): readonly string[] {
  const argv = typeof program === 'string' ? ['/bin/sh', '-c', program] : program;
  return user === undefined || user === 'root' ? argv : ['runuser', '-u', user, '--', ...argv];
}

function start(
  [program = '', ...args]: readonly string[],
  { env, cwd = '/', input, context }: RunOptions,
  log: number | undefined,
): ChildProcess {
  const output = log ?? 'pipe';
  const child = spawn(program, args, {
    cwd,
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', output, output],
    env: {
      ...applicationEnvironment(),
      ...(context.operation === undefined ? {} : { [OPERATION_VARIABLE]: context.operation }),
      ...env,
    },
  });
  if (child.pid !== undefined) unprotect(child.pid);
  // A program that does not read what it is given is no failure of ours.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return child;
}

/** Undefined on a disk that has failed: the application must be stopped all the same. */
function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, 'a', 0o600);
  } catch {
    return undefined;
  }
}

function notStarted(program: readonly string[] | string, why: string): string {
  const name = typeof program === 'string' ? '/bin/sh' : (program[0] ?? '');
  const isMissing = why.includes('ENOENT');
  return `"${name}" cannot be started: ${isMissing ? 'there is no such program; install it' : why}`;
}

type End =
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null }
  | { readonly kind: 'late' | 'aborted' }
  | { readonly kind: 'not-started'; readonly why: string };

/** Waits for the end; kills the session when it is late or given up. */
async function endOf(
  child: ChildProcess,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<End> {
  const exited = new Promise<End>((resolve) => {
    child.once('error', ({ message }) => resolve({ kind: 'not-started', why: message }));
    child.once('exit', (code, why) => resolve({ kind: 'exited', code, signal: why }));
  });
  let deadline: NodeJS.Timeout | undefined;
  const stopped = Promise.withResolvers<End>();
  const onAbort = (): void => stopped.resolve({ kind: 'aborted' });
  signal.addEventListener('abort', onAbort, { once: true });
  if (timeoutMs !== undefined) {
    deadline = setTimeout(() => stopped.resolve({ kind: 'late' }), timeoutMs);
  }
  const end = await Promise.race([exited, stopped.promise]);
  clearTimeout(deadline);
  signal.removeEventListener('abort', onAbort);
  if (end.kind === 'late' || end.kind === 'aborted') {
    if (child.pid !== undefined) killSession(child.pid);
    await Promise.race([exited, patience(KILLED_PATIENCE_MS)]);
  }
  return end;
}

interface Said {
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects the end of what is printed, so that a program that prints for ever costs nothing. */
function collect(child: ChildProcess): { end(): Promise<Said> } {
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const streams = [child.stdout, child.stderr] as const;
  let isEnded = false;
  const tails = streams.map((stream) => {
    let tail = Buffer.alloc(0);
    let bytes = 0;
    stream?.on('data', (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk]).subarray(-OUTPUT_BYTES_MAX);
      bytes += chunk.length;
      if (bytes < FLOOD_BYTES || isEnded) return;
      // It waits until it is read: whoever prints without end must not keep this process busy.
      stream.pause();
      setTimeout(() => stream.resume(), FLOOD_PAUSE_MS).unref();
    });
    return () => tail.toString('utf8');
  });
  return {
    end: async () => {
      isEnded = true;
      for (const stream of streams) stream?.resume();
      // A grandchild may keep the pipe open long after the program has ended.
      if (streams.some((stream) => stream !== null)) {
        await Promise.race([closed, patience(LAST_WORDS_MS)]);
      }
      for (const stream of streams) stream?.destroy();
      const [stdout = '', stderr = ''] = tails.map((tail) => tail());
      return { stdout, stderr };
    },
  };
}

async function patience(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
