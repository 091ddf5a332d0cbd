// One agent host as its parent sees it: a process that agents live in, and that may do what it likes. It is
// started when it is needed, killed when it hangs or grows, started again when it has died.
//
//   absent ──call──▶ starting ──ready──▶ ready ──killed, crashed──▶ absent
//               (not sooner after a failure than a pause that doubles)
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GIVE_UP_MS } from '../invoke.ts';
import { processesMarked, sendSignal, unprotect } from '../sdk/process-table.ts';
import { applicationEnvironment, lastLine, OPERATION_VARIABLE } from '../sdk/run.ts';
import { BoundedLog } from './bounded-log.ts';
import { answerSchema, HOST_DESCRIPTOR, HostChannel, type HostRequest } from './host-protocol.ts';

const PROGRAM = join(import.meta.dirname, 'host-main.ts');
/** In its environment: where its service has its logs. */
const HOST_VARIABLE = 'UNDERSTUDY_AGENT_HOST';
const READY_TIMEOUT_MS = 20_000;
/** On top of what the host itself allows an agent. */
const SILENCE_MS = 500;
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 30_000;
/** What ran so long counts as sound. */
const SOUND_MS = 60_000;
const HEAP_MIB_MAX = 256;
const MEMORY_BYTES_MAX = 512 * 1024 * 1024;
const MEMORY_INTERVAL_MS = 5000;
const PAGE_BYTES = 4096;
const CALLS_MAX = 256;

export interface AgentHostOptions {
  /** For sentences: `group "shop"`. */
  readonly name: string;
  readonly logFile: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Longest pause before one that died again and again is started once more. Default 30 s. */
  readonly pauseMsMax?: number;
  /** Until then it has to be there. Default 20 s. */
  readonly readyTimeoutMs?: number;
  /** The host died or had to be killed; it is started again. */
  onTrouble(sentence: string): void;
}

/** The host did not answer: it died, or it was silent for too long and was killed. */
export class HostFailure extends Error {
  readonly kind: 'died' | 'silent';

  constructor(kind: 'died' | 'silent', message: string) {
    super(message);
    this.kind = kind;
  }
}

interface Call {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  /** The call as programs know it that it started. */
  readonly operation: string | undefined;
}

interface Present {
  readonly child: ChildProcess;
  readonly channel: HostChannel;
  readonly calls: Map<number, Call>;
  readonly startedMs: number;
  readonly ready: Promise<void>;
  isReady: boolean;
  /** Why it was killed. */
  verdict: string | undefined;
}

export interface CallOptions {
  /** What the host itself allows the agent, ms. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly operation?: string;
}

export class AgentHost {
  readonly #options: AgentHostOptions;
  readonly #log: BoundedLog;
  #present: Present | undefined;
  #pauseMs = 0;
  #diedMs = Number.NEGATIVE_INFINITY;
  #nextId = 1;
  #closed = false;
  #isKept = false;

  constructor(options: AgentHostOptions) {
    this.#options = options;
    this.#log = new BoundedLog(options.logFile);
  }

  get pid(): number | undefined {
    return this.#present?.child.pid;
  }

  /** Keeps one running from now on, so that a call finds it ready. */
  keep(): void {
    this.#isKept = true;
    this.#stay();
  }

