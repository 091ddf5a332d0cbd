// Changes of the primary, by command.
//
// Switchover (nothing is lost, nobody is primary in between):
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
//
// Takeover (the primary is dead, or the operator says so): B asks A to cease if it can be reached,
// finishes its journal and is primary with a higher epoch. What A had not sent is lost to the group.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { type Position, positionSchema } from './group-spec.ts';
import {
  type GroupView,
  type Outcome,
  outcomeSchema,
  type PromoteRequest,
} from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

const HANDOVER_TIMEOUT_MS = 600_000;
const FINISH_TIMEOUT_MS = 3_600_000;
const PROMOTE_TIMEOUT_MS = 600_000;
const YIELD_TIMEOUT_MS = 180_000;
/** A takeover is usually about a node that is dead: not much of the outage may go into asking it. */
const TAKEOVER_ASK_MS = 1500;
const UNDECIDED_PATIENCE_MS = 30_000;

/** Copies that were complete once; the others were never usable. */
const CONSISTENT_COPIES: readonly unknown[] = ['up-to-date', 'catching-up'];

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
  if (isPrimary) return runtime.exclusive(async () => handOver(service, runtime));
  return service.link.client().call({
    method: 'POST',
    path: `/v1/groups/${name}/switchover`,
    body: { groupId: runtime.definition.groupId },
    reply: outcomeSchema,
    timeoutMs: HANDOVER_TIMEOUT_MS + PROMOTE_TIMEOUT_MS,
  });
}

async function handOver(service: NodeService, runtime: GroupRuntime): Promise<Outcome> {
  const { name } = runtime;
  const peerName = service.peers.requirePeer().name;
  const other = await checkHandover(service, runtime);
  const epoch = Math.max(runtime.state.epoch, other.epoch) + 1;
  const position = await closeStream(runtime);
  runtime.saveState({ position, handedOverTo: epoch });
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
  const other = await service.link.askAbout(name);
  if (typeof other !== 'object' || other.role !== 'standby' || other.process !== 'running') {
    throw new UnderstudyError(
      'STANDBY_NOT_READY',
      `node "${peer}" does not run a standby of group "${name}" at present: see "understudy status"`,
    );
  }
  const status = await runtime.process.status();
  if (status['link'] !== 'connected') {
    throw new UnderstudyError(
      'LINK_DOWN',
      `the replication link of group "${name}" to "${peer}" is down: restore it first`,
    );
  }
  const copy = (status['standby'] as { copy?: unknown } | null)?.copy ?? 'unknown';
  if (copy !== 'up-to-date') throw copyNotUpToDate(name, String(copy));
  return other;
}

function copyNotUpToDate(group: string, copy: string): UnderstudyError {
  return new UnderstudyError(
    'COPY_NOT_UP_TO_DATE',
    `the copy of group "${group}" is "${copy}": wait until "understudy status" shows "up-to-date"`,
    { details: { group, copy } },
  );
}

