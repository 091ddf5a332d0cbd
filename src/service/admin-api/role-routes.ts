// Operations that change who is primary, and those of a managed group's machine.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { simpleCommand } from '../failover/managed-commands.ts';
import { nameSchema } from '../group-spec.ts';
import { outcomeSchema } from '../node-protocol.ts';
import type { NodeService } from '../node-service.ts';
import { accept } from '../safety-accept.ts';
import { switchover } from '../switchover.ts';
import { takeover, yieldByHand } from '../takeover.ts';
import { type ApiContext, startOperation } from './context.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';
import { expectedEpochSchema, groupParamsSchema, outcomeNote } from './schemas.ts';

const tag = 'roles';

export function roleRoutes(context: ApiContext): AnyRoute[] {
  return [
    switchoverRoute(context),
    takeoverRoute(context),
    yieldRoute(context),
    acceptRoute(context),
    ...simpleRoutes(context),
  ];
}

/** Errors: GROUP_UNKNOWN, STATE_CHANGED. */
export function checkExpected(
  service: NodeService,
  group: string,
  epoch: number | undefined,
): void {
  const { state } = service.group(group);
  if (epoch === undefined || state.epoch === epoch) return;
  throw new UnderstudyError(
    'STATE_CHANGED',
    `group "${group}" has changed since it was looked at (epoch ${state.epoch} instead of ${epoch}): look again, nothing was done`,
    { details: { group, epoch: state.epoch, expected: epoch } },
  );
}

function switchoverRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/switchover',
    role: 'operator',
    tag,
    summary: `Makes the other node the primary; nothing is lost. ${outcomeNote}.`,
    params: groupParamsSchema,
    body: z.strictObject({ to: nameSchema.optional(), expectEpoch: expectedEpochSchema }),
    handle: ({ params: { group }, body: { to, expectEpoch }, caller }) => {
      checkExpected(service, group, expectEpoch);
      return startOperation(context, {
        kind: 'switchover',
        group,
        caller,
        work: async () => switchover(service, group, to),
      });
    },
  });
}

function takeoverRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/takeover',
    role: 'operator',
    tag,
    summary: `Makes this node the primary without the other one. ${outcomeNote}.`,
    params: groupParamsSchema,
    body: z.strictObject({
      force: z.boolean().default(false).describe('The other node is off or does not serve'),
      acceptStale: z.boolean().default(false).describe('Known acknowledged commits are given up'),
      acceptIncomplete: z.boolean().default(false).describe('Also a copy that was never complete'),
      acceptHalted: z.boolean().default(false).describe('A copy as of before its halt'),
      expectEpoch: expectedEpochSchema,
    }),
    handle: ({ params: { group }, body: { expectEpoch, ...options }, caller }) => {
      checkExpected(service, group, expectEpoch);
      return startOperation(context, {
        kind: 'takeover',
        group,
        caller,
        work: async () => takeover(service, group, options),
      });
    },
  });
}

function yieldRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/yield',
    role: 'operator',
    tag,
    summary: `Ends a split brain: this node's data is given up for that of the other. ${outcomeNote}.`,
    params: groupParamsSchema,
    body: z.strictObject({ force: z.boolean().default(false), expectEpoch: expectedEpochSchema }),
    handle: ({ params: { group }, body: { force, expectEpoch }, caller }) => {
      checkExpected(service, group, expectEpoch);
      return startOperation(context, {
        kind: 'yield',
        group,
        caller,
        work: async () => yieldByHand(service, group, { force }),
      });
    },
  });
}

function acceptRoute(context: ApiContext): AnyRoute {
  const { service } = context;
  return operationRoute({
    method: 'POST',
    path: '/groups/:group/accept',
    role: 'operator',
    tag,
    summary: 'Lets a halted group go on with what there is now. Result: {"what"}.',
    params: groupParamsSchema,
    body: z.strictObject({ expectEpoch: expectedEpochSchema }),
    handle: ({ params: { group }, body: { expectEpoch }, caller }) => {
      checkExpected(service, group, expectEpoch);
      return startOperation(context, {
        kind: 'accept',
        group,
        caller,
        work: async () => accept(service, group),
      });
    },
  });
}

const SIMPLE = [
  ['pause', 'Maintenance: nothing moves or restarts by itself until "resume".'],
  ['resume', 'Ends maintenance.'],
  ['clear-failures', 'The application may be tried again on this node.'],
] as const;

function simpleRoutes({ service }: ApiContext): AnyRoute[] {
  return SIMPLE.map(([kind, summary]) =>
    route({
      method: 'POST',
      path: `/groups/:group/${kind}`,
      role: 'operator',
      tag,
      summary: `${summary} For groups with failover.`,
      params: groupParamsSchema,
      reply: outcomeSchema,
      handle: async ({ params }) => simpleCommand(service, service.group(params.group), kind),
    }),
  );
}
