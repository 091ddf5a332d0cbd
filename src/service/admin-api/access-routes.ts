// Who may call, what was changed by whom, and what is under way.
import { z } from 'zod';
import { auditEntrySchema } from './audit.ts';
import { once } from './once.ts';
import { accessRoleSchema, nameOf } from './caller.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, route } from './route.ts';
import { operationSchema } from './schemas.ts';

const WAIT_SECONDS_MAX = 60;
const AUDIT_COUNT_MAX = 1000;
const VALID_MS_MAX = 10 * 366 * 86_400_000;

const tokenSchema = once(() =>
  z.object({
    id: z.string(),
    name: z.string(),
    role: accessRoleSchema,
    createdAt: z.string(),
    createdBy: z.string(),
    expiresAt: z.string().nullable(),
    usedAt: z.string().nullable(),
  }),
);

const idParams = z.strictObject({ id: z.string().max(64) });

export function accessRoutes(context: ApiContext): AnyRoute[] {
  return [
    sessionRoute(),
    ...tokenRoutes(context),
    auditRoute(context),
    ...operationRoutes(context),
  ];
}

function sessionRoute(): AnyRoute {
  return route({
    method: 'GET',
    path: '/session',
    role: 'viewer',
    tag: 'access',
    summary: 'Who the caller is, and its role.',
    reply: () =>
      z.object({
        kind: z.enum(['root', 'token', 'peer', 'user']),
        name: z.string(),
        user: z.string().nullable(),
        role: accessRoleSchema,
        from: z.string(),
      }),
    handle: ({ caller }) => caller,
  });
}

function tokenRoutes({ tokens, service }: ApiContext): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/tokens',
      role: 'administrator',
      tag: 'access',
      summary: 'Access tokens of this node, without their secrets.',
      reply: () => z.array(tokenSchema()),
      handle: () => tokens.list(),
    }),
    route({
      method: 'POST',
      path: '/tokens',
      role: 'administrator',
      tag: 'access',
      summary:
        'Makes an access token. Its text is in the answer, this once, and the fingerprint to pin the certificate of this node by.',
      body: z.strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'letters, digits, ".", "_", "-"'),
        role: accessRoleSchema,
        validMs: z.int().min(60_000).max(VALID_MS_MAX).nullable().default(null),
      }),
      reply: () => tokenSchema().extend({ token: z.string(), fingerprint: z.string() }),
      handle: ({ body, caller }) => ({
        ...tokens.create({ ...body, createdBy: nameOf(caller) }),
        fingerprint: service.identity.fingerprint,
      }),
    }),
    route({
      method: 'DELETE',
      path: '/tokens/:id',
      role: 'administrator',
      tag: 'access',
      summary: 'Revokes an access token, by its name or id.',
      params: idParams,
      reply: tokenSchema,
      handle: ({ params }) => tokens.revoke(params.id),
    }),
  ];
}

function auditRoute({ audit }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/audit',
    role: 'administrator',
    tag: 'access',
    summary:
      'Every change that was asked for: who, what, from where, with which result. Newest first.',
    query: z.strictObject({
      count: z.coerce.number().int().min(1).max(AUDIT_COUNT_MAX).default(100),
    }),
    reply: () => z.array(auditEntrySchema),
    handle: ({ query }) => audit.last(query.count),
  });
}

function operationRoutes({ operations }: ApiContext): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/operations',
      role: 'viewer',
      tag: 'operations',
      summary: 'Operations that run, and the last that ended. Newest first.',
      reply: () => z.array(operationSchema()),
      handle: () => operations.list(),
    }),
    route({
      method: 'GET',
      path: '/operations/:id',
      role: 'viewer',
      tag: 'operations',
      summary: 'One operation; with "wait" (seconds) the answer comes when it has ended, or then.',
      params: idParams,
      query: z.strictObject({ wait: z.coerce.number().min(0).max(WAIT_SECONDS_MAX).default(0) }),
      reply: operationSchema,
      handle: async ({ params, query, request }) => {
        const gone = new AbortController();
        request.raw.once('close', () => gone.abort());
        return operations.wait(params.id, query.wait * 1000, gone.signal);
      },
    }),
    route({
      method: 'DELETE',
      path: '/operations/:id',
      role: 'operator',
      tag: 'operations',
      summary: 'Gives up an operation that can be given up (a preview).',
      params: idParams,
      reply: operationSchema,
      handle: ({ params }) => operations.cancel(params.id),
    }),
  ];
}
