// From what people wrote about a group's failover to what its machine and its effects are given.
import { isIP } from 'node:net';
import { readFileSync } from 'node:fs';
import { UnderstudyError } from '../../core/errors.ts';
import type { AddressOptions } from '../../cluster/address/virtual-addresses.ts';
import { WATCHDOG_PATH } from '../../cluster/fencing/watchdog.ts';
import { checkConfig } from '../../cluster/machine/config-check.ts';
import type { Timings } from '../../cluster/machine/timings.ts';
import type { MachineConfig } from '../../cluster/machine/types.ts';
import { nodeId, type NodeId } from '../../core/ids.ts';
import {
  type ArbiterSettings,
  type FailoverInput,
  type FencingSettings,
  type networksInputSchema,
  resolveAddresses,
  resolveFailover,
  resolveFencing,
} from '../../cluster/settings.ts';
import type { z } from 'zod';
import { longestWayMs } from '../agent-definition.ts';
import type { GroupDefinition } from '../group-definition.ts';
import type { NodeConfig } from '../node-config.ts';

const TIMEOUT_MS_MAX = 3_600_000;
/** For the supervisor itself, beyond what agents are allowed. */
const TIMEOUT_SLACK_MS = 5000;

export interface NodeIdentity {
  readonly id: string;
  readonly name: string;
}

export interface GroupSettings {
  readonly config: MachineConfig;
  readonly arbiter: ArbiterSettings;
  readonly addresses: AddressOptions | null;
  readonly fencing: FencingSettings | null;
  readonly watchdogPath: string | null;
  /** Sentences about what an operator should know of these settings. */
  readonly advice: readonly string[];
}

/**
 * The settings of a managed group as node `self` uses them. Errors: FAILOVER_INVALID,
 * FAILOVER_IMPOSSIBLE, TIMINGS_IMPOSSIBLE, ADDRESS_INVALID, ADDRESS_HOOK_UNUSABLE, DURATION_INVALID.
 */
export function resolveGroup(
  definition: GroupDefinition,
  self: NodeIdentity,
  peer: NodeIdentity,
): GroupSettings {
  const { name, agents, replication } = definition;
  const origin = `group "${name}"`;
  const failover = resolveFailover(definition.failover ?? {}, origin);
  const addresses = resolveAddresses(definition.addresses, { name: self.name, origin });
  const fencing =
    definition.fencing === null
      ? null
      : resolveFencing(definition.fencing, { name: self.name, peer: peer.name, origin });
  const config: MachineConfig = {
    group: name,
    self: { id: nodeId(self.id), name: self.name },
    peer: { id: nodeId(peer.id), name: peer.name },
    mode: replication.mode,
    arbiter: failover.arbiter.kind,
    fencing: fencing?.policy ?? 'off',
    hasAddress: addresses.length > 0,
    hasApplication: agents.length > 0,
    automatic: failover.automatic,
    availabilityFirst: failover.availabilityFirst,
    preferred: preferredId(failover.preferred, [self, peer], origin),
    failback: failover.failback,
    timings: fenceTimings(applicationTimings(failover.timings, definition), fencing),
  };
  const advice = checkConfig(config);
  return {
    config,
    arbiter: failover.arbiter,
    addresses:
      addresses.length === 0
        ? null
        : {
            group: name,
            addresses,
            onConflict: failover.onAddressConflict,
            ...(failover.addressProbe === undefined ? {} : { probe: failover.addressProbe }),
          },
    fencing,
    watchdogPath: watchdogPath(fencing),
    advice,
  };
}

/**
 * Restarts in place are counted by the agents' supervisor, per agent: what it reports has to lead to the
 * other node. Starts and stops may take as long as the agents are allowed, unless somebody set a limit.
 */
function applicationTimings(timings: Timings, { agents, failover }: GroupDefinition): Timings {
  if (agents.length === 0) return timings;
  const { applicationStartTimeout, applicationStopTimeout } = failover?.timings ?? {};
  const startMs = longestWayMs(agents, 'startTimeoutMs');
  const stopMs = longestWayMs(agents, 'stopTimeoutMs');
  return {
    ...timings,
    restartsMax: 0,
    applicationStartTimeoutMs:
      applicationStartTimeout === undefined
        ? atLeast(timings.applicationStartTimeoutMs, startMs)
        : timings.applicationStartTimeoutMs,
    applicationStopTimeoutMs:
      applicationStopTimeout === undefined
        ? atLeast(timings.applicationStopTimeoutMs, stopMs)
        : timings.applicationStopTimeoutMs,
  };
}

