// The fleet: its overview, its changes as they happen, and which nodes belong to it.
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { accessRoleSchema } from '../../service/admin-api/caller.ts';
import { once } from '../../service/admin-api/once.ts';
import { type AnyRoute, rawRoute, route } from '../../service/admin-api/route.ts';
import { scanSchema } from '../../service/admin-api/schemas.ts';
import { Seats } from '../../service/admin-api/seats.ts';
import { portSchema } from '../../service/group-spec.ts';
import { hostSchema } from '../../service/node-config.ts';
import type { BrowserGuard } from '../access/browser-guard.ts';
import type { Session } from '../access/sessions.ts';
import type { ConsoleContext } from '../console-context.ts';
import { LEVELS } from '../fleet/problems.ts';
import { checkedBy, jsonOf, NodeDial, shownFingerprint, textOf } from '../nodes/node-dial.ts';
import { accessTokenSchema, fingerprintSchema } from '../nodes/node-store.ts';

const LISTENERS_MAX = 64;
const UNREAD_BYTES_MAX = 8 * 1024 * 1024;
const KEEP_ALIVE_MS = 10_000;
const ANSWER_MS_MAX = 8000;

const levelSchema = z.enum(LEVELS);
const problemSchema = z.object({
  code: z
    .string()
    .describe(
      'SPLIT_BRAIN, NO_PRIMARY, NO_STANDBY, PROCESS_FAILED, PRIMARY_WAITS, ALONE, HALTED, COPY_DIVERGED, COPY_DIFFERS, COPY_INCOMPLETE, COPY_BEHIND, COPY_UNKNOWN, RESYNC, LINK_DOWN, TROUBLE, PAUSED, NO_TAKEOVER, STALE; of nodes NODE_UNREACHABLE, NOT_PAIRED, PEER_UNREACHABLE',
    ),
  level: z.enum(['info', 'warning', 'error']),
  params: z.record(z.string(), z.union([z.string(), z.number()])),
});

const nodeSchema = z.object({
  id: z.string().describe("The console's own id of it, for the proxy"),
  name: z.string(),
  where: z.string(),
  isReachable: z.boolean(),
  fault: z.object({ code: z.string(), message: z.string() }).nullable(),
  seenAt: z.string().nullable(),
  ageMs: z.number().nullable().describe('Age of what is shown of it'),
  version: z.string().nullable(),
  nodeId: z.string().nullable(),
  peerName: z.string().nullable(),
  peerId: z.string().nullable(),
  level: levelSchema,
  problems: z.array(problemSchema).readonly(),
});

const groupSchema = z.object({
  groupId: z.string(),
  name: z.string(),
  seenFrom: z.string().describe('Console id of the node that this comes from'),
  primaryId: z.string().nullable(),
  standbyId: z.string().nullable(),
  primary: z.string().nullable(),
  standby: z.string().nullable(),
  epoch: z.number(),
  mode: z.enum(['sync', 'memory', 'async']),
  copy: z.string(),
  link: z.string(),
  lagMs: z.number().nullable(),
  backlogBytes: z.number().nullable(),
  wireBytesPerSecond: z.number().nullable(),
  scan: scanSchema().nullable(),
  isManaged: z.boolean(),
  isPaused: z.boolean(),
  directories: z.array(z.string()).readonly(),
  isStale: z.boolean(),
  ageMs: z.number(),
  level: levelSchema,
  problems: z.array(problemSchema).readonly(),
});

export const fleetSchema = z.object({
  at: z.string(),
  counts: z.object({
    nodes: z.number(),
    nodesUnreachable: z.number(),
    groups: z.number(),
    byLevel: z.record(levelSchema, z.number()),
  }),
  nodes: z.array(nodeSchema).readonly(),
  groups: z.array(groupSchema).readonly(),
});

export function fleetRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  return [overviewRoute(context), streamRoute(context, guard), ...nodeRoutes(context)];
}

function overviewRoute({ fleet }: ConsoleContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/fleet',
    role: 'viewer',
    tag: 'fleet',
    summary: 'All nodes and groups, worst first, with the age of what is known.',
    reply: fleetSchema,
    handle: () => fleet.overview(),
  });
}

function streamRoute(context: ConsoleContext, guard: BrowserGuard): AnyRoute {
  const seats = new Seats(LISTENERS_MAX);
  return rawRoute({
    method: 'GET',
    path: '/stream',
    role: 'viewer',
    tag: 'fleet',
    summary:
      'Changes of the fleet as server-sent events: "fleet" (all, first), then "node", "group", "removed", "counts", and of nodes "event" and "operation", each as {"node", …}.',
    handle: ({ request, reply }) => {
      const { session } = guard.of(request);
      if (!seats.take(reply.raw, [session.user])) {
        throw new UnderstudyError(
          'REQUESTS_TOO_MANY',
          `${LISTENERS_MAX} windows follow this console already: close one`,
        );
      }
      reply.hijack();
      const response = reply.raw;
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      follow(context, session, response);
    },
  });
}

