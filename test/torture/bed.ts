// The bed of the torture: a managed pair with three directories in one group: PostgreSQL, the ledger
// (SQLite), and a tree of files that a worker changes at random.
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '../../src/core/errors.ts';
import { GiB } from '../../src/core/units.ts';
import { NODE } from '../../lab/demo/application.ts';
import { LedgerApplication } from '../../lab/demo/ledger-application.ts';
import { PostgresqlApplication } from '../../lab/demo/postgresql-application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { type CommandAgent, managedGroupYaml, virtualAddress } from '../../lab/managed.ts';
import { tellNode } from '../../lab/node-admin.ts';
import { pairNodes, understudy } from '../../lab/pair.ts';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import type { LedgerVerdict } from '../field/check-ledger.ts';
import { Load } from '../field/load.ts';
import { ManagedPair, type Roles } from '../support/managed-pair.ts';
import { leftovers } from './leftovers.ts';
import { GROUP, HOLD } from './names.ts';

const FILES_DIRECTORY = '/srv/files';
const DISK_BYTES = 3 * GiB;
const CREATE_TIMEOUT_MS = 120_000;
const FILES_AGENT = join(CHECKOUT, 'test/torture/files-agent.sh');
const CHECKER = join(CHECKOUT, 'test/field/check-ledger.ts');
const LEDGER_PORT = 8080;
const TRANSACTIONS_PER_SECOND = 25;

export interface TortureBedOptions {
  readonly mode: 'sync' | 'async';
  readonly seed: number;
}

export class TortureBed {
  readonly lab: Lab;
  readonly pair: ManagedPair;
  readonly #ledger = new LedgerApplication();
  readonly #postgresql = new PostgresqlApplication({ scale: 1, rate: TRANSACTIONS_PER_SECOND });
  readonly #options: TortureBedOptions;
  /** What the ledger acknowledged since the bed is up. */
  readonly acknowledged: Acknowledged[] = [];
  #load: Load | undefined;
  #loads = 0;
  /** Lines of the file workers' logs that were looked at. */
  readonly #mismatchesSeen = new Map<string, number>();

  private constructor(lab: Lab, options: TortureBedOptions) {
    this.lab = lab;
    this.pair = new ManagedPair(lab, GROUP);
    this.#options = options;
  }

  /** A fresh lab whose group is whole and serves. Nothing is left on failure. */
  static async up(options: TortureBedOptions): Promise<TortureBed> {
    const lab = await Lab.up({ diskBytes: DISK_BYTES });
    try {
      const bed = new TortureBed(lab, options);
      await pairNodes(lab);
      await bed.#protect();
      await bed.pair.settle(CREATE_TIMEOUT_MS);
      return bed;
    } catch (failure) {
      const logs = await lab.saveLogs();
      await lab.down();
      throw new Error(`${messageOf(failure)} (logs: ${logs})`, { cause: failure });
    }
  }

