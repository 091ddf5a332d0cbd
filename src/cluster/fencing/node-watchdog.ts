// The watchdog device as all groups of a node use it: the kernel lets it be opened once. It is fed while the leases of all groups
// that have armed it are valid, and stopped when the last of them disarms it.
import type { Watchdog, WatchdogState } from './watchdog.ts';

interface Armed {
  readonly leaseMs: number;
  /** As of its last feeding. */
  untilMs: number;
}

export class NodeWatchdog {
  readonly #device: Watchdog;
  readonly #armed = new Map<string, Armed>();

  constructor(device: Watchdog) {
    this.#device = device;
  }

  /** See {@link Watchdog.arm}; the timeout is not shorter than any group's lease. */
  arm(groupId: string, leaseMs: number): WatchdogState {
    const others = Array.from(this.#armed.values(), (one) => one.leaseMs);
    const state = this.#device.arm(Math.max(leaseMs, ...others));
    if (state.kind === 'armed') this.#armed.set(groupId, { leaseMs, untilMs: 0 });
    return state;
  }

  /** Feeds the device if the leases of all groups that have armed it are valid; true when it did. */
  feed(groupId: string, nowMs: number, leaseUntilMs: number): boolean {
    const own = this.#armed.get(groupId);
    if (own === undefined) return false;
    own.untilMs = leaseUntilMs;
    const ends = Array.from(this.#armed.values(), ({ untilMs }) => untilMs);
    return this.#device.feed(nowMs, Math.min(...ends));
  }

  /** The group does not need it any more. */
  disarm(groupId: string): void {
    if (this.#armed.delete(groupId) && this.#armed.size === 0) this.#device.disarm();
  }
}
