// What may change in the life of a group, and into what: a group as people write it, with what is left out staying as it is. Pure.
// Everything else is of a group's creation, and refused with what to do instead.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { atField } from '../core/at-field.ts';
import { UnderstudyError } from '../core/errors.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { parseBytes } from '../core/units.ts';
import type { AgentDefinition } from './agent-definition.ts';
import {
  defineReplication,
  defineVerify,
  type GroupDefinition,
  type GroupInput,
  groupInputSchema,
  REPLICATION_KEYS,
} from './group-definition.ts';
import type { Role } from './node-protocol.ts';
import { defineSafety } from './safety-input.ts';

const editSchema = groupInputSchema.partial().extend({
  /** The same as `replication.bandwidth`. */
  bandwidth: z.unknown().optional(),
});
/** As a person writes it; what is left out stays. */
export type GroupEdit = z.infer<typeof editSchema>;

/** Errors: GROUP_INVALID. */
export function parseGroupEdit(value: unknown, origin: string): GroupEdit {
  return parseStrictly(editSchema, value, { code: 'GROUP_INVALID', origin });
}

/** What is kept elsewhere, or is of the creation. */
const NOT_CHANGING: readonly string[] = ['ring'];
const CHANGING = Object.entries(REPLICATION_KEYS).filter(
  ([written]) => !NOT_CHANGING.includes(written),
);

export type GroupSettings = Pick<
  GroupDefinition,
  'replication' | 'replicationPort' | 'safety' | 'agents' | 'verifyEveryMs'
>;

/**
 * The settings after a change, but for the bandwidth limit, which has a way of its own (limits.ts). `agents`: those of the
 * change, resolved; `nodes`: names of both. Errors: GROUP_KEY_FIXED, GROUP_INVALID, SIZE_INVALID, DURATION_INVALID.
 */
export function editedSettings(
  before: GroupDefinition,
  edit: GroupEdit,
  given: {
    readonly origin: string;
    readonly nodes: readonly string[];
    readonly agents: readonly AgentDefinition[] | undefined;
  },
): GroupSettings {
  const { origin, agents } = given;
  refuseFixed(before, edit, given.nodes);
  if (agents !== undefined) refuseOtherAgents(before, agents);
  const { replication, safety, verify } = edit;
  return {
    replication: editedReplication(before.replication, replication ?? {}, origin),
    replicationPort: replication?.port ?? before.replicationPort,
    safety: safety === undefined ? before.safety : editedSafety(before.safety, safety, origin),
    agents: agents === undefined ? before.agents : [...agents],
    verifyEveryMs:
      verify === undefined
        ? before.verifyEveryMs
        : atField('verify', () => defineVerify(verify, origin)),
  };
}

function editedReplication(
  before: GroupDefinition['replication'],
  input: NonNullable<GroupInput['replication']>,
  origin: string,
): GroupDefinition['replication'] {
  const defined = defineReplication({ ...input, bandwidth: undefined }, origin);
  const changed = CHANGING.flatMap(([written, kept]) =>
    input[written as keyof typeof REPLICATION_KEYS] === undefined ? [] : [[kept, defined[kept]]],
  );
  const after = { ...before, ...(Object.fromEntries(changed) as Partial<typeof before>) };
  if (typeof input.undo !== 'object') return after;
  // Of the two limits of the undo log one may be left out.
  const { hours = before.undo.hours, diskPercent = before.undo.diskPercent } = input.undo;
  return { ...after, undo: { hours, diskPercent } };
}

function editedSafety(
  before: GroupDefinition['safety'],
  input: NonNullable<GroupInput['safety']>,
  origin: string,
): GroupDefinition['safety'] {
  const { deletions, guard } = defineSafety(input, origin);
  return {
    ...before,
    ...(input.deletions === undefined ? {} : { deletions }),
    ...(input.guard === undefined ? {} : { guard }),
  };
}

/** What is named and the same as before is no change: the file that a group was made of can be given whole. */
function refuseFixed(before: GroupDefinition, edit: GroupEdit, nodes: readonly string[]): void {
  const { name, paths, seed, failover, addresses, fencing, replication } = edit;
  const ring = replication?.ring;
  const changed: Record<string, boolean> = {
    name: name !== undefined && name !== before.name,
    // As it was written on either node.
    peer: edit.peer !== undefined && !nodes.includes(edit.peer),
    paths: paths !== undefined && !isSamePaths(before, paths),
    seed: seed !== undefined && before.directories.some((one) => one.seed !== seed),
    'replication.ring':
      ring !== undefined && parseBytes(String(ring)) !== before.replication.ringBytes,
    // What the machines of both nodes take for safe depends on it.
    'replication.mode':
      before.failover !== null &&
      replication?.mode !== undefined &&
      replication.mode !== before.replication.mode,
    failover: failover !== undefined && !isSameFailover(before, failover),
    addresses: addresses !== undefined && !isDeepStrictEqual(addresses, before.addresses),
    fencing: fencing !== undefined && !isDeepStrictEqual(fencing, before.fencing),
  };
  for (const [key, isChanged] of Object.entries(changed)) if (isChanged) throw fixed(before, key);
}

