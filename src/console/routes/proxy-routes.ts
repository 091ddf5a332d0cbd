// Calls to nodes for the browser: `/api/console/nodes/ID/api/v1/…` is `/api/v1/…` of that node, in the name of the user and with the
// user's role, which the node itself enforces and audits.
//
// What a node answers is not trusted to be harmless for the browser: only types that are no page are passed on.
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { documentPage } from '../../service/admin-api/document-page.ts';
import type { OpenApiDocument } from '../../service/admin-api/openapi.ts';
import { type AnyRoute, rawRoute, type RouteInput } from '../../service/admin-api/route.ts';
import type { BrowserGuard } from '../access/browser-guard.ts';
import type { ConsoleContext } from '../console-context.ts';
import { notUnderstood, textOf } from '../nodes/node-dial.ts';

const ANSWER_MS_MAX = 90_000;
const SESSION_LOOK_MS = 10_000;
const PATH_PATTERN = /^\/api\/v1\/[\w\-.~%/]*(\?[^\s#]*)?$/;
const PASSED_TYPES =
  /^(application\/json|application\/x-ndjson|text\/csv|text\/plain|text\/event-stream)\b/;
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

const params = z.strictObject({ node: z.string().max(16), '*': z.string().max(4096) });
type ProxyInput = RouteInput<typeof params, undefined, undefined>;

export function proxyRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  const proxies = METHODS.map((method) =>
    rawRoute({
      method,
      path: '/nodes/:node/*',
      role: method === 'GET' ? 'viewer' : 'operator',
      tag: 'proxy',
      // The node writes it down, under the user's name.
      isAudited: false,
      summary: `${method} of a route of that node's API: /nodes/ID/api/v1/…`,
      params,
      handle: async (input: ProxyInput) => forward(context, guard, input),
    }),
  );
  return [...proxies, documentRoute(context)];
}

async function forward(
  { fleet, sessions }: ConsoleContext,
  guard: BrowserGuard,
  { params: { node }, request, reply, caller }: ProxyInput,
): Promise<void> {
  const gone = new AbortController();
  const { raw } = reply;
  raw.once('close', () => gone.abort());
  const path = pathOf(request.url);
  const last = request.headers['last-event-id'];
  const answer = await fleet.dial(node).send({
    method: request.method,
    path,
    onBehalf: { user: caller.name, role: caller.role },
    ...(request.body === undefined || request.body === null
      ? {}
      : { body: JSON.stringify(request.body) }),
    ...(typeof last === 'string' ? { headers: { 'last-event-id': last } } : {}),
    signal: gone.signal,
    timeoutMs: ANSWER_MS_MAX,
  });
  // A node that does not take our token any more must not look like the end of the user's session.
  if (answer.statusCode === 401) {
    answer.resume();
    throw new UnderstudyError(
      'NODE_TOKEN_REFUSED',
      `node "${fleet.dial(node).name}" does not accept this console's access token (any more): remove the node here and add it again with a new one`,
    );
  }
  const { session } = guard.of(request);
  const timer = setInterval(() => {
    // Not an end in order: what the node sends would be written behind it.
    if (!sessions.isAlive(session)) raw.destroy();
  }, SESSION_LOOK_MS);
  raw.once('close', () => clearInterval(timer));
  reply.hijack();
  raw.writeHead(answer.statusCode ?? 502, headersOf(answer));
  answer.once('error', () => raw.destroy());
  answer.pipe(raw);
}

/** The part of the URL behind the node, unchanged. Errors: REQUEST_INVALID. */
export function pathOf(url: string): string {
  const path = /^\/api\/console\/nodes\/[^/?]+(\/.*)$/.exec(url)?.[1] ?? '';
  const isClean = PATH_PATTERN.test(path) && !/(^|\/)(\.|%2e){1,2}(\/|\?|$)/i.test(path);
  if (isClean) return path;
  throw new UnderstudyError(
    'REQUEST_INVALID',
    'only routes of a node below /api/v1/ can be called',
  );
}

function headersOf(answer: IncomingMessage): Record<string, string> {
  const type = answer.headers['content-type'] ?? '';
  const disposition = answer.headers['content-disposition'];
  return {
    'content-type': PASSED_TYPES.test(type) ? type : 'application/octet-stream',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    ...(disposition === undefined ? {} : { 'content-disposition': disposition }),
  };
}

const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function documentRoute({ fleet }: ConsoleContext): AnyRoute {
  return rawRoute({
    method: 'GET',
    path: '/docs',
    role: 'viewer',
    tag: 'proxy',
    summary: "The description of the nodes' API, as a page.",
    handle: async ({ reply, caller }) => {
      const dial = fleet.anyDial();
      const answer = await dial.send({
        method: 'GET',
        path: '/api/openapi.json',
        onBehalf: { user: caller.name, role: 'viewer' },
        timeoutMs: ANSWER_MS_MAX,
      });
      const text = await textOf(dial, answer, ANSWER_MS_MAX);
      void reply
        .header('content-type', 'text/html; charset=utf-8')
        .header('content-security-policy', PAGE_POLICY)
        .send(pageOf(text, dial.name));
    },
  });
}

/** Errors: NODE_REPLY_INVALID. */
function pageOf(text: string, name: string): string {
  try {
    return documentPage(JSON.parse(text) as OpenApiDocument);
  } catch {
    throw notUnderstood(name);
  }
}
