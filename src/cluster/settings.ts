// The parts `failover`, `addresses` and `fencing` of a group, and the `networks` of a node, as people
// write them, and what becomes of them. How timings go together is checked by the machine.
import { isAbsolute } from 'node:path';
import { isIP } from 'node:net';
import { z } from 'zod';
import { atField } from '../core/at-field.ts';
import { UnderstudyError } from '../core/errors.ts';
import { parseDurationMs } from '../core/units.ts';
import { checkHook } from './address/hook.ts';
import type { ProbeTiming } from './address/duplicate-probe.ts';
import { PROBE_TIMING_DEFAULT } from './address/duplicate-probe.ts';
import { parseAddressWithPrefix, type VirtualAddress } from './address/virtual-address.ts';
import type { EtcdOptions } from './arbiter/etcd-client.ts';
import type { GatewayMethod } from './arbiter/gateway-probe.ts';
import type { FenceDevice } from './fencing/fence-agent.ts';
import type { FenceSettings } from './fencing/fencer.ts';
import { HEARTBEAT_PORT, type HeartbeatPath } from './heartbeat/path-socket.ts';
import type { FencingPolicy } from './machine/types.ts';
import { defaultTimings, fastTimings, type Timings } from './machine/timings.ts';

const FENCE_TIMEOUT_MS_DEFAULT = 20_000;
const ENDPOINTS_MAX = 16;
const DEVICES_MAX = 8;
const NETWORKS_MAX = 8;
export const ADDRESSES_MAX = 64;

const duration = z.string().max(40);
/** One line: values go to programs as `key=value` lines. */
const line = z
  .string()
  .max(1024)
  .regex(/^[^\r\n\0]*$/, 'must be one line');
const file = line.refine(isAbsolute, 'must be a path from the root');
const nodeName = z.string().min(1).max(64);
/** The same on both nodes, or by node. */
const interfaceName = z.string().regex(/^[^\s/]{1,15}$/, 'must be the name of an interface');
const ip = z.string().refine((text) => isIP(text) !== 0, 'must be an IP address');

const etcdSchema = z.strictObject({
  endpoints: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .max(ENDPOINTS_MAX),
  prefix: line.optional(),
  tls: z
    .strictObject({ ca: file.optional(), certificate: file.optional(), key: file.optional() })
    .optional(),
  username: line.optional(),
  passwordFile: file.optional(),
});

/** Timings that may be set; the others follow from the profile. */
const TIMINGS = {
  heartbeatInterval: 'heartbeatIntervalMs',
  deadAfter: 'deadAfterMs',
  lease: 'leaseMs',
  aloneAfter: 'aloneAfterMs',
  drainTimeout: 'drainTimeoutMs',
  applicationStartTimeout: 'applicationStartTimeoutMs',
  applicationStopTimeout: 'applicationStopTimeoutMs',
  failbackAfter: 'failbackAfterMs',
} as const satisfies Record<string, keyof Timings>;
type TimingKey = keyof typeof TIMINGS;
const timingKeys = Object.keys(TIMINGS) as TimingKey[];

export const failoverInputSchema = z.strictObject({
  automatic: z.boolean().optional(),
  arbiter: z.enum(['gateway', 'etcd', 'none']).optional(),
  gateway: ip.optional(),
  /** `ping`: only an echo counts, for networks whose switches answer ARP for others. */
  gatewayMethod: z.enum(['any', 'ping']).optional(),
  etcd: etcdSchema.optional(),
  profile: z.enum(['default', 'fast']).optional(),
  timings: z
    .strictObject(
      Object.fromEntries(timingKeys.map((key) => [key, duration.optional()])) as Record<
        TimingKey,
        z.ZodOptional<typeof duration>
      >,
    )
    .optional(),
  /** Name of the node that leads when both are equal. */
  preferred: nodeName.optional(),
  failback: z.boolean().optional(),
  /** Take over even when acknowledged commits may be missing. */
  availabilityFirst: z.boolean().optional(),
  onAddressConflict: z.enum(['defend', 'release']).optional(),
  addressProbe: z
    .union([
      z.literal('off'),
      z.strictObject({ probes: z.int().min(1).max(10), interval: duration }),
    ])
    .optional(),
});
export type FailoverInput = z.infer<typeof failoverInputSchema>;

export const addressesInputSchema = z
  .array(
    z.strictObject({
      ip: z.string().max(64),
      interface: z.union([interfaceName, z.record(nodeName, interfaceName)]),
      force: z.boolean().optional(),
      hook: file.optional(),
    }),
  )
  .max(ADDRESSES_MAX);
export type AddressesInput = z.infer<typeof addressesInputSchema>;