function isSamePaths({ directories }: GroupDefinition, paths: GroupInput['paths']): boolean {
  const written = paths.map(({ dir, standbyDir = dir, include = ['**'], exclude = [] }) => ({
    dir,
    peerDir: standbyDir,
    include,
    exclude,
  }));
  const kept = directories.map(({ dir, peerDir, include, exclude }) => ({
    dir,
    peerDir,
    include,
    exclude,
  }));
  // As it was written on either node.
  const mirrored = kept.map(({ dir, peerDir, ...rest }) => ({
    ...rest,
    dir: peerDir,
    peerDir: dir,
  }));
  return isDeepStrictEqual(written, kept) || isDeepStrictEqual(written, mirrored);
}

/** The address of a gateway that was left out was found at the creation. */
function isSameFailover(
  { failover }: GroupDefinition,
  written: NonNullable<GroupInput['failover']>,
): boolean {
  if (failover === null) return false;
  const { gateway } = failover;
  const complete =
    written.gateway === undefined && gateway !== undefined ? { ...written, gateway } : written;
  return isDeepStrictEqual(complete, failover);
}

/** Which applications a group has is of its creation; how they are started, probed and stopped is not. */
function refuseOtherAgents(before: GroupDefinition, agents: readonly AgentDefinition[]): void {
  if (!isDeepStrictEqual(identities(agents), identities(before.agents))) {
    throw fixed(before, 'agents');
  }
  // The machines of a managed group wait as long as starts and stops may take.
  const isSlower = agents.some(({ startTimeoutMs, stopTimeoutMs }, index) => {
    const old = before.agents[index];
    return startTimeoutMs !== old?.startTimeoutMs || stopTimeoutMs !== old.stopTimeoutMs;
  });
  if (before.failover !== null && isSlower) throw fixed(before, 'agents.timeout');
}

function identities(agents: readonly AgentDefinition[]): string[] {
  return agents.map(({ name, use }) => `${name} (${use})`);
}

function fixed({ name }: GroupDefinition, key: string): UnderstudyError {
  const what = key === 'agents' ? 'which agents there are' : `"${key}"`;
  return new UnderstudyError(
    'GROUP_KEY_FIXED',
    `${what} of group "${name}" is of its creation and does not change: end the group with "understudy group delete ${name}" and create it anew with "seed: true". The data stays on both nodes, and only what differs is sent`,
    { details: { group: name, fields: [key], faults: ['does not change in the life of a group'] } },
  );
}

const PRIMARY_KEYS = [
  'mode',
  'syncTimeoutMs',
  'onStandbyLoss',
  'linkTimeoutMs',
  'backlogBytesMax',
  'compression',
] as const;
const STANDBY_KEYS = ['linkTimeoutMs', 'journalBytesMax', 'undo'] as const;

/** Whether the process of a node in this role has to be replaced for the change to be in force. */
export function needsRenewal(role: Role, before: GroupSettings, after: GroupSettings): boolean {
  if (before.replicationPort !== after.replicationPort) return true;
  if (role === 'standby' && !isDeepStrictEqual(before.safety, after.safety)) return true;
  const keys = role === 'primary' ? PRIMARY_KEYS : STANDBY_KEYS;
  return keys.some((key) => !isDeepStrictEqual(before.replication[key], after.replication[key]));
}

/** What differs, for people and for the audit: names as in the YAML file. */
export function changedKeys(before: GroupSettings, after: GroupSettings): string[] {
  const replication = CHANGING.flatMap(([written, kept]) =>
    isDeepStrictEqual(before.replication[kept], after.replication[kept])
      ? []
      : [`replication.${written}`],
  );
  const rest: [string, unknown, unknown][] = [
    ['replication.port', before.replicationPort, after.replicationPort],
    ['safety.deletions', before.safety.deletions, after.safety.deletions],
    ['safety.guard', before.safety.guard, after.safety.guard],
    ['agents', before.agents, after.agents],
    ['verify', before.verifyEveryMs, after.verifyEveryMs],
  ];
  return [
    ...replication,
    ...rest.flatMap(([key, one, other]) => (isDeepStrictEqual(one, other) ? [] : [key])),
  ];
}
