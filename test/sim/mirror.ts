// A model of filter, sender and standby: enough of them to know which write is where, and which
// commit was acknowledged on what grounds. A commit is a number; a directory is the list of commits
// written to it; a copy is good when its list begins like the primary's.
import type { CopyState, Position } from '../../src/cluster/machine/types.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

const LINK_TIMEOUT_MS = 1500;
export const SYNC_TIMEOUT_MS = 2000;
const POLL_MS = 100;
const RETRY_MS = 150;

interface Waiting {
  readonly index: number;
  readonly sinceMs: number;
}

/** The data of one node, and what it is worth. */
export interface Data {
  log: number[];
  epoch: number;
  copy: CopyState;
}

/** The filter of a mounted primary. */
export interface Filter {
  readonly epoch: number;
  commits: 'closed' | 'together' | 'alone';
  request: number;
  waiting: Waiting[];
  lostSinceMs: number;
  askedMs: number;
}

export function newFilter(epoch: number, now: number): Filter {
  return { epoch, commits: 'closed', request: 1, waiting: [], lostSinceMs: now, askedMs: now };
}

export const positionOf = (data: Data): Position => ({
  epoch: data.epoch,
  sequence: data.log.length,
});

interface Link {
  readonly from: SimNode;
  readonly to: SimNode;
  readonly toProcess: number;
  readonly filter: Filter;
  live: boolean;
  sent: number;
  acked: number;
  progressMs: number;
  isPumping: boolean;
}

export class Mirror {
  readonly #world: World;
  #link: Link | null = null;
  #connecting = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Begins the loop of a primary process. */
  start(node: SimNode, filter: Filter): void {
    const { queue } = this.#world;
    const loop = (): void => {
      if (node.filter !== filter || !node.isOn) return;
      if (!node.isFrozen) {
        this.#poll(node, filter);
        if (this.#world.random.chance(0.5)) this.#write(node, filter);
        if (this.#world.random.chance(0.2)) node.probeApplication();
      }
      queue.after(POLL_MS, loop);
    };
    queue.after(1, loop);
  }

  /** The machine allowed commits to go on. */
  allowAlone(node: SimNode, request: number): void {
    const { filter } = node;
    if (filter === null || filter.request !== request || filter.commits !== 'closed') return;
    filter.commits = 'alone';
    this.#acknowledge(node, filter, node.data.log.length);
  }

  /** Tells a machine that has just started where the mirror stands. */
  tellState(node: SimNode): void {
    const { filter } = node;
    if (filter === null) return;
    const state = filter.commits === 'together' ? 'together' : 'alone-wanted';
    node.toMachine({ kind: 'commits', state, request: filter.request, why: 'the service is back' });
  }

  /** True when everything is on the standby now. */
  drained(node: SimNode): boolean {
    const link = this.#link;
    return link !== null && link.from === node && link.live && link.acked === node.data.log.length;
  }

  #poll(node: SimNode, filter: Filter): void {
    const { queue } = this.#world;
    const link = this.#link;
    if (link !== null && link.from === node) {
      const isBehind = link.acked < node.data.log.length || !link.live;
      if (!isBehind) link.progressMs = queue.now;
      if (link.filter !== filter || queue.now - link.progressMs > LINK_TIMEOUT_MS)
        this.#break(link);
      else this.#pumpSoon(link);
    } else if (!this.#connecting) {
      this.#connect(node, filter);
    }
    this.#decideCommits(node, filter);
  }

  #decideCommits(node: SimNode, filter: Filter): void {
    const { now } = this.#world.queue;
    const link = this.#link;
    const isInStep =
      link !== null && link.filter === filter && link.live && link.acked === node.data.log.length;
    if (isInStep) filter.lostSinceMs = now;
    if (filter.commits !== 'together' && isInStep) {
      filter.commits = 'together';
      filter.request += 1;
      this.#tell(node, filter, 'together');
      return;
    }
    const oldest = filter.waiting[0]?.sinceMs ?? now;
    const isLost = now - filter.lostSinceMs >= SYNC_TIMEOUT_MS || now - oldest >= SYNC_TIMEOUT_MS;
    if (filter.commits === 'together' && isLost) {
      filter.commits = 'closed';
      filter.request += 1;
      this.#tell(node, filter, 'alone-wanted');
    } else if (filter.commits === 'closed' && now - filter.askedMs > 500) {
      this.#tell(node, filter, 'alone-wanted');
    }
  }

