// Speaks to the other node's API. The certificate is compared with the pinned one before a single
// byte of the request is written; a node that shows another one learns nothing.
import type { TLSSocket } from 'node:tls';
import { createHash, timingSafeEqual } from 'node:crypto';
import { Agent, buildConnector, request } from 'undici';
import { z } from 'zod';
import { present } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { Identity } from './identity.ts';
import { BODY_BYTES_MAX, errorReplySchema } from './node-protocol.ts';

const CONNECT_TIMEOUT_MS = 5000;

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

/** A client of one endpoint; connections are kept for a few seconds. */
export class NodeClient {
  readonly endpoint: Endpoint;
  readonly #agent: Agent;
  readonly #connect: buildConnector.connector;

  constructor(identity: Identity, endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.#connect = pinnedConnector(identity, endpoint);
    this.#agent = new Agent({
      connect: this.#connect,
      connections: 4,
      keepAliveTimeout: 10_000,
      maxResponseSize: 4 * BODY_BYTES_MAX,
    });
  }

  /**
   * Calls the other node. Throws its UnderstudyError, or NODE_UNREACHABLE, NODE_IDENTITY_WRONG,
   * NODE_REPLY_INVALID.
   */
  async call<T>(call: NodeCall<T>): Promise<T> {
    const { name, host, port } = this.endpoint;
    const where = `node "${name}" (${host}:${port})`;
    let statusCode: number;
    let body: unknown;
    try {
      const response = await request(`https://${urlHost(host)}:${port}${call.path}`, {
        dispatcher: this.#agent,
        method: call.method,
        ...(call.body === undefined
          ? {}
          : {
              headers: { 'content-type': 'application/json' },
              body: JSON.stringify(call.body),
            }),
        headersTimeout: call.timeoutMs ?? 10_000,
        bodyTimeout: 10_000,
        signal: AbortSignal.timeout(call.timeoutMs ?? 10_000),
      });
      statusCode = response.statusCode;
      body = await response.body.json();
    } catch (cause) {
      throw this.#connectionError(cause);
    }
    if (statusCode >= 400) throw replyError(where, statusCode, body);
    const parsed = call.reply.safeParse(body);
    if (parsed.success) return parsed.data;
    throw invalidReply(where, parsed.error);
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
    const { host, port } = this.endpoint;
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      this.#connect(
        { hostname: host, host, port: String(port), protocol: 'https:' },
        (...[error, connected]) => {
          if (error === null) resolve(connected as TLSSocket);
          else reject(error);
        },
      );
    }).catch((thrown: unknown) => {
      throw this.#connectionError(thrown);
    });
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    return present(certificate, 'a certificate was shown').toString();
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
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

function pinnedConnector(identity: Identity, endpoint: Endpoint): buildConnector.connector {
  const connect = buildConnector({
    cert: identity.certificate,
    key: identity.key,
    // Trust comes from the pinned certificate, checked below, not from an authority.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    maxCachedSessions: 0,
    timeout: CONNECT_TIMEOUT_MS,
  });
  const expected = Buffer.from(endpoint.fingerprint, 'hex');
  return (options, callback) => {
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error !== null) {
        callback(error, null);
        return;
      }
      const shown = (socket as TLSSocket).getPeerCertificate().raw;
      const actual = createHash('sha256')
        .update(shown ?? '')
        .digest();
      if (shown !== undefined && timingSafeEqual(actual, expected)) {
        callback(null, socket);
        return;
      }
      socket.destroy();
      callback(wrongIdentity(endpoint), null);
    });
  };
}

function wrongIdentity({ name, host, port }: Endpoint): UnderstudyError {
  return new UnderstudyError(
    'NODE_IDENTITY_WRONG',
    `who answers on ${host}:${port} is not node "${name}": its certificate is another one. Nothing was sent. Check the address; if the node was set up anew, pair again`,
  );
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