  #stay(): void {
    this.#ready(new AbortController().signal).catch(() => undefined);
  }

  /** Calls a method of the host. Errors: {@link HostFailure}, Error with the host's sentence. */
  async call(
    method: 'describe' | 'check' | 'invoke',
    params: Readonly<Record<string, unknown>>,
    { timeoutMs, signal, operation }: CallOptions,
  ): Promise<unknown> {
    const present = await this.#ready(signal);
    if (signal.aborted) throw new HostFailure('died', 'it was given up before its process ran');
    if (present.calls.size >= CALLS_MAX) throw new Error('too many calls are under way');
    const id = this.#nextId;
    this.#nextId += 1;
    const answered = Promise.withResolvers<unknown>();
    present.calls.set(id, { ...answered, operation });
    const silent = (): void => this.#kill(present, 'it does not answer any more');
    let patience = setTimeout(silent, timeoutMs + GIVE_UP_MS + SILENCE_MS);
    const onAbort = (): void => {
      present.channel.send({ abort: id });
      clearTimeout(patience);
      patience = setTimeout(silent, GIVE_UP_MS + SILENCE_MS);
    };
    try {
      if (!present.channel.send({ id, method, params } as HostRequest)) {
        throw new Error('its parameters are too long, or its process does not read');
      }
      signal.addEventListener('abort', onAbort, { once: true });
      return await answered.promise;
    } finally {
      clearTimeout(patience);
      signal.removeEventListener('abort', onAbort);
      present.calls.delete(id);
      this.#watchMemory(present);
    }
  }

  close(): void {
    this.#closed = true;
    this.#isKept = false;
    const present = this.#present;
    if (present === undefined) return;
    // It gives up what is under way, and ends; one that loops does not hear of it. The service waits so long.
    present.channel.close();
    const timer = setTimeout(() => present.child.kill('SIGKILL'), GIVE_UP_MS);
    present.child.once('exit', () => clearTimeout(timer));
  }

  /** A process that is ready to be called. Errors: HostFailure. */
  async #ready(signal: AbortSignal): Promise<Present> {
    while (this.#present === undefined) {
      const waitMs = this.#diedMs + this.#pauseMs - performance.now();
      if (waitMs <= 0 || this.#closed) break;
      await sleep(Math.min(waitMs, 100));
      if (signal.aborted) throw new HostFailure('died', 'it was given up before its process ran');
    }
    if (this.#closed) throw new HostFailure('died', 'the service ends');
    const present = (this.#present ??= this.#spawn());
    if (present.isReady) return present;
    const { readyTimeoutMs = READY_TIMEOUT_MS } = this.#options;
    const timer = setTimeout(() => {
      this.#kill(present, `it did not start within ${readyTimeoutMs / 1000} s`);
    }, readyTimeoutMs);
    try {
      await present.ready;
    } finally {
      clearTimeout(timer);
    }
    return present;
  }

  #spawn(): Present {
    this.#log.begin();
    const flags = [`--max-old-space-size=${HEAP_MIB_MAX}`, '--max-semi-space-size=2'];
    const child = spawn(process.execPath, [...flags, PROGRAM], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: {
        ...applicationEnvironment(),
        ...cacheVariable(),
        ...this.#options.env,
        [HOST_VARIABLE]: dirname(this.#options.logFile),
      },
    });
    // Without a descriptor left there are no streams, and the reason is told by an event.
    if ((child.stdio as typeof child.stdio | undefined) === undefined) {
      child.once('error', () => undefined);
      const { name } = this.#options;
      const sentence = `the agent process of ${name} cannot be started: too many files are open`;
      throw new HostFailure('died', sentence);
    }
    if (child.pid !== undefined) unprotect(child.pid);
    if (child.stdout !== null) this.#log.take(child.stdout);
    if (child.stderr !== null) this.#log.take(child.stderr);
    const ready = Promise.withResolvers<void>();
    // Whoever waits hears of it; nobody may be waiting.
    ready.promise.catch(() => undefined);
    const channel = new HostChannel(
      child.stdio[HOST_DESCRIPTOR] as Duplex,
      (message) => this.#hear(present, ready.resolve, message),
      // Usually its end follows in this moment, and says more.
      () => void setTimeout(() => this.#kill(present, 'it closed its connection'), 1000).unref(),
    );
    const present: Present = {
      child,
      channel,
      calls: new Map(),
      startedMs: performance.now(),
      ready: ready.promise,
      isReady: false,
      verdict: undefined,
    };
    const memory = setInterval(() => this.#watchMemory(present), MEMORY_INTERVAL_MS).unref();
    let isEnded = false;
    const ended = (how: string): void => {
      if (isEnded) return;
      isEnded = true;
      clearInterval(memory);
      this.#ended(present, ready.reject, how);
    };
    child.once('error', ({ message }) => ended(message));
    child.once('exit', (code, signal) => ended(signal ?? `exit code ${code ?? '?'}`));
    return present;
  }

  #hear(present: Present, ready: () => void, message: unknown): void {
    // What it says behind the reason for its end came in the same packet.
    if (present.verdict !== undefined) return;
    const answer = answerSchema.safeParse(message);
    if (!answer.success) {
      this.#kill(present, 'it answered something else than an answer');
      return;
    }
    if ('ready' in answer.data && !present.isReady) {
      present.isReady = true;
      ready();
      return;
    }
    const call = 'ready' in answer.data ? undefined : present.calls.get(answer.data.id);
    if (call === undefined || 'ready' in answer.data) {
      // In a loop it would keep the service busy.
      this.#kill(present, 'it answers what it was not asked');
      return;
    }
    present.calls.delete(answer.data.id);
    if ('error' in answer.data) call.reject(new Error(answer.data.error.slice(0, 4000)));
    else call.resolve(answer.data.result);
  }

  #kill(present: Present, why: string): void {
    present.verdict ??= why;
    present.child.kill('SIGKILL');
  }

  #watchMemory(present: Present): void {
    const { pid } = present.child;
    if (pid === undefined || present !== this.#present) return;
    const bytes = residentBytes(pid);
    if (bytes < MEMORY_BYTES_MAX) return;
    this.#kill(present, `it uses ${Math.round(bytes / 1024 / 1024)} MiB of memory`);
  }

  #ended(present: Present, fail: (error: Error) => void, how: string): void {
    if (this.#present === present) this.#present = undefined;
    present.channel.close();
    this.#diedMs = performance.now();
    const isSound = this.#diedMs - present.startedMs > SOUND_MS;
    const { name, pauseMsMax = PAUSE_MS_MAX } = this.#options;
    const pauseMs = isSound ? PAUSE_MS : Math.max(PAUSE_MS, this.#pauseMs * 2);
    this.#pauseMs = Math.min(pauseMsMax, pauseMs);
    const said = lastWords(this.#log.tail);
    const because = present.verdict ?? `it ended with ${how}${said === '' ? '' : ` ("${said}")`}`;
    const failure = new HostFailure(
      // What has not even begun was not asked: that says nothing about its application.
      present.verdict === undefined || !present.isReady ? 'died' : 'silent',
      `the agent process of ${name} was lost: ${because}`,
    );
    for (const call of present.calls.values()) {
      if (call.operation !== undefined) killMarked(call.operation);
      call.reject(failure);
    }
    present.calls.clear();
    fail(failure);
    if (this.#closed) return;
    this.#options.onTrouble(failure.message);
    if (this.#isKept) this.#stay();
  }
}

/**
 * Ends what is left of hosts of a service that was killed: one that loops has not noticed. Programs that agents have
 * started stay. Only one service at a time has these logs.
 */
export function endLeftHosts(logDirectory: string): number {
  const left = processesMarked(HOST_VARIABLE, logDirectory).filter((pid) => isHost(pid));
  for (const pid of left) sendSignal(pid, 'SIGKILL');
  return left.length;
}

/** The error that Node tells of at its end, behind which come where it was thrown and its own version; or what was said last. */
function lastWords(text: string): string {
  const error = text
    .split('\n')
    .findLast((line) => /^(Uncaught )?\w*(Error|Exception)\b.*:/.test(line));
  return lastLine(error ?? text);
}

function isHost(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(PROGRAM);
  } catch {
    return false;
  }
}

/** What a call had started that cannot be told to end any more. */
function killMarked(operation: string): void {
  for (const pid of processesMarked(OPERATION_VARIABLE, operation)) sendSignal(pid, 'SIGKILL');
}

/** Compiled code is kept: a host is there in half the time. */
function cacheVariable(): Record<string, string> {
  const cache = process.env['NODE_COMPILE_CACHE'];
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: cache };
}

function residentBytes(pid: number): number {
  try {
    const [, resident = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return Number(resident) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
