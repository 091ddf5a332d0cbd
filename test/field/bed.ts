// The bed of the field test: two servers that decide themselves who serves, the ledger as application,
// and a client that knows one address.
import { join } from 'node:path';
import { UnderstudyError } from '../../src/core/errors.ts';
import { MiB } from '../../src/core/units.ts';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { managedGroupYaml, virtualAddress } from '../../lab/managed.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { pairNodes, understudy } from '../../lab/pair.ts';
import { run, waitUntil } from '../../lab/run.ts';
import type { LedgerVerdict } from './check-ledger.ts';
import { startEtcd } from './etcd-host.ts';
import { Load } from './load.ts';
import type { NodeEvent } from './types.ts';

export const GROUP = 'ledger';
export const DIRECTORY = '/srv/ledger';
const PORT = 8080;
const DISK_BYTES = 512 * MiB;
const CREATE_TIMEOUT_MS = 60_000;
const CHECKER = join(CHECKOUT, 'test/field/check-ledger.ts');
const COMPARE = join(CHECKOUT, 'test/support/compare-trees.ts');
const AGENT = join(CHECKOUT, 'examples/ledger/agent.sh');
const COMPARISONS_MAX = 6;
const SETTLE_POLL_MS = 400;

export interface BedOptions {
  readonly mode: 'sync' | 'async';
  readonly profile: 'default' | 'fast';
  readonly arbiter?: 'gateway' | 'etcd';
}

/** Who is who. */
export interface Roles {
  readonly primary: LabHost;
  readonly standby: LabHost;
}

export class Bed {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;
  readonly client: LabHost;
  readonly gateway: LabHost;
  /** Hosts that restarted themselves. */
  readonly restarts: string[] = [];
  #loads = 0;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.a = lab.host('a');
    this.b = lab.host('b');
    this.client = lab.host('client');
    this.gateway = lab.host('gateway');
  }

  /** A fresh lab whose group is whole and serves. Nothing is left on failure. */
  static async up(options: BedOptions): Promise<Bed> {
    const lab = await Lab.up({ diskBytes: DISK_BYTES });
    const bed = new Bed(lab);
    try {
      await pairNodes(lab);
      await bed.#makeData();
      await bed.#createGroup(options);
      await bed.settle(CREATE_TIMEOUT_MS);
      return bed;
    } catch (failure) {
      const logs = await lab.saveLogs();
      await lab.down();
      const why = failure instanceof Error ? failure.message : String(failure);
      throw new UnderstudyError('FIELD_BED_FAILED', `${why} (logs: ${logs})`, { cause: failure });
    }
  }

  async down(): Promise<void> {
    await this.lab.down();
  }

  get virtualAddress(): string {
    return virtualAddress(this.lab);
  }

  /** A used ledger: a database, and documents beside it. */
  async #makeData(): Promise<void> {
    const documents = `mkdir -p "$1/documents" && cd "$1/documents" &&
      head -c 2M /dev/urandom | split --bytes 64K --suffix-length 3 - receipt-`;
    await this.a.must(['sh', '-c', documents, 'sh', DIRECTORY]);
    for (const action of ['start', 'stop']) {
      await this.a.must(['sh', '-c', `${this.#agent(action)} >/dev/null 2>&1`]);
    }
  }

  #agent(action: string): string {
    return `LEDGER_NODE=${NODE} ${AGENT} ${action} ${DIRECTORY} ${PORT}`;
  }

  async #createGroup({ mode, profile, arbiter }: BedOptions): Promise<void> {
    const etcd = arbiter === 'etcd' ? await startEtcd(this.lab) : undefined;
    const [start, stop, probe] = ['start', 'stop', 'probe'].map((action) => this.#agent(action));
    const agent = { start: start ?? '', stop: stop ?? '', probe: probe ?? '' };
    const group = { name: GROUP, directory: DIRECTORY, mode, profile, agent, etcd };
    await understudy(this.a, ['group', 'create', '--file', '-'], {
      input: managedGroupYaml(this.lab, group),
      timeoutMs: CREATE_TIMEOUT_MS,
    });
  }

  /** Waits until one node is primary, the other its standby with everything. */
  async settle(timeoutMs: number): Promise<Roles> {
    let roles: Roles | undefined;
    let last = '';
    const isWhole = async (): Promise<boolean> => {
      await this.#bootRestarted();
      const [a, b] = await Promise.all([askGroup(this.a, GROUP), askGroup(this.b, GROUP)]);
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
      'FIELD_NOT_WHOLE',
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

  startLoad(): Load {
    this.#loads += 1;
    const url = `http://${this.virtualAddress}:${PORT}`;
    return new Load(this.client, url, `acknowledged-${this.#loads}`);
  }

  /** Holds the database on `host` against what was promised. */
  async check(host: LabHost, acknowledged: readonly Acknowledged[]): Promise<LedgerVerdict> {
    const input = acknowledged.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    const said = await host.must([NODE, CHECKER, DIRECTORY], { input, timeoutMs: 60_000 });
    return JSON.parse(said) as LedgerVerdict;
  }

  /** What differs between the two copies once nothing is written any more; empty: nothing. */
  async differences({ primary, standby }: Roles): Promise<string> {
    const trees = [primary, standby].map((host) => host.pathFromOutside(DIRECTORY));
    let said = '';
    for (let attempt = 0; attempt < COMPARISONS_MAX; attempt += 1) {
      // What applications stored through mappings is only seen by others once it is written back.
      await primary.exec(['sync', '-f', DIRECTORY], { timeoutMs: 20_000 });
      // Another process: a mount that hangs must not take the field test with it.
      const result = await run([NODE, COMPARE, ...trees], { timeoutMs: 30_000 });
      if (result.code === 0) return '';
      said = (result.stdout.trim() || result.stderr.trim()).split('\n').slice(0, 5).join('; ');
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
