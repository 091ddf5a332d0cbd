// Changes of a group while it runs. Both nodes have to agree, since either may be the primary tomorrow: everything is checked first, then the
// other node is told, and when it does not answer or refuses nothing has changed. What a process reads at its start comes into force
// by another process that goes on in its place (group-runtime.ts, `renew`).
import { UnderstudyError } from '../core/errors.ts';
import { checkAgents, withPool } from './agent-checks.ts';
import { resolveAgents } from './agent-definition.ts';
import { checkPort } from './creation-checks.ts';
import type { GroupDefinition } from './group-definition.ts';
import {
  changedKeys,
  editedSettings,
  type GroupEdit,
  type GroupSettings,
  needsRenewal,
} from './group-edit-input.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { changeLimit } from './limits.ts';
import { emptyReplySchema, type SettingsRequest } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

/** Two processes may be replaced one after the other. */
const TIMEOUT_MS = 120_000;

/**
 * Errors: GROUP_UNKNOWN, GROUP_KEY_FIXED, GROUP_INVALID, GROUP_CHANGING, RENEWAL_NOT_POSSIBLE, PORT_IN_USE, DURATION_INVALID,
 * SIZE_INVALID, BANDWIDTH_INVALID, RATE_INVALID, those of agents, NODE_UNREACHABLE: nothing has changed. RENEWAL_FAILED: it has.
 */
export async function editGroup(
  service: NodeService,
  name: string,
  edit: GroupEdit,
): Promise<GroupDefinition> {
  const runtime = service.group(name);
  const before = runtime.definition;
  const after = await plan(service, before, edit);
  const keys = changedKeys(before, after);
  if (keys.length > 0) {
    await checkSettings(service, runtime, after);
    await tellPeer(service, before, after, keys);
    await takeSettings(runtime, after);
    const sentence = `group "${name}": ${keys.join(', ')} changed on both nodes`;
    runtime.emit('info', 'GROUP_CHANGED', sentence);
  }
  const bandwidth = edit.bandwidth ?? edit.replication?.bandwidth;
  if (bandwidth !== undefined) await changeLimit(service, name, bandwidth);
  return runtime.definition;
}

async function plan(
  service: NodeService,
  before: GroupDefinition,
  edit: GroupEdit,
): Promise<GroupSettings> {
  const { name } = before;
  const origin = `group "${name}"`;
  const written = edit.agents;
  const agents =
    written === undefined
      ? undefined
      : await withPool(service, name, async (pool) => resolveAgents(written, origin, pool));
  return editedSettings(before, edit, { origin, agents, peer: service.peers.requirePeer().name });
}

/** Whether this node can take them now. Errors: as {@link editGroup}; nothing has changed. */
async function checkSettings(
  service: NodeService,
  runtime: GroupRuntime,
  after: GroupSettings,
): Promise<void> {
  const { definition, state } = runtime;
  if (runtime.isChanging) {
    throw new UnderstudyError(
      'GROUP_CHANGING',
      `group "${runtime.name}" is being started, stopped or moved on node "${service.config.name}" at this moment: try again`,
    );
  }
  const { replicationPort } = after;
  if (replicationPort !== definition.replicationPort) await checkPort(service, replicationPort);
  if (after.agents !== definition.agents) {
    await checkAgents(service, { ...definition, agents: [...after.agents] }, state.role);
  }
  if (needsRenewal(state.role, definition, after)) await runtime.renewal.require();
}

async function tellPeer(
  service: NodeService,
  { name, groupId }: GroupDefinition,
  after: GroupSettings,
  keys: readonly string[],
): Promise<void> {
  const { verifyEveryMs, ...settings } = after;
  // A node of the version before knows this one setting.
  const isOld = keys.every((key) => key === 'verify');
  await service.link.client().call({
    method: 'PUT',
    path: `/v1/groups/${name}/settings`,
    body: { groupId, verifyEveryMs, ...(isOld ? {} : { settings }) } satisfies SettingsRequest,
    reply: emptyReplySchema,
    timeoutMs: TIMEOUT_MS,
  });
}

/** The other node has decided. Errors: as {@link editGroup}. */
export async function takeFromPeer(
  service: NodeService,
  runtime: GroupRuntime,
  { verifyEveryMs, settings }: Omit<SettingsRequest, 'groupId'>,
): Promise<void> {
  const { definition } = runtime;
  const after = { ...definition, ...settings, verifyEveryMs };
  if (changedKeys(definition, after).length === 0) return;
  await checkSettings(service, runtime, after);
  await takeSettings(runtime, after);
}

async function takeSettings(runtime: GroupRuntime, after: GroupSettings): Promise<void> {
  const isRenewed = needsRenewal(runtime.state.role, runtime.definition, after);
  const { replication, replicationPort, safety, agents, verifyEveryMs } = after;
  await runtime.changeSettings({ replication, replicationPort, safety, agents, verifyEveryMs });
  if (isRenewed) await runtime.renew();
}