/** Stops the application and the process; on failure everything runs as before. */
async function closeStream(runtime: GroupRuntime): Promise<Position> {
  try {
    await runtime.stopAgents();
    const result = await runtime.callLast('handover', {}, HANDOVER_TIMEOUT_MS);
    return positionSchema.parse(result);
  } catch (thrown) {
    if (runtime.process.isAlive) await runtime.startAgents();
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
  // One more than the failed one: should the promotion arrive late, it is refused as stale.
  runtime.saveState({ epoch: epoch + 1, position, handedOverTo: null });
  await runtime.resume();
  throw new UnderstudyError(
    'PROMOTION_FAILED',
    `"${peer}" could not take over group "${name}" (${messageOf(thrown)}): this node is primary again`,
    { cause: thrown },
  );
}

/** The standby's side of a switchover. Errors: STALE_EPOCH, POSITION_MISMATCH, and of the process. */
export async function promote(runtime: GroupRuntime, request: PromoteRequest): Promise<Outcome> {
  return runtime.exclusive(async () => {
    const { epoch, role } = runtime.state;
    if (role === 'primary' || request.epoch <= epoch) {
      throw new UnderstudyError(
        'STALE_EPOCH',
        `group "${runtime.name}" cannot be promoted to epoch ${request.epoch}: this node is ${role} with epoch ${epoch}`,
      );
    }
    const reached = await finish(runtime, false);
    const { position } = request;
    if (reached.streamId !== position.streamId || reached.sequence !== position.sequence) {
      await runtime.becomeStandby(epoch, reached);
      throw new UnderstudyError(
        'POSITION_MISMATCH',
        `the copy of group "${runtime.name}" ends at ${reached.sequence}, the primary at ${position.sequence}: it is not promoted`,
      );
    }
    return takeRole(runtime, request.epoch, position);
  });
}

/** Applies what is left of the journal and ends the standby process. */
async function finish(runtime: GroupRuntime, force: boolean): Promise<Position> {
  try {
    const result = await runtime.callLast('finish', { force }, FINISH_TIMEOUT_MS);
    const { streamId, sequence } = result as Partial<Position>;
    return positionSchema.parse({ streamId, sequence });
  } catch (thrown) {
    if (!runtime.process.isAlive) await runtime.resume();
    throw thrown;
  }
}

/** Starts as primary; falls back to standby, with a full comparison, when that fails. */
async function takeRole(
  runtime: GroupRuntime,
  epoch: number,
  position: Position,
): Promise<Outcome> {
  const before = runtime.state.epoch;
  runtime.saveState({ epoch, position });
  try {
    return { warnings: await runtime.startPrimary(), epoch };
  } catch (thrown) {
    await runtime.stopProcess();
    await runtime.becomeStandby(before, null);
    throw thrown;
  }
}

export interface TakeoverOptions {
  readonly force: boolean;
  /** Promote even a copy that was never complete. */
  readonly acceptIncomplete: boolean;
}

/**
 * Makes this node the primary without the consent of the other. Errors: ALREADY_PRIMARY,
 * TAKEOVER_NEEDS_FORCE, TAKEOVER_PRIMARY_ALIVE, COPY_UNUSABLE, and what the primary says when it
 * answers and cannot cease.
 */
export async function takeover(
  service: NodeService,
  name: string,
  options: TakeoverOptions,
): Promise<Outcome> {
  const runtime = service.group(name);
  return runtime.exclusive(async () => {
    if (runtime.state.role === 'primary') return takeBack(service, runtime, options);
    const other = await service.link.askAbout(name, TAKEOVER_ASK_MS);
    checkForced(service, runtime, { other, force: options.force });
    const status = await runtime.process.status();
    checkUsable(name, status['copy'], options.acceptIncomplete);
    const known = typeof other === 'object' ? other.epoch : 0;
    const epoch = Math.max(runtime.state.epoch, known) + 1;
    if (typeof other === 'object' && other.role === 'primary') {
      await askToYield(service, runtime, epoch);
    }
    const position = await finish(runtime, status['copy'] !== 'up-to-date');
    const outcome = await takeRole(runtime, epoch, position);
    runtime.emit('warning', 'TAKEN_OVER', `group "${name}" was taken over by force`, { epoch });
    return outcome;
  });
}

/** A primary that handed over and waits for an answer may be told that there will be none. */
async function takeBack(
  service: NodeService,
  runtime: GroupRuntime,
  { force }: TakeoverOptions,
): Promise<Outcome> {
  const { handedOverTo, epoch, position } = runtime.state;
  if (runtime.phase !== 'waiting' || handedOverTo === null) {
    throw new UnderstudyError(
      'ALREADY_PRIMARY',
      `this node is the primary of group "${runtime.name}" already`,
    );
  }
  const other = await service.link.askAbout(runtime.name, TAKEOVER_ASK_MS);
  checkForced(service, runtime, { other, force });
  const next = Math.max(epoch, handedOverTo) + 1;
  if (typeof other === 'object' && other.role === 'primary') {
    await askToYield(service, runtime, next);
  }
  runtime.saveState({ epoch: next, handedOverTo: null, position });
  runtime.setTrouble('handover', null);
  const warnings = await runtime.startPrimary();
  return { warnings, epoch: next };
}

function checkForced(
  service: NodeService,
  { name }: GroupRuntime,
  { other, force }: { other: GroupView | 'unreachable' | undefined; force: boolean },
): void {
  if (force) return;
  const peer = service.peers.peer?.name ?? '?';
  if (typeof other === 'object' && other.role === 'primary' && other.process === 'running') {
    throw new UnderstudyError(
      'TAKEOVER_PRIMARY_ALIVE',
      `"${peer}" is alive and the primary of group "${name}": run "understudy switchover ${name}", which loses nothing`,
    );
  }
  throw new UnderstudyError(
    'TAKEOVER_NEEDS_FORCE',
    `taking over group "${name}" gives up what "${peer}" did not send, and there must not be two primaries: be sure that "${peer}" is off or does not serve, then add --force`,
  );
}

function checkUsable(group: string, copy: unknown, acceptIncomplete: boolean): void {
  if (acceptIncomplete || CONSISTENT_COPIES.includes(copy)) return;
  throw new UnderstudyError(
    'COPY_UNUSABLE',
    `the copy of group "${group}" is "${String(copy)}", which is no state that the primary ever had: bring the other node back, or add --accept-incomplete to use what there is`,
    { details: { group, copy: String(copy) } },
  );
}

async function askToYield(
  service: NodeService,
  runtime: GroupRuntime,
  epoch: number,
): Promise<void> {
  try {
    await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${runtime.name}/yield`,
      body: { groupId: runtime.definition.groupId, epoch },
      reply: outcomeSchema,
      timeoutMs: YIELD_TIMEOUT_MS,
    });
  } catch (thrown) {
    // Gone in this moment: that is what --force is for. An answer that says no is obeyed.
    if (!(thrown instanceof UnderstudyError) || thrown.code !== 'NODE_UNREACHABLE') throw thrown;
    runtime.emit('warning', 'PEER_LOST', `takeover without the other node: ${thrown.message}`);
  }
}

/** The primary's side of a takeover: ceases, and waits for the new primary as its standby. */
export async function yieldTo(runtime: GroupRuntime, epoch: number): Promise<Outcome> {
  return runtime.exclusive(async () => {
    const own = runtime.state;
    if (epoch <= own.epoch) {
      throw new UnderstudyError(
        'STALE_EPOCH',
        `group "${runtime.name}" has epoch ${own.epoch} here, which is not below ${epoch}`,
      );
    }
    if (own.role === 'primary') await cease(runtime, own.epoch);
    return { warnings: [], epoch: own.epoch };
  });
}

/**
 * Ends a split brain: this node gives up its data in favour of the other primary.
 * Errors: NOT_PRIMARY, YIELD_NEEDS_FORCE, YIELD_NO_PRIMARY.
 */
export async function yieldByHand(
  service: NodeService,
  name: string,
  { force }: { force: boolean },
): Promise<Outcome> {
  const runtime = service.group(name);
  return runtime.exclusive(async () => {
    const peer = service.peers.requirePeer().name;
    if (runtime.state.role !== 'primary') {
      throw new UnderstudyError('NOT_PRIMARY', `this node is not a primary of group "${name}"`);
    }
    const other = await service.link.askAbout(name);
    if (typeof other !== 'object' || other.role !== 'primary') {
      throw new UnderstudyError(
        'YIELD_NO_PRIMARY',
        `"${peer}" is not a primary of group "${name}" that answers: run "understudy switchover ${name}" instead`,
      );
    }
    if (!force) {
      throw new UnderstudyError(
        'YIELD_NEEDS_FORCE',
        `what was written on this node since "${peer}" was promoted will be overwritten: save what you need of it, then add --force`,
      );
    }
    await cease(runtime, Math.max(other.epoch, runtime.state.epoch));
    return { warnings: [], epoch: runtime.state.epoch };
  });
}

async function cease(runtime: GroupRuntime, epoch: number): Promise<void> {
  try {
    await runtime.stopAgents();
    await runtime.stopProcess();
  } catch (thrown) {
    if (runtime.process.isAlive) await runtime.startAgents();
    throw thrown;
  }
  await runtime.becomeStandby(epoch, null);
  runtime.emit('warning', 'YIELDED', `group "${runtime.name}": this node is no longer the primary`);
}
