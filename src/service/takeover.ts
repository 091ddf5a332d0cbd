// Changes of the primary without the consent of the other node: takeover, and the end of a split brain.
//
// The new primary asks the old one to cease if it can be reached, finishes its journal, and is primary with a
// higher epoch. What the old one had not sent is lost to the group.
import { UnderstudyError } from '../core/errors.ts';
import { takeoverManaged, yieldManaged, yieldNeedsForce } from './failover/managed-commands.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { type GroupView, type Outcome, outcomeSchema } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { finish, takeRole, UP_TO_DATE_COPY } from './promotion.ts';
import { isIdlePrimary } from './role-decision.ts';

const YIELD_TIMEOUT_MS = 180_000;
/** A takeover is usually about a node that is dead: not much of the outage may go into asking it. */
const TAKEOVER_ASK_MS = 1500;

/** Copies that were complete once; the others were never usable. */
const CONSISTENT_COPIES: readonly unknown[] = ['up-to-date', 'catching-up'];

export interface TakeoverOptions {
  readonly force: boolean;
  /** Promote even a copy that was never complete. */
  readonly acceptIncomplete: boolean;
  /** Promote a copy whose applying is halted, as of before. */
  readonly acceptHalted: boolean;
  /** Managed groups: promote although acknowledged commits are known to be missing here. */
  readonly acceptStale: boolean;
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
  if (runtime.isManaged) return takeoverManaged(service, runtime, options);
  return runtime.exclusive(async () => {
    if (runtime.state.role === 'primary') return takeBack(service, runtime, options);
    const other = await service.link.askAbout(name, TAKEOVER_ASK_MS);
    checkForced(service, runtime, { other, force: options.force });
    const status = await runtime.process.status();
    checkUsable(name, status['copy'], options);
    // Nobody is to cease for a node that could not remember that it serves.
    runtime.requireWritable();
    const known = typeof other === 'object' ? other.epoch : 0;
    const epoch = Math.max(runtime.state.epoch, known) + 1;
    if (typeof other === 'object' && other.role === 'primary') {
      await askToYield(service, runtime, epoch);
    }
    // Nobody waits for them before the group is served, and none of them can prevent it.
    const advice = runtime.agents.questions.reasonsAgainst();
    const position = await finish(runtime, [...UP_TO_DATE_COPY, String(status['copy'])]);
    const outcome = await takeRole(runtime, epoch, position);
    const against = (await advice).map((reason) => `served against the advice of ${reason}`);
    runtime.emit('warning', 'TAKEN_OVER', `group "${name}" was taken over by force`, { epoch });
    return { ...outcome, warnings: [...against, ...outcome.warnings] };
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
  if (typeof other === 'object' && other.role === 'standby' && other.changing) {
    throw stillPromoted(service, runtime);
  }
  runtime.requireWritable();
  const next = Math.max(epoch, handedOverTo) + 1;
  if (typeof other === 'object' && other.role === 'primary') {
    await askToYield(service, runtime, next);
  }
  runtime.saveState({ epoch: next, handedOverTo: null, position });
  runtime.setTrouble('handover', null);
  try {
    return { warnings: await runtime.startPrimary(), epoch: next };
  } catch (thrown) {
    // Tells why, and tries again later.
    await runtime.resume();
    throw thrown;
  }
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

function checkUsable(group: string, copy: unknown, options: TakeoverOptions): void {
  const { acceptIncomplete, acceptHalted } = options;
  if (copy === 'halted') {
    if (acceptHalted) return;
    throw new UnderstudyError(
      'COPY_HALTED',
      `applying of group "${group}" is halted here, see "understudy status": run "understudy accept ${group}" first, or use the copy as of before with --accept-halted`,
    );
  }
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
    // Gone in this moment: that is what --force is for. An answer that says no is obeyed, and so is a node that is still at it.
    if (!(thrown instanceof UnderstudyError) || thrown.code !== 'NODE_UNREACHABLE') throw thrown;
    const other = await service.link.askAbout(runtime.name, TAKEOVER_ASK_MS);
    if (typeof other === 'object' && other.role === 'primary')
      throw stillPrimary(service, runtime, thrown);
    runtime.emit('warning', 'PEER_LOST', `takeover without the other node: ${thrown.message}`);
  }
}

function stillPromoted(service: NodeService, { name }: GroupRuntime): UnderstudyError {
  const peer = service.peers.peer?.name ?? '?';
  return new UnderstudyError(
    'TAKEOVER_PRIMARY_ALIVE',
    `"${peer}" answers and is becoming the primary of group "${name}": wait until it is, or has given it up`,
  );
}

function stillPrimary(
  service: NodeService,
  { name }: GroupRuntime,
  cause: UnderstudyError,
): UnderstudyError {
  const peer = service.peers.peer?.name ?? '?';
  return new UnderstudyError(
    'TAKEOVER_PRIMARY_ALIVE',
    `"${peer}" was asked to cease as primary of group "${name}", has not said that it did (${cause.message}), and answers: wait until it has stopped its application, or switch it off, and try again`,
    { cause },
  );
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
  if (runtime.isManaged) return yieldManaged(service, runtime, force);
  return runtime.exclusive(async () => {
    const peer = service.peers.requirePeer().name;
    if (runtime.state.role !== 'primary') {
      throw new UnderstudyError('NOT_PRIMARY', `this node is not a primary of group "${name}"`);
    }
    const other = await service.link.askAbout(name);
    // One that has handed over to this node is about to be its standby.
    if (typeof other !== 'object' || other.role !== 'primary' || isIdlePrimary(other)) {
      throw new UnderstudyError(
        'YIELD_NO_PRIMARY',
        `"${peer}" is not a primary of group "${name}" that answers: run "understudy switchover ${name}" instead`,
      );
    }
    if (!force) {
      throw yieldNeedsForce(peer);
    }
    await cease(runtime, Math.max(other.epoch, runtime.state.epoch));
    return { warnings: [], epoch: runtime.state.epoch };
  });
}

async function cease(runtime: GroupRuntime, epoch: number): Promise<void> {
  runtime.requireWritable();
  try {
    await runtime.application.stop();
    await runtime.stopProcess({ cover: true });
  } catch (thrown) {
    if (runtime.process.isAlive) await runtime.application.start();
    else await runtime.resume();
    throw thrown;
  }
  await runtime.becomeStandby(epoch, null);
  runtime.emit('warning', 'YIELDED', `group "${runtime.name}": this node is no longer the primary`);
}
