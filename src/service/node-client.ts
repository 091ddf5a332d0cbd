// Speaks to the other node's API. The certificate is compared with the pinned one before a single
// byte of the request is written; a node that shows another one learns nothing.
import type { IncomingMessage } from 'node:http';
import { type Agent, request } from 'node:https';
import { z } from 'zod';
import { present } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { Identity } from './identity.ts';
import { BODY_BYTES_MAX, errorReplySchema } from './node-protocol.ts';
import { connectPinned, pinnedAgent, type PinnedTarget } from './pinned-tls.ts';

const CALL_TIMEOUT_MS = 10_000;
const CONNECTIONS = 4;
const KEEP_ALIVE_MS = 10_000;
const REPLY_BYTES_MAX = 4 * BODY_BYTES_MAX;

export interface Endpoint {
  /** For messages. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the certificate to expect, hex. */
  readonly fingerprint: string;
}

export interface NodeCall<T> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly reply: z.ZodType<T>;
  readonly timeoutMs?: number;
}

interface Reply {
  readonly statusCode: number;
  readonly body: unknown;
}

/** A client of one endpoint; connections are kept for a few seconds. */
export class NodeClient {
  readonly endpoint: Endpoint;
  readonly #target: PinnedTarget;
  readonly #agent: Agent;

  constructor(identity: Identity, endpoint: Endpoint) {
    this.endpoint = endpoint;
    const wayOut = 'Check the address; if the node was set up anew, pair again';
    this.#target = { ...endpoint, identity, wayOut };
    const options = { keepAlive: true, maxSockets: CONNECTIONS, timeout: KEEP_ALIVE_MS };
    this.#agent = pinnedAgent(this.#target, options);
  }

  /**
   * Calls the other node. Throws its UnderstudyError, or NODE_UNREACHABLE, NODE_IDENTITY_WRONG,
   * NODE_REPLY_INVALID.
   */
  async call<T>(call: NodeCall<T>): Promise<T> {
    const { name, host, port } = this.endpoint;
    const where = `node "${name}" (${host}:${port})`;
    const { statusCode, body } = await this.#exchange(call).catch((cause: unknown) => {
      throw this.#connectionError(cause);
    });
    if (statusCode >= 400) throw replyError(where, statusCode, body);
    const parsed = call.reply.safeParse(body);
    if (parsed.success) return parsed.data;
    throw invalidReply(where, parsed.error);
  }

  async #exchange({ method, path, ...call }: NodeCall<unknown>): Promise<Reply> {
    const { host, port } = this.endpoint;
    const sent = call.body === undefined ? '' : JSON.stringify(call.body);
    const type = call.body === undefined ? {} : { 'content-type': 'application/json' };
    // Without a length, a DELETE with a body would be no request at all.
    const headers = { ...type, 'content-length': Buffer.byteLength(sent) };
    const signal = AbortSignal.timeout(call.timeoutMs ?? CALL_TIMEOUT_MS);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ agent: this.#agent, host, port, method, path, headers, signal }, resolve)
        .once('error', reject)
        .end(sent);
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > REPLY_BYTES_MAX) throw new Error('its answer is too long');
      chunks.push(chunk);
    }
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return { statusCode: response.statusCode ?? 0, body };
  }

  #connectionError(cause: unknown): UnderstudyError {
    if (cause instanceof UnderstudyError) return cause;
    const { name, host, port } = this.endpoint;
    return new UnderstudyError(
      'NODE_UNREACHABLE',
      `node "${name}" (${host}:${port}) cannot be reached (${messageOf(cause)}): check that understudyd runs there and that the port is open`,
      { cause, details: { node: name } },
    );
  }

  /** Whether the other node answers at all. Errors: as {@link call}. */
  async ping(): Promise<void> {
    await this.call({ method: 'GET', path: '/v1/node', reply: z.looseObject({}), timeoutMs: 5000 });
  }

  /** The certificate (PEM) that the endpoint shows, which is the expected one. */
  async peerCertificate(): Promise<string> {
    const socket = await connectPinned(this.#target).catch((thrown: unknown) => {
      throw this.#connectionError(thrown);
    });
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    return present(certificate, 'a certificate was shown').toString();
  }

  close(): void {
    this.#agent.destroy();
  }
}

function replyError(where: string, statusCode: number, body: unknown): UnderstudyError {
  const parsed = errorReplySchema.safeParse(body);
  if (!parsed.success) return invalidReply(`${where}, status ${statusCode}`, parsed.error);
  const { code, message, details } = parsed.data.error;
  return UnderstudyError.from({ code, message, ...(details === undefined ? {} : { details }) });
}

function invalidReply(where: string, cause: unknown): UnderstudyError {
  return new UnderstudyError(
    'NODE_REPLY_INVALID',
    `${where} gave an answer that this version does not understand: run the same version of Understudy on both nodes`,
    { cause },
  );
}