function follow(
  { fleet, sessions }: ConsoleContext,
  session: Session,
  response: ServerResponse,
): void {
  const send = (name: string, data: unknown): void => {
    if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
    else response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  send('fleet', fleet.overview());
  const stop = fleet.listen(({ name, data }) => send(name, data));
  const timer = setInterval(() => {
    // A session that is over sees nothing more, also of what it has not read yet. An end in order would wait for that, and
    // what is told meanwhile would be written behind it.
    if (sessions.isAlive(session)) response.write(': still here\n\n');
    else response.destroy();
  }, KEEP_ALIVE_MS);
  response.once('close', () => {
    stop();
    clearInterval(timer);
  });
}

const knownSchema = z.object({
  id: z.string(),
  name: z.string(),
  host: z.string(),
  port: z.number(),
  fingerprint: z.string(),
  addedAt: z.string(),
});

function nodeRoutes(context: ConsoleContext): AnyRoute[] {
  const { nodes, fleet } = context;
  const tag = 'nodes';
  const role = 'administrator';
  return [
    route({
      method: 'GET',
      path: '/nodes',
      role,
      tag,
      summary:
        'Nodes that were added to this console (its own machine and the partner are always there).',
      reply: z.array(knownSchema),
      handle: () => nodes.all.map(({ token: _secret, ...rest }) => rest),
    }),
    route({
      method: 'POST',
      path: '/nodes/probe',
      role,
      tag,
      summary:
        'The fingerprint of the certificate that is shown there, to be compared with that of "understudy token create" on the node.',
      body: z.strictObject({ host: hostSchema, port: portSchema.default(7440) }),
      reply: z.object({ fingerprint: z.string() }),
      handle: async ({ body }) => ({ fingerprint: await shownFingerprint(body.host, body.port) }),
    }),
    addNodeRoute(context),
    route({
      method: 'DELETE',
      path: '/nodes/:id',
      role,
      tag,
      summary:
        'Removes a node from this console. The node itself is as before; revoke its access token there.',
      params: z.strictObject({ id: z.string().max(16) }),
      reply: knownSchema,
      handle: ({ params }) => {
        const { token: _secret, ...removed } = nodes.remove(params.id);
        fleet.refresh();
        return removed;
      },
    }),
  ];
}

function addNodeRoute({ nodes, fleet }: ConsoleContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/nodes',
    role: 'administrator',
    tag: 'nodes',
    summary:
      'Adds a node: asks it with the token first. Errors: NODE_UNREACHABLE, NODE_IDENTITY_WRONG, NODE_TOKEN_REFUSED, NODE_KNOWN.',
    body: z.strictObject({
      host: hostSchema,
      port: portSchema.default(7440),
      fingerprint: fingerprintSchema,
      token: accessTokenSchema,
    }),
    reply: knownSchema.extend({ role: z.string().describe('What the token may do there') }),
    handle: async ({ body, caller }) => {
      const { host, port, fingerprint, token } = body;
      const target = { kind: 'tls' as const, host, port, fingerprint, token };
      const { name, role } = await introduce(new NodeDial(host, target), caller.name);
      const { token: _secret, ...added } = nodes.add({ host, port, fingerprint, token, name });
      fleet.refresh();
      return { ...added, role };
    },
  });
}

const whoSchema = once(() => z.looseObject({ role: accessRoleSchema }));
const introductionSchema = once(() =>
  z.looseObject({ node: z.looseObject({ name: z.string().min(1).max(64) }) }),
);

/** Asks a node that is to be added who it is, and what the token may do. */
async function introduce(dial: NodeDial, user: string): Promise<{ name: string; role: string }> {
  try {
    const ask = async (path: string): Promise<unknown> => {
      const onBehalf = { user, role: 'administrator' } as const;
      const call = { method: 'GET', path, onBehalf, timeoutMs: ANSWER_MS_MAX };
      const response = await dial.send(call);
      const text = await textOf(dial, response, ANSWER_MS_MAX);
      if (response.statusCode === 200) return jsonOf(text, dial.name);
      throw new UnderstudyError(
        'NODE_TOKEN_REFUSED',
        `the node at ${dial.where} does not accept this access token: make one there with "understudy token create", and copy the whole line`,
        { details: { fields: ['token'], faults: ['refused by the node'] } },
      );
    };
    const { role } = checkedBy(whoSchema(), await ask('/api/v1/session'), dial.name);
    const { node } = checkedBy(introductionSchema(), await ask('/api/v1/status'), dial.name);
    return { name: node.name, role };
  } finally {
    dial.close();
  }
}
