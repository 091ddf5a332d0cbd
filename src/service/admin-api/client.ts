// The API over the Unix socket of a node, for the command line, the lab and tests: root's way in.
import { type IncomingMessage, request } from 'node:http';
import { asNotRoot, messageOf, UnderstudyError } from '../../core/errors.ts';
import { errorReplySchema } from '../node-protocol.ts';
import type { OperationProgress, OperationView } from './operations.ts';
import { API_PREFIX } from './api-prefix.ts';

const CONNECT_TIMEOUT_MS = 2000;
const REPLY_BYTES_MAX = 64 * 1024 * 1024;
const FRAME_LENGTH_MAX = 16 * 1024 * 1024;
const WAIT_SECONDS = 30;
/** A request that only waits for an operation takes this much longer than the wait. */
const SLACK_MS = 30_000;

export type ApiMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type QueryValue = string | number | boolean | undefined;

export interface ApiCall {
  readonly method: ApiMethod;
  /** Below `/api/v1`, or with another beginning below `/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export class LocalApi {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /**
   * One call. Throws the UnderstudyError of the service, or DAEMON_NOT_RUNNING when nobody answers on the
   * socket, CONTROL_TIMEOUT, CONTROL_CLOSED.
   */
  async call<T>(call: ApiCall): Promise<T> {
    const response = await this.#send(call);
    const text = await textOf(response);
    return parseReply<T>(response.statusCode ?? 500, text);
  }

  /** Starts an operation and waits for its end. Throws its error. */
  async run<T>(
    call: ApiCall,
    onProgress: (progress: OperationProgress) => void = () => undefined,
  ): Promise<T> {
    let view = await this.call<OperationView>(call);
    while (view.state === 'running') {
      onProgress(view.progress);
      view = await this.call<OperationView>({
        method: 'GET',
        path: `/operations/${view.id}`,
        query: { wait: WAIT_SECONDS },
        timeoutMs: WAIT_SECONDS * 1000 + SLACK_MS,
      });
    }
    if (view.error !== null) throw UnderstudyError.from(view.error);
    return view.result as T;
  }

  /**
   * Follows the stream of changes until it ends, or until it is aborted. Errors: as {@link call}, and CONTROL_CLOSED
   * at its end.
   */
  async follow(
    onMessage: (name: string, data: unknown) => void,
    signal?: AbortSignal,
  ): Promise<never> {
    const response = await this.#send({ method: 'GET', path: '/stream', timeoutMs: 0 }, signal);
    if (response.statusCode !== 200) {
      parseReply(response.statusCode ?? 500, await textOf(response));
    }
    const frames = new FrameSplitter(onMessage);
    try {
      for await (const chunk of response) frames.push(chunk as Buffer);
    } catch {
      // The same as its end.
    }
    throw closed('the stream of changes');
  }

  async #send(
    { method, path, query, body, timeoutMs = 60_000 }: ApiCall,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(
      {
        socketPath: this.#socketPath,
        method,
        path: `${path.startsWith('/api/') ? '' : API_PREFIX}${path}${queryText(query)}`,
        agent: false,
        ...(signal === undefined ? {} : { signal }),
        headers:
          text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      resolve,
    );
    sent.setTimeout(CONNECT_TIMEOUT_MS, () => {
      if (sent.socket?.connecting !== false) sent.destroy(new Error('no answer in time'));
    });
    if (timeoutMs > 0) {
      const timer = setTimeout(() => sent.destroy(timedOut(method, path, timeoutMs)), timeoutMs);
      sent.once('close', () => clearTimeout(timer));
    }
    sent.once('error', (error) => reject(this.#failure(error, path)));
    sent.end(text);
    return promise;
  }

  #failure(cause: Error, path: string): UnderstudyError {
    if (cause instanceof UnderstudyError) return cause;
    if ((cause as NodeJS.ErrnoException).code === 'ECONNRESET') return closed(path);
    const notRoot = asNotRoot(cause);
    if (notRoot !== undefined) return notRoot;
    return new UnderstudyError(
      'DAEMON_NOT_RUNNING',
      `the service does not answer on ${this.#socketPath} (${messageOf(cause)}): start it with "systemctl start understudyd" or "understudy daemon"`,
      { cause },
    );
  }
}

function timedOut(method: string, path: string, timeoutMs: number): UnderstudyError {
  return new UnderstudyError(
    'CONTROL_TIMEOUT',
    `no answer to ${method} ${path} within ${timeoutMs} ms: see "understudy status"`,
  );
}

function closed(what: string): UnderstudyError {
  return new UnderstudyError(
    'CONTROL_CLOSED',
    `the connection to the service ended before ${what} was answered: it has stopped or is being restarted`,
  );
}

function queryText(query: ApiCall['query']): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      if (bytes > REPLY_BYTES_MAX) break;
      chunks.push(chunk as Buffer);
    }
  } catch {
    throw closed('a call');
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseReply<T>(status: number, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UnderstudyError(
      'NODE_REPLY_INVALID',
      'the service gave an answer that this version does not understand: restart it after an update',
    );
  }
  if (status < 400) return value as T;
  const parsed = errorReplySchema.safeParse(value);
  if (!parsed.success)
    throw new UnderstudyError('INTERNAL', `status ${status}: ${text.slice(0, 500)}`);
  const { code, message, details } = parsed.data.error;
  throw UnderstudyError.from({ code, message, ...(details === undefined ? {} : { details }) });
}

/** Cuts a stream of server-sent events into its messages. Errors: MESSAGE_TOO_LONG; SyntaxError for data that is no JSON. */
export class FrameSplitter {
  readonly #onMessage: (name: string, data: unknown) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(onMessage: (name: string, data: unknown) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    if (this.#rest.length > FRAME_LENGTH_MAX) {
      throw new UnderstudyError('MESSAGE_TOO_LONG', 'a message of the stream is too long');
    }
    for (;;) {
      const end = this.#rest.indexOf('\n\n');
      if (end < 0) return;
      this.#tell(this.#rest.slice(0, end));
      this.#rest = this.#rest.slice(end + 2);
    }
  }

  #tell(frame: string): void {
    let name = 'message';
    let data = '';
    for (const line of frame.split('\n')) {
      if (line.startsWith('event: ')) name = line.slice(7);
      if (line.startsWith('data: ')) data += line.slice(6);
    }
    if (data !== '') this.#onMessage(name, JSON.parse(data));
  }
}