const optionValue = z.union([line, z.number(), z.boolean()]);
const deviceSchema = z.strictObject({
  agent: z.string().regex(/^(fence_[a-z0-9_]+|\/[^\s]+)$/, 'must be fence_… or a path'),
  options: z.record(z.string().regex(/^[A-Za-z0-9_-]+$/), optionValue).optional(),
  /** Option → file with its value, mode 0600. */
  secrets: z.record(z.string().regex(/^[A-Za-z0-9_-]+$/), file).optional(),
  action: z.enum(['off', 'reboot']).optional(),
  timeout: duration.optional(),
});

export const fencingInputSchema = z.strictObject({
  policy: z.enum(['required', 'best-effort']).optional(),
  require: z.enum(['any', 'all']).optional(),
  /** By node that fences: a head start for the other one. */
  delay: z.record(nodeName, duration).optional(),
  watchdog: z.union([z.enum(['auto', 'off', 'required']), file]).optional(),
  /** By node that is to be switched off. */
  devices: z.record(nodeName, z.array(deviceSchema).min(1).max(DEVICES_MAX)).optional(),
});
export type FencingInput = z.infer<typeof fencingInputSchema>;

export const networksInputSchema = z
  .array(
    z.strictObject({
      name: nodeName,
      local: ip,
      remote: ip,
      port: z.int().min(1).max(65_535).optional(),
    }),
  )
  .min(1)
  .max(NETWORKS_MAX);

export type ArbiterSettings =
  | { readonly kind: 'gateway'; readonly ip: string; readonly method: GatewayMethod }
  | { readonly kind: 'etcd'; readonly etcd: EtcdOptions & { readonly prefix?: string } }
  | { readonly kind: 'none' };

export interface FailoverSettings {
  readonly automatic: boolean;
  readonly arbiter: ArbiterSettings;
  readonly timings: Timings;
  /** Name of a node. */
  readonly preferred: string | null;
  readonly failback: boolean;
  readonly availabilityFirst: boolean;
  readonly onAddressConflict: 'defend' | 'release';
  readonly addressProbe: ProbeTiming | undefined;
}

/** `origin` names the group in messages. Errors: FAILOVER_INVALID, DURATION_INVALID. */
export function resolveFailover(input: FailoverInput, origin: string): FailoverSettings {
  const failback = input.failback ?? false;
  if (failback && input.preferred === undefined) {
    throw invalid(origin, '"failback" needs "preferred": the node to go back to');
  }
  const probe = input.addressProbe;
  return {
    automatic: input.automatic ?? false,
    arbiter: atField('failover.arbiter', () => resolveArbiter(input, origin)),
    timings: atField('failover.timings', () => resolveTimings(input)),
    preferred: input.preferred ?? null,
    failback,
    availabilityFirst: input.availabilityFirst ?? false,
    onAddressConflict: input.onAddressConflict ?? 'defend',
    addressProbe:
      probe === undefined
        ? PROBE_TIMING_DEFAULT
        : probe === 'off'
          ? undefined
          : { probes: probe.probes, intervalMs: parseDurationMs(probe.interval) },
  };
}

function resolveArbiter(input: FailoverInput, origin: string): ArbiterSettings {
  const { arbiter = 'none', gateway, gatewayMethod = 'any', etcd } = input;
  if (arbiter !== 'gateway' && gateway !== undefined) {
    throw invalid(origin, `"gateway" is set, but the arbiter is "${arbiter}"`);
  }
  if (arbiter !== 'etcd' && etcd !== undefined) {
    throw invalid(origin, `"etcd" is set, but the arbiter is "${arbiter}"`);
  }
  if (arbiter === 'none') return { kind: 'none' };
  if (arbiter === 'gateway') {
    if (gateway !== undefined) return { kind: 'gateway', ip: gateway, method: gatewayMethod };
    throw invalid(origin, 'the arbiter "gateway" needs "gateway": an address both nodes reach');
  }
  if (etcd === undefined) throw invalid(origin, 'the arbiter "etcd" needs "etcd: { endpoints }"');
  if ((etcd.tls?.certificate === undefined) !== (etcd.tls?.key === undefined)) {
    throw invalid(origin, '"etcd.tls" needs "certificate" and "key" together, or neither');
  }
  if ((etcd.username === undefined) !== (etcd.passwordFile === undefined)) {
    throw invalid(origin, '"etcd" needs "username" and "passwordFile" together, or neither');
  }
  const { prefix, ...options } = etcd;
  return { kind: 'etcd', etcd: prefix === undefined ? options : { ...options, prefix } };
}

