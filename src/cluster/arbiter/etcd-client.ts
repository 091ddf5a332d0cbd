// etcd's API over HTTP and JSON (its gRPC gateway, on the same port since 3.4). Each call has a
// deadline, goes to the endpoint that answered last, and on to the next one when that fails.
//
// Not the package etcd3: after an outage it kept refusing calls for up to two seconds after etcd was
// back (measured; its circuit breaker), and a lease must know the moment at which a request was sent.
import { readFileSync } from 'node:fs';
import { buildConnector, Pool } from 'undici';
import { messageOf } from '../../core/errors.ts';

const RESPONSE_BYTES_MAX = 256 * 1024;
const CONNECTIONS = 2;
/** Short, so that a network that is whole again is found out soon. */
const CONNECT_TIMEOUT_MS = 1000;

export interface EtcdTls {
  /** Files in PEM; read anew for each connection, so that they may be renewed in place. */
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

export interface EtcdOptions {
  /** `https://etcd1:2379`, … */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls | undefined;
  readonly username?: string | undefined;
  /** File that holds nothing but the password. */
  readonly passwordFile?: string | undefined;
}

/** A refusal by etcd itself; another endpoint would say the same. */
export class EtcdRefusal extends Error {
  override readonly name = 'EtcdRefusal';
  readonly grpcCode: number;

  constructor(message: string, grpcCode: number) {
    super(message);
    this.grpcCode = grpcCode;
  }
}

// google.golang.org/grpc/codes
const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const OUT_OF_RANGE = 11;
const UNAUTHENTICATED = 16;
const FINAL_CODES: readonly number[] = [
  INVALID_ARGUMENT,
  PERMISSION_DENIED,
  OUT_OF_RANGE,
  UNAUTHENTICATED,
];

/** Of INVALID_ARGUMENT, those that a new token helps against (etcd: api/v3rpc/rpctypes/error.go). */
const TOKEN_FAULTS = ['revision of auth store is old', 'user name is empty'];

interface Endpoint {
  readonly url: string;
  readonly pool: Pool;
}

export class EtcdClient {
  readonly #options: EtcdOptions;
  readonly #endpoints: readonly Endpoint[];
  #preferred = 0;
  #token: string | undefined;

  constructor(options: EtcdOptions) {
    this.#options = options;
    this.#endpoints = options.endpoints.map((url) => ({ url, pool: this.#pool(url) }));
  }

  /**
   * Calls `path` (`/v3/kv/txn`) with the JSON `body`. Rejects with {@link EtcdRefusal}, or with an
   * error whose message has one reason per endpoint that did not answer within `timeoutMs` in all.
   */
  async call(path: string, body: unknown, timeoutMs: number): Promise<unknown> {
    const deadline = performance.now() + timeoutMs;
    try {
      return await this.#callAny(path, body, deadline);
    } catch (error) {
      if (!isTokenRefused(error) || this.#token === undefined) throw error;
      this.#token = undefined;
      return await this.#callAny(path, body, deadline);
    }
  }

  /** The chunks of a streaming answer (watch), until `signal` aborts or etcd ends it. */
  async *stream(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<string> {
    const { pool } = this.#endpointAt(this.#preferred);
    await this.#authenticate(performance.now() + 5000);
    const response = await pool.request({
      path,
      method: 'POST',
      headers: this.#headers(),
      body: JSON.stringify(body),
      headersTimeout: 5000,
      bodyTimeout: 60_000,
      signal,
    });
    for await (const chunk of response.body) yield String(chunk);
  }

  /** Tries another endpoint first the next time. */
  avoidCurrent(): void {
    this.#preferred = (this.#preferred + 1) % this.#endpoints.length;
  }

  async close(): Promise<void> {
    await Promise.all(this.#endpoints.map(async ({ pool }) => pool.destroy()));
  }

  async #callAny(path: string, body: unknown, deadline: number): Promise<unknown> {
    await this.#authenticate(deadline);
    return await this.#tryEndpoints(path, body, deadline);
  }

  async #tryEndpoints(path: string, body: unknown, deadline: number): Promise<unknown> {
    const reasons: string[] = [];
    const total = deadline - performance.now();
    const count = this.#endpoints.length;
    for (let tried = 0; tried < count; tried += 1) {
      const index = this.#preferred;
      const endpoint = this.#endpointAt(index);
      const remaining = deadline - performance.now();
      if (remaining <= 0) break;
      // One that is silent must leave time for the others.
      const share = tried === count - 1 ? remaining : Math.min(remaining, total * 0.4);
      try {
        return await this.#post(endpoint, { path, body, timeoutMs: share });
      } catch (error) {
        if (error instanceof EtcdRefusal) throw error;
        reasons.push(`${endpoint.url}: ${reasonOf(error)}`);
        if (this.#preferred === index) this.avoidCurrent();
      }
    }
    throw new Error(reasons.join('; ') || 'no time left');
  }

  async #post(
    { pool }: Endpoint,
    call: { path: string; body: unknown; timeoutMs: number },
  ): Promise<unknown> {
    const response = await pool.request({
      path: call.path,
      method: 'POST',
      headers: this.#headers(),
      body: JSON.stringify(call.body),
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(call.timeoutMs))),
    });
    const text = await response.body.text();
    const value = parse(text);
    if (response.statusCode === 200) return value;
    const { code, message } = faultOf(value);
    const why = message ?? `HTTP status ${response.statusCode}`;
    if (code !== undefined && FINAL_CODES.includes(code)) throw new EtcdRefusal(why, code);
    throw new Error(why);
  }

