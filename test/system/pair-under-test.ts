// A pair in a lab with one protected directory, for tests of the whole system.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { NODE } from '../../lab/demo/application.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { gatewayFailover } from '../../lab/managed.ts';
import { askGroup, waitUntilApplied } from '../../lab/node-admin.ts';
import { pairNodes, understudy, waitForCopy } from '../../lab/pair.ts';
import { interfaceOf } from '../../lab/network.ts';
import type { NetworkName } from '../../lab/state.ts';
import { compareTrees, forgetAllPages, snapshotTree, type Tree } from '../support/tree.ts';

export const GROUP = 'data';
export const DIRECTORY = '/srv/data';
/** After an hour of work with the standby killed all the time, much of it has to be made up for. */
const SETTLE_TIMEOUT_MS = process.env['UNDERSTUDY_LONG'] === '1' ? 1_200_000 : 180_000;
const COPY_TIMEOUT_MS = 180_000;

interface ProcessView {
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly trouble: string | null;
  readonly failover: Readonly<Record<string, unknown>> | null;
}

interface GroupView {
  readonly name: string;
  readonly copy: string;
  readonly compressionRatio: number | null;
  readonly local: ProcessView;
  readonly remote: ProcessView | null;
}

export class PairUnderTest {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.a = lab.host('a');
    this.b = lab.host('b');
  }

  /** Runs `work` on a fresh pair. On failure the logs are kept and their place is named. */
  static async with(work: (pair: PairUnderTest) => Promise<void>): Promise<void> {
    const lab = await Lab.up();
    try {
      await pairNodes(lab);
      const pair = new PairUnderTest(lab);
      await pair.a.must(['mkdir', '-p', DIRECTORY]);
      await work(pair);
    } catch (thrown) {
      console.error(`logs: ${await lab.saveLogs()}`);
      throw thrown;
    } finally {
      await lab.down();
    }
  }

  /** Protects the directory as written in YAML (without name and paths); does not wait for the copy. */
  async create(rest: Readonly<Record<string, unknown>>): Promise<void> {
    const input = JSON.stringify({ name: GROUP, paths: [{ dir: DIRECTORY }], ...rest });
    const argv = ['group', 'create', '--file', '-', '--allow-empty-match'];
    await understudy(this.a, argv, { input, timeoutMs: 60_000 });
  }

  /** As {@link create}, in mode `sync`, with roles that the nodes decide themselves; waits for the copy. */
  async createManaged(rest: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const failover = gatewayFailover(this.lab);
    await this.create({ replication: { mode: 'sync' }, failover, ...rest });
    await this.waitForCopy();
  }

  async waitForCopy(): Promise<void> {
    await waitForCopy(this.a, GROUP, COPY_TIMEOUT_MS);
  }

  /** Bytes that a host has sent so far on a network, with the headers of packets. */
  async sentBytes(host: LabHost, network: NetworkName = 'sync'): Promise<number> {
    // Receive has eight columns; then come transmitted bytes.
    return this.#counter(host, network, 8);
  }

  /** Bytes that a host has received so far on a network, with the headers of packets. */
  async receivedBytes(host: LabHost, network: NetworkName = 'sync'): Promise<number> {
    return this.#counter(host, network, 0);
  }

  /** TCP segments that a host has sent again so far, over all its networks: on a busy machine also without any loss. */
  async segmentsSentAgain(host: LabHost): Promise<number> {
    const [names, values] = (await host.must(['cat', '/proc/net/snmp']))
      .split('\n')
      .filter((line) => line.startsWith('Tcp:'))
      .map((line) => line.split(' '));
    return Number(values?.[names?.indexOf('RetransSegs') ?? -1]);
  }

  /**
   * What leaves a host within `seconds`, bytes per second. Counter and clock are read by one program in the host: how
   * long it takes to start one would count as time in which nothing is sent, or the other way round.
   */
  async sendingRate(host: LabHost, seconds: number): Promise<number> {
    const device = interfaceOf('sync');
    const program = `
      const { readFileSync } = require('node:fs');
      const read = () => ({
        bytes: Number(/${device}:(?:\\s+\\d+){8}\\s+(\\d+)/.exec(readFileSync('/proc/net/dev', 'utf8'))[1]),
        ms: performance.now(),
      });
      const from = read();
      setTimeout(() => {
        const to = read();
        console.log((to.bytes - from.bytes) / ((to.ms - from.ms) / 1000));
      }, ${seconds * 1000});`;
    return Number(await host.must([NODE, '-e', program], { timeoutMs: (seconds + 30) * 1000 }));
  }

  async #counter(host: LabHost, network: NetworkName, column: number): Promise<number> {
    const device = interfaceOf(network);
    const line = (await host.must(['cat', '/proc/net/dev']))
      .split('\n')
      .find((text) => text.trim().startsWith(`${device}:`));
    return Number((line ?? '').split(':')[1]?.trim().split(/\s+/)[column]);
  }

  /** Protects the directory and waits for the complete copy. */
  async protect(mode: 'sync' | 'memory' | 'async', options: readonly string[] = []): Promise<void> {
    const create = ['group', 'create', '--name', GROUP, '--dir', DIRECTORY, '--mode', mode];
    await understudy(this.a, [...create, '--allow-empty-match', ...options], { timeoutMs: 60_000 });
    await waitForCopy(this.a, GROUP, COPY_TIMEOUT_MS);
  }

  async group(on: LabHost = this.a): Promise<GroupView | undefined> {
    return askGroup<GroupView>(on, GROUP);
  }

  /** Waits until the standby has applied everything that was captured. Nothing may be writing. */
  async settle(primary: LabHost = this.a): Promise<void> {
    const standby = primary === this.a ? this.b : this.a;
    await waitForCopy(primary, GROUP, SETTLE_TIMEOUT_MS);
    const behind = await waitUntilApplied({ primary, standby }, GROUP, SETTLE_TIMEOUT_MS);
    if (behind !== undefined) throw new Error(behind);
  }

  /** Differences between the two copies, bit by bit, as sentences. */
  async differences(primary: LabHost = this.a): Promise<string[]> {
    await this.#rest(primary);
    return compareTrees(
      snapshotTree(primary.pathFromOutside(DIRECTORY)),
      snapshotTree(this.#otherThan(primary).pathFromOutside(DIRECTORY)),
    );
  }

  /** The same of what is on both disks, after a scan: space that is allocated but not written may have become zeros. */
  async differencesAfterScan(primary: LabHost = this.a): Promise<string[]> {
    await this.#rest(primary);
    const [a, b] = [primary, this.#otherThan(primary)].map((host) =>
      snapshotTree(host.pathOnDisk(DIRECTORY)),
    ) as [Tree, Tree];
    return compareTrees(a, b, { holes: 'allocated' });
  }

  async #rest(primary: LabHost): Promise<void> {
    await this.settle(primary);
    await primary.must(['sync', '-f', DIRECTORY]);
    forgetAllPages();
  }

  #otherThan(host: LabHost): LabHost {
    return host === this.a ? this.b : this.a;
  }

  /** Kills the group's process on a host with SIGKILL; false when there is none at the moment. */
  async killGroupProcess(host: LabHost): Promise<boolean> {
    const pid = (await this.group(host))?.local.status?.['pid'];
    if (typeof pid !== 'number') return false;
    return (await host.exec(['kill', '-9', String(pid)])).code === 0;
  }

  /** Kills the mirror process on the standby at random moments while `work` runs; how often. */
  async whileKillingMirror(work: () => Promise<void>, everyMs = 2000): Promise<number> {
    const state = { isDone: false };
    let kills = 0;
    const killer = (async (): Promise<void> => {
      while (!state.isDone) {
        await sleep(everyMs / 2 + randomInt(everyMs));
        if (!state.isDone && (await this.killGroupProcess(this.b))) kills += 1;
      }
    })();
    try {
      await work();
    } finally {
      state.isDone = true;
      await killer;
    }
    return kills;
  }
}
