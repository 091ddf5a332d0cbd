// Waiting for an application with the deadline of the operation: a port that accepts, a condition that holds.
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 50;
const CONNECT_TIMEOUT_MS = 2000;

export interface WaitOptions {
  readonly context: { readonly signal: AbortSignal };
  /** Between two tries, ms. Default 50. */
  readonly intervalMs?: number;
}

/** Repeats `isDone` until it answers true. Throws when the operation is given up. */
export async function waitUntil(
  isDone: () => Promise<boolean> | boolean,
  { context, intervalMs = INTERVAL_MS }: WaitOptions,
): Promise<void> {
  for (;;) {
    context.signal.throwIfAborted();
    if (await isDone()) return;
    await sleep(intervalMs, undefined, { signal: context.signal });
  }
}

/**
 * Connects to a TCP port and resolves with how long that took, ms. Throws an Error with a sentence when it is
 * refused or not answered within `timeoutMs`.
 */
export async function connectTo(
  { host = '127.0.0.1', port }: { readonly host?: string; readonly port: number },
  {
    context,
    timeoutMs = CONNECT_TIMEOUT_MS,
  }: { readonly context: { readonly signal: AbortSignal }; readonly timeoutMs?: number },
): Promise<number> {
  const beganMs = performance.now();
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(timeoutMs)]);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    const end = (failure?: string): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (failure === undefined) resolve(performance.now() - beganMs);
      else reject(new Error(`port ${port} of ${host} ${failure}`));
    };
    const onAbort = (): void => end('does not answer');
    signal.addEventListener('abort', onAbort);
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code === 'ECONNREFUSED' ? 'refuses connections' : `fails: ${error.message}`);
    });
  });
}

/** Waits until a TCP port accepts connections. Throws when the operation is given up. */
export async function waitForPort(
  port: number,
  options: WaitOptions & { readonly host?: string },
): Promise<void> {
  const { host = '127.0.0.1', context } = options;
  await waitUntil(async () => {
    try {
      await connectTo({ host, port }, { context });
      return true;
    } catch {
      return false;
    }
  }, options);
}
