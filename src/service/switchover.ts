// Switchover: the primary moves by command, nothing is lost, and nobody is primary in between.
//
//   A primary e                                     B standby
//   stops the agents
//   handover: unmounts, waits until B has applied all, closes the stream at position p
//   remembers "handed over to e+1"
//   POST promote {e+1, p} ──▶                       finish: its position has to be p
//                                                   primary e+1, stream continues after p
//   standby e+1, data stands at p  ◀── done         starts the agents
//
// When the promotion fails, A is primary again, with e+2. When A cannot learn how it ended, it waits.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { switchoverManaged } from './failover/managed-commands.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { type Position, positionSchema } from './group-spec.ts';
import {
  type GroupView,
  type Outcome,
  outcomeSchema,
  readinessSchema,
  type PromoteRequest,
} from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

const HANDOVER_TIMEOUT_MS = 600_000;
const PROMOTE_TIMEOUT_MS = 600_000;
const READINESS_TIMEOUT_MS = 10_000;
const UNDECIDED_PATIENCE_MS = 30_000;
const HEARING_PATIENCE_MS = 3000;
const HEARING_INTERVAL_MS = 50;
/** A process of a group starts within a second, on a busy machine within a few. */
const STARTING_PATIENCE_MS = 5000;
const STARTING_INTERVAL_MS = 200;

/**
 * Makes the other node the primary. May be called on either node; `to` names the node that is to be
 * primary. Errors: ALREADY_PRIMARY, COPY_NOT_UP_TO_DATE, LINK_DOWN, DIRECTORY_BUSY, AGENT_FAILED,
 * PROMOTION_FAILED, HANDOVER_UNDECIDED, NODE_UNREACHABLE.
 */
export async function switchover(
  service: NodeService,
  name: string,
  to: string | undefined,
): Promise<Outcome> {
  const runtime = service.group(name);
  const peer = service.peers.requirePeer();
  if (to !== undefined && to !== peer.name && to !== service.config.name) {
    throw new UnderstudyError(
      'NODE_UNKNOWN',
      `group "${name}" runs on "${service.config.name}" and "${peer.name}": "${to}" is neither`,
    );
  }
  const isPrimary = runtime.state.role === 'primary';
  const target = isPrimary ? peer.name : service.config.name;
  if (to !== undefined && to !== target) {
    throw new UnderstudyError('ALREADY_PRIMARY', `"${to}" is the primary of "${name}" already`);
  }
  if (isPrimary) await checkReadiness(service, runtime);
  if (isPrimary && runtime.isManaged) return switchoverManaged(service, runtime);
  if (isPrimary) return runtime.exclusive(async () => handOver(service, runtime));
  return service.link.client().call({
    method: 'POST',
    path: `/v1/groups/${name}/switchover`,
    body: { groupId: runtime.definition.groupId },
    reply: outcomeSchema,
    timeoutMs: HANDOVER_TIMEOUT_MS + PROMOTE_TIMEOUT_MS,
  });
}

/** Before anything is stopped: whether the agents of the other node have a reason against it. */
async function checkReadiness(service: NodeService, runtime: GroupRuntime): Promise<void> {
  const { definition, name } = runtime;
  if (definition.agents.length === 0) return;
  let reasons: readonly string[] = [];
  try {
    ({ reasons } = await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${name}/readiness`,
      body: { groupId: definition.groupId },
      reply: readinessSchema,
      timeoutMs: READINESS_TIMEOUT_MS,
    }));
  } catch {
    // Whether a node that does not answer this can take over, the switchover itself finds out.
  }
  if (reasons.length === 0) return;
  const peer = service.peers.requirePeer().name;
  throw new UnderstudyError(
    'STANDBY_NOT_READY',
    `node "${peer}" should not become the primary of group "${name}": ${reasons.join('; ')}`,
    { details: { reasons } },
  );
}

async function handOver(service: NodeService, runtime: GroupRuntime): Promise<Outcome> {
  const { name } = runtime;
  const peerName = service.peers.requirePeer().name;
  const other = await checkHandover(service, runtime);
  const epoch = Math.max(runtime.state.epoch, other.epoch) + 1;
  runtime.requireWritable();
  const position = await closeStream(runtime, epoch);
  const { groupId } = runtime.definition;
  let outcome: Outcome;
  try {
    outcome = await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${name}/promote`,
      body: { groupId, epoch, position } satisfies PromoteRequest,
      reply: outcomeSchema,
      timeoutMs: PROMOTE_TIMEOUT_MS,
    });
  } catch (thrown) {
    outcome = await decidePromotion(service, runtime, { epoch, position, thrown });
  }
  await runtime.becomeStandby(epoch, position);
  runtime.emit('info', 'SWITCHED_OVER', `group "${name}": "${peerName}" is now the primary`, {
    epoch,
  });
  return outcome;
}

