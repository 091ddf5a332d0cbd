// Changes of a group while it runs. Both nodes have to agree, since either may be the primary tomorrow: everything is checked first, then the
// other node is told, and when it does not answer or refuses nothing has changed. What a process reads at its start comes into force
// by another process that goes on in its place (group-runtime.ts, `renew`); where that fails both nodes have the settings all the same.
import { UnderstudyError } from '../core/errors.ts';
import { checkAgents, withPool } from './agent-checks.ts';
import { resolveAgents } from './agent-definition.ts';
import { defineBandwidth } from './bandwidth-input.ts';
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
 * SIZE_INVALID, BANDWIDTH_INVALID, RATE_INVALID, those of agents, STATE_IO, NODE_UNREACHABLE: nothing has changed, or the sentence says
 * that this is not known. RENEWAL_FAILED: it has.
 */
export async function editGroup(
  service: NodeService,
  name: string,
  edit: GroupEdit,
): Promise<GroupDefinition> {
  const runtime = service.group(name);
  return runtime.editAlone(async () => {
    const bandwidth = checkedLimit(edit, name);
    const after = await plan(service, runtime.definition, edit);
    await changeOnBoth(service, runtime, after);
    if (bandwidth !== undefined) await changeLimit(service, name, bandwidth);
    return runtime.definition;
  });
}

/** It comes into force last, when everything else has changed: by then it is to be known that it can be. */
function checkedLimit({ bandwidth, replication }: GroupEdit, name: string): unknown {
  const limit = bandwidth ?? replication?.bandwidth;
  if (limit !== undefined) defineBandwidth(limit, `group "${name}"`);
  return limit;
}

async function changeOnBoth(
  service: NodeService,
  runtime: GroupRuntime,
  after: GroupSettings,
): Promise<void> {
  const before = runtime.definition;
  const keys = changedKeys(before, after);
  // Where both are not the same, this node may be the one that has them already.
  if (keys.length === 0 && !runtime.hasOtherSettings) return;
  await checkSettings(service, runtime, after);
  const failure = await tellPeer(service, before, after, keys);
  await takeSettings(runtime, after);
  const what = keys.length === 0 ? 'settings are the same again' : `${keys.join(', ')} changed`;
  runtime.emit('info', 'GROUP_CHANGED', `group "${runtime.name}": ${what} on both nodes`);
  if (failure !== undefined) throw failure;
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
  const nodes = [service.config.name, service.peers.requirePeer().name];
  return editedSettings(before, edit, { origin, agents, nodes });
}

/** Whether this node can take them now. Errors: as {@link editGroup}; nothing has changed. */
async function checkSettings(
  service: NodeService,
  runtime: GroupRuntime,
  after: GroupSettings,
): Promise<void> {
  const { definition, state } = runtime;
  runtime.requireSettled();
  runtime.requireWritable();
  const { replicationPort } = after;
  if (replicationPort !== definition.replicationPort) await checkPort(service, replicationPort);
  if (after.agents !== definition.agents) {
    await checkAgents(service, { ...definition, agents: [...after.agents] }, state.role);
  }
  if (needsRenewal(state.role, definition, after)) await runtime.renewal.require();
}

/** Returns the failure of a node that has the settings now, and no process yet with which they are in force. */
async function tellPeer(
  service: NodeService,
  { name, groupId }: GroupDefinition,
  after: GroupSettings,
  keys: readonly string[],
): Promise<UnderstudyError | undefined> {
  const { verifyEveryMs, ...settings } = after;
  // A node of the version before knows this one setting.
  const isOld = keys.length > 0 && keys.every((key) => key === 'verify');
  const client = service.link.client();
  // One that is away is found to be before it is asked: then nothing has changed there.
  await client.ping();
  try {
    await client.call({
      method: 'PUT',
      path: `/v1/groups/${name}/settings`,
      body: { groupId, verifyEveryMs, ...(isOld ? {} : { settings }) } satisfies SettingsRequest,
      reply: emptyReplySchema,
      timeoutMs: TIMEOUT_MS,
    });
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof UnderstudyError)) throw thrown;
    if (thrown.code === 'RENEWAL_FAILED') return thrown;
    throw thrown.code === 'NODE_UNREACHABLE' ? unanswered(name, thrown) : thrown;
  }
}

/** What was asked for again finds the other node as it should be, whatever it has done. */
function unanswered(name: string, cause: UnderstudyError): UnderstudyError {
  return new UnderstudyError(
    cause.code,
    `${cause.message}. It had been told the settings of group "${name}", and whether it has them now is not known; here nothing has changed. As soon as it answers, give the same "understudy group edit" again`,
    { cause, details: cause.details },
  );
}

/** The other node has decided. Errors: as {@link editGroup}. */
export async function takeFromPeer(
  service: NodeService,
  runtime: GroupRuntime,
  { verifyEveryMs, settings }: Omit<SettingsRequest, 'groupId'>,
): Promise<void> {
  await runtime.editAlone(async () => {
    const { definition } = runtime;
    const after = { ...definition, ...settings, verifyEveryMs };
    if (changedKeys(definition, after).length === 0) return;
    await checkSettings(service, runtime, after);
    await takeSettings(runtime, after);
  });
}

/** Errors: STATE_IO; RENEWAL_FAILED: they are kept, and not in force yet. */
async function takeSettings(runtime: GroupRuntime, after: GroupSettings): Promise<void> {
  const before = runtime.definition;
  const { replication, replicationPort, safety, agents, verifyEveryMs } = after;
  await runtime.changeSettings({ replication, replicationPort, safety, agents, verifyEveryMs });
  // In the role that it has by now: a process of the other one may have been started with those of before.
  if (!needsRenewal(runtime.state.role, before, after)) return;
  try {
    await runtime.renew();
  } catch (thrown) {
    const isLate = thrown instanceof UnderstudyError && thrown.code === 'RENEWAL_NOT_POSSIBLE';
    throw isLate ? keptForLater(runtime, thrown) : thrown;
  }
}

function keptForLater({ name }: GroupRuntime, cause: UnderstudyError): UnderstudyError {
  return new UnderstudyError(
    'RENEWAL_FAILED',
    `the settings of group "${name}" have changed, and are in force when its process is started the next time: ${cause.message}`,
    { cause, details: cause.details },
  );
}
