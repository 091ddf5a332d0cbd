// What a lab looks like right now, from its state file and from what really lives.
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf } from './network.ts';
import { isAlive } from './process.ts';
import type { Cut, HostState, LabState, NetworkName } from './state.ts';

export interface HostStatus {
  readonly name: string;
  /** `dead`: was ended by something else than a power cut of the lab. */
  readonly power: 'on' | 'off' | 'dead';
  readonly frozen: boolean;
  readonly addresses: Readonly<Partial<Record<NetworkName, string>>>;
  readonly unplugged: readonly NetworkName[];
  readonly rates: Readonly<Partial<Record<NetworkName, string>>>;
  readonly claimed: readonly string[];
  /** Null without a disk or without power. */
  readonly disk: { readonly sizeBytes: number; readonly freeBytes: number } | null;
  readonly services: Readonly<Record<string, 'kept' | 'stopped'>>;
  readonly logs: string;
}

export interface LabStatus {
  readonly name: string;
  readonly createdAt: string;
  readonly ownerPid: number | null;
  readonly cuts: readonly Cut[];
  readonly hosts: readonly HostStatus[];
}

export function statusOf(lab: LabState): LabStatus {
  return {
    name: lab.name,
    createdAt: lab.createdAt,
    ownerPid: lab.owner?.pid ?? null,
    cuts: lab.cuts,
    hosts: Object.values(lab.hosts).map((host) => hostStatus(lab, host)),
  };
}

function hostStatus(lab: LabState, host: HostState): HostStatus {
  const isOn = isAlive(host.init);
  return {
    name: host.name,
    power: isOn ? 'on' : host.init === null ? 'off' : 'dead',
    frozen: host.frozen,
    addresses: Object.fromEntries(
      host.networks.map((network) => [network, addressOf(lab.index, network, host.number)]),
    ),
    unplugged: host.unplugged,
    rates: host.rates,
    claimed: host.claimed.map(({ address }) => address),
    disk: isOn && host.hasDisk ? diskUse(lab, host) : null,
    services: Object.fromEntries(
      host.services.map(({ name }) => [
        name,
        isAlive(host.keepers[name] ?? null) ? 'kept' : 'stopped',
      ]),
    ),
    logs: join(lab.directory, host.name, 'logs'),
  };
}

function diskUse(lab: LabState, host: HostState): HostStatus['disk'] {
  if (host.init === null) return null;
  try {
    const path = join(`/proc/${host.init.pid}/root`, lab.directory, host.name, 'disk');
    const { bsize, blocks, bavail } = statfsSync(path);
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return null;
  }
}
