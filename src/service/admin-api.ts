// Methods of the admin socket `/run/understudy/understudyd.sock`: what the command line calls. The
// socket has mode 0600, so the caller is root of this node.
import { z } from 'zod';
import { ControlServer, type ControlParams } from './control-channel.ts';
import { simpleCommand } from './failover/managed-commands.ts';
import { createGroup } from './group-creation.ts';
import { parseGroupInput } from './group-definition.ts';
import { deleteGroup } from './group-deletion.ts';
import { absolutePathSchema, nameSchema } from './group-spec.ts';
import { accept } from './safety-accept.ts';
import type { NodeService } from './node-service.ts';
import { changeLimit, changeNodeLimit, showLimit, showNodeLimit } from './limits.ts';
import { invite, join, unpair } from './pairing.ts';
import {
  bookmarkNameSchema,
  browseRewind,
  listRewind,
  markRewind,
  restoreRewind,
} from './rewind.ts';
import { rewindWishSchema } from './rewind-wish.ts';
import { switchover } from './switchover.ts';
import { takeover, yieldByHand } from './takeover.ts';
import { collectStatus } from './status.ts';
import { repair, startVerify } from './verification.ts';
import { parseStrictly } from '../core/strict-config.ts';

const EVENTS_MAX = 10_000;

const groupOnly = z.strictObject({ group: nameSchema });
const forced = z.strictObject({ group: nameSchema, force: z.boolean().default(false) });

/** Builds the admin server; every event of the node goes to all its clients. */
export function buildAdminApi(service: NodeService): ControlServer {
  const server = new ControlServer(service.paths.adminSocket, {
    status: async () => collectStatus(service),
    events: (params) => {
      const { count } = check(
        z.strictObject({ count: z.int().min(1).max(EVENTS_MAX).default(50) }),
        params,
      );
      return service.events.last(count);
    },
    invite: (params) => {
      const { validMs } = check(z.strictObject({ validMs: z.number().optional() }), params);
      return invite(service, validMs);
    },
    join: async (params) => {
      const { token } = check(z.strictObject({ token: z.string().max(1024) }), params);
      const { id, name, host } = await join(service, token);
      return { id, name, host };
    },
    unpair: () => {
      const { id, name } = unpair(service);
      return { id, name };
    },
    'group-create': async (params) => {
      const schema = z.strictObject({
        input: z.unknown(),
        origin: z.string().max(4096),
        allowEmptyMatch: z.boolean().default(false),
      });
      const { input, origin, allowEmptyMatch } = check(schema, params);
      const parsed = parseGroupInput(input, origin);
      return createGroup(service, parsed, { origin, allowEmptyMatch });
    },
    'group-list': async () => (await collectStatus(service)).groups,
    'group-show': async (params) => {
      const runtime = service.group(check(groupOnly, params).group);
      const { definition, state } = runtime;
      return { definition, state, log: runtime.logFile, view: await runtime.view() };
    },
    'group-delete': async (params) => {
      const { group, force } = check(forced, params);
      await deleteGroup(service, group, { force });
    },
    switchover: async (params) => {
      const schema = z.strictObject({ group: nameSchema, to: nameSchema.optional() });
      const { group, to } = check(schema, params);
      return switchover(service, group, to);
    },
    takeover: async (params) => {
      const schema = z.strictObject({
        group: nameSchema,
        force: z.boolean().default(false),
        acceptIncomplete: z.boolean().default(false),
        acceptHalted: z.boolean().default(false),
        acceptStale: z.boolean().default(false),
      });
      const { group, ...options } = check(schema, params);
      return takeover(service, group, options);
    },
    'rewind-list': async (params) => listRewind(service, check(groupOnly, params).group),
    'rewind-mark': async (params) => {
      const schema = z.strictObject({ group: nameSchema, name: bookmarkNameSchema });
      const { group, name } = check(schema, params);
      return markRewind(service, group, name);
    },
    'rewind-browse': async (params) => {
      const schema = z.strictObject({
        group: nameSchema,
        wish: rewindWishSchema,
        to: absolutePathSchema,
      });
      const { group, ...options } = check(schema, params);
      return browseRewind(service, group, options);
    },
    'rewind-restore': async (params) => {
      const schema = z.strictObject({
        group: nameSchema,
        wish: rewindWishSchema,
        force: z.boolean().default(false),
      });
      const { group, ...options } = check(schema, params);
      return restoreRewind(service, group, options);
    },
    verify: async (params) => startVerify(service, check(groupOnly, params).group),
    repair: async (params) => repair(service, check(groupOnly, params).group),
    limit: async (params) => {
      const schema = z.strictObject({ group: nameSchema, bandwidth: z.unknown().optional() });
      const { group, bandwidth } = check(schema, params);
      if (bandwidth === undefined) return showLimit(service, group);
      return changeLimit(service, group, bandwidth);
    },
    'node-limit': async (params) => {
      const { bandwidth } = check(z.strictObject({ bandwidth: z.unknown().optional() }), params);
      return bandwidth === undefined ? showNodeLimit(service) : changeNodeLimit(service, bandwidth);
    },
    pause: async (params) => simply(service, 'pause', params),
    resume: async (params) => simply(service, 'resume', params),
    accept: async (params) => accept(service, check(groupOnly, params).group),
    'clear-failures': async (params) => simply(service, 'clear-failures', params),
    yield: async (params) => {
      const { group, force } = check(forced, params);
      return yieldByHand(service, group, { force });
    },
  });
  service.events.onEvent((event) => server.broadcast(event));
  return server;
}

async function simply(
  service: NodeService,
  kind: 'pause' | 'resume' | 'clear-failures',
  params: ControlParams,
): Promise<unknown> {
  return simpleCommand(service, service.group(check(groupOnly, params).group), kind);
}

function check<T>(schema: z.ZodType<T>, params: ControlParams): T {
  return parseStrictly(schema, params, { code: 'REQUEST_INVALID', origin: 'the request' });
}