const atLeast = (ownMs: number, wayMs: number): number =>
  Math.min(TIMEOUT_MS_MAX, Math.max(ownMs, wayMs + TIMEOUT_SLACK_MS));

/** Devices that are tried one after the other are each given the time that they may take, after the delay. */
function fenceTimings(timings: Timings, fencing: FencingSettings | null): Timings {
  const settings = fencing?.peer;
  if (settings === undefined) return timings;
  const limits = settings.devices.map(({ timeoutMs }) => timeoutMs);
  const devicesMs =
    settings.require === 'all'
      ? Math.max(...limits)
      : limits.reduce((sum, timeoutMs) => sum + timeoutMs, 0);
  const fenceTimeoutMs = Math.max(timings.fenceTimeoutMs, settings.delayMs + devicesMs);
  return { ...timings, fenceTimeoutMs };
}

function preferredId(
  name: string | null,
  nodes: readonly NodeIdentity[],
  origin: string,
): NodeId | null {
  if (name === null) return null;
  const node = nodes.find((one) => one.name === name);
  if (node !== undefined) return nodeId(node.id);
  const names = nodes.map((one) => `"${one.name}"`).join(' and ');
  throw new UnderstudyError(
    'FAILOVER_INVALID',
    `${origin}: "preferred" is "${name}", but the nodes are ${names}`,
  );
}

function watchdogPath(fencing: FencingSettings | null): string | null {
  if (fencing === null) return WATCHDOG_PATH;
  if (fencing.watchdog.use === 'off') return null;
  return fencing.watchdog.path ?? WATCHDOG_PATH;
}

/**
 * Fills in the address of the default gateway where the arbiter `gateway` is wanted and none is named.
 * Errors: FAILOVER_INVALID when this node has no default route.
 */
export function withDefaultGateway(failover: FailoverInput, origin: string): FailoverInput {
  if (failover.arbiter !== 'gateway' || failover.gateway !== undefined) return failover;
  const gateway = defaultGateway();
  if (gateway !== undefined) return { ...failover, gateway };
  throw new UnderstudyError(
    'FAILOVER_INVALID',
    `${origin}: this node has no default route, so write "gateway": an address that both nodes reach`,
  );
}

/** IPv4 address of the default route from `/proc/net/route`. */
function defaultGateway(): string | undefined {
  const [, ...lines] = readFileSync('/proc/net/route', 'utf8').trim().split('\n');
  for (const line of lines) {
    const [, destination, gateway = ''] = line.split('\t');
    if (destination !== '00000000' || gateway === '00000000') continue;
    // Network byte order, printed as a little-endian number.
    const bytes = Buffer.from(gateway, 'hex').toReversed();
    return [...bytes].join('.');
  }
  return undefined;
}

export type NetworksInput = z.infer<typeof networksInputSchema>;

/**
 * Networks that carry heartbeats: as configured, or those that the nodes were paired with.
 * Errors: NETWORKS_NEEDED when these are host names.
 */
export function heartbeatNetworks(
  config: NodeConfig,
  peer: { readonly host: string; readonly replicationHost: string },
): NetworksInput {
  if (config.networks !== undefined) return config.networks;
  const service = { name: 'service', local: config.address, remote: peer.host };
  const replication = {
    name: 'replication',
    local: config.replicationAddress ?? config.address,
    remote: peer.replicationHost,
  };
  const isOne = replication.local === service.local && replication.remote === service.remote;
  const networks = isOne ? [service] : [service, replication];
  const named = networks.find(({ local, remote }) => isIP(local) === 0 || isIP(remote) === 0);
  if (named === undefined) return networks;
  throw new UnderstudyError(
    'NETWORKS_NEEDED',
    `heartbeats need IP addresses, and "${named.local}" and "${named.remote}" are not: list the networks in node.yaml ("networks: [{ name, local, remote }]") on both nodes`,
  );
}
