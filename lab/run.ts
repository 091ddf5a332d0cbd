// Runs programs of the machine with a deadline, without a shell, and with bounded output.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { UnderstudyError } from '../src/core/errors.ts';

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** What a program left behind. `code` is null when a signal (or the deadline) ended it. */
export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** Default one minute. The program and its process group are killed afterwards. */
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly encoding?: 'utf8' | 'latin1';
}

/** Runs `argv` to its end. Rejects only when it cannot be started. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const encoding = options.encoding ?? 'utf8';
  const child = start(argv, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const stdout = collect(child, 'stdout');
  const stderr = collect(child, 'stderr');
  // A program that does not read its input is no error of ours (EPIPE).
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  const ended = await waitForEnd(child, argv, options.timeoutMs ?? 60_000);
  return {
    ...ended,
    stdout: Buffer.concat(stdout).toString(encoding),
    stderr: Buffer.concat(stderr).toString(encoding),
  };
}

/** Runs `argv`, expects success and returns its standard output. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code === 0) return result.stdout;
  const why = result.timedOut ? 'did not end in time' : result.stderr.trim() || 'said nothing';
  throw new UnderstudyError(
    'LAB_COMMAND_FAILED',
    `"${shorten(argv.join(' '))}" failed (${result.code ?? 'killed'}): ${why}`,
  );
}

/** Like `spawn`, for an argument vector. */
export function start(argv: readonly string[], options: SpawnOptions): ChildProcess {
  const [program, ...args] = argv;
  return spawn(program ?? '', args, options);
}

/** Kills a detached child with everything in its process group, also across a PID namespace. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone.
  }
}

function collect(child: ChildProcess, stream: 'stdout' | 'stderr'): Buffer[] {
  const chunks: Buffer[] = [];
  let bytes = 0;
  child[stream]?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
  });
  return chunks;
}

async function waitForEnd(
  child: ChildProcess,
  argv: readonly string[],
  timeoutMs: number,
): Promise<{ code: number | null; timedOut: boolean }> {
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      killGroup(child.pid, 'SIGKILL');
      // Something that keeps the pipes open or cannot die must not hold up the caller.
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve({ code: null, timedOut: true });
    }, timeoutMs);
    child.once('error', (cause) => {
      clearTimeout(timer);
      const message = `cannot start "${argv[0] ?? ''}": ${cause.message}; is it installed?`;
      reject(new UnderstudyError('LAB_PROGRAM_MISSING', message, { cause }));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, timedOut: false });
    });
  });
}

/** Polls `condition` until it holds; false when `timeoutMs` passed first. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  intervalMs = 5,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  return true;
}

/** Long scripts do not belong into an error message. */
export function shorten(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
