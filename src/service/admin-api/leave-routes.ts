// Before the machine is shut down.
import { z } from 'zod';
import { leave } from '../leave.ts';
import { type ApiContext, startOperation } from './context.ts';
import { type AnyRoute, operationRoute } from './route.ts';

export function leaveRoutes(context: ApiContext): AnyRoute[] {
  const { service } = context;
  return [
    operationRoute({
      method: 'POST',
      path: '/leave',
      role: 'administrator',
      tag: 'node',
      summary:
        'Before this machine is shut down: what it serves moves to the other node, or is stopped in order where that cannot take over. The node takes no part until its service is started again, or ten minutes have gone by. Result: {"node", "groups"}, see docs/failover.md.',
      body: z.strictObject({}),
      handle: ({ caller }) =>
        startOperation(context, {
          kind: 'leave',
          group: null,
          caller,
          work: async () => leave(service),
        }),
    }),
  ];
}
