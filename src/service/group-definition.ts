// What a group is: as people write it (GroupInput, YAML or flags) and as nodes keep it
// (GroupDefinition, JSON, the same on both nodes but for the point of view of the directories).
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import {
  addressesInputSchema,
  failoverInputSchema,
  fencingInputSchema,
} from '../cluster/settings.ts';
import { atField, belowField } from '../core/at-field.ts';
import { UnderstudyError } from '../core/errors.ts';
import {
  type AgentDefinition,
  agentDefinitionSchema,
  agentInputSchema,
  AGENTS_MAX,
  textDuration,
} from './agent-definition.ts';
import { defineBandwidth } from './bandwidth-input.ts';
import { GiB, MiB, parseBytes, parseDurationMs } from '../core/units.ts';
import {
  absolutePathSchema,
  compressionSchema,
  DIRECTORIES_MAX,
  id128Schema,
  nameSchema,
  nodeIdSchema,
  newPatternSchema,
  patternSchema,
  PATTERNS_MAX,
  portSchema,
  replicationModeSchema,
  SAFETY_DEFAULT,
  specReplicationSchema,
  specSafetySchema,
  UNDO_DEFAULT,
} from './group-spec.ts';
import { defineSafety, safetyInputSchema } from './safety-input.ts';
import { parseStrictly } from '../core/strict-config.ts';

const HOUR_MS = 3_600_000;
const VERIFY_EVERY_MS_MIN = HOUR_MS;
/** More is `off`, and a number that no file could keep is refused here. */
const VERIFY_EVERY_MS_MAX = 3650 * 24 * HOUR_MS;
const VERIFY_EVERY_MS_DEFAULT = 7 * 24 * HOUR_MS;

export const groupDefinitionSchema = z.strictObject({
  name: nameSchema,
  groupId: id128Schema,
  createdAt: z.string().max(40),
  /** Node id of the other node. */
  peerId: nodeIdSchema,
  directories: z
    .array(
      z.strictObject({
        dir: absolutePathSchema,
        /** The same directory on the other node. */
        peerDir: absolutePathSchema,
        include: z.array(patternSchema).min(1).max(PATTERNS_MAX),
        exclude: z.array(patternSchema).max(PATTERNS_MAX),
        seed: z.boolean(),
      }),
    )
    .min(1)
    .max(DIRECTORIES_MAX),
  replication: specReplicationSchema,
  safety: specSafetySchema.default(SAFETY_DEFAULT),
  replicationPort: portSchema,
  agents: z.array(agentDefinitionSchema).max(AGENTS_MAX),
  /** Not null: the group is managed, the machines of both nodes decide who is primary. */
  failover: failoverInputSchema.nullable().default(null),
  addresses: addressesInputSchema.default([]),
  fencing: fencingInputSchema.nullable().default(null),
  /** Both copies are compared so often by themselves; null: only when asked. */
  verifyEveryMs: z.int().min(VERIFY_EVERY_MS_MIN).nullable().default(VERIFY_EVERY_MS_DEFAULT),
});
export type GroupDefinition = z.infer<typeof groupDefinitionSchema>;

/** The definition as the other node keeps it. */
export function mirroredDefinition(definition: GroupDefinition, ownId: string): GroupDefinition {
  return {
    ...definition,
    peerId: ownId,
    directories: definition.directories.map(({ dir, peerDir, ...rest }) => ({
      ...rest,
      dir: peerDir,
      peerDir: dir,
    })),
  };
}

const textSize = z.union([z.int().min(0), z.string().max(40)]);

export const groupInputSchema = z.strictObject({
  name: nameSchema,
  paths: z
    .array(
      z.strictObject({
        dir: z.string().max(4096),
        standbyDir: z.string().max(4096).optional(),
        include: z.array(newPatternSchema).min(1).max(PATTERNS_MAX).optional(),
        exclude: z.array(newPatternSchema).max(PATTERNS_MAX).optional(),
      }),
    )
    .min(1)
    .max(DIRECTORIES_MAX),
  /** Accept data on the standby as a base. */
  seed: z.boolean().optional(),
  /** Name of the other node; needed only to be sure. */
  peer: nameSchema.optional(),
  replication: z
    .strictObject({
      mode: replicationModeSchema.optional(),
      syncTimeout: textDuration.optional(),
      onStandbyLoss: z.enum(['continue', 'block']).optional(),
      linkTimeout: textDuration.optional(),
      port: portSchema.optional(),
      ring: textSize.optional(),
      backlog: textSize.optional(),
      journal: textSize.optional(),
      /** A rate, `unlimited`, or a schedule: see bandwidth-input.ts. */
      bandwidth: z.unknown().optional(),
      /** How long and on how much of the disk the standby keeps what it takes to go back. */
      undo: z
        .union([
          z.literal('off'),
          z.strictObject({
            hours: z.number().positive().optional(),
            diskPercent: z.number().positive().optional(),
          }),
        ])
        .optional(),
      compression: compressionSchema.optional(),
    })
    .optional(),
  /** See safety-input.ts. */
  safety: safetyInputSchema.optional(),
  agents: z.array(agentInputSchema).max(AGENTS_MAX).optional(),
  addresses: addressesInputSchema.optional(),
  failover: failoverInputSchema.optional(),
  fencing: fencingInputSchema.optional(),
  /** How often both copies are compared by themselves, or `off`. */
  verify: textDuration.optional(),
});
/** A group as a person writes it. */
export type GroupInput = z.infer<typeof groupInputSchema>;

