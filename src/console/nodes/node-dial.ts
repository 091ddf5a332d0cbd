// A console's way to the API of one node: over TLS to a pinned certificate, or over the Unix socket of its own machine. The
// certificate is compared before a byte of a request is written: a node that shows another one gets no token.
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { AccessRole } from '../../service/admin-api/caller.ts';
import { connectTls, pinnedAgent, type PinnedTarget, shownTo } from '../../service/pinned-tls.ts';

const SOCKETS_MAX = 6;
const KEEP_ALIVE_MS = 15_000;
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
    const timer = setTimeout(
      () => sent.destroy(new Error(`no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    sent.once('response', () => clearTimeout(timer));
    sent.once('error', (error) => {
      clearTimeout(timer);
      reject(this.#failure(error));
    });
    sent.end(body);
    return promise;
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
