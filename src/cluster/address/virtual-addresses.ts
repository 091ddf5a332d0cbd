// The virtual addresses of one group. All or none are held. Giving them up is the first thing a node
// does when it ceases to be primary: it happens before `release` returns its promise, needs no
// process, and may be repeated.
//
//   released ──take: probe──▶ taking ──nobody answers: add, announce──▶ held
//   taking ──somebody answers──▶ released (the occupant is named)
//   any ──release──▶ released
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { Turns } from '../../core/turns.ts';
import { formatAddress, formatMac, parseAddress } from '../../linux/ip-address.ts';
import { addAddress, listAddresses, listNeighbours } from '../../linux/netlink.ts';
import { ANNOUNCEMENT_TIMING_DEFAULT, type AnnouncementTiming } from './announcer.ts';
import {
  type Occupant,
  PROBE_TIMING_DEFAULT,
  probeAddresses,
  type ProbeTiming,
} from './duplicate-probe.ts';
import { HeldAddress } from './held-address.ts';
import { runHook } from './hook.ts';
import { isAnyPresent, removeAddresses } from './removal.ts';
import {
  currentNetwork,
  type NetworkView,
  placeAddress,
  type PlacedAddress,
  type VirtualAddress,
} from './virtual-address.ts';

const HOOK_TIMEOUT_MS_DEFAULT = 20_000;
const LOOK_MS = 250;
/** So many machines are told alone at one time: heartbeats go out from this thread. */
const TOLD_AT_ONCE_MAX = 256;
const RESTORE_MS = 2000;
/** A network that is set up anew asks a DHCP server for the node's own address. */
const OWN_ADDRESS_MS = 30_000;

export interface AddressOptions {
  readonly group: string;
  readonly addresses: readonly VirtualAddress[];
  /** What happens when another machine claims an address that is held here. */
  readonly onConflict: 'defend' | 'release';
  /** `undefined`: take without asking whether somebody else uses the address. */
  readonly probe?: ProbeTiming | undefined;
  readonly announce?: AnnouncementTiming;
  readonly hookTimeoutMs?: number;
}

export const DEFAULT_PROBE: { readonly probe: ProbeTiming } = { probe: PROBE_TIMING_DEFAULT };

export type TakeResult =
  | { readonly taken: true; readonly tookMs: number }
  | {
      readonly taken: false;
      readonly code: string;
      readonly message: string;
      readonly occupants: readonly Occupant[];
    };

export type AddressEvent =
  | {
      readonly kind: 'conflict';
      readonly ip: string;
      readonly mac: string;
      readonly action: 'defended' | 'released';
      readonly message: string;
    }
  | { readonly kind: 'conflictOver'; readonly ip: string; readonly message: string }
  | { readonly kind: 'restored'; readonly ip: string; readonly message: string }
  | { readonly kind: 'fault'; readonly message: string };

export interface AddressParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onEvent: (event: AddressEvent) => void;
  /**
   * Whether this node may have the addresses at this moment. A node that slept through the end of its
   * right must not claim them from the one that has them since. Default: always.
   */
  readonly mayHold?: () => boolean;
  /** Of the group, where another machine of it may have hooks that still run: its release must not end after the next taking. */
  readonly hooks?: Turns;
}

export class VirtualAddresses {
  readonly #options: AddressOptions;
  readonly #parts: AddressParts;
  readonly #addresses: readonly VirtualAddress[];
  readonly #hooks: Turns;
  #held: HeldAddress[] = [];
  #ownMacs: ReadonlySet<string> = new Set();
  #taking: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #restoredAtMs = 0;
  /** What goes wrong while they are held, by what was attempted. */
  readonly #faults = new Map<string, { readonly code: string; readonly sinceMs: number }>();

  constructor(options: AddressOptions, parts: AddressParts) {
    this.#options = options;
    // The kernel lists addresses in their canonical form.
    this.#addresses = options.addresses.map((one) => ({ ...one, ip: canonical(one.ip) }));
    this.#parts = parts;
    this.#hooks = parts.hooks ?? new Turns();
  }

  get held(): boolean {
    return this.#held.length > 0;
  }

  /**
   * Checks the addresses against this machine and, with `probe`, that nobody uses them. Throws what
   * {@link placeAddress} throws, and ADDRESS_IN_USE.
   */
  async check(): Promise<void> {
    const placed = this.#place();
    const occupants = await this.#probe(placed);
    const [first] = occupants;
    if (first !== undefined) throw new UnderstudyError('ADDRESS_IN_USE', inUse(first));
  }

