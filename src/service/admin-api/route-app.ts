// Serves a list of routes over HTTP, for nodes and for consoles. The rules kept here hold for every route: who calls is known before
// anything is read, the role suffices, bodies and rates are bounded, faults say where they are, and each change is audited.
import fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { parseStrictly } from '../../core/strict-config.ts';
import type { AuditLog } from './audit.ts';
import { auditedCaller, type Caller, requireRole } from './caller.ts';
import { asUnderstudyError, statusOf } from './http-errors.ts';
import { RequestLimit } from './request-limit.ts';
import { type AnyRoute, type RouteRole, urlOf } from './route.ts';

const BODY_BYTES_MAX = 512 * 1024;
const REQUESTS_PER_MINUTE_MAX = 1200;
const MINUTE_MS = 60_000;

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    role?: RouteRole;
  }
}

export interface RouteAppOptions {
  readonly routes: readonly AnyRoute[];
  readonly audit: AuditLog;
  /** Who calls. Errors: LOGIN_NEEDED and others; for public routes it is not asked. */
  readonly callerOf: (request: FastifyRequest) => Caller;
  /** Checked for every request, also of public routes, before anything else. */
  readonly check?: (request: FastifyRequest) => void;
  readonly isUnlimited: (request: FastifyRequest) => boolean;
}

/** An app that does not listen itself: servers hand their requests to its `routing`. */
export async function buildRouteApp(options: RouteAppOptions): Promise<FastifyInstance> {
  const { routes, audit, callerOf, check, isUnlimited } = options;
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, exposeHeadRoutes: false, logger: false });
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => (data) => {
    const origin = httpPart === 'body' ? 'the request' : `the request's ${httpPart ?? 'data'}`;
    try {
      return { value: parseStrictly(schema, data ?? {}, { code: 'REQUEST_INVALID', origin }) };
    } catch (error) {
      return { error: error as Error };
    }
  });
  // Answers are built by our own code: they are checked in tests, not each time.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  const limit = new RequestLimit({
    requestsMax: REQUESTS_PER_MINUTE_MAX,
    windowMs: MINUTE_MS,
  });
  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    if (!isUnlimited(request)) {
      const waitSeconds = limit.take(request.ip, performance.now());
      if (waitSeconds > 0) throw tooMany(waitSeconds);
    }
    check?.(request);
    // A slip in a path is no question of rights: whoever may see the description hears that there is no such route.
    const role = request.is404 ? 'viewer' : (request.routeOptions.config.role ?? 'administrator');
    if (role === 'public') return;
    request.caller = callerOf(request);
    requireRole(request.caller, role);
  });
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const known = asUnderstudyError(error);
    auditRefusal(audit, request, known.code);
    const { retryAfterSeconds } = known.details;
    if (typeof retryAfterSeconds === 'number') void reply.header('retry-after', retryAfterSeconds);
    await reply.status(statusOf(known)).send({ error: known.serialize() });
  });
  app.setNotFoundHandler(async (_request, reply) => {
    const error = new UnderstudyError('METHOD_UNKNOWN', 'the API has no such route: see /api/docs');
    await reply.status(404).send({ error: error.serialize() });
  });
  for (const one of routes) addRoute(app, audit, one);
  await app.ready();
  return app;
}

function tooMany(retryAfterSeconds: number): UnderstudyError {
  return new UnderstudyError(
    'REQUESTS_TOO_MANY',
    `more than ${REQUESTS_PER_MINUTE_MAX} requests within a minute: wait a little, or use the stream of changes instead of asking again`,
    { details: { retryAfterSeconds } },
  );
}

function addRoute(app: FastifyInstance, audit: AuditLog, one: AnyRoute): void {
  const { method, role, params, query, body, status } = one;
  app.route({
    method,
    url: urlOf(one),
    config: { role },
    schema: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { querystring: query }),
      ...(body === undefined ? {} : { body }),
    },
    handler: async (request, reply) => {
      const answer = await one.handle({
        params: request.params,
        query: request.query,
        body: request.body,
        caller: request.caller ?? STRANGER,
        request,
        reply,
      });
      if (method !== 'GET' && one.isAudited) auditDone(audit, request, answer);
      if (one.reply === undefined) return reply;
      return reply.status(status).send(answer ?? {});
    },
  });
}

/** The caller of a public route. */
const STRANGER: Caller = { kind: 'user', name: '-', user: null, role: 'viewer', from: '' };

function auditDone(audit: AuditLog, request: FastifyRequest, answer: unknown): void {
  if (request.caller === null) return;
  const operation = operationIn(answer);
  audit.add({
    ...auditedCaller(request.caller),
    what: `${request.method} ${request.url}`,
    input: request.body,
    result: operation === null ? 'done' : 'started',
    operation,
  });
}

function operationIn(answer: unknown): string | null {
  const { id, kind } = (answer ?? {}) as { id?: unknown; kind?: unknown };
  return typeof id === 'string' && typeof kind === 'string' ? id : null;
}

/** Nothing is written for callers that are not known: they could fill the log. */
function auditRefusal(audit: AuditLog, request: FastifyRequest, code: string): void {
  const { caller, method, url, body } = request;
  if (caller === null || method === 'GET') return;
  audit.add({
    ...auditedCaller(caller),
    what: `${method} ${url}`,
    input: body,
    result: code,
    operation: null,
  });
}
