// Tells everybody on the network where an address is now: gratuitous ARP (as request and reply) or
// unsolicited neighbour advertisements. Frames get lost and switches learn late, so: a burst, another
// one after five seconds, and a single one from time to time, which mends caches that went wrong
// while two nodes held the address.
import { arpAnnouncement } from '../wire/arp.ts';
import { neighbourAnnouncement } from '../wire/ndp.ts';
import type { PacketSocket } from '../wire/packet-socket.ts';
import type { PlacedAddress } from './virtual-address.ts';

export interface AnnouncementTiming {
  readonly count: number;
  readonly intervalMs: number;
  /** From the beginning of the first burst to the second one. */
  readonly againAfterMs: number;
  /** 0: never. */
  readonly refreshMs: number;
}

/** 5 in the first second, 5 more after 5 s, then one each minute. */
export const ANNOUNCEMENT_TIMING_DEFAULT: AnnouncementTiming = {
  count: 5,
  intervalMs: 200,
  againAfterMs: 5000,
  refreshMs: 60_000,
};

/** Sends one announcement of an address: to everybody, or to the machine with the hardware address `to`. */
export function announce(
  { link, bytes, family }: PlacedAddress,
  socket: PacketSocket,
  to?: Uint8Array,
): void {
  const frames =
    family === 4
      ? arpAnnouncement(link.mac, bytes, to)
      : [neighbourAnnouncement(link.mac, bytes, to)];
  for (const frame of frames) socket.send(frame);
}

export class Announcer {
  readonly #send: () => void;
  readonly #timing: AnnouncementTiming;
  readonly #timers = new Set<NodeJS.Timeout>();
  #refresh: NodeJS.Timeout | undefined;

  constructor(send: () => void, timing: AnnouncementTiming) {
    this.#send = send;
    this.#timing = timing;
  }

  /** Begins anew: the first announcement goes out before this returns. */
  start(): void {
    this.stop();
    const { count, intervalMs, againAfterMs, refreshMs } = this.#timing;
    this.#send();
    for (const burstMs of [0, againAfterMs]) {
      for (let number = 0; number < count; number += 1) {
        const atMs = burstMs + number * intervalMs;
        if (atMs > 0) this.#later(atMs);
      }
    }
    if (refreshMs > 0) this.#refresh = setInterval(this.#send, refreshMs);
  }

  stop(): void {
    clearInterval(this.#refresh);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(atMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#send();
    }, atMs);
    this.#timers.add(timer);
  }
}
