// The creation of managed groups: what is checked on both nodes, and the beginning of their machines.
import { existsSync } from 'node:fs';
import { atField, atFieldLater } from '../../core/at-field.ts';
import { UnderstudyError } from '../../core/errors.ts';
import { silentLogger } from '../../core/logger.ts';
import { systemClock } from '../../core/clock.ts';
import { statementOf } from '../../cluster/arbiter/arbiter.ts';
import { GatewayProbe } from '../../cluster/arbiter/gateway-probe.ts';
import { VirtualAddresses } from '../../cluster/address/virtual-addresses.ts';
import { Fencer } from '../../cluster/fencing/fencer.ts';
import { isNowayout, NOWAYOUT_REMEDY } from '../../cluster/fencing/watchdog.ts';
import { checkNewTimings } from '../../cluster/machine/config-check.ts';
import type { ArbiterSettings } from '../../cluster/settings.ts';
import type { GroupDefinition } from '../group-definition.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { NodeService } from '../node-service.ts';
import { checkRecord } from './etcd-record.ts';
import type { GroupSettings } from './group-settings.ts';

const GATEWAY_PATIENCE_MS = 1000;
const SERVE_TIMEOUT_MS = 30_000;

/**
 * Checks on this node that failover with these settings can work. Returns what an operator should know.
 * Errors: those of the settings, ADDRESS_IN_USE, ADDRESS_OUTSIDE_NETWORK and others of the address,
 * ARBITER_UNREACHABLE, FENCE_AGENT_MISSING and others of the agent, WATCHDOG_UNUSABLE.
 */
export async function checkFailover(
  service: NodeService,
  definition: GroupDefinition,
): Promise<string[]> {
  if (definition.failover === null) return [];
  const settings = atField('failover', () => service.failover.settingsOf(definition));
  atField('failover.timings', () => checkNewTimings(settings.config));
  await atFieldLater('addresses', async () => checkAddresses(settings));
  const fromArbiter = await atFieldLater('failover.arbiter', async () =>
    checkArbiter(settings, service.config.name, definition.groupId),
  );
  const peer = settings.fencing?.peer;
  if (peer !== undefined) await atFieldLater('fencing', async () => new Fencer(peer).check());
  atField('fencing.watchdog', () => checkWatchdog(settings, service.config.name));
  const statement = statementOf(settings.arbiter.kind, settings.config.fencing !== 'off');
  return [statement, ...settings.advice, ...fromArbiter];
}

async function checkAddresses({ addresses }: GroupSettings): Promise<void> {
  if (addresses === null) return;
  const parts = { clock: systemClock, logger: silentLogger, onEvent: () => undefined };
  await new VirtualAddresses(addresses, parts).check();
}

/** Whoever insists on a watchdog hears where there is none; whether it can be armed shows when it is. */
function checkWatchdog({ fencing, watchdogPath, config }: GroupSettings, node: string): void {
  if (fencing?.watchdog.use !== 'required' || watchdogPath === null) return;
  if (isNowayout(watchdogPath)) {
    throw new UnderstudyError(
      'WATCHDOG_UNUSABLE',
      `group "${config.group}" requires a watchdog, and ${watchdogPath} of node "${node}" cannot be stopped once it runs (nowayout): ${NOWAYOUT_REMEDY}, or leave "watchdog" out to do without`,
    );
  }
  if (existsSync(watchdogPath)) return;
  throw new UnderstudyError(
    'WATCHDOG_UNUSABLE',
    `group "${config.group}" requires a watchdog, and node "${node}" has no ${watchdogPath}: load the driver of its board, or "softdog", or leave "watchdog" out to do without`,
  );
}

async function checkArbiter(
  settings: GroupSettings,
  node: string,
  groupId: string,
): Promise<readonly string[]> {
  const { arbiter } = settings;
  if (arbiter.kind === 'gateway') {
    await checkGateway(arbiter, node);
    return [];
  }
  return checkRecord(settings, groupId);
}

async function checkGateway(
  { ip, method }: Extract<ArbiterSettings, { kind: 'gateway' }>,
  node: string,
): Promise<void> {
  const probe = new GatewayProbe(ip, method);
  try {
    const { reachable } = await probe.probe(GATEWAY_PATIENCE_MS);
    if (reachable) return;
  } finally {
    probe.close();
  }
  throw new UnderstudyError(
    'ARBITER_UNREACHABLE',
    `the gateway ${ip} does not answer node "${node}" (ARP and ping): choose an address that both nodes reach and that answers`,
  );
}

/**
 * Lets the machines of a group that was just created make this node the primary. Errors:
 * GROUP_NOT_SERVED with what is in the way.
 */
export async function beginServing(service: NodeService, runtime: GroupRuntime): Promise<void> {
  const failover = await service.failover.add(runtime);
  const served = await failover.waitFor(({ role }) => role === 'primary', SERVE_TIMEOUT_MS);
  if (served !== undefined) return;
  const { view } = failover;
  const why = view === null ? 'its machine says nothing' : view.waiting || view.reason;
  throw new UnderstudyError(
    'GROUP_NOT_SERVED',
    `group "${runtime.name}" did not come into service within ${SERVE_TIMEOUT_MS / 1000} s (${why}): check that heartbeats (7442/udp) pass between the nodes on all networks, see "understudy events"`,
  );
}
