// What nodes say to each other over HTTPS (node API, version 1). Both ends check every body.
import { z } from 'zod';
import {
  epochSchema,
  id128Schema,
  nameSchema,
  nodeIdSchema,
  portSchema,
  positionSchema,
} from './group-spec.ts';
import { bandwidthSchema } from './bandwidth.ts';
import { groupDefinitionSchema } from './group-definition.ts';
import { rewindWishSchema } from './rewind-wish.ts';
import { hostSchema } from './node-config.ts';

/** Raised when a node of the version before could misunderstand. */
export const NODE_PROTOCOL_VERSION = 1;
export const BODY_BYTES_MAX = 512 * 1024;

export const nodeInfoSchema = z.object({
  id: nodeIdSchema,
  name: nameSchema,
  host: hostSchema,
  port: portSchema,
  replicationHost: hostSchema,
  version: z.string().max(40),
  protocol: z.int(),
});
export type NodeInfo = z.infer<typeof nodeInfoSchema>;

export const joinRequestSchema = z.strictObject({
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  node: nodeInfoSchema,
});
export const joinReplySchema = z.object({ node: nodeInfoSchema });

export const roleSchema = z.enum(['primary', 'standby']);
export type Role = z.infer<typeof roleSchema>;

/** What a probe saw. */
export const seenSchema = z.object({
  at: z.string().max(40).describe('ISO 8601'),
  state: z.enum(['ok', 'degraded', 'failed', 'stopped', 'hung', 'unknown']),
  sentence: z.string().max(4096),
  ms: z.number().describe('How long the probe took'),
  measures: z.record(z.string().max(64), z.number()),
});

/** One agent of a group, as status and console show it. */
export const agentViewSchema = z.object({
  name: z.string().max(64),
  use: z.string().max(64),
  phase: z.enum(['unknown', 'stopped', 'starting', 'running', 'stopping']),
  seen: seenSchema.nullable().describe('What the last probe saw'),
  fault: z.string().max(4096).nullable().describe('Why the last start or stop did not work'),
  restarts: z.int(),
  restartsMax: z.int(),
  log: z.string().max(4096),
});
export type AgentView = z.infer<typeof agentViewSchema>;

/** One group as the other node sees it. */
export const groupViewSchema = z.object({
  name: nameSchema,
  groupId: id128Schema,
  role: roleSchema,
  epoch: epochSchema,
  /** State of the group process. */
  process: z.enum(['stopped', 'starting', 'running', 'failed', 'waiting']),
  /** A change of role, a start or a removal is going on. */
  changing: z.boolean(),
  position: positionSchema.nullable(),
  /** `status` of the group process, unchanged; null while it does not answer. */
  status: z.record(z.string(), z.unknown()).nullable(),
  /** What an operator has to know, as a sentence; null when all is well. */
  trouble: z.string().nullable(),
  /** What the machine of a managed group shows (see machine-view.ts); null for others. */
  failover: z.record(z.string(), z.unknown()).nullable().default(null),
  /** The agents as this node knows them (see agent-supervision.ts). */
  agents: z.array(agentViewSchema).max(64).default([]),
  /** The bandwidth limit that this node knows: the newer one holds. */
  bandwidth: bandwidthSchema.nullable().default(null),
  /** What is kept aside on this node, the newest first (mirror/salvage/). */
  salvages: z.array(z.string().max(64)).max(1000).default([]),
  /** A digest of the settings that this node has (settings-watch.ts). */
  settings: z.string().max(64).optional(),
});
export type GroupView = z.infer<typeof groupViewSchema>;

export const nodeViewSchema = z.object({ node: nodeInfoSchema, groups: z.array(groupViewSchema) });
export type NodeView = z.infer<typeof nodeViewSchema>;

export const ownershipSchema = z.strictObject({
  uid: z.int().min(0),
  gid: z.int().min(0),
  mode: z.int().min(0).max(0o7777),
});
export type Ownership = z.infer<typeof ownershipSchema>;

/** `definition` is as the receiver will keep it; `ownership` of each directory, in order. */
export const standbyRequestSchema = z.strictObject({
  definition: groupDefinitionSchema,
  epoch: epochSchema,
  ownership: z.array(ownershipSchema).max(64),
});
export type StandbyRequest = z.infer<typeof standbyRequestSchema>;
export const checkReplySchema = z.object({
  usedPorts: z.array(portSchema).max(1024),
  warnings: z.array(z.string().max(1024)).max(64),
});
export type CheckReply = z.infer<typeof checkReplySchema>;

export const groupRefSchema = z.strictObject({ groupId: id128Schema });
export const promoteRequestSchema = z.strictObject({
  groupId: id128Schema,
  epoch: epochSchema,
  position: positionSchema,
});
export type PromoteRequest = z.infer<typeof promoteRequestSchema>;
/** The sender is about to be primary with this epoch: the receiver has to cease. */
export const yieldRequestSchema = z.strictObject({ groupId: id128Schema, epoch: epochSchema });

/** Settings of a group that change while it runs, as the sender has them from now on. */
export const settingsRequestSchema = z.strictObject({
  groupId: id128Schema,
  verifyEveryMs: groupDefinitionSchema.shape.verifyEveryMs,
  /** What a process reads at its start, and the agents; left out: it has not changed. */
  settings: groupDefinitionSchema
    .pick({ replication: true, replicationPort: true, safety: true, agents: true })
    .optional(),
});
export type SettingsRequest = z.infer<typeof settingsRequestSchema>;

/** A moment of the copy of the node that is asked. */
export const rewindRestoreSchema = z.strictObject({ groupId: id128Schema, wish: rewindWishSchema });

/** What was accepted, as a sentence. */
export const acceptedSchema = z.object({ what: z.string().max(4096) });

export const outcomeSchema = z.object({
  /** Sentences for the operator about what did not go as it should. */
  warnings: z.array(z.string()),
  epoch: epochSchema,
});
export type Outcome = z.infer<typeof outcomeSchema>;
/** Why the node asked should not become the primary, one sentence each. */
export const readinessSchema = z.object({ reasons: z.array(z.string().max(4096)).max(64) });
export const emptyReplySchema = z.object({});

export const errorReplySchema = z.object({
  error: z.object({
    code: z.string().max(64),
    message: z.string().max(16_384),
    details: z
      .record(
        z.string(),
        z.union([z.string(), z.number(), z.boolean(), z.array(z.string()).readonly()]),
      )
      .optional(),
  }),
});