  async #protect(): Promise<void> {
    const { a } = this.pair;
    await this.#postgresql.prepare(a);
    await this.#ledger.prepare(a);
    await a.must(['mkdir', '-p', FILES_DIRECTORY]);
    const [main, ...others] = [
      { directory: this.#postgresql.directory, agent: this.#postgresql.agent },
      { directory: this.#ledger.directory, agent: this.#ledger.agent },
      { directory: FILES_DIRECTORY, agent: this.#filesAgent() },
    ];
    if (main === undefined) return;
    const profile = 'default' as const;
    // A database that recovers syncs every file, and the machine may be a busy one.
    const agentTimeout = '180s';
    const { mode } = this.#options;
    const group = { name: GROUP, ...main, others, mode, profile, agentTimeout };
    await understudy(a, ['group', 'create', '--file', '-'], {
      input: managedGroupYaml(this.lab, group),
      timeoutMs: CREATE_TIMEOUT_MS,
      acceptWarnings: true,
    });
  }

  #filesAgent(): CommandAgent {
    // The logs lie outside of the hosts' disks, by the name of the host that runs the command.
    const labs = dirname(dirname(this.pair.a.logDirectory));
    const logs = `${labs}/$(hostname)/logs`;
    const command = (action: string): string =>
      `${FILES_AGENT} ${action} ${NODE} ${FILES_DIRECTORY} ${this.#options.seed} "${logs}"`;
    return { start: command('start'), stop: command('stop'), probe: command('probe') };
  }

  get directories(): readonly string[] {
    return [this.#postgresql.directory, this.#ledger.directory, FILES_DIRECTORY];
  }

  /** Clients ask from now on, and the file worker works. */
  async startLoad(): Promise<void> {
    const client = this.lab.host('client');
    this.#hold(false);
    this.#loads += 1;
    const address = virtualAddress(this.lab);
    this.#load = new Load(client, `http://${address}:${LEDGER_PORT}`, `ledger-${this.#loads}`);
    await this.#postgresql.startLoad(client, address);
  }

  /** Acknowledged transfers since {@link startLoad}. */
  get answers(): readonly Acknowledged[] {
    return this.#load?.acknowledged() ?? [];
  }

  /** pgbench does not come back after an accident by itself. */
  async turnLoad(): Promise<void> {
    await this.#postgresql.turnLoad(this.lab.host('client'));
  }

  /** Nothing is written any more but by the applications themselves. */
  async stopLoad(): Promise<void> {
    this.#hold(true);
    await this.#postgresql.stopLoad();
    await this.#load?.stop();
    this.acknowledged.push(...(this.#load?.acknowledged() ?? []));
    this.#load = undefined;
  }

  #hold(on: boolean): void {
    for (const host of [this.pair.a, this.pair.b]) {
      if (!host.isRunning) continue;
      const path = host.pathFromOutside(HOLD);
      if (on) writeFileSync(path, '');
      else if (existsSync(path)) void host.exec(['rm', '-f', HOLD]);
    }
  }

  /** Whatever a step left: maintenance is over on both nodes. */
  async resume(): Promise<void> {
    for (const host of [this.pair.a, this.pair.b]) {
      await tellNode(host, { method: 'POST', path: `/groups/${GROUP}/resume` });
    }
  }

  /** Everything that must hold when the pair is whole and no client asks. Sentences. */
  async check(roles: Roles): Promise<string[]> {
    const findings: string[] = [];
    await this.#postgresql.checkpoint(roles.primary);
    for (const directory of this.directories) {
      const differences = await this.pair.differences(roles, directory);
      if (differences !== '') findings.push(`${directory} differs: ${differences}`);
    }
    findings.push(...(await this.#checkLedger(roles.primary)));
    findings.push(...(await this.#checkPostgresql(roles.primary)));
    findings.push(...leftovers(roles, this.directories));
    return findings;
  }

  async #checkLedger(primary: LabHost): Promise<string[]> {
    const input = this.acknowledged.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    const argv = [NODE, CHECKER, this.#ledger.directory];
    const said = await primary.must(argv, { input, timeoutMs: 120_000 });
    const { lost, lostIds, integrity } = JSON.parse(said) as LedgerVerdict;
    return [
      ...(lost === 0 ? [] : [`ledger: ${lost} acknowledged are lost (${lostIds.join(', ')})`]),
      ...(integrity === 'ok' ? [] : [`ledger: ${integrity}`]),
    ];
  }

  async #checkPostgresql(primary: LabHost): Promise<string[]> {
    const acknowledged = this.#postgresql.acknowledged(this.lab.host('client'));
    const { lost, integrity } = await this.#postgresql.verify(primary, acknowledged);
    const ids = lost.slice(0, 5).map(({ id }) => id);
    return [
      ...(lost.length === 0
        ? []
        : [`PostgreSQL: ${lost.length} acknowledged are lost (${ids.join(', ')})`]),
      ...(integrity === 'ok' ? [] : [`PostgreSQL: ${integrity}`]),
    ];
  }

  /** What the file workers found wrong since the last look: calls that failed or did something else. */
  mismatches(): string[] {
    return [this.pair.a, this.pair.b].flatMap((host) => {
      const path = join(host.logDirectory, 'files-worker.jsonl');
      if (!existsSync(path)) return [];
      const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
      const fresh = lines.slice(this.#mismatchesSeen.get(path) ?? 0);
      this.#mismatchesSeen.set(path, lines.length);
      return fresh.map(
        (line) => `${host.name}: ${(JSON.parse(line) as { message: string }).message}`,
      );
    });
  }

  /** Logs of everything, the nodes' states and journals, and what they said. */
  async keepEvidence(target: string, events: readonly object[]): Promise<string> {
    await this.lab.saveLogs(target);
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    appendFileSync(join(target, 'events.jsonl'), lines);
    for (const host of [this.pair.a, this.pair.b]) {
      if (!host.isRunning) continue;
      const groups = host.pathFromOutside('/var/lib/understudy/groups');
      try {
        mkdirSync(join(target, host.name), { recursive: true });
        // Names in a salvage need not be UTF-8: Node's own copying ends the process with them.
        execFileSync('cp', ['-a', groups, join(target, host.name)], { stdio: 'ignore' });
      } catch {
        // Its disk is broken, or files went while they were copied: the rest must do.
      }
    }
    return target;
  }

  async down(): Promise<void> {
    await this.lab.down();
  }
}
