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
import { pairNodes, understudy } from '../../lab/pair.ts';
import type { LedgerVerdict } from './check-ledger.ts';
import { startEtcd } from './etcd-host.ts';
import { Load } from './load.ts';
import { ManagedPair, type NodeEvent, type Roles } from '../support/managed-pair.ts';

export const GROUP = 'ledger';
export const DIRECTORY = '/srv/ledger';
const PORT = 8080;
const DISK_BYTES = 512 * MiB;
const CREATE_TIMEOUT_MS = 60_000;
const CHECKER = join(CHECKOUT, 'test/field/check-ledger.ts');
const AGENT = join(CHECKOUT, 'examples/ledger/agent.sh');

export interface BedOptions {
  readonly mode: 'sync' | 'async';
  readonly profile: 'default' | 'fast';
  readonly arbiter?: 'gateway' | 'etcd';
}

export class Bed {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;
  readonly client: LabHost;
  readonly gateway: LabHost;
  readonly #pair: ManagedPair;
  #loads = 0;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.#pair = new ManagedPair(lab, GROUP);
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
    return await this.#pair.settle(timeoutMs);
  }

  /** Hosts that restarted themselves. */
  get restarts(): readonly string[] {
    return this.#pair.restarts;
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
  async differences(roles: Roles): Promise<string> {
    return await this.#pair.differences(roles, DIRECTORY);
  }

  /** What both nodes have said since `sinceMs`, in order of time. */
  async events(sinceMs: number): Promise<NodeEvent[]> {
    return await this.#pair.events(sinceMs);
  }
}