/** Checks a group as a person wrote it, but for the parameters of its agents. Errors: GROUP_INVALID. */
export function parseGroupInput(value: unknown, origin: string): GroupInput {
  return parseStrictly(groupInputSchema, value, { code: 'GROUP_INVALID', origin });
}

/**
 * Fills in defaults. `port` is the replication port when the input names none; `agents` are those of the
 * input, resolved.
 */
export function defineGroup(
  input: GroupInput,
  options: {
    readonly peerId: string;
    readonly port: number;
    readonly origin: string;
    readonly agents: readonly AgentDefinition[];
  },
): GroupDefinition {
  const seed = input.seed ?? false;
  return {
    name: input.name,
    groupId: randomBytes(16).toString('hex'),
    createdAt: new Date().toISOString(),
    peerId: options.peerId,
    directories: input.paths.map(({ dir, standbyDir, include, exclude }, index) => ({
      dir: atField(`paths[${index}].dir`, () => checkPath(dir)),
      peerDir: atField(`paths[${index}].standbyDir`, () => checkPath(standbyDir ?? dir)),
      include: include ?? ['**'],
      exclude: exclude ?? [],
      seed,
    })),
    replication: atField('replication', () =>
      defineReplication(input.replication ?? {}, options.origin),
    ),
    safety: defineSafety(input.safety ?? {}, options.origin),
    replicationPort: input.replication?.port ?? options.port,
    agents: [...options.agents],
    ...defineFailover(input),
    verifyEveryMs: atField('verify', () => defineVerify(input.verify ?? '7d', options.origin)),
  };
}

/** Addresses and fencing make no sense without a machine that decides about them. */
function defineFailover(
  input: GroupInput,
): Pick<GroupDefinition, 'failover' | 'addresses' | 'fencing'> {
  const { addresses = [], fencing = null } = input;
  const isManaged = input.failover !== undefined || addresses.length > 0 || fencing !== null;
  return { failover: isManaged ? (input.failover ?? {}) : null, addresses, fencing };
}

/** `7d`, or `off`. Errors: GROUP_INVALID, DURATION_INVALID. */
export function defineVerify(text: string, origin: string): number | null {
  if (text === 'off') return null;
  const everyMs = parseDurationMs(text);
  if (everyMs >= VERIFY_EVERY_MS_MIN && everyMs <= VERIFY_EVERY_MS_MAX) return everyMs;
  throw new UnderstudyError(
    'GROUP_INVALID',
    `${origin}: "verify" is "${text}": once an hour is the most, every ten years the least, write for example "7d" or "off"`,
  );
}

function checkPath(path: string): string {
  const parsed = absolutePathSchema.safeParse(path);
  if (parsed.success) return path;
  throw new UnderstudyError(
    'DIRECTORY_NOT_ABSOLUTE',
    `"${path}" cannot be protected: write ${parsed.error.issues[0]?.message ?? 'an absolute path'}`,
  );
}

/** Keys of `replication`: as written, and as kept. */
export const REPLICATION_KEYS = {
  mode: 'mode',
  syncTimeout: 'syncTimeoutMs',
  onStandbyLoss: 'onStandbyLoss',
  linkTimeout: 'linkTimeoutMs',
  ring: 'ringBytes',
  backlog: 'backlogBytesMax',
  journal: 'journalBytesMax',
  compression: 'compression',
  undo: 'undo',
} as const;
const WRITTEN = Object.fromEntries(
  Object.entries(REPLICATION_KEYS).map(([written, kept]) => [kept, written]),
);

/** Fills in defaults. Errors: GROUP_INVALID, SIZE_INVALID, DURATION_INVALID, BANDWIDTH_INVALID, RATE_INVALID. */
export function defineReplication(
  input: NonNullable<GroupInput['replication']>,
  origin: string,
): GroupDefinition['replication'] {
  const replication = {
    mode: input.mode ?? 'sync',
    syncTimeoutMs: durationIn('syncTimeout', input.syncTimeout ?? '2s'),
    onStandbyLoss: input.onStandbyLoss ?? 'continue',
    linkTimeoutMs: durationIn('linkTimeout', input.linkTimeout ?? '2s'),
    ringBytes: sizeOr('ring', input.ring, 32 * MiB),
    backlogBytesMax: sizeOr('backlog', input.backlog, 8 * GiB),
    journalBytesMax: sizeOr('journal', input.journal, 4 * GiB),
    bandwidth: {
      ...atField('replication.bandwidth', () =>
        defineBandwidth(input.bandwidth ?? 'unlimited', `${origin}, replication`),
      ),
      revision: 0,
    },
    compression: input.compression ?? 'auto',
    undo: input.undo === 'off' ? { ...UNDO_DEFAULT, hours: 0 } : { ...UNDO_DEFAULT, ...input.undo },
  };
  return belowField('replication', WRITTEN, () =>
    parseStrictly(specReplicationSchema, replication, {
      code: 'GROUP_INVALID',
      origin: `${origin}, replication`,
    }),
  );
}

function durationIn(key: string, text: string): number {
  return atField(`replication.${key}`, () => parseDurationMs(text));
}

function sizeOr(key: string, value: string | number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  return atField(`replication.${key}`, () => parseBytes(String(value)));
}
