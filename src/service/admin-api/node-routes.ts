// This node: how it is, whom it trusts, what it may send.
import { z } from 'zod';
import { changeNodeLimit, showNodeLimit } from '../limits.ts';
import { nodeHealthSchema } from '../node-health/node-health.ts';
import { invite, join, unpair } from '../pairing.ts';
import { collectStatus } from '../status.ts';
import { once } from './once.ts';
import { type ApiContext, startOperation } from './context.ts';
import { bandwidthBodySchema } from './group-routes.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';
import { statusSchema } from './schemas.ts';
import { shared } from './shared.ts';

export function nodeRoutes(context: ApiContext): AnyRoute[] {
  return [
    ...viewRoutes(context),
    ...limitRoutes(context),
    inviteRoute(context),
    joinRoute(context),
    unpairRoute(context),
  ];
}

function viewRoutes({ service, health }: ApiContext): AnyRoute[] {
  const tag = 'node';
  // It asks the agents of all groups, in processes of their own.
  const findings = shared(async () => {
    const { runDoctor } = await import('../doctor.ts');
    return runDoctor(service.paths);
  });
  return [
    route({
      method: 'GET',
      path: '/status',
      role: 'viewer',
      tag,
      summary: 'This node, its partner, and every group from both points of view.',
      reply: statusSchema,
      handle: async () => collectStatus(service),
    }),
    route({
      method: 'GET',
      path: '/node',
      role: 'viewer',
      tag,
      summary: 'Health of this machine: CPU, memory, disks, network cards, processes, versions.',
      reply: nodeHealthSchema,
      handle: async () => health.look(),
    }),
    route({
      method: 'GET',
      path: '/doctor',
      role: 'viewer',
      tag,
      summary: 'Whether this machine has what Understudy needs.',
      reply: () =>
        z.object({
          ok: z.boolean(),
          findings: z.array(
            z.object({
              check: z.string(),
              level: z.enum(['ok', 'warning', 'error']),
              found: z.string(),
              remedy: z.string().nullable(),
            }),
          ),
        }),
      handle: async () => {
        const found = await findings();
        return { ok: found.every(({ level }) => level !== 'error'), findings: found };
      },
    }),
  ];
}

const nodeLimitSchema = once(() =>
  z.object({
    node: z.string(),
    set: z.object({ rate: z.number().nullable(), schedule: z.array(z.unknown()).readonly() }),
    lines: z.array(z.string()).readonly(),
    rate: z.number().nullable(),
    shares: z
      .array(z.object({ group: z.string(), share: z.number(), sent: z.number() }))
      .readonly(),
  }),
);

function limitRoutes({ service }: ApiContext): AnyRoute[] {
  const tag = 'node';
  return [
    route({
      method: 'GET',
      path: '/node/limit',
      role: 'viewer',
      tag,
      summary: 'The bandwidth limit that all groups of this node share.',
      reply: nodeLimitSchema,
      handle: () => showNodeLimit(service),
    }),
    route({
      method: 'PUT',
      path: '/node/limit',
      role: 'operator',
      tag,
      summary: 'Changes the bandwidth limit of this node.',
      body: bandwidthBodySchema,
      reply: nodeLimitSchema,
      handle: async ({ body }) => changeNodeLimit(service, body.bandwidth),
    }),
  ];
}

function inviteRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/pairing/invitation',
    role: 'administrator',
    tag: 'pairing',
    summary: 'Makes a pairing token, with which another node can join this one, once.',
    body: z.strictObject({ validMs: z.int().optional() }),
    reply: () => z.object({ token: z.string(), expiresAt: z.string() }),
    handle: ({ body }) => invite(service, body.validMs),
  });
}

function joinRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/pairing/join',
    role: 'administrator',
    tag: 'pairing',
    summary: 'Pairs this node with the one that made the token. Result: {"id", "name", "host"}.',
    body: z.strictObject({ token: z.string().max(1024) }),
    handle: ({ body, caller }) =>
      startOperation(context, {
        kind: 'join',
        group: null,
        caller,
        work: async () => {
          const { id, name, host } = await join(service, body.token);
          return { id, name, host };
        },
      }),
  });
}

function unpairRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'DELETE',
    path: '/pairing',
    role: 'administrator',
    tag: 'pairing',
    summary: 'No longer trusts the other node; groups have to be deleted first.',
    reply: () => z.object({ id: z.string(), name: z.string() }),
    handle: () => {
      const { id, name } = unpair(service);
      return { id, name };
    },
  });
}
