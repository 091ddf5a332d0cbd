// What operators ask of a managed group. The machine decides; here it is asked, and waited for.
import type { Command } from '../../cluster/machine/event-types.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { Outcome } from '../node-protocol.ts';
import type { NodeService } from '../node-service.ts';

const HANDOVER_TIMEOUT_MS = 600_000;
const TAKEOVER_TIMEOUT_MS = 600_000;
const SHORT_TIMEOUT_MS = 10_000;

/** On the primary: moves it to the other node. */
export async function switchoverManaged(
  service: NodeService,
  runtime: GroupRuntime,
): Promise<Outcome> {
  await service.failover.of(runtime).command(
    { kind: 'switchover' },
    {
      isDone: ({ role, peerRole }) => role === 'standby' && peerRole === 'primary',
      failures: ['HANDOVER_FAILED', 'OFFER_DECLINED', 'STEPS_DOWN'],
      timeoutMs: HANDOVER_TIMEOUT_MS,
    },
  );
  return { warnings: [], epoch: runtime.state.epoch };
}

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

/** Gives up in favour of the other primary. */
export async function yieldManaged(service: NodeService, runtime: GroupRuntime): Promise<Outcome> {
  await service.failover.of(runtime).command(
    { kind: 'yield' },
    {
      isDone: ({ role }) => role === 'standby',
      failures: [],
      timeoutMs: HANDOVER_TIMEOUT_MS,
    },
  );
  return { warnings: [], epoch: runtime.state.epoch };
}

/** Maintenance on and off, and a fresh start for an application that had failed. */
export async function simpleCommand(
  service: NodeService,
  runtime: GroupRuntime,
  kind: 'pause' | 'resume' | 'clear-failures',
): Promise<Outcome> {
  const command: Command = { kind };
  if (kind === 'clear-failures') runtime.agents.forgive();
  await service.failover.of(runtime).command(command, {
    isDone: ({ paused }) => kind === 'clear-failures' || paused === (kind === 'pause'),
    failures: [],
    timeoutMs: SHORT_TIMEOUT_MS,
  });
  return { warnings: [], epoch: runtime.state.epoch };
}
