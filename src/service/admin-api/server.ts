// The API for people and programs: one set of routes, served on the Unix socket (root of this node) and, together with the
// node API, on the TLS port (docs/api.md, decision 17).
//
// The rules kept here hold for every route: who calls is known before anything is read, the role suffices, bodies and rates
// are bounded, and each change is audited.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { chmodSync } from 'node:fs';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { removeStaleSocket } from '../control-channel.ts';
import type { NodeService } from '../node-service.ts';
import { parseStrictly } from '../../core/strict-config.ts';
import { Authentication } from './authentication.ts';
import { type Caller, requireRole } from './caller.ts';
import { type ApiContext, makeContext } from './context.ts';
import { asUnderstudyError, statusOf } from './http-errors.ts';
import { type AnyRoute, urlOf } from './route.ts';
import { allRoutes } from './routes.ts';

const BODY_BYTES_MAX = 512 * 1024;
const REQUESTS_PER_MINUTE_MAX = 1200;
const LOCAL_CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 15_000;

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    role?: Caller['role'];
  }
}

export interface AdminApi {
  readonly context: ApiContext;
  /** Serves what comes in over the TLS port. */
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void;
  /** Opens the Unix socket. Errors: CONTROL_SOCKET_IN_USE. */
  readonly listen: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function buildAdminApi(service: NodeService): Promise<AdminApi> {
  const context = makeContext(service);
  const authentication = new Authentication({ tokens: context.tokens, peers: service.peers });
  const app = await buildApp(context, authentication);
  // One that does not listen itself: both servers hand their requests to it.
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    app.routing(request, response);
  };
  const local = localServer(authentication, serve);
  return {
    context,
    serve,
    listen: async () => listenLocally(local, service.paths.adminSocket),
    close: async () => {
      await app.close();
      const closed = new Promise<void>((resolve) => {
        local.close(() => resolve());
      });
      local.closeAllConnections();
      await closed;
    },
  };
}

async function buildApp(
  context: ApiContext,
  authentication: Authentication,
): Promise<FastifyInstance> {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, logger: false });
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
  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    const role = request.routeOptions.config.role ?? 'administrator';
    request.caller = authentication.callerOf(request);
    requireRole(request.caller, role);
  });
  await app.register(rateLimit, {
    max: REQUESTS_PER_MINUTE_MAX,
    timeWindow: 60_000,
    cache: 1024,
    keyGenerator: ({ ip }) => ip,
    allowList: (request: FastifyRequest) => authentication.isLocal(request),
    errorResponseBuilder: () =>
      new UnderstudyError(
        'REQUESTS_TOO_MANY',
        `more than ${REQUESTS_PER_MINUTE_MAX} requests within a minute: wait a little, or use the stream of changes instead of asking again`,
      ),
  });
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const known = asUnderstudyError(error);
    auditRefusal(context, request, known.code);
    await reply.status(statusOf(known)).send({ error: known.serialize() });
  });
  app.setNotFoundHandler(async (_request, reply) => {
    const error = new UnderstudyError('METHOD_UNKNOWN', 'the API has no such route: see /api/docs');
    await reply.status(404).send({ error: error.serialize() });
  });
  for (const one of allRoutes(context)) addRoute(app, context, one);
  await app.ready();
  return app;
}

function addRoute(app: FastifyInstance, context: ApiContext, one: AnyRoute): void {
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
      const caller = callerOf(request);
      const answer = await one.handle({
        params: request.params,
        query: request.query,
        body: request.body,
        caller,
        request,
        reply,
      });
      if (method !== 'GET') auditDone(context, request, answer);
      if (one.reply === undefined) return reply;
      return reply.status(status).send(answer ?? {});
    },
  });
}

function callerOf(request: FastifyRequest): Caller {
  if (request.caller !== null) return request.caller;
  throw new TypeError('a request came to its handler without a caller');
}

function auditDone({ audit }: ApiContext, request: FastifyRequest, answer: unknown): void {
  const operation = operationIn(answer);
  audit.add({
    caller: callerOf(request),
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
function auditRefusal({ audit }: ApiContext, request: FastifyRequest, code: string): void {
  const { caller, method, url, body } = request;
  if (caller === null || method === 'GET') return;
  audit.add({ caller, what: `${method} ${url}`, input: body, result: code, operation: null });
}

function localServer(
  authentication: Authentication,
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, serve);
  server.maxConnections = LOCAL_CONNECTIONS_MAX;
  server.on('connection', (socket) => authentication.trust(socket));
  return server;
}

async function listenLocally(server: Server, path: string): Promise<void> {
  await removeStaleSocket(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  // Node binds synchronously inside listen(), so nothing else runs under this mask.
  const mask = process.umask(0o177);
  server.listen(path, resolve);
  process.umask(mask);
  await promise;
  server.off('error', reject);
  chmodSync(path, 0o600);
}
