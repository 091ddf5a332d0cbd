// The upgrade of processes that were started by a version before.
import { z } from 'zod';
import { upgrade } from '../upgrade.ts';
import { type ApiContext, startOperation } from './context.ts';
import { type AnyRoute, operationRoute } from './route.ts';

export function upgradeRoutes(context: ApiContext): AnyRoute[] {
  const { service } = context;
  return [
    operationRoute({
      method: 'POST',
      path: '/upgrade',
      role: 'administrator',
      tag: 'node',
      summary:
        'Replaces processes of this node that run another version than the service, while applications work. Result: {"node", "version", "installation", "parts"}, see docs/upgrade.md.',
      body: z.strictObject({
        check: z.boolean().default(false).describe('Only say what would happen'),
      }),
      handle: ({ body: { check }, caller }) =>
        startOperation(context, {
          kind: 'upgrade',
          group: null,
          caller,
          work: async (handle) =>
            upgrade(service, {
              check,
              onProgress: (done, total) => handle.progress({ phase: 'replacing', done, total }),
            }),
        }),
    }),
  ];
}
