// What a route of the API is. Routes are data: the server registers them, the OpenAPI document is made of them, and
// a test goes through all of them. One without a role does not compile.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { API_PREFIX } from './api-prefix.ts';
import type { AccessRole, Caller } from './caller.ts';
import type { OperationView } from './operations.ts';
import { operationSchema } from './schemas.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
type Parsed<S> = S extends z.ZodType<infer T> ? T : undefined;

export interface RouteInput<P, Q, B> {
  readonly params: Parsed<P>;
  readonly query: Parsed<Q>;
  readonly body: Parsed<B>;
  readonly caller: Caller;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** `public`: before a login; a node has no such route. */
export type RouteRole = AccessRole | 'public';

interface RouteBase {
  readonly method: Method;
  /** Below API_PREFIX, `:name` for parameters; see {@link urlOf}. */
  readonly path: string;
  readonly role: RouteRole;
  /** One sentence, for the API's document. */
  readonly summary: string;
  readonly tag: string;
}

export interface RouteSpec<P, Q, B, R> extends RouteBase {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly isAudited?: boolean;
  /** Documented and tested; what a handler returns is sent as it is. */
  readonly reply: z.ZodType<R> | (() => z.ZodType<R>);
  readonly handle: (input: RouteInput<P, Q, B>) => Promise<R> | R;
}

/** A route whose types are forgotten. */
export interface AnyRoute extends RouteBase {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Undefined: the handler writes the answer itself (files, streams). */
  readonly reply: (() => z.ZodType) | undefined;
  readonly status: number;
  /** False: the handler sees to it itself. */
  readonly isAudited: boolean;
  readonly handle: (input: RouteInput<z.ZodType, z.ZodType, z.ZodType>) => unknown;
}

/** A route that answers at once. */
export function route<P, Q, B, R>(spec: RouteSpec<P, Q, B, R>): AnyRoute {
  const { reply } = spec;
  return {
    isAudited: true,
    ...spec,
    reply: typeof reply === 'function' ? reply : () => reply,
    status: 200,
  } as unknown as AnyRoute;
}

/** A route that starts an operation: 202 and its view. */
export function operationRoute<P, Q, B>(
  spec: Omit<RouteSpec<P, Q, B, OperationView>, 'reply'>,
): AnyRoute {
  return { isAudited: true, ...spec, reply: operationSchema, status: 202 } as unknown as AnyRoute;
}

/** A route whose handler writes to `reply.raw` or sends a text itself. */
export function rawRoute<P, Q, B>(spec: Omit<RouteSpec<P, Q, B, unknown>, 'reply'>): AnyRoute {
  return { isAudited: true, ...spec, reply: undefined, status: 200 } as unknown as AnyRoute;
}

/** A path with two slashes is not below the prefix: `//metrics` is where Prometheus looks for it. */
export function urlOf({ path }: AnyRoute): string {
  return path.startsWith('//') ? path.slice(1) : `${API_PREFIX}${path}`;
}
