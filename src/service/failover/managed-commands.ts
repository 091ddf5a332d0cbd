// What operators ask of a managed group. The machine decides; here it is asked, and waited for.
import { UnderstudyError } from '../../core/errors.ts';
import type { Command } from '../../cluster/machine/event-types.ts';
import { hasLeft, type MachineView } from '../../cluster/thread/machine-view.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { Outcome } from '../node-protocol.ts';
import type { NodeService } from '../node-service.ts';

const HANDOVER_TIMEOUT_MS = 600_000;
const TAKEOVER_TIMEOUT_MS = 600_000;
const SHORT_TIMEOUT_MS = 10_000;
/** The other node has applied everything: what is left is to mount, and to start the application. */
const OFFER_TIMEOUT_MS = 30_000;
/** What the machine has said shows in its view at once. */
const VIEW_TIMEOUT_MS = 2000;

/** On the primary: moves it to the other node. */
export async function switchoverManaged(
  service: NodeService,
  runtime: GroupRuntime,
): Promise<Outcome> {
  await service.failover.of(runtime).command(
    { kind: 'switchover' },
    {
      isDone: ({ role, peerRole }) => role === 'standby' && peerRole === 'primary',
      // (The other one died before it could take it, and this node goes on.)
      failures: ['HANDOVER_FAILED', 'OFFER_DECLINED', 'STEPS_DOWN', 'TAKING_OVER'],
      timeoutMs: HANDOVER_TIMEOUT_MS,
    },
  );
  return { warnings: [], epoch: runtime.state.epoch };
}

/**
 * Before this machine is shut down. `moved`: the other node serves; `offered`: it may, and has not said so in time; `stopped`:
 * nobody does. Errors: HANDOVER_FAILED (it still serves), COMMAND_UNFINISHED, CLUSTER_PROCESS_DOWN, FAILOVER_NOT_RUNNING.
 */
export async function leaveManaged(
  service: NodeService,
  runtime: GroupRuntime,
): Promise<'standby' | 'moved' | 'offered' | 'stopped'> {
  const failover = service.failover.of(runtime);
  const wasStandby = failover.view?.role === 'standby';
  try {
    await failover.command(
      { kind: 'leave' },
      { isDone: hasLeft, failures: ['HANDOVER_FAILED'], timeoutMs: HANDOVER_TIMEOUT_MS },
    );
  } catch (thrown) {
    // Said of both: what goes on here, and what has ended here and not in order.
    const isBoth = thrown instanceof UnderstudyError && thrown.code === 'HANDOVER_FAILED';
    const ended = isBoth && (await failover.waitFor(isDecided, VIEW_TIMEOUT_MS));
    if (!ended || !hasLeft(ended)) throw thrown;
  }
  if (wasStandby) return 'standby';
  const settled = await failover.waitFor(({ offers }) => !offers, OFFER_TIMEOUT_MS);
  if (settled?.peerRole === 'primary') return 'moved';
  if (settled !== undefined && !hasLeft(settled)) {
    throw new UnderstudyError(
      'COMMAND_UNFINISHED',
      `group "${runtime.name}" was handed over, and then the cluster process ended: the one after it has not said goodbye. Give "understudy leave" again`,
    );
  }
  await failover.data.keepAsOwn();
  return settled === undefined ? 'offered' : 'stopped';
}

/** Whoever serves on leaves no more. */
const isDecided = (view: MachineView): boolean =>
  hasLeft(view) || (view.role === 'primary' && !view.leaving);

/** On the node that is to be primary. */
export async function takeoverManaged(
  service: NodeService,
  runtime: GroupRuntime,
  options: {
    readonly force: boolean;
    readonly acceptStale: boolean;
    readonly acceptIncomplete: boolean;
    readonly acceptHalted: boolean;
  },
): Promise<Outcome> {
  const failover = service.failover.of(runtime);
  const { reasons } = failover;
  await failover.command(
    { kind: 'takeover', ...options },
    {
      isDone: ({ role }) => role === 'primary',
      failures: ['TAKEOVER_GIVEN_UP', 'STEPS_DOWN'],
      timeoutMs: TAKEOVER_TIMEOUT_MS,
    },
  );
  const warnings = reasons.map((reason) => `served against the advice of ${reason}`);
  return { warnings, epoch: runtime.state.epoch };
}

/** Gives up in favour of the other primary. Errors: YIELD_NEEDS_FORCE, and those of the machine. */
export async function yieldManaged(
  service: NodeService,
  runtime: GroupRuntime,
  force: boolean,
): Promise<Outcome> {
  const failover = service.failover.of(runtime);
  // Whatever else speaks against it, the machine says better.
  const isSplit = failover.view?.role === 'primary' && failover.view.peerRole === 'primary';
  if (isSplit && !force) throw yieldNeedsForce(service.peers.requirePeer().name);
  await failover.command(
    { kind: 'yield' },
    {
      isDone: ({ role }) => role === 'standby',
      failures: [],
      timeoutMs: HANDOVER_TIMEOUT_MS,
    },
  );
  return { warnings: [], epoch: runtime.state.epoch };
}

/** The consent that a split brain cannot be ended without. */
export function yieldNeedsForce(peer: string): UnderstudyError {
  return new UnderstudyError(
    'YIELD_NEEDS_FORCE',
    `what was written on this node since "${peer}" was promoted will be overwritten: save what you need of it, then add --force`,
  );
}

/** Maintenance on and off, and a fresh start for an application that had failed. */
export async function simpleCommand(
  service: NodeService,
  runtime: GroupRuntime,
  kind: 'pause' | 'resume' | 'clear-failures',
): Promise<Outcome> {
  const command: Command = { kind };
  if (kind === 'clear-failures') {
    runtime.agents.forgive();
    // On a node that serves no more, no start that works would take it away.
    runtime.setTrouble('agents', null);
  }
  await service.failover.of(runtime).command(command, {
    isDone: ({ paused }) => kind === 'clear-failures' || paused === (kind === 'pause'),
    failures: [],
    timeoutMs: SHORT_TIMEOUT_MS,
  });
  return { warnings: [], epoch: runtime.state.epoch };
}
