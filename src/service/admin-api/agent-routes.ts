// Agents: which there are on this node, for forms; and what the probes of a group's agents saw.
import { z } from 'zod';
import { agentDescriptionSchema } from '../../agents/host/host-protocol.ts';
import { messageOf } from '../../core/errors.ts';
import { withPool } from '../agent-checks.ts';
import { agentViewSchema, seenSchema } from '../node-protocol.ts';
import type { NodeService } from '../node-service.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, route } from './route.ts';
import { groupParamsSchema } from './schemas.ts';
import { shared } from './shared.ts';

const tag = 'agents';
/** Of the pool that describes; no group can have it. */
const NO_GROUP = '-';

export function agentRoutes(context: ApiContext): AnyRoute[] {
  return [catalogRoute(context), groupAgentsRoute(context)];
}

function catalogRoute({ service }: ApiContext): AnyRoute {
  // Each time takes a process, or several.
  const describeAll = shared(async () => describeCatalog(service));
  return route({
    method: 'GET',
    path: '/agents',
    role: 'viewer',
    tag,
    summary:
      'All agents of this node, with their parameters as JSON Schema, and files that are none.',
    reply: z.object({
      agents: z
        .array(agentDescriptionSchema.extend({ path: z.string().nullable() }))
        .readonly()
        .describe("path: the file of one's own agent; null for one that comes with Understudy"),
      faults: z.array(z.object({ path: z.string(), fault: z.string() })).readonly(),
    }),
    handle: async () => describeAll(),
  });
}

async function describeCatalog(service: NodeService) {
  const { agents, faults } = service.catalog.list();
  return withPool(service, NO_GROUP, async (pool) => {
    const broken = [...faults];
    const described = agents.map(async ({ name, path }) => {
      try {
        return [{ ...(await pool.describe(name)), path }];
      } catch (thrown) {
        broken.push({ path: path ?? name, fault: messageOf(thrown) });
        return [];
      }
    });
    return { agents: (await Promise.all(described)).flat(), faults: broken };
  });
}

function groupAgentsRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/groups/:group/agents',
    role: 'viewer',
    tag,
    summary: "A group's agents on this node, and what their probes saw lately, oldest first.",
    params: groupParamsSchema,
    reply: z.object({
      agents: z.array(agentViewSchema).readonly(),
      history: z.record(z.string(), z.array(seenSchema).readonly()),
    }),
    handle: ({ params: { group } }) => {
      const { agents } = service.group(group);
      return { agents: agents.view, history: agents.history };
    },
  });
}
