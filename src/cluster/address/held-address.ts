// One address that this node holds: announced, watched and defended on the interface as it was when the
// address was put there.
import { formatMac } from '../../linux/ip-address.ts';
import type { Neighbour } from '../../linux/netlink.ts';
import { PacketSocket } from '../wire/packet-socket.ts';
import { type AnnouncementTiming, announce, Announcer } from './announcer.ts';
import { type ConflictStep, ConflictWatch } from './conflict-watch.ts';
import { claimant } from './duplicate-probe.ts';
import type { NetworkView, PlacedAddress } from './virtual-address.ts';

export class HeldAddress {
  readonly placed: PlacedAddress;
  readonly #socket: PacketSocket;
  readonly #announcer: Announcer;
  readonly #watch = new ConflictWatch();
  readonly #mayHold: () => boolean;
  /** How many neighbours were told so far. */
  #toldCount = 0;

  /** `mayHold`: nothing is announced while it says no. Errors: SOCKET_REFUSED. */
  constructor(placed: PlacedAddress, timing: AnnouncementTiming, mayHold: () => boolean) {
    this.placed = placed;
    this.#mayHold = mayHold;
    this.#socket = new PacketSocket(placed.link, placed.family === 4 ? 'arp' : 'neighbour');
    this.#announcer = new Announcer(() => this.defend(), timing);
  }

  /** Starts the bursts; the first announcement is on the wire when this returns. */
  announce(): void {
    this.#announcer.start();
  }

  /** One announcement. */
  defend(): void {
    if (this.#mayHold()) announce(this.placed, this.#socket);
  }

  /**
   * Announces the address to each of `neighbours` on its network alone, but for the one that claims it; to `most` of them, the next
   * time to the next ones. Returns how many.
   */
  defendAmong(neighbours: readonly Neighbour[], exceptMac: string, most: number): number {
    if (!this.#mayHold()) return 0;
    const { link, family } = this.placed;
    const macs = new Map<string, Uint8Array>();
    for (const { index, ip, mac } of neighbours) {
      const isHere = index === link.index && ip.includes(':') === (family === 6);
      if (isHere) macs.set(formatMac(mac), mac);
    }
    macs.delete(exceptMac);
    const told = nextInTurn([...macs.values()], this.#toldCount, most);
    for (const mac of told) announce(this.placed, this.#socket, mac);
    this.#toldCount += told.length;
    return told.length;
  }

  /** Looks at what others said about the address since the last call. */
  look(ownMacs: ReadonlySet<string>, nowMs: number): ConflictStep | undefined {
    const claims: string[] = [];
    for (const frame of this.#socket.receive()) {
      const mac = claimant(frame, this.placed, false);
      if (mac !== undefined && !ownMacs.has(mac)) claims.push(mac);
    }
    return this.#watch.look(claims, nowMs);
  }

  /** Whether the interface is the same as ever, with the same hardware address. */
  isOnSameLink({ links }: NetworkView): boolean {
    const { address, link } = this.placed;
    const now = links.find(({ name }) => name === address.interface);
    return now?.index === link.index && formatMac(now.mac) === formatMac(link.mac);
  }

  /** Whether the address is still there as well. */
  isInPlace(network: NetworkView): boolean {
    const { address, link } = this.placed;
    const isThere = network.addresses.some(
      (one) => one.index === link.index && one.ip === address.ip,
    );
    return isThere && this.isOnSameLink(network);
  }

  close(): void {
    this.#announcer.stop();
    this.#socket.close();
  }
}

/** `most` of `all`, of which `doneCount` have had their turn, over and over. */
export function nextInTurn<T>(all: readonly T[], doneCount: number, most: number): T[] {
  const first = doneCount % Math.max(1, all.length);
  return [...all.slice(first), ...all.slice(0, first)].slice(0, most);
}
