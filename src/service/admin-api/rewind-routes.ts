// Earlier states of a copy. They are kept by the standby: all but the bookmark are for the node that has that role.
import { z } from 'zod';
import { absolutePathSchema } from '../group-spec.ts';
import {
  bookmarkNameSchema,
  browseRewind,
  listRewind,
  markRewind,
  restoreRewind,
} from '../rewind.ts';
import { rewindWishSchema } from '../rewind-wish.ts';
import { once } from './once.ts';
import { type ApiContext, startOperation } from './context.ts';
import { checkExpected } from './role-routes.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';
import { expectedEpochSchema, groupParamsSchema } from './schemas.ts';

const tag = 'rewind';
const stateSchema = once(() => z.object({ sequence: z.number(), at: z.string().nullable() }));
const params = groupParamsSchema;

export function rewindRoutes(context: ApiContext): AnyRoute[] {
  return [listRoute(context), markRoute(context), browseRoute(context), restoreRoute(context)];
}

function listRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/groups/:group/rewind',
    role: 'viewer',
    tag,
    summary: 'Which moments can be reached, and bookmarks. On the standby.',
    params,
    reply: () =>
      z.object({
        from: stateSchema().nullable(),
        to: stateSchema().nullable(),
        bytes: z.number(),
        bookmarks: z
          .array(stateSchema().extend({ name: z.string(), kept: z.boolean() }))
          .readonly(),
      }),
    handle: async ({ params: { group } }) => listRewind(service, group),
  });
}

function markRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/rewind/marks',
    role: 'operator',
    tag,
    summary:
      'Gives a name to the present moment; on either node. Result: {"name", "sequence", "at", "exact"}.',
    params,
    body: z.strictObject({
      name: bookmarkNameSchema,
      quiesce: z
        .boolean()
        .default(false)
        .describe('The agents bring their data to a state worth it before'),
    }),
    handle: ({ params: { group }, body, caller }) => {
      service.group(group);
      return startOperation(context, {
        kind: 'rewind-mark',
        group,
        caller,
        work: async () => markRewind(service, group, body),
      });
    },
  });
}

function browseRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/rewind/browse',
    // Root writes what users of the group wrote, wherever the caller wants it.
    role: 'administrator',
    tag,
    summary:
      'Makes a directory of the standby with the data as of a moment. Result: {"sequence", "at"}.',
    params,
    body: z.strictObject({
      wish: rewindWishSchema,
      to: absolutePathSchema.describe('Empty directory, best on the disk of the copy'),
    }),
    handle: ({ params: { group }, body, caller }) => {
      service.group(group);
      return startOperation(context, {
        kind: 'rewind-browse',
        group,
        caller,
        work: async () => browseRewind(service, group, body),
      });
    },
  });
}

function restoreRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/rewind/restore',
    role: 'operator',
    tag,
    summary:
      'Makes this node, the standby, the primary with the data as of a moment: later data is given up on both. Result: {"epoch", "warnings", "state"}.',
    params,
    body: z.strictObject({
      wish: rewindWishSchema,
      force: z.boolean().default(false),
      expectEpoch: expectedEpochSchema,
    }),
    handle: ({ params: { group }, body: { expectEpoch, ...options }, caller }) => {
      checkExpected(service, group, expectEpoch);
      return startOperation(context, {
        kind: 'rewind-restore',
        group,
        caller,
        work: async () => restoreRewind(service, group, options),
      });
    },
  });
}