function resolveTimings(input: FailoverInput): Timings {
  const base = input.profile === 'fast' ? fastTimings : defaultTimings;
  const set = Object.entries(input.timings ?? {}) as [TimingKey, string | undefined][];
  const changes = set.flatMap(([key, text]) =>
    text === undefined ? [] : [[TIMINGS[key], parseDurationMs(text)] as const],
  );
  const timings: Timings = { ...base, ...Object.fromEntries(changes) };
  // Whoever reaches the gateway for so long is surely heard.
  const gatewayStableMs = Math.max(timings.gatewayStableMs, timings.heartbeatIntervalMs * 2);
  return { ...timings, gatewayStableMs };
}

/**
 * The addresses as node `name` puts them on its interfaces. Errors: FAILOVER_INVALID,
 * ADDRESS_INVALID, ADDRESS_HOOK_UNUSABLE.
 */
export function resolveAddresses(
  input: AddressesInput,
  options: { name: string; origin: string },
): VirtualAddress[] {
  const addresses = input.map(({ ip: text, interface: where, force, hook }, index) => {
    const field = `addresses[${index}]`;
    const name = atField(`${field}.interface`, () => interfaceFor(where, text, options));
    if (hook !== undefined) atField(`${field}.hook`, () => checkHook(hook));
    const address = atField(`${field}.ip`, () => parseAddressWithPrefix(text));
    return { ...address, interface: name, force, hook };
  });
  const seen = new Set<string>();
  for (const { ip: text } of addresses) {
    if (seen.has(text)) throw invalid(options.origin, `${text} is listed twice`);
    seen.add(text);
  }
  return addresses;
}

function interfaceFor(
  where: AddressesInput[number]['interface'],
  address: string,
  { name, origin }: { name: string; origin: string },
): string {
  const found = typeof where === 'string' ? where : where[name];
  if (found !== undefined) return found;
  throw invalid(origin, `${address} has no interface for node "${name}"`);
}

export interface FencingSettings {
  readonly policy: FencingPolicy;
  /** How the other node is fenced; undefined without devices for it. */
  readonly peer: FenceSettings | undefined;
  readonly watchdog: {
    readonly use: 'auto' | 'off' | 'required';
    readonly path: string | undefined;
  };
}

/** As node `name` fences node `peer`. Errors: FAILOVER_INVALID, DURATION_INVALID. */
export function resolveFencing(
  input: FencingInput,
  options: { name: string; peer: string; origin: string },
): FencingSettings {
  const { devices = {}, watchdog = 'auto', delay = {} } = input;
  const { name, peer, origin } = options;
  const strange = [...Object.keys(devices), ...Object.keys(delay)].find(
    (one) => one !== name && one !== peer,
  );
  if (strange !== undefined) {
    throw invalid(origin, `fencing names "${strange}", but the nodes are "${name}" and "${peer}"`);
  }
  const own = devices[peer]?.map((device) => resolveDevice(device));
  const policy = input.policy ?? (own === undefined ? 'off' : 'required');
  if (policy !== 'off' && own === undefined) {
    throw invalid(origin, `fencing has no device that switches "${peer}" off`);
  }
  const named = watchdog === 'auto' || watchdog === 'off' || watchdog === 'required';
  const delayMs = delay[name] === undefined ? 0 : parseDurationMs(delay[name]);
  return {
    policy,
    peer:
      own === undefined ? undefined : { devices: own, require: input.require ?? 'any', delayMs },
    watchdog: { use: named ? watchdog : 'required', path: named ? undefined : watchdog },
  };
}

function resolveDevice(device: z.infer<typeof deviceSchema>): FenceDevice {
  const options = Object.entries(device.options ?? {}).map(
    ([key, value]) =>
      [key, typeof value === 'boolean' ? String(Number(value)) : String(value)] as const,
  );
  return {
    agent: device.agent,
    options: Object.fromEntries(options),
    secretFiles: device.secrets ?? {},
    action: device.action ?? 'off',
    timeoutMs:
      device.timeout === undefined ? FENCE_TIMEOUT_MS_DEFAULT : parseDurationMs(device.timeout),
  };
}

/** Networks between the nodes, seen from this one. Errors: FAILOVER_INVALID. */
export function resolveNetworks(input: z.infer<typeof networksInputSchema>): HeartbeatPath[] {
  const names = new Set(input.map(({ name }) => name));
  if (names.size !== input.length) throw invalid('networks', 'two networks have the same name');
  return input.map(({ name, local, remote, port = HEARTBEAT_PORT }) => {
    if (isIP(local) !== isIP(remote)) {
      throw invalid('networks', `"${name}" joins an IPv4 and an IPv6 address`);
    }
    return { name, local, remote, port };
  });
}

function invalid(origin: string, why: string): UnderstudyError {
  return new UnderstudyError('FAILOVER_INVALID', `${origin}: ${why}`);
}
