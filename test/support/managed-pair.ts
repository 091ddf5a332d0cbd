// Two nodes of a lab that decide themselves who serves a group: waiting until all is whole, comparing
// the copies, and what the nodes said.
import { UnderstudyError } from '../../src/core/errors.ts';
import { join } from 'node:path';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { askEvents, askGroup, waitUntilApplied } from '../../lab/node-admin.ts';
import { run, waitUntil } from '../../lab/run.ts';

const COMPARE = join(CHECKOUT, 'test/support/compare-trees.ts');
const COMPARISONS_MAX = 6;
const DIFFERENCES_MAX = 12;
const COMPARE_TIMEOUT_MS = 60_000;
/** A salvage may have to be written before. */
const APPLIED_TIMEOUT_MS = 120_000;
const SETTLE_POLL_MS = 400;

/** Who is who. */
export interface Roles {
  readonly primary: LabHost;
  readonly standby: LabHost;
}

/** One thing that a node said. */
export interface NodeEvent {
  /** Name of the node. */
  readonly node: string;
  /** Wall clock, ms. */
  readonly at: number;
  readonly code: string;
  readonly level: string;
  readonly message: string;
}

export class ManagedPair {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;
  readonly #group: string;
  /** First process of each host as it was in the beginning. */
  readonly #inits: readonly (number | undefined)[];
  /** Hosts that restarted themselves. */
  readonly restarts: string[] = [];

  constructor(lab: Lab, group: string) {
    this.lab = lab;
    this.a = lab.host('a');
    this.b = lab.host('b');
    this.#group = group;
    this.#inits = this.#presentInits();
  }

  #presentInits(): (number | undefined)[] {
    return [this.a, this.b].map((host) => host.initPid);
  }

  /**
   * A host was started anew. What is allocated in advance looks like data or like a hole, as its page cache had it.
   */
  get #hasRebooted(): boolean {
    return this.#presentInits().some((pid, index) => pid !== this.#inits[index]);
  }

  /** Waits until one node is primary, the other its standby with everything. Errors: PAIR_NOT_WHOLE. */
  async settle(timeoutMs: number): Promise<Roles> {
    let roles: Roles | undefined;
    let last = '';
    const isWhole = async (): Promise<boolean> => {
      await this.#bootRestarted();
      const group = this.#group;
      const [a, b] = await Promise.all([askGroup(this.a, group), askGroup(this.b, group)]);
      last = [a, b]
        .map((view) =>
          view === undefined ? 'silent' : `${view.role} (${view.copy}, ${view.link})`,
        )
        .join(', b is ');
      roles = a?.role === 'primary' ? this.#roles('a') : this.#roles('b');
      const [first, second] = a?.role === 'primary' ? [a, b] : [b, a];
      if (first?.role !== 'primary' || second?.role !== 'standby') return false;
      return first.copy === 'up-to-date' && first.link === 'connected' && !first.alone;
    };
    if ((await waitUntil(isWhole, timeoutMs, SETTLE_POLL_MS)) && roles !== undefined) return roles;
    throw new UnderstudyError(
      'PAIR_NOT_WHOLE',
      `the pair is not whole again within ${timeoutMs / 1000} s: a is ${last}`,
    );
  }

  /** A node that restarts its machine ends the host; a real one would come up again by itself. */
  async #bootRestarted(): Promise<void> {
    for (const { name, power } of this.lab.status().hosts) {
      if (power !== 'dead') continue;
      this.restarts.push(name);
      await this.lab.host(name).boot();
    }
  }

  #roles(primary: 'a' | 'b'): Roles {
    return primary === 'a'
      ? { primary: this.a, standby: this.b }
      : { primary: this.b, standby: this.a };
  }

  /**
   * What differs between the two copies, on their disks, once nothing is written any more; empty: nothing. Holes as they may be
   * after a scan.
   */
  async differences({ primary, standby }: Roles, directory: string): Promise<string> {
    const trees = [primary, standby].map((host) => host.pathOnDisk(directory));
    const options = [this.#hasRebooted ? '--no-holes' : '--holes-as-allocated'];
    let said = '';
    // A copy is complete, and commits are safe in its journal, before they are in its directories.
    const behind = await waitUntilApplied({ primary, standby }, this.#group, APPLIED_TIMEOUT_MS);
    if (behind !== undefined) return behind;
    for (let attempt = 0; attempt < COMPARISONS_MAX; attempt += 1) {
      // What applications stored through mappings is only seen by others once it is written back.
      await primary.exec(['sync', '-f', directory], { timeoutMs: 20_000 });
      // Another process: a mount that hangs must not take the test with it.
      const result = await run([NODE, COMPARE, ...trees, ...options], {
        timeoutMs: COMPARE_TIMEOUT_MS,
      });
      if (result.code === 0) return '';
      said = (result.stdout.trim() || result.stderr.trim())
        .split('\n')
        .slice(0, DIFFERENCES_MAX)
        .join('; ');
    }
    return said === '' ? 'the trees could not be read' : said;
  }

  /** What both nodes have said since `sinceMs`, in order of time. */
  async events(sinceMs: number): Promise<NodeEvent[]> {
    const all: NodeEvent[] = [];
    for (const host of [this.a, this.b]) {
      for (const { at, code, level, message } of await askEvents(host)) {
        all.push({ node: host.name, at: Date.parse(at), code, level, message });
      }
    }
    return all.filter(({ at }) => at >= sinceMs).toSorted((one, other) => one.at - other.at);
  }
}
