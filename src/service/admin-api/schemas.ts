// Shapes of the API that several routes share, and of its answers. The web application takes its types from here
// (`import type`).
import { z } from 'zod';
import { nodeInfoSchema, groupViewSchema } from '../node-protocol.ts';
import { once } from './once.ts';
import { epochSchema, nameSchema } from '../group-spec.ts';

export const groupParamsSchema = z.strictObject({ group: nameSchema });

/**
 * The epoch that the caller saw. With another one by now, what it decided on has changed: refused with
 * STATE_CHANGED, and nothing happens.
 */
export const expectedEpochSchema = epochSchema
  .optional()
  .describe('Epoch that the caller saw; refused with STATE_CHANGED when it is another one by now');

const detailValue = once(() =>
  z.union([z.string(), z.number(), z.boolean(), z.array(z.string()).readonly()]),
);

export const errorSchema = once(() =>
  z.object({
    error: z.object({
      code: z.string().describe('Stable, see docs/errors.md'),
      message: z.string().describe('A sentence that names the thing and the way out'),
      details: z
        .record(z.string(), detailValue())
        .optional()
        .describe('Of faults in what was sent: `fields` and `faults`, lists of the same length'),
    }),
  }),
);

export const operationSchema = once(() =>
  z.object({
    id: z.string(),
    kind: z
      .string()
      .describe(
        'group-create, group-delete, switchover, takeover, yield, accept, verify, rewind-mark, rewind-browse, rewind-restore, salvage-export, join, preview',
      ),
    group: z.string().nullable(),
    state: z.enum(['running', 'done', 'failed']),
    by: z.string(),
    startedAt: z.string(),
    endedAt: z.string().nullable(),
    progress: z.object({
      phase: z.string(),
      done: z.number().nullable(),
      total: z.number().nullable(),
      unit: z.enum(['bytes', 'files']).nullable(),
      secondsLeft: z.number().nullable(),
    }),
    result: z.unknown().describe('Of the operation; see the route that starts it'),
    error: z
      .object({
        code: z.string(),
        message: z.string(),
        details: z.record(z.string(), detailValue()).optional(),
      })
      .nullable(),
  }),
);

export const eventSchema = once(() =>
  z.object({
    id: z.int().min(0).describe('Grows by one with each event of the node'),
    at: z.string(),
    level: z.enum(['info', 'warning', 'error']),
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), detailValue()),
    acknowledged: z
      .object({ at: z.string(), by: z.string() })
      .nullable()
      .describe('Who has seen it; null: nobody yet'),
  }),
);
export type EventView = z.infer<ReturnType<typeof eventSchema>>;

export const scanSchema = once(() =>
  z.object({
    files: z.number(),
    filesTotal: z.number().describe('0: not known yet'),
    bytes: z.number(),
    bytesTotal: z.number(),
    rateBytesPerSecond: z.number(),
    secondsLeft: z.number().nullable(),
  }),
);

export const groupStatusSchema = once(() =>
  z.object({
    name: nameSchema,
    groupId: z.string(),
    role: z.enum(['primary', 'standby']).describe('Of the node that was asked'),
    primary: z.string().nullable().describe('Name of the node; null: none or not known'),
    standby: z.string().nullable(),
    epoch: z.number(),
    mode: z.enum(['sync', 'memory', 'async']),
    copy: z
      .string()
      .describe('up-to-date, catching-up, syncing, diverged, halted, empty or unknown'),
    link: z.string().describe('connected, connecting, waiting, none or unknown'),
    linkReason: z.string().nullable(),
    alone: z.boolean().describe('The primary goes on without the standby'),
    backlogBytes: z.number().nullable(),
    lagMs: z.number().nullable(),
    halted: z.string().nullable(),
    scan: scanSchema().nullable().describe('A first copy or resync that is going on'),
    verifying: scanSchema()
      .nullable()
      .describe('A comparison that is going on, like scan; null: none'),
    verify: z.unknown().describe('The last comparison; null: no standby answers'),
    limit: z.string().nullable(),
    compressionRatio: z.number().nullable(),
    wireBytesPerSecond: z.number().nullable(),
    directories: z.array(z.string()).readonly(),
    salvages: z
      .array(z.object({ node: z.string(), name: z.string() }))
      .readonly()
      .describe('What is kept aside on the nodes (docs/salvage.md), the newest first'),
    troubles: z.array(z.string()).readonly(),
    local: groupViewSchema,
    remote: groupViewSchema.nullable(),
  }),
);

export const statusSchema = once(() =>
  z.object({
    node: nodeInfoSchema,
    peer: z
      .object({
        name: z.string(),
        host: z.string(),
        reachable: z.boolean().describe('It answered the last time it was asked'),
        fault: z.string().nullable(),
        ageMs: z
          .number()
          .nullable()
          .describe('How old everything is that is told of it; null: it has not answered yet'),
      })
      .nullable(),
    groups: z.array(groupStatusSchema()).readonly(),
  }),
);

export const outcomeNote =
  'Result: {"epoch", "warnings"}; with warnings it was done, but not all of it';
