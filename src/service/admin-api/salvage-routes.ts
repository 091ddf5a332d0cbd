// What a node has kept aside of its own data (docs/salvage.md). Each node has its own, whatever its role.
import { z } from 'zod';
import { reportSchema } from '../../mirror/salvage/salvage-report.ts';
import { absolutePathSchema } from '../group-spec.ts';
import { exportSalvage, listSalvages, removeSalvage, showSalvage } from '../salvage.ts';
import { type ApiContext, startOperation } from './context.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';
import { groupParamsSchema } from './schemas.ts';

const tag = 'salvage';
const params = groupParamsSchema.extend({ name: z.string().max(64) });
const summarySchema = reportSchema.omit({ entries: true });
const damagedSchema = z.object({ name: z.string(), fault: z.string() });

export function salvageRoutes(context: ApiContext): AnyRoute[] {
  const { service } = context;
  return [
    route({
      method: 'GET',
      path: '/groups/:group/salvages',
      role: 'viewer',
      tag,
      summary: 'What only this node had when the other one replaced it; the newest first.',
      params: groupParamsSchema,
      reply: z.array(z.union([summarySchema, damagedSchema])).readonly(),
      handle: ({ params: { group } }) => listSalvages(service, group),
    }),
    route({
      method: 'GET',
      path: '/groups/:group/salvages/:name',
      role: 'viewer',
      tag,
      summary: 'Which paths, and how they differed; the first 500 of them.',
      params,
      reply: reportSchema.extend({ path: z.string().describe('Where it is on this node') }),
      handle: ({ params: { group, name } }) => showSalvage(service, group, name),
    }),
    operationRoute({
      method: 'POST',
      path: '/groups/:group/salvages/:name/export',
      role: 'operator',
      tag,
      summary: 'Copies it to an empty directory of this node. Result: {"name", "to"}.',
      params,
      body: z.strictObject({ to: absolutePathSchema }),
      handle: ({ params: { group, name }, body: { to }, caller }) => {
        service.group(group).salvages.path(name);
        return startOperation(context, {
          kind: 'salvage-export',
          group,
          caller,
          work: async () => exportSalvage(service, group, { name, to }),
        });
      },
    }),
    route({
      method: 'DELETE',
      path: '/groups/:group/salvages/:name',
      role: 'operator',
      tag,
      summary: 'Removes it for good.',
      params,
      reply: z.object({ name: z.string() }),
      handle: ({ params: { group, name } }) => removeSalvage(service, group, name),
    }),
  ];
}
