// Calls of the console's API. Everything a page asks or changes goes through here: the session's CSRF token, failures as one class,
// and the end of a session are looked after in one place.
import type { errorSchema } from '../../../service/admin-api/schemas.ts';
import type { OperationView } from '../../../service/admin-api/operations.ts';
import type { z } from 'zod';
import { takeEarly } from '../early/asked.ts';

type ErrorBody = z.infer<ReturnType<typeof errorSchema>>['error'];

const CONSOLE = '/api/console';
/** How long one question for an operation waits at the server. */
const OPERATION_WAIT_SECONDS = 20;
const OPERATION_RETRY_MS = 1500;
const OPERATION_FAULTS_MAX = 40;

/** What the console or a node refused, or that it could not be reached (`UNREACHABLE`). */
export class ApiError extends Error {
  readonly code: string;
  /** HTTP; 0: no answer came. */
  readonly status: number;
  readonly details: NonNullable<ErrorBody['details']>;

  constructor(status: number, { code, message, details = {} }: ErrorBody) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.details = details;
  }

  /** Faults of what was sent, by field, for forms. */
  get faults(): Readonly<Record<string, string>> {
    const { fields, faults } = this.details;
    if (!Array.isArray(fields) || !Array.isArray(faults)) return {};
    return Object.fromEntries(fields.map((field, index) => [field, faults[index] ?? this.message]));
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  readonly method?: Method;
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly signal?: AbortSignal;
}

let csrf = '';
let onSessionOver: () => void = () => undefined;

/** Of the session that has begun; empty when there is none. */
export function keepCsrf(token: string): void {
  csrf = token;
}

/** Told when the console knows this session no more. */
export function whenSessionOver(listener: () => void): void {
  onSessionOver = listener;
}

/** A route of a node, as the console passes it on. */
export function nodeRoute(node: string, path: string): string {
  return `/nodes/${encodeURIComponent(node)}/api/v1${path}`;
}

/** Makes a URL of a route of the console: for downloads and streams. */
export function urlOf(path: string, query: CallOptions['query'] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return `${CONSOLE}${path}${given.length === 0 ? '' : `?${search.toString()}`}`;
}

/** Calls a route below `/api/console`. Errors: ApiError. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await send(path, options);
  const answer = await bodyOf(response);
  if (response.ok) return answer as T;
  const { error } = (answer ?? {}) as { error?: ErrorBody };
  if (response.status === 401 && path !== '/login') onSessionOver();
  throw new ApiError(
    response.status,
    error ?? { code: 'REPLY_INVALID', message: `status ${response.status}` },
  );
}

/** A call that opens a stream: the response itself. Errors: ApiError. */
export async function openStream(path: string, signal: AbortSignal): Promise<Response> {
  const response = await send(path, { signal });
  if (response.ok) return response;
  await response.body?.cancel();
  if (response.status === 401) onSessionOver();
  throw new ApiError(response.status, { code: 'STREAM', message: `status ${response.status}` });
}

async function send(
  path: string,
  { method = 'GET', body, query, signal }: CallOptions,
): Promise<Response> {
  try {
    const early = method === 'GET' && query === undefined ? await takeEarly(path) : null;
    if (early !== null) return early;
    return await fetch(urlOf(path, query), {
      method,
      credentials: 'same-origin',
      redirect: 'error',
      headers: {
        ...(method === 'GET' ? {} : { 'x-csrf-token': csrf }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (thrown) {
    if (signal?.aborted === true) throw thrown;
    throw new ApiError(0, { code: 'UNREACHABLE', message: 'the console does not answer' });
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** What starts an operation, and where. */
export interface OperationCall {
  /** The console's id of the node. */
  readonly node: string;
  readonly method?: Method;
  readonly path: string;
  readonly body?: unknown;
  readonly query?: CallOptions['query'];
}

/**
 * Starts an operation and follows it to its end, also over a connection that breaks in between. Resolves with its result.
 * Errors: ApiError, also of an operation that failed.
 */
export async function runOperation<T>(
  { node, method = 'POST', path, body, query }: OperationCall,
  onProgress: (view: OperationView) => void = () => undefined,
): Promise<T> {
  const started = await call<OperationView>(nodeRoute(node, path), {
    method,
    ...(method === 'DELETE' && body === undefined ? {} : { body: body ?? {} }),
    ...(query === undefined ? {} : { query }),
  });
  onProgress(started);
  const ended = await untilEnded(node, started, onProgress);
  if (ended.state === 'done') return ended.result as T;
  const { code = 'INTERNAL', message = '', details } = ended.error ?? {};
  throw new ApiError(409, { code, message, ...(details === undefined ? {} : { details }) });
}

async function untilEnded(
  node: string,
  started: OperationView,
  onProgress: (view: OperationView) => void,
): Promise<OperationView> {
  let view = started;
  let faults = 0;
  while (view.state === 'running') {
    try {
      const wait = view.progress.total === null ? OPERATION_WAIT_SECONDS : 1;
      const path = nodeRoute(node, `/operations/${started.id}`);
      view = await call<OperationView>(path, { query: { wait } });
      faults = 0;
      onProgress(view);
    } catch (thrown) {
      const isPassing = thrown instanceof ApiError && (thrown.status === 0 || thrown.status >= 500);
      faults += 1;
      if (!isPassing || faults > OPERATION_FAULTS_MAX) throw thrown;
      await new Promise((resolve) => {
        setTimeout(resolve, OPERATION_RETRY_MS);
      });
    }
  }
  return view;
}