  #tell(node: SimNode, filter: Filter, state: 'together' | 'alone-wanted'): void {
    filter.askedMs = this.#world.queue.now;
    const { request } = filter;
    node.overControlChannel(() => {
      node.toMachine({ kind: 'commits', state, request, why: state });
    });
  }

  #write(node: SimNode, filter: Filter): void {
    const world = this.#world;
    if (!node.isApplicationUp || node.diskFailed || !world.mayWrite(node)) return;
    world.noteWrite(node);
    world.commits += 1;
    const { log } = node.data;
    log.push(world.commits);
    filter.waiting.push({ index: log.length, sinceMs: world.queue.now });
    if (this.#link?.filter === filter) this.#pumpSoon(this.#link);
    const index = log.length;
    if (filter.commits !== 'alone' && world.mode === 'sync') return;
    world.queue.after(1.5, () => {
      if (node.filter !== filter || node.isFrozen || !node.isOn) return;
      if (filter.commits === 'alone' || world.mode === 'async') {
        this.#acknowledge(node, filter, index);
      }
    });
  }

  /** Answers the application for all commits up to `index`, if the lease still holds. */
  #acknowledge(node: SimNode, filter: Filter, index: number): void {
    if (!this.#world.mayWrite(node)) return;
    let count = 0;
    for (const waiting of filter.waiting) {
      if (waiting.index > index) break;
      this.#world.noteAcknowledged(node, node.data.log[waiting.index - 1] ?? 0, waiting.index);
      count += 1;
    }
    if (count > 0) filter.waiting = filter.waiting.slice(count);
  }

  #connect(from: SimNode, filter: Filter): void {
    const { queue, random, sync } = this.#world;
    const to = from.other;
    if (!sync.carries(from.index) || !sync.carries(to.index) || !to.isStandbyUp) return;
    this.#connecting = true;
    queue.after(10 + random.below(40), () => {
      this.#connecting = false;
      const isUp = from.filter === filter && from.isOn && !from.isFrozen && to.isStandbyUp;
      if (!isUp || this.#link !== null || to.data.copy === 'failed') return;
      if (!sync.carries(from.index) || !sync.carries(to.index)) return;
      // A stream of an older epoch is refused.
      if (filter.epoch < to.knownEpoch && !this.#world.bugs.skipEpochCheck) return;
      this.#open(from, to, filter);
    });
  }

  #open(from: SimNode, to: SimNode, filter: Filter): void {
    const { queue, random } = this.#world;
    const sent = to.data.log.length;
    const link: Link = {
      from,
      to,
      toProcess: to.processes,
      filter,
      live: false,
      sent,
      acked: sent,
      progressMs: queue.now,
      isPumping: false,
    };
    this.#link = link;
    to.knownEpoch = Math.max(to.knownEpoch, filter.epoch);
    const { copy } = to.data;
    const usable = copy === 'up-to-date' || copy === 'catching-up';
    if (usable && isPrefix(to.data.log, from.data.log)) {
      to.setCopy(sent === from.data.log.length ? 'up-to-date' : 'catching-up');
      to.data.epoch = filter.epoch;
      link.live = true;
      this.#pumpSoon(link);
      return;
    }
    this.#resynchronise(link, random.chance(0.5));
  }

  /** `staged`: the old copy stays whole, and old, until the new one is complete. */
  #resynchronise(link: Link, staged: boolean): void {
    const { queue, random } = this.#world;
    const { from, to, filter } = link;
    if (staged) to.setCopy('catching-up');
    else {
      to.setCopy('syncing');
      to.data.log = from.data.log.slice(0, random.below(from.data.log.length + 1));
      to.data.epoch = filter.epoch;
    }
    const step = (): void => {
      if (this.#link !== link || !this.#isAlive(link)) return;
      if (!this.#carries(link)) {
        queue.after(RETRY_MS, step);
        return;
      }
      to.data.log = from.data.log.slice();
      to.data.epoch = filter.epoch;
      to.setCopy('up-to-date');
      link.sent = to.data.log.length;
      link.acked = link.sent;
      link.live = true;
      link.progressMs = queue.now;
    };
    const duration = 200 + random.below(1500);
    link.progressMs = queue.now + duration;
    queue.after(duration, step);
  }

  #isAlive(link: Link): boolean {
    const { from, to } = link;
    return (
      from.filter === link.filter && from.isOn && to.processes === link.toProcess && to.isStandbyUp
    );
  }

  #carries({ from, to }: Link): boolean {
    const { sync } = this.#world;
    return !from.isFrozen && sync.carries(from.index) && sync.carries(to.index);
  }

  #pumpSoon(link: Link): void {
    if (link.isPumping || !link.live || link.sent === link.from.data.log.length) return;
    link.isPumping = true;
    const { queue, random, sync } = this.#world;
    queue.after(sync.delay(random) + random.below(4), () => this.#pump(link));
  }

  #pump(link: Link): void {
    const { queue, random, sync } = this.#world;
    link.isPumping = false;
    if (this.#link !== link || !this.#isAlive(link)) return;
    if (!this.#carries(link)) {
      link.isPumping = true;
      queue.after(RETRY_MS, () => this.#pump(link));
      return;
    }
    const { from, to, filter } = link;
    for (let i = link.sent; i < from.data.log.length; i += 1)
      to.data.log.push(from.data.log[i] ?? 0);
    link.sent = to.data.log.length;
    to.setCopy('up-to-date');
    const confirmed = link.sent;
    const answer = (): void => {
      if (this.#link !== link || from.filter !== filter || !from.isOn) return;
      if (!this.#carries(link)) {
        queue.after(RETRY_MS, answer);
        return;
      }
      link.acked = Math.max(link.acked, confirmed);
      link.progressMs = queue.now;
      if (filter.commits === 'together') this.#acknowledge(from, filter, confirmed);
      this.#pumpSoon(link);
    };
    queue.after(sync.delay(random) + 1, answer);
  }

  #break(link: Link): void {
    if (this.#link === link) this.#link = null;
  }

  /** A process on one side has ended: what was on the way is gone. */
  cut(node: SimNode): void {
    const link = this.#link;
    if (link !== null && (link.from === node || link.to === node)) this.#link = null;
  }
}

export function isPrefix(short: readonly number[], long: readonly number[]): boolean {
  if (short.length > long.length) return false;
  // Commits only grow, so a difference shows at the end first.
  for (let i = short.length - 1; i >= 0; i -= 1) if (short[i] !== long[i]) return false;
  return true;
}