  async #authenticate(deadline: number): Promise<void> {
    const { username, passwordFile } = this.#options;
    if (username === undefined || passwordFile === undefined || this.#token !== undefined) return;
    const password = readFileSync(passwordFile, 'utf8').trim();
    const body = { name: username, password };
    const answer = await this.#tryEndpoints('/v3/auth/authenticate', body, deadline);
    this.#token = (answer as { token?: string }).token;
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (this.#token !== undefined) headers['authorization'] = this.#token;
    return headers;
  }

  #endpointAt(index: number): Endpoint {
    const endpoint = this.#endpoints[index % this.#endpoints.length];
    if (endpoint === undefined) throw new TypeError('etcd needs at least one endpoint');
    return endpoint;
  }

  #pool(url: string): Pool {
    const { tls } = this.#options;
    return new Pool(url, {
      connections: CONNECTIONS,
      headersTimeout: 0,
      maxResponseSize: RESPONSE_BYTES_MAX,
      connect: (options, callback) => {
        try {
          buildConnector({ timeout: CONNECT_TIMEOUT_MS, ...readTls(tls) })(options, callback);
        } catch (error) {
          callback(error instanceof Error ? error : new Error(String(error)), null);
        }
      },
    });
  }
}

/** Tokens that are signed (JWT) hold for the users as they were: after any change there, etcd refuses them. */
function isTokenRefused(error: unknown): boolean {
  if (!(error instanceof EtcdRefusal)) return false;
  if (error.grpcCode === UNAUTHENTICATED) return true;
  return (
    error.grpcCode === INVALID_ARGUMENT &&
    TOKEN_FAULTS.some((fault) => error.message.includes(fault))
  );
}

function readTls(tls: EtcdTls | undefined): { ca?: string; cert?: string; key?: string } {
  return {
    ...(tls?.ca === undefined ? {} : { ca: readFileSync(tls.ca, 'utf8') }),
    ...(tls?.certificate === undefined ? {} : { cert: readFileSync(tls.certificate, 'utf8') }),
    ...(tls?.key === undefined ? {} : { key: readFileSync(tls.key, 'utf8') }),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function faultOf(value: unknown): { code: number | undefined; message: string | undefined } {
  if (typeof value !== 'object' || value === null) return { code: undefined, message: undefined };
  const { code, message, error } = value as Record<string, unknown>;
  const text = typeof message === 'string' ? message : error;
  return {
    code: typeof code === 'number' ? code : undefined,
    message: typeof text === 'string' ? text : undefined,
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time';
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === undefined ? messageOf(error) : `${code} ${messageOf(error)}`;
}
