// Network interfaces of this node's network namespace: what they are, whether they are connected, what passed over them.
// Counters come from /proc/self/net/dev, which is of our own namespace whatever /sys shows.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { once } from '../admin-api/once.ts';
import { formatMac } from '../../linux/ip-address.ts';
import { listAddresses, listLinks } from '../../linux/netlink.ts';

export const networkCardSchema = once(() =>
  z.object({
    name: z.string(),
    mac: z.string().nullable(),
    /** Administratively. */
    up: z.boolean(),
    /** There is a cable, or the other end. */
    link: z.boolean(),
    loopback: z.boolean(),
    virtual: z.boolean().describe('No hardware behind it: a bridge, a tunnel, a pair'),
    speedMbit: z.number().nullable(),
    duplex: z.enum(['full', 'half']).nullable(),
    mtu: z.number().nullable(),
    driver: z.string().nullable(),
    addresses: z.array(z.string()).describe('With their prefix'),
    receivedBytes: z.number(),
    receivedPackets: z.number(),
    receivedErrors: z.number(),
    receivedDropped: z.number(),
    sentBytes: z.number(),
    sentPackets: z.number(),
    sentErrors: z.number(),
    sentDropped: z.number(),
  }),
);
export type NetworkCard = z.infer<ReturnType<typeof networkCardSchema>>;

interface Counters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receivedErrors: number;
  readonly receivedDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sentErrors: number;
  readonly sentDropped: number;
}

const NO_COUNTERS: Counters = {
  receivedBytes: 0,
  receivedPackets: 0,
  receivedErrors: 0,
  receivedDropped: 0,
  sentBytes: 0,
  sentPackets: 0,
  sentErrors: 0,
  sentDropped: 0,
};

export function networkCards(): NetworkCard[] {
  const counters = parseCounters(readFileSync('/proc/self/net/dev', 'latin1'));
  const addresses = listAddresses();
  return listLinks().map(({ index, name, mac, up, carrier, loopback }) => ({
    name,
    mac: mac.length === 6 && !loopback ? formatMac(mac) : null,
    up,
    link: carrier,
    loopback,
    ...hardwareOf(name),
    addresses: addresses
      .filter((one) => one.index === index)
      .map(({ ip, prefix }) => `${ip}/${prefix}`),
    ...(counters.get(name) ?? NO_COUNTERS),
  }));
}

/** Bytes that passed over each interface but the loopback. */
export function networkCounters(): Map<string, { received: number; sent: number }> {
  const counters = parseCounters(readFileSync('/proc/self/net/dev', 'latin1'));
  counters.delete('lo');
  return new Map(
    [...counters].map(([name, { receivedBytes, sentBytes }]) => [
      name,
      { received: receivedBytes, sent: sentBytes },
    ]),
  );
}

/** `proc_pid_net(5)`: eight columns received, eight sent. */
export function parseCounters(text: string): Map<string, Counters> {
  const found = new Map<string, Counters>();
  for (const line of text.split('\n').slice(2)) {
    const [name = '', rest] = line.split(':');
    if (rest === undefined) continue;
    const n = rest.trim().split(/\s+/).map(Number);
    found.set(name.trim(), {
      receivedBytes: n[0] ?? 0,
      receivedPackets: n[1] ?? 0,
      receivedErrors: n[2] ?? 0,
      receivedDropped: n[3] ?? 0,
      sentBytes: n[8] ?? 0,
      sentPackets: n[9] ?? 0,
      sentErrors: n[10] ?? 0,
      sentDropped: n[11] ?? 0,
    });
  }
  return found;
}

function hardwareOf(
  name: string,
): Pick<NetworkCard, 'virtual' | 'speedMbit' | 'duplex' | 'mtu' | 'driver'> {
  const speed = Number(attribute(name, 'speed') ?? Number.NaN);
  const duplex = attribute(name, 'duplex');
  const mtu = Number(attribute(name, 'mtu') ?? Number.NaN);
  const driver = /^DRIVER=(.+)$/m.exec(attribute(name, 'device/uevent') ?? '')?.[1] ?? null;
  return {
    virtual: attribute(name, 'device/uevent') === undefined,
    speedMbit: speed > 0 ? speed : null,
    duplex: duplex === 'full' || duplex === 'half' ? duplex : null,
    mtu: Number.isFinite(mtu) ? mtu : null,
    driver,
  };
}

/** Names of interfaces have no slash, and are not `.` or `..` (the kernel refuses those). */
function attribute(name: string, file: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, 'latin1').trim();
  } catch {
    return undefined;
  }
}
