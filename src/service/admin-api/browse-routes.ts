// What the wizard asks a node before a group is created.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { absolutePathSchema, newPatternSchema, PATTERNS_MAX } from '../group-spec.ts';
import { probeAddress } from './address-check.ts';
import { browse } from './browse.ts';
import { type ApiContext, startOperation } from './context.ts';
import { proposals, proposalsSchema } from './discovery.ts';
import { previewPatterns } from './pattern-preview.ts';
import { type AnyRoute, operationRoute, route } from './route.ts';

const tag = 'wizard';
const PREVIEWS_MAX = 2;

export function browseRoutes(context: ApiContext): AnyRoute[] {
  return [discoverRoute(), browseRoute(context), previewRoute(context), addressRoute()];
}

function discoverRoute(): AnyRoute {
  return route({
    method: 'GET',
    path: '/discover',
    role: 'operator',
    tag,
    summary:
      'Applications of this node, each with a group that would protect it. Nothing is changed or connected to.',
    reply: proposalsSchema,
    handle: async () => proposals(),
  });
}

function browseRoute({ service }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/browse',
    role: 'operator',
    tag,
    summary: 'What is in a directory of this node: names, kinds, sizes. Links are not followed.',
    query: z.strictObject({ path: absolutePathSchema }),
    reply: () =>
      z.object({
        path: z.string(),
        parent: z.string().nullable(),
        owner: z.string().nullable().describe('Who has it already: a group, or Understudy itself'),
        entries: z
          .array(
            z.object({
              name: z.string(),
              isText: z.boolean().describe('False: no valid UTF-8, it cannot be chosen'),
              kind: z.enum(['directory', 'file', 'symlink', 'other']),
              size: z.number().nullable(),
              owner: z.string().nullable(),
            }),
          )
          .readonly(),
        isCut: z.boolean().describe('There are more than are shown'),
      }),
    handle: async ({ query: { path } }) => browse(path, service.occupied()),
  });
}

function previewRoute(context: ApiContext): AnyRoute {
  return operationRoute({
    method: 'POST',
    path: '/preview',
    role: 'operator',
    tag,
    summary:
      'What patterns would mirror in a directory, within a minute. Result: {"files", "bytes", "leftOutFiles", "leftOutBytes", "directories", "isComplete", "samples", "leftOutSamples", "unreadable"}.',
    body: z.strictObject({
      dir: absolutePathSchema,
      include: z.array(newPatternSchema).min(1).max(PATTERNS_MAX).default(['**']),
      exclude: z.array(newPatternSchema).max(PATTERNS_MAX).default([]),
    }),
    handle: ({ body, caller }) => {
      refuseMany(context);
      return startOperation(context, {
        kind: 'preview',
        group: null,
        caller,
        isCancellable: true,
        work: async ({ signal, progress }) =>
          previewPatterns(body, {
            signal,
            onProgress: ({ files, leftOutFiles }) => {
              progress({ phase: 'looking', done: files + leftOutFiles, unit: 'files' });
            },
          }),
      });
    },
  });
}

/** Each goes through a directory as fast as it can. */
function refuseMany({ operations }: ApiContext): void {
  const running = operations
    .list()
    .filter(({ kind, state }) => kind === 'preview' && state === 'running');
  if (running.length < PREVIEWS_MAX) return;
  throw new UnderstudyError(
    'REQUESTS_TOO_MANY',
    `${PREVIEWS_MAX} previews run on this node already: wait, or give one up`,
  );
}

function addressRoute(): AnyRoute {
  return route({
    method: 'POST',
    path: '/address-check',
    role: 'operator',
    tag,
    summary: 'Whether an address is free on the network of an interface of this node (RFC 5227).',
    body: z.strictObject({
      ip: z.string().max(64).describe('With its prefix: 192.0.2.10/24'),
      interface: z.string().regex(/^[^\s/]{1,15}$/, 'must be the name of an interface'),
    }),
    reply: () =>
      z.object({
        ip: z.string(),
        isFree: z.boolean(),
        occupant: z
          .object({ kind: z.enum(['this-node', 'other-machine']), mac: z.string().nullable() })
          .nullable(),
      }),
    handle: async ({ body }) => probeAddress(body),
  });
}