async function checkHandover(service: NodeService, runtime: GroupRuntime): Promise<GroupView> {
  const { name } = runtime;
  const peer = service.peers.requirePeer().name;
  await service.link.client().ping();
  const other = await runningStandby(service, name);
  if (other === undefined) {
    throw new UnderstudyError(
      'STANDBY_NOT_READY',
      `node "${peer}" does not run a standby of group "${name}" at present: see "understudy status"`,
    );
  }
  const { link, copy } = await standbyOf(runtime);
  if (link !== 'connected') {
    throw new UnderstudyError(
      'LINK_DOWN',
      `the replication link of group "${name}" to "${peer}" is down: restore it first`,
    );
  }
  if (copy !== 'up-to-date') throw copyNotUpToDate(name, copy);
  return other;
}

/** The other node's part, once its standby runs: one that is being replaced or started again is waited for. */
async function runningStandby(service: NodeService, group: string): Promise<GroupView | undefined> {
  const deadline = performance.now() + STARTING_PATIENCE_MS;
  for (;;) {
    const other = await service.link.askAbout(group);
    if (typeof other !== 'object' || other.role !== 'standby') return undefined;
    if (other.process === 'running') return other;
    if (performance.now() > deadline) return undefined;
    await sleep(STARTING_INTERVAL_MS);
  }
}

/**
 * The standby as the primary has heard of it. Right after a change of roles it knows of itself that it is complete, and the
 * primary is about to hear it: a moment is given to that.
 */
async function standbyOf({ process }: GroupRuntime): Promise<{ link: unknown; copy: string }> {
  const deadline = performance.now() + HEARING_PATIENCE_MS;
  for (;;) {
    const status = await process.status();
    const heard = (status['standby'] as { copy?: unknown } | null)?.copy ?? 'unknown';
    const { link } = status;
    const isComing = link !== 'connected' || heard === 'unknown' || heard === 'catching-up';
    if (!isComing || performance.now() > deadline) return { link, copy: String(heard) };
    await sleep(HEARING_INTERVAL_MS);
  }
}

function copyNotUpToDate(group: string, copy: string): UnderstudyError {
  return new UnderstudyError(
    'COPY_NOT_UP_TO_DATE',
    `the copy of group "${group}" is "${copy}": wait until "understudy status" shows "up-to-date"`,
    { details: { group, copy } },
  );
}

/**
 * Stops the application and the process, and remembers that the group is being handed over to `epoch`; on failure everything
 * runs as before.
 */
async function closeStream(runtime: GroupRuntime, epoch: number): Promise<Position> {
  try {
    await runtime.application.stop();
    const result = await runtime.callLast('handover', {}, HANDOVER_TIMEOUT_MS);
    const position = positionSchema.parse(result);
    runtime.saveState({ position, handedOverTo: epoch });
    return position;
  } catch (thrown) {
    // The other node has not been told of it.
    if (runtime.state.handedOverTo !== null) runtime.noteState({ handedOverTo: null });
    if (runtime.process.isAlive) await runtime.application.start();
    else await runtime.resume();
    throw thrown;
  }
}

/**
 * The call to promote failed: was the other node promoted all the same? Returns when it was; takes
 * the group back and throws PROMOTION_FAILED when not; waits and throws HANDOVER_UNDECIDED when it
 * cannot be known.
 */
async function decidePromotion(
  service: NodeService,
  runtime: GroupRuntime,
  attempt: { epoch: number; position: Position; thrown: unknown },
): Promise<Outcome> {
  const { epoch, position, thrown } = attempt;
  const { name } = runtime;
  const peer = service.peers.requirePeer().name;
  let deadline = performance.now() + UNDECIDED_PATIENCE_MS;
  for (;;) {
    const other = await service.link.askAbout(name);
    if (typeof other === 'object' && other.role === 'primary' && other.epoch >= epoch) {
      return { epoch, warnings: [`the answer of "${peer}" was lost: ${messageOf(thrown)}`] };
    }
    // While the service stops nothing is decided: it is settled at the next start.
    const decided = other === undefined || (typeof other === 'object' && !other.changing);
    if (decided && !runtime.isClosed) break;
    // Busy means that it is still at it: be patient as long as it answers.
    if (other !== 'unreachable') deadline = performance.now() + UNDECIDED_PATIENCE_MS;
    if (performance.now() > deadline || runtime.isClosed) {
      const sentence = `group "${name}" was handed over to "${peer}", which does not answer any more: it is not known whether it took over. When it answers again this is settled; if it is lost, run "understudy takeover ${name} --force" here`;
      runtime.wait(sentence);
      throw new UnderstudyError('HANDOVER_UNDECIDED', sentence, { cause: thrown });
    }
    await sleep(1000);
  }
  // One more than the failed one: should the promotion arrive late, it is refused as stale. It is on the disk before it starts.
  runtime.noteState({ epoch: epoch + 1, position, handedOverTo: null });
  await runtime.resume();
  throw new UnderstudyError(
    'PROMOTION_FAILED',
    `"${peer}" could not take over group "${name}" (${messageOf(thrown)}): this node is primary again`,
    { cause: thrown },
  );
}
