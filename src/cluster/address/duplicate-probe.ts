// "Does anybody use this address?" (RFC 5227, 2.1; RFC 4862, 5.4): a few probes that claim nothing,
// and a look at what comes back. The intervals are shorter than the RFCs' because a service is down
// meanwhile; an answer on a local network takes a millisecond.
import { setTimeout as sleep } from 'node:timers/promises';
import { formatMac } from '../../linux/ip-address.ts';
import { arpProbe, parseArp } from '../wire/arp.ts';
import { multicastMac, neighbourProbe, parseNeighbour, solicitedNodeGroup } from '../wire/ndp.ts';
import { PacketSocket } from '../wire/packet-socket.ts';
import type { PlacedAddress } from './virtual-address.ts';

export interface ProbeTiming {
  readonly probes: number;
  readonly intervalMs: number;
}

/** 3 probes in 300 ms. */
export const PROBE_TIMING_DEFAULT: ProbeTiming = { probes: 3, intervalMs: 100 };

/** Somebody else who uses an address. */
export interface Occupant {
  readonly ip: string;
  readonly interface: string;
  /** `02:4d:00:01:00:0a` */
  readonly mac: string;
}

/** The longest time between two looks at what came back. */
const LOOK_MS = 20;

/**
 * Probes all addresses at once. Returns the occupants as soon as there is one (at most one for each
 * address), or none after `probes` × `intervalMs`. `ownMacs`: hardware addresses of this node.
 * Errors: SOCKET_REFUSED.
 */
export async function probeAddresses(
  addresses: readonly PlacedAddress[],
  options: { timing: ProbeTiming; ownMacs: ReadonlySet<string>; signal?: AbortSignal },
): Promise<Occupant[]> {
  const probes = openProbes(addresses);
  try {
    for (let round = 0; round < options.timing.probes; round += 1) {
      for (const probe of probes) probe.send();
      const end = performance.now() + options.timing.intervalMs;
      let wait = 1;
      while (performance.now() < end) {
        await sleep(Math.min(wait, Math.max(1, end - performance.now())));
        wait = Math.min(LOOK_MS, wait * 2);
        if (options.signal?.aborted === true) return [];
        const occupants = probes.flatMap((probe) => probe.look(options.ownMacs));
        if (occupants.length > 0) return occupants;
      }
    }
    return [];
  } finally {
    for (const probe of probes) probe.close();
  }
}

function openProbes(addresses: readonly PlacedAddress[]): AddressProbe[] {
  const probes: AddressProbe[] = [];
  try {
    for (const address of addresses) probes.push(new AddressProbe(address));
    return probes;
  } catch (error) {
    for (const probe of probes) probe.close();
    throw error;
  }
}

class AddressProbe {
  readonly #placed: PlacedAddress;
  readonly #socket: PacketSocket;

  constructor(placed: PlacedAddress) {
    this.#placed = placed;
    this.#socket = new PacketSocket(placed.link, placed.family === 4 ? 'arp' : 'neighbour');
    if (placed.family === 6) this.#socket.join(multicastMac(solicitedNodeGroup(placed.bytes)));
  }

  send(): void {
    const { link, bytes, family } = this.#placed;
    const probe = family === 4 ? arpProbe(link.mac, bytes) : neighbourProbe(link.mac, bytes);
    // An interface without a cable takes nothing and nobody answers: the caller looks at the carrier.
    this.#socket.send(probe);
  }

  /** The occupant that has answered (or probes for the same address), if any. */
  look(ownMacs: ReadonlySet<string>): Occupant[] {
    for (const frame of this.#socket.receive()) {
      const mac = claimant(frame, this.#placed, true);
      if (mac === undefined || ownMacs.has(mac)) continue;
      const { address } = this.#placed;
      return [{ ip: address.ip, interface: address.interface, mac }];
    }
    return [];
  }

  close(): void {
    this.#socket.close();
  }
}

/**
 * Hardware address of the machine that uses (or, with `probesCount`, also of one that probes for)
 * the address, if `frame` says so.
 */
export function claimant(
  frame: Buffer,
  { bytes, family }: PlacedAddress,
  probesCount: boolean,
): string | undefined {
  if (family === 4) {
    const arp = parseArp(frame);
    if (arp === undefined) return undefined;
    const claims = equal(arp.senderIp, bytes);
    const nobody = arp.senderIp.every((byte) => byte === 0);
    const probes = probesCount && arp.operation === 'request' && nobody;
    return claims || (probes && equal(arp.targetIp, bytes)) ? formatMac(arp.senderMac) : undefined;
  }
  const neighbour = parseNeighbour(frame);
  if (neighbour === undefined || !equal(neighbour.target, bytes)) return undefined;
  if (neighbour.type === 'advertisement') return formatMac(neighbour.sourceMac);
  const anonymous = neighbour.sourceIp.every((byte) => byte === 0);
  return probesCount && anonymous ? formatMac(neighbour.sourceMac) : undefined;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
