// A console's way to the API of one node: over TLS to a pinned certificate, or over the Unix socket of its own machine. The
// certificate is compared before a byte of a request is written: a node that shows another one gets no token.
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { z } from 'zod';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { AccessRole } from '../../service/admin-api/caller.ts';
import { connectTls, pinnedAgent, type PinnedTarget, shownTo } from '../../service/pinned-tls.ts';

/** Each window that shows charts holds one with a stream, of which a node has 32; calls need others. A node takes 64 of an address. */
const SOCKETS_MAX = 48;
const KEEP_ALIVE_MS = 15_000;
const TEXT_LENGTH_MAX = 8 * 1024 * 1024;
const WAY_OUT = 'If the node was set up anew, remove it from this console and add it again';

export interface TlsTarget extends Omit<PinnedTarget, 'name' | 'wayOut'> {
  readonly kind: 'tls';
  /** Null: the client certificate is what lets us in. */
  readonly token: string | null;
}

export type NodeTarget = TlsTarget | { readonly kind: 'local'; readonly socketPath: string };

/** For whom a call is made. */
export interface OnBehalf {
  readonly user: string;
  readonly role: AccessRole;
}

export interface NodeRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly onBehalf: OnBehalf;
  readonly signal?: AbortSignal;
  /** Until the head of the answer is there. */
  readonly timeoutMs: number;
}

export class NodeDial {
  readonly name: string;
  readonly #target: NodeTarget;
  readonly #agent: HttpAgent | HttpsAgent;

  /** `name`: for messages. */
  constructor(name: string, target: NodeTarget) {
    this.name = name;
    this.#target = target;
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX, timeout: KEEP_ALIVE_MS };
    this.#agent =
      target.kind === 'local'
        ? new HttpAgent(options)
        : pinnedAgent({ ...target, name, wayOut: WAY_OUT }, options);
  }

  get where(): string {
    return this.#target.kind === 'local' ? 'local' : `${this.#target.host}:${this.#target.port}`;
  }

  /** Sends a request and gives the answer with its body still to come. Errors: NODE_UNREACHABLE, NODE_IDENTITY_WRONG. */
  async send(call: NodeRequest): Promise<IncomingMessage> {
    const { method, path, body, onBehalf, signal, timeoutMs } = call;
    const target = this.#target;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = {
      method,
      path,
      agent: this.#agent,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        ...call.headers,
        'x-understudy-user': onBehalf.user,
        'x-understudy-role': onBehalf.role,
        ...(target.kind === 'tls' && target.token !== null
          ? { authorization: `Bearer ${target.token}` }
          : {}),
        ...bodyHeaders(body),
      },
    };
    const sent =
      target.kind === 'local'
        ? httpRequest({ ...options, socketPath: target.socketPath }, resolve)
        : httpsRequest({ ...options, host: target.host, port: target.port }, resolve);
    // A request that waits for a connection does not hear that it is destroyed.
    const giveUp = (why: Error): void => {
      sent.destroy(why);
      reject(this.#failure(why));
    };
    const onAbort = (): void => giveUp(new Error('it was given up'));
    const timer = setTimeout(() => giveUp(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    sent.once('error', (error) => reject(this.#failure(error)));
    sent.end(body);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #failure(cause: Error): UnderstudyError {
    if (cause instanceof UnderstudyError) return cause;
    return new UnderstudyError(
      'NODE_UNREACHABLE',
      `node "${this.name}" (${this.where}) cannot be reached (${messageOf(cause)}): check that understudyd runs there and that the port is open`,
      { cause, details: { node: this.name } },
    );
  }
}

/**
 * What a node answers, to its end. Errors: NODE_REPLY_INVALID for an answer without an end, NODE_UNREACHABLE when the rest of it does not
 * come within `timeoutMs`.
 */
export async function textOf(
  { name, where }: NodeDial,
  response: IncomingMessage,
  timeoutMs: number,
): Promise<string> {
  const silent = new Error(`its answer did not come to an end within ${timeoutMs} ms`);
  const timer = setTimeout(() => response.destroy(silent), timeoutMs);
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk as string;
      if (text.length > TEXT_LENGTH_MAX) throw notUnderstood(name);
    }
    return text;
  } catch (cause) {
    if (cause instanceof UnderstudyError) throw cause;
    throw new UnderstudyError(
      'NODE_UNREACHABLE',
      `node "${name}" (${where}) was lost while it answered: ${messageOf(cause)}`,
      { cause, details: { node: name } },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Errors: NODE_REPLY_INVALID. */
export function jsonOf(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notUnderstood(name);
  }
}

/** What `schema` makes of a node's answer. Errors: NODE_REPLY_INVALID. */
export function checkedBy<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw notUnderstood(name);
}

export function notUnderstood(name: string): UnderstudyError {
  return new UnderstudyError(
    'NODE_REPLY_INVALID',
    `node "${name}" gave an answer that this console does not understand: run the same version on both`,
  );
}

/** Without a length, Node sends the body of a DELETE unframed. */
function bodyHeaders(body: string | undefined): Record<string, string> {
  if (body === undefined) return {};
  const length = String(Buffer.byteLength(body));
  return { 'content-type': 'application/json', 'content-length': length };
}

/** The fingerprint of whatever certificate is shown there: for a person to compare. Errors: NODE_UNREACHABLE. */
export async function shownFingerprint(host: string, port: number): Promise<string> {
  const socket = await connectTls({ host, port }).catch((cause: unknown) => {
    throw new UnderstudyError(
      'NODE_UNREACHABLE',
      `nobody answers on ${host}:${port} (${messageOf(cause)}): check address and port, and that understudyd runs there`,
      { cause, details: { fields: ['host'], faults: [messageOf(cause)] } },
    );
  });
  const fingerprint = shownTo(socket);
  socket.destroy();
  return fingerprint;
}