  /**
   * Takes all addresses; held ones are announced again. Never throws for what may happen. `force`: also
   * those that a machine answers for, since it is proven that it cannot serve.
   */
  async take({ force = false }: { force?: boolean } = {}): Promise<TakeResult> {
    if (this.held) {
      this.announce();
      return { taken: true, tookMs: 0 };
    }
    this.#taking?.abort();
    const taking = new AbortController();
    this.#taking = taking;
    const startMs = this.#parts.clock.monotonicMs();
    try {
      const placed = this.#place();
      const occupants = force ? [] : await this.#probe(placed, taking.signal);
      const [first] = occupants;
      if (first !== undefined) return refused('ADDRESS_IN_USE', inUse(first), occupants);
      if (taking.signal.aborted) return cancelled(this.#options.group);
      this.#put(placed);
      const fault = await this.#runHooks('take');
      if (taking.signal.aborted) return cancelled(this.#options.group);
      if (fault !== undefined) {
        await this.release();
        return refused('ADDRESS_HOOK_FAILED', `${fault}; the addresses were given up again`, []);
      }
      return { taken: true, tookMs: this.#parts.clock.monotonicMs() - startMs };
    } catch (thrown) {
      // By now they may be another's.
      if (taking.signal.aborted) return cancelled(this.#options.group);
      this.#removeAll();
      const code = thrown instanceof UnderstudyError ? thrown.code : 'ADDRESS_NOT_SET';
      return refused(code, messageOf(thrown), []);
    } finally {
      if (this.#taking === taking) this.#taking = undefined;
    }
  }

  /**
   * Gives all addresses up, whoever put them there. They are off the interfaces when this returns its
   * promise; the promise waits for the hooks, and has a sentence for each thing that failed.
   */
  async release(): Promise<readonly string[]> {
    this.#taking?.abort();
    const faults = this.#removeAll();
    const fault = await this.#runHooks('release');
    return fault === undefined ? faults : [...faults, fault];
  }

  /**
   * Gives up what a process before this one left on the interfaces. Where nothing is, no hook is called: it might take from
   * another node what that one has.
   */
  async releaseLeft(): Promise<readonly string[]> {
    try {
      return isAnyPresent(this.#addresses) ? await this.release() : [];
    } catch (thrown) {
      return [messageOf(thrown)];
    }
  }

  /** Announces what is held once more: another node had it for a moment. */
  announce(): void {
    for (const held of this.#held) held.announce();
  }

  /** Stops watching and announcing; the addresses stay where they are, for another process to go on. */
  abandon(): void {
    this.#taking?.abort();
    this.#unwatch();
  }

  #place(): PlacedAddress[] {
    const network = currentNetwork();
    this.#ownMacs = macsOf(network);
    const placed = this.#addresses.map((address) => placeAddress(address, network));
    const cut = placed.find(({ link }) => !link.up || !link.carrier);
    if (cut === undefined) return placed;
    throw new UnderstudyError(
      'ADDRESS_INTERFACE_DOWN',
      `${cut.address.ip} cannot be reached here: interface "${cut.link.name}" is ${cut.link.up ? 'without a cable' : 'switched off'}`,
    );
  }

  async #probe(placed: readonly PlacedAddress[], signal?: AbortSignal): Promise<Occupant[]> {
    const timing = this.#options.probe;
    const present = listAddresses();
    // What is on this node's own interface is its own, left by a service that was killed. In clouds
    // the network answers for every address.
    const foreign = placed.filter(
      ({ address, link }) =>
        address.hook === undefined &&
        !present.some((one) => one.index === link.index && one.ip === address.ip),
    );
    if (timing === undefined || foreign.length === 0) return [];
    const ownMacs = this.#ownMacs;
    return probeAddresses(foreign, {
      timing,
      ownMacs,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #put(placed: readonly PlacedAddress[]): void {
    for (const one of placed) this.#held.push(this.#putUp(one));
    this.#restoredAtMs = this.#parts.clock.monotonicMs();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #putUp(placed: PlacedAddress): HeldAddress {
    const { ip, prefix } = placed.address;
    addAddress({ index: placed.link.index, ip, prefix });
    const timing = this.#options.announce ?? ANNOUNCEMENT_TIMING_DEFAULT;
    const held = new HeldAddress(placed, timing, () => this.#mayHold);
    held.announce();
    return held;
  }

  #removeAll(): string[] {
    const faults = removeAddresses(this.#addresses);
    this.#unwatch();
    for (const fault of faults) this.#parts.logger.error({ fault }, 'address not given up');
    return faults;
  }

  #unwatch(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const held of this.#held) held.close();
    this.#held = [];
    this.#faults.clear();
  }

  /** One after the other: a release must not be overtaken by the taking before it. */
  async #runHooks(action: 'take' | 'release'): Promise<string | undefined> {
    const { group, hookTimeoutMs = HOOK_TIMEOUT_MS_DEFAULT } = this.#options;
    return this.#hooks.take(async () => {
      const context = { group, timeoutMs: hookTimeoutMs };
      const all = this.#addresses.map(async (address) => runHook(action, address, context));
      return (await Promise.all(all)).find((fault) => fault !== undefined);
    });
  }

  get #mayHold(): boolean {
    return this.#parts.mayHold?.() ?? true;
  }

  #look(): void {
    // What arrived meanwhile is looked at again should the right come back.
    if (!this.#mayHold) return;
    const nowMs = this.#parts.clock.monotonicMs();
    this.#attempt('watch', nowMs, () => this.#watch(nowMs));
    if (this.#timer === undefined || nowMs - this.#restoredAtMs < RESTORE_MS) return;
    this.#restoredAtMs = nowMs;
    this.#attempt('restore', nowMs, () => this.#restore(nowMs));
  }

  /** What fails is told once, until it has succeeded or fails otherwise. */
  #attempt(what: string, nowMs: number, action: () => void): void {
    try {
      action();
      this.#faults.delete(what);
    } catch (thrown) {
      const message = messageOf(thrown);
      const code = thrown instanceof UnderstudyError ? thrown.code : message;
      if (this.#faults.get(what)?.code === code) return;
      this.#faults.set(what, { code, sinceMs: nowMs });
      this.#parts.onEvent({ kind: 'fault', message });
    }
  }

  #watch(nowMs: number): void {
    const claimedAgain: ClaimedAgain[] = [];
    for (const held of this.#held) {
      const mac = this.#judge(held, nowMs);
      if (this.#timer === undefined) return;
      if (mac !== undefined) claimedAgain.push({ held, mac });
    }
    if (claimedAgain.length > 0) tellNeighbours(claimedAgain);
  }

  /** Returns who claimed the address again, when only neighbours are to be told of that. */
  #judge(held: HeldAddress, nowMs: number): string | undefined {
    const step = held.look(this.#ownMacs, nowMs);
    if (step === undefined) return undefined;
    const { ip } = held.placed.address;
    const on = `on "${held.placed.link.name}"`;
    if (step.kind === 'over') {
      held.announce();
      const message = `${ip} ${on} is not claimed by ${step.mac} any more; announced again`;
      this.#parts.onEvent({ kind: 'conflictOver', ip, message });
      return undefined;
    }
    const release = this.#options.onConflict === 'release';
    if (step.kind === 'claimed') return release ? undefined : step.mac;
    if (release) void this.release();
    else held.defend();
    const action = release ? 'released' : 'defended';
    const what = release ? 'this node gave its addresses up' : 'this node defended it';
    const message = `${ip} ${on} is claimed by another machine (${step.mac}) too; ${what}. Give one of the two another address`;
    this.#parts.onEvent({ kind: 'conflict', ip, mac: step.mac, action, message });
    return undefined;
  }

  /** Each by itself: one that cannot be put back keeps no other one from it. */
  #restore(nowMs: number): void {
    const network = currentNetwork();
    this.#ownMacs = macsOf(network);
    for (const [index, held] of this.#held.entries()) {
      this.#attempt(held.placed.address.ip, nowMs, () => {
        this.#held[index] = this.#restored(held, network, nowMs);
      });
    }
  }

  #restored(held: HeldAddress, network: NetworkView, nowMs: number): HeldAddress {
    const { ip, interface: name } = held.placed.address;
    const isInPlace = held.isInPlace(network);
    if (isInPlace && !this.#faults.has(ip)) return held;
    const again = isInPlace ? held : this.#putUp(this.#placeAgain(held, network, nowMs));
    if (isInPlace) held.announce();
    else held.close();
    const message = held.isOnSameLink(network)
      ? `${ip} had been taken off "${name}" by somebody; it was put back`
      : `"${name}" is another interface than before, or has another hardware address: ${ip} was put on it and announced`;
    this.#parts.onEvent({ kind: 'restored', ip, message });
    return again;
  }

  /**
   * An IPv4 address that is back before the node's own one of that network would be the source of the node's own connections; IPv6
   * addresses never are.
   */
  #placeAgain(held: HeldAddress, network: NetworkView, nowMs: number): PlacedAddress {
    const { address, family } = held.placed;
    const fault = this.#faults.get(address.ip);
    // Since the interface is there, and lacks it.
    const sinceMs = fault?.code === 'ADDRESS_OUTSIDE_NETWORK' ? fault.sinceMs : nowMs;
    const isUrgent = family === 6 || nowMs - sinceMs >= OWN_ADDRESS_MS;
    const placed = placeAddress(isUrgent ? { ...address, force: true } : address, network);
    return { ...placed, address };
  }
}

interface ClaimedAgain {
  readonly held: HeldAddress;
  readonly mac: string;
}

/** Those that this node has spoken to lately are told of addresses that were claimed too soon to tell everybody. */
function tellNeighbours(claimedAgain: readonly ClaimedAgain[]): void {
  const neighbours = listNeighbours();
  let left = TOLD_AT_ONCE_MAX;
  for (const { held, mac } of claimedAgain) left -= held.defendAmong(neighbours, mac, left);
}

function macsOf({ links }: NetworkView): ReadonlySet<string> {
  return new Set(links.map(({ mac }) => formatMac(mac)));
}

function canonical(ip: string): string {
  const bytes = parseAddress(ip);
  return bytes === undefined ? ip : formatAddress(bytes);
}

function inUse({ ip, interface: name, mac }: Occupant): string {
  return `${ip} is in use by another machine on "${name}" (hardware address ${mac}): free it there, or choose another address`;
}

function refused(code: string, message: string, occupants: readonly Occupant[]): TakeResult {
  return { taken: false, code, message, occupants };
}

function cancelled(group: string): TakeResult {
  const message = `taking the addresses of group "${group}" was overtaken by their release`;
  return refused('ADDRESS_TAKE_CANCELLED', message, []);
}
