// Connections of probes: each ends with its probe, whatever the other side does, and knows how long it
// took to come about.
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../core/errors.ts';
import { sys } from '../../../linux/libc.ts';
import type { ProbeResult } from '../../agent.ts';

const QUEUE_PAUSE_MS = 50;
const SYS_SETRESUID = process.arch === 'arm64' ? 147 : 117;
/** (uid_t)-1 */
const UNCHANGED = 0xffff_ffff;

export type Target =
  | { readonly host: string; readonly port: number }
  | {
      readonly path: string;
      /** The user as whom the server sees us at a Unix socket (`peer`, `unix_socket`). */
      readonly asUid?: number | undefined;
    };

export function describeTarget(target: Target): string {
  if ('path' in target) return target.path;
  return target.host.includes(':')
    ? `[${target.host}]:${target.port}`
    : `${target.host}:${target.port}`;
}

export interface Connected {
  readonly socket: Socket;
  readonly connectMs: number;
}

/**
 * Resolves when the connection stands. It is destroyed when `signal` is aborted, also later: whoever
 * waits for an answer then gets an error. The caller destroys it when all is said.
 */
export async function connectTo(target: Target, signal: AbortSignal): Promise<Connected> {
  const from = performance.now();
  for (;;) {
    signal.throwIfAborted();
    try {
      const socket = await connected(target, signal);
      return { socket, connectMs: since(from) };
    } catch (failure) {
      // The queue of a Unix socket is full, as that of a slow server is. At a port the kernel itself would wait.
      if (codeOf(failure) !== 'EAGAIN') throw failure;
      await sleep(QUEUE_PAUSE_MS, undefined, { signal });
    }
  }
}

async function connected(target: Target, signal: AbortSignal): Promise<Socket> {
  const socket = new PatientSocket(target);
  const onAbort = (): void => {
    socket.destroy(new Error(`${describeTarget(target)} gave no answer in time`));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', onAbort));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve();
    });
    socket.once('error', reject);
    socket.reach();
  });
  // From here on errors are for whoever reads; one that comes when nobody does must not end the process.
  socket.on('error', () => undefined);
  return socket;
}

/** A socket that a driver "connects" although it stands already. */
class PatientSocket extends Socket {
  readonly #target: Target;

  constructor(target: Target) {
    super();
    this.#target = target;
    this.setNoDelay(true);
  }

  reach(): void {
    const target = this.#target;
    if ('path' in target) asUser(target.asUid, () => super.connect({ path: target.path }));
    else super.connect({ host: target.host, port: target.port });
  }

  /** `pg` calls it on whatever stream it is given. */
  override connect(): this {
    queueMicrotask(() => this.emit('connect'));
    return this;
  }
}

/**
 * Runs `action` with another effective user. The system call changes the calling thread only (the C
 * library's function would change all), and what is between is synchronous: connect(2) on a Unix
 * socket, at which the kernel notes the user for the other side.
 */
function asUser(uid: number | undefined, action: () => void): void {
  if (uid === undefined || uid === process.geteuid?.()) return action();
  const changed = sys.syscall5(SYS_SETRESUID, UNCHANGED, uid, UNCHANGED, 0, 0);
  if (changed < 0)
    throw new Error(`cannot become user ${uid} for a connection (errno ${-changed})`);
  try {
    action();
  } finally {
    sys.syscall5(SYS_SETRESUID, UNCHANGED, process.getuid?.() ?? 0, UNCHANGED, 0, 0);
  }
}

const opened = new AsyncLocalStorage<Set<Socket>>();
let isWatching = false;

/**
 * Runs `action` and destroys every connection that it opened: at its end, and when `signal` is aborted.
 * For drivers that do not let go of a connection on which nobody answers.
 */
export async function ownSockets<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  if (!isWatching) {
    isWatching = true;
    subscribe('net.client.socket', (message) => {
      opened.getStore()?.add((message as { socket: Socket }).socket);
    });
  }
  const sockets = new Set<Socket>();
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy(new Error('no answer in time'));
  };
  signal.addEventListener('abort', destroyAll, { once: true });
  try {
    return await opened.run(sockets, async () => await abortable(signal, action()));
  } finally {
    signal.removeEventListener('abort', destroyAll);
    for (const socket of sockets) socket.on('error', () => undefined);
    destroyAll();
  }
}

/** What `promise` resolves with, or a rejection at the moment in which the time is over. */
export async function abortable<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('no answer in time'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
    promise.catch(() => undefined);
  }
}

/** `ECONNREFUSED` and the like of anything that was thrown, or an empty text. */
export function codeOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return '';
  // Several addresses of one name were tried: they agree, or the first tells.
  const first = thrown instanceof AggregateError ? (thrown.errors[0] as unknown) : thrown;
  const { code, errno } = first as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code === 'string') return code;
  return typeof errno === 'string' ? errno : '';
}

/** Nobody listens there. */
export function isRefused(thrown: unknown): boolean {
  return ['ECONNREFUSED', 'ENOENT'].includes(codeOf(thrown));
}

/**
 * What a connection that did not come about says of `product`. `there` tells of its processes on this node,
 * such as "its process runs"; empty: none runs; undefined: only its address tells.
 */
export function unreachable(
  failure: unknown,
  {
    product,
    at,
    there,
  }: { readonly product: string; readonly at: string; readonly there?: string },
): ProbeResult {
  if (isRefused(failure) && (there === undefined || there === '')) {
    const none = there === undefined ? '' : ', and no process of it runs';
    return { state: 'stopped', sentence: `no ${product} listens at ${at}${none}` };
  }
  const runs = there === undefined || there === '' ? '' : `; ${there}`;
  const sentence = `${product} cannot be reached at ${at}: ${reasonOf(failure)}${runs}`;
  return { state: 'failed', sentence };
}

/** Its message, of several addresses that of the first. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return messageOf(thrown.errors[0] ?? thrown);
  return messageOf(thrown);
}

export function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** Milliseconds since {@link from}, for a measure. */
export function since(from: number): number {
  return rounded(performance.now() - from);
}
