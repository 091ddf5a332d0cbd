// Protection groups: shown, created, deleted; their comparison and their bandwidth.
import { z } from 'zod';
import { bandwidthSchema } from '../bandwidth.ts';
import { createGroup, planGroup } from '../group-creation.ts';
import { groupDefinitionSchema, parseGroupInput } from '../group-definition.ts';
import { editGroup } from '../group-edit.ts';
import { parseGroupEdit } from '../group-edit-input.ts';
import { deleteGroup } from '../group-deletion.ts';
import { groupStateSchema } from '../group-state.ts';
import { changeLimit, showLimit } from '../limits.ts';
import { groupViewSchema } from '../node-protocol.ts';
import { collectStatus } from '../status.ts';
import { lastReport, runVerify } from '../verification-run.ts';
import { mayDo } from './caller.ts';
import { type ApiContext, startOperation } from './context.ts';
import { withSecretsHidden } from './hidden-secrets.ts';
import { once } from './once.ts';
import { checkExpected } from './role-routes.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';
import { expectedEpochSchema, groupParamsSchema, groupStatusSchema } from './schemas.ts';

const tag = 'groups';
const params = groupParamsSchema;

const inputSchema = z.strictObject({
  input: z
    .record(z.string(), z.unknown())
    .describe('The group as in its YAML file, see docs/cli.md, "understudy group create"'),
  origin: z
    .string()
    .max(4096)
    .default('the request')
    .describe('For messages: where it was written'),
  allowEmptyMatch: z.boolean().default(false).describe('Include patterns may match nothing yet'),
});

const planSchema = once(() =>
  z.object({
    definition: groupDefinitionSchema,
    warnings: z.array(z.string()).readonly(),
  }),
);

export function groupRoutes(context: ApiContext): AnyRoute[] {
  return [
    listRoute(context),
    showRoute(context),
    checkRoute(context),
    createRoute(context),
    editRoute(context),
    deleteRoute(context),
    ...verifyRoutes(context),
    ...limitRoutes(context),
  ];
}

function listRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/groups',
    role: 'viewer',
    tag,
    summary: 'All groups of this node, from both points of view.',
    reply: () => z.array(groupStatusSchema()).readonly(),
    handle: async () => (await collectStatus(service)).groups,
  });
}

function showRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/groups/:group',
    role: 'viewer',
    tag,
    summary:
      'All about one group: how it is defined, what this node keeps of it, how it is. Passwords are for administrators.',
    params,
    reply: () =>
      z.object({
        definition: groupDefinitionSchema,
        state: groupStateSchema,
        log: z.string(),
        view: groupViewSchema,
      }),
    handle: async ({ params: { group }, caller }) => {
      const runtime = service.group(group);
      const { state, logFile } = runtime;
      const isWhole = mayDo(caller.role, 'administrator');
      const definition = isWhole ? runtime.definition : withSecretsHidden(runtime.definition);
      return { definition, state, log: logFile, view: await runtime.view() };
    },
  });
}

function checkRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/groups/check',
    // Agents run programs that their parameters name, as root, also to check them.
    role: 'administrator',
    tag,
    summary: 'Makes every check of a creation on both nodes and changes nothing.',
    body: inputSchema,
    reply: planSchema,
    handle: async ({ body: { input, origin, allowEmptyMatch } }) =>
      planGroup(service, parseGroupInput(input, origin), { origin, allowEmptyMatch }),
  });
}

function createRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups',
    role: 'administrator',
    tag,
    summary:
      'Creates a group with this node as primary. Result: {"definition", "warnings"}; the first copy then runs.',
    body: inputSchema,
    handle: ({ body: { input, origin, allowEmptyMatch }, caller }) => {
      const parsed = parseGroupInput(input, origin);
      return startOperation(context, {
        kind: 'group-create',
        group: parsed.name,
        caller,
        // Who may look sees what became of an operation.
        work: async () =>
          withSecretsHidden(await createGroup(service, parsed, { origin, allowEmptyMatch })),
      });
    },
  });
}

function editRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'PATCH',
    path: '/groups/:group',
    role: 'administrator',
    tag,
    summary:
      'Changes what may change in the life of a group, on both nodes, while it runs: keys as in its YAML file; what is left out stays. Others are refused with GROUP_KEY_FIXED, unless they are as before. See docs/cli.md, "understudy group edit".',
    params,
    body: z.looseObject({
      verify: z.string().max(40).optional().describe('How often copies are compared: "7d", "off"'),
      bandwidth: bandwidthBodySchema.shape.bandwidth.optional(),
      replication: z.unknown().optional().describe('Keys as in the YAML file'),
      safety: z.unknown().optional(),
      agents: z.unknown().optional().describe('All of them, each whole'),
      expectEpoch: expectedEpochSchema,
    }),
    reply: () => z.object({ definition: groupDefinitionSchema }),
    handle: async ({ params: { group }, body: { expectEpoch, ...change } }) => {
      checkExpected(service, group, expectEpoch);
      const edit = parseGroupEdit(change, 'the request');
      return { definition: await editGroup(service, group, edit) };
    },
  });
}

function deleteRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'DELETE',
    path: '/groups/:group',
    role: 'administrator',
    tag,
    summary: 'Ends the protection; the data stays on both nodes. Result: {"deleted"}.',
    params,
    query: z.strictObject({
      force: z.enum(['true', 'false']).default('false').describe('Also without the other node'),
      expectEpoch: z.coerce.number().int().min(1).optional().describe('As in the other routes'),
    }),
    handle: ({ params: { group }, query, caller }) => {
      checkExpected(service, group, query.expectEpoch);
      return startOperation(context, {
        kind: 'group-delete',
        group,
        caller,
        work: async () => {
          const { groupId } = service.group(group).definition;
          await deleteGroup(service, group, { force: query.force === 'true' });
          context.history.forget(groupId);
          return { deleted: group };
        },
      });
    },
  });
}

const reportSchema = once(() =>
  z.looseObject({
    state: z.enum(['none', 'running', 'equal', 'differs', 'interrupted']),
    beganAtMs: z.number(),
    endedAtMs: z.number(),
    objects: z.number(),
    bytes: z.number(),
    count: z.number().describe('Differences, all that were found'),
    differences: z.array(z.unknown()).readonly().describe('The first of them; names are latin1'),
  }),
);

function verifyRoutes(context: ApiContext): AnyRoute[] {
  const { service } = context;
  return [
    route({
      method: 'GET',
      path: '/groups/:group/verify',
      role: 'viewer',
      tag,
      summary: 'What the last comparison of the copies found.',
      params,
      reply: reportSchema,
      handle: async ({ params: { group } }) => lastReport(service, group),
    }),
    operationRoute({
      method: 'POST',
      path: '/groups/:group/verify',
      role: 'operator',
      tag,
      summary:
        'Compares both copies while applications work; on the primary. Result: {"report", "repaired"}.',
      params,
      body: z.strictObject({
        repair: z.boolean().default(false).describe('Make the copy equal, and compare again'),
      }),
      handle: ({ params: { group }, body, caller }) => {
        service.group(group);
        return startOperation(context, {
          kind: 'verify',
          group,
          caller,
          work: async (handle) =>
            runVerify(service, group, {
              repair: body.repair,
              onProgress: (phase, progress) => {
                handle.progress({
                  phase,
                  done: progress?.bytes ?? null,
                  total:
                    progress === null || progress.bytesTotal === 0 ? null : progress.bytesTotal,
                  unit: 'bytes',
                  secondsLeft: progress?.secondsLeft ?? null,
                });
              },
            }),
        });
      },
    }),
  ];
}

const limitSchema = once(() =>
  z.object({
    group: z.string(),
    set: bandwidthSchema.describe(
      'Rates in bytes per second, null for unlimited; days from Monday, 0',
    ),
    lines: z.array(z.string()).readonly(),
    inForce: z
      .object({
        node: z.string(),
        rate: z.number().nullable(),
        from: z.enum(['limit', 'schedule', 'node']),
        why: z.string(),
        revision: z.number(),
      })
      .nullable()
      .describe('Null while no primary can be asked'),
    isTaken: z.boolean(),
    wireBytesPerSecond: z.number().nullable(),
  }),
);

/** As people write it, see bandwidth-input.ts. */
export const bandwidthBodySchema = z.strictObject({
  bandwidth: z
    .union([z.string().max(60), z.record(z.string(), z.unknown())])
    .describe(
      '"50 Mbit/s", "unlimited", or {"default", "schedule": [{"days", "from", "to", "bandwidth"}]}',
    ),
});

function limitRoutes({ service }: ApiContext): AnyRoute[] {
  return [
    route({
      method: 'GET',
      path: '/groups/:group/limit',
      role: 'viewer',
      tag,
      summary: 'The bandwidth limit of a group, and which one is in force now.',
      params,
      reply: limitSchema,
      handle: async ({ params: { group } }) => showLimit(service, group),
    }),
    route({
      method: 'PUT',
      path: '/groups/:group/limit',
      role: 'operator',
      tag,
      summary: 'Changes the bandwidth limit of a group, with or without a weekly schedule.',
      params,
      body: bandwidthBodySchema,
      reply: limitSchema,
      handle: async ({ params: { group }, body }) => changeLimit(service, group, body.bandwidth),
    }),
  ];
}
