// A lab: servers `a` and `b`, if wanted another pair `c` and `d`, a `client` and a `gateway` on one machine, with real faults.
//
//   const lab = await Lab.up({});
//   await lab.host('a').exec(['understudy', 'status']);
//   await lab.host('a').powerOff();
//   await lab.down();
//
// A lab brought up by a program dies with that program; what it leaves (files only) is removed by
// the next `up`. With `keep: true` it stays until `down`.
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { present } from '../src/core/assert.ts';
import { UnderstudyError } from '../src/core/errors.ts';
import { GiB } from '../src/core/units.ts';
import { ControlGroup } from './cgroup.ts';
import { createDisk } from './disk.ts';
import { CHECKOUT, namespaceArguments } from './enter.ts';
import { LabHost } from './host.ts';
import { applyRules } from './host-network.ts';
import { startSwitchNamespace } from './host-boot.ts';
import { type LabStatus, statusOf } from './lab-status.ts';
import { type LabLeftovers, takeDown } from './lab-down.ts';
import { addressOf, GATEWAY_NUMBER, switchBatch } from './network.ts';
import { isAlive, type ProcessReference, referenceTo } from './process.ts';
import { must } from './run.ts';
import {
  checkLabName,
  type Cut,
  type HostState,
  labDirectory,
  labNames,
  type LabState,
  type NetworkName,
  NETWORKS,
  readState,
  type ServiceSpec,
  withLock,
  writeState,
} from './state.ts';

export type HostName = 'a' | 'b' | 'c' | 'd' | 'client' | 'gateway';
const ALL_HOSTS: readonly HostName[] = ['a', 'b', 'client', 'gateway'];
const NUMBERS: Readonly<Record<HostName, number>> = {
  a: 1,
  b: 2,
  c: 3,
  d: 4,
  client: 10,
  gateway: GATEWAY_NUMBER,
};
const SERVERS: readonly string[] = ['a', 'b', 'c', 'd'];
const INDEX_MAX = 255;

/** Has a disk, and both networks. */
export const isServer = (host: string): boolean => SERVERS.includes(host);

/** What servers run from boot on: the service of this checkout, once the host is a node. */
export const UNDERSTUDYD: ServiceSpec = {
  name: 'understudyd',
  argv: [join(CHECKOUT, 'bin/understudy'), 'daemon'],
  condition: '/etc/understudy/node.yaml',
};

export interface LabOptions {
  /** Default: one that is free, after the number of this process. */
  readonly name?: string;
  /** Default: one pair, a client, and a gateway. */
  readonly hosts?: readonly HostName[];
  /** Size of the disks of servers; sparse. Default 16 GiB. */
  readonly diskBytes?: number;
  /** All blocks of the disks are written first: for measuring. Default false. */
  readonly solidDisks?: boolean;
  /** Boot services of servers; default {@link UNDERSTUDYD}. */
  readonly services?: readonly ServiceSpec[];
  /** Keep the lab when this process ends. */
  readonly keep?: boolean;
}

export interface CutOptions {
  /** Default: all that both hosts have. */
  readonly network?: NetworkName | undefined;
  /** Only packets from the first to the second are lost. */
  readonly oneWay?: boolean | undefined;
}

let counter = 0;

/** A running lab. */
export class Lab {
  readonly name: string;
  readonly #hosts = new Map<string, LabHost>();
  #onExit: (() => void) | undefined;

  private constructor(name: string) {
    this.name = name;
  }

  /** Builds a lab and boots its hosts. On failure nothing is left. */
  static async up(options: LabOptions = {}): Promise<Lab> {
    requireRoot();
    await Lab.removeStale();
    const name = checkLabName(options.name ?? `p${process.pid}-${(counter += 1)}`);
    const owner = options.keep === true ? null : present(referenceTo(process.pid), 'own process');
    const lab = new Lab(name);
    await withLock('.all', async () => await reserve(name, owner, options));
    if (owner !== null) lab.#dieWithProcess();
    try {
      await lab.#build(options.diskBytes ?? 16 * GiB, options.solidDisks ?? false);
      return lab;
    } catch (failure) {
      await lab.down();
      throw failure;
    }
  }

  /** A lab that another process brought up. */
  static open(name: string): Lab {
    if (readState(checkLabName(name)) !== undefined) return new Lab(name);
    const known = labNames().join(', ') || 'none';
    throw new UnderstudyError(
      'LAB_UNKNOWN',
      `there is no lab "${name}" (there is: ${known}); build it with "npm run lab -- up"`,
    );
  }

  /** Removes a lab and everything that may be left of it, whether it is whole or not. */
  static async down(name: string): Promise<LabLeftovers> {
    requireRoot();
    checkLabName(name);
    return await withLock(name, async () => await takeDown(name));
  }

  /** Removes what is left of labs whose program is gone. Returns their names. */
  static async removeStale(): Promise<string[]> {
    const stale = labNames().filter((name) => {
      const owner = readState(name)?.owner ?? null;
      return owner !== null && !isAlive(owner);
    });
    for (const name of stale) await Lab.down(name);
    return stale;
  }

  host(name: HostName | string): LabHost {
    const known = this.hostNames();
    if (!known.includes(name)) {
      throw new UnderstudyError(
        'LAB_HOST_UNKNOWN',
        `lab "${this.name}" has no host "${name}"; it has: ${known.join(', ')}`,
      );
    }
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = new LabHost(this.name, name);
      this.#hosts.set(name, host);
    }
    return host;
  }

  hostNames(): string[] {
    return Object.keys(Lab.#stateOf(this.name).hosts);
  }

  /** An address of the lab's networks that no host has, e.g. for a virtual address. */
  freeAddress(network: NetworkName, number: number): string {
    return addressOf(Lab.#stateOf(this.name).index, network, number);
  }

  /** Packets between two hosts are lost from now on (both ways, on all networks by default). */
  async cut(from: string, to: string, options: CutOptions = {}): Promise<void> {
    await this.#changeCuts((cuts, lab) => {
      const added = this.#cutsBetween(lab, from, to, options);
      return [...cuts.filter((cut) => !added.some((other) => isSameCut(cut, other))), ...added];
    });
  }

  /** Undoes {@link cut}; without hosts, all cuts. */
  async heal(from?: string, to?: string, options: CutOptions = {}): Promise<void> {
    await this.#changeCuts((cuts, lab) => {
      if (from === undefined || to === undefined) return [];
      const healed = this.#cutsBetween(lab, from, to, options);
      return cuts.filter((cut) => !healed.some((other) => isSameCut(cut, other)));
    });
  }

  #cutsBetween(lab: LabState, from: string, to: string, options: CutOptions): Cut[] {
    const source = present(lab.hosts[this.host(from).name], from);
    const target = present(lab.hosts[this.host(to).name], to);
    const networks = NETWORKS.filter(
      (network) =>
        (options.network ?? network) === network &&
        source.networks.includes(network) &&
        target.networks.includes(network),
    );
    return networks.flatMap((network) => [
      { from, to, network },
      ...(options.oneWay === true ? [] : [{ from: to, to: from, network }]),
    ]);
  }

  async #changeCuts(change: (cuts: Cut[], lab: LabState) => Cut[]): Promise<void> {
    await withLock(this.name, async () => {
      const lab = Lab.#stateOf(this.name);
      lab.cuts = change(lab.cuts, lab);
      await applyRules(lab);
      writeState(lab);
    });
  }

  /** What runs, what is broken, where the logs are. */
  status(): LabStatus {
    return statusOf(Lab.#stateOf(this.name));
  }

  /**
   * Copies the logs of all hosts (of their boot services, and what `understudy` keeps itself) to a
   * directory that outlives the lab, and returns its path.
   */
  async saveLogs(target = join(tmpdir(), `understudy-lab-${this.name}`)): Promise<string> {
    for (const name of this.hostNames()) {
      const host = this.host(name);
      const own = '/var/lib/understudy/log';
      mkdirSync(join(target, name), { recursive: true });
      cpSync(host.logDirectory, join(target, name), { recursive: true });
      if (!host.isRunning) continue;
      try {
        const inside = host.pathFromOutside(own);
        if (existsSync(inside)) cpSync(inside, join(target, name), { recursive: true });
      } catch {
        // Its disk is broken: what the machine itself has must do.
      }
    }
    return target;
  }

  /** Takes everything down; may be called twice. */
  async down(): Promise<LabLeftovers> {
    const leftovers = await Lab.down(this.name);
    if (this.#onExit !== undefined) process.off('exit', this.#onExit);
    return leftovers;
  }

  async #build(diskBytes: number, solidDisks: boolean): Promise<void> {
    const state = Lab.#stateOf(this.name);
    mkdirSync(state.directory, { recursive: true, mode: 0o700 });
    state.switch = await startSwitchNamespace(state, new ControlGroup(this.name, 'switch'));
    const inSwitch = namespaceArguments(state.switch.pid, ['net']);
    await must([...inSwitch, 'ip', '-batch', '-'], { input: switchBatch(NETWORKS) });
    for (const host of Object.values(state.hosts)) {
      const directory = join(state.directory, host.name);
      mkdirSync(join(directory, 'logs'), { recursive: true });
      if (host.hasDisk) await createDisk(join(directory, 'disk.img'), diskBytes, solidDisks);
    }
    writeState(state);
    for (const name of Object.keys(state.hosts)) await this.host(name).boot();
  }

  /** The processes die with this one by themselves (death signal); this takes the files along. */
  #dieWithProcess(): void {
    this.#onExit = () => {
      const main = fileURLToPath(new URL('main.ts', import.meta.url));
      spawnSync(process.execPath, [main, 'down', '--name', this.name], { timeout: 20_000 });
    };
    process.on('exit', this.#onExit);
  }

  static #stateOf(name: string): LabState {
    return present(readState(name), `state of lab ${name}`);
  }
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new UnderstudyError('LAB_NEEDS_ROOT', 'a lab needs root: namespaces, mounts, loop devices');
}

function isSameCut(one: Cut, other: Cut): boolean {
  return one.from === other.from && one.to === other.to && one.network === other.network;
}

async function reserve(
  name: string,
  owner: ProcessReference | null,
  options: LabOptions,
): Promise<void> {
  if (readState(name) !== undefined) {
    throw new UnderstudyError(
      'LAB_EXISTS',
      `there is a lab "${name}" already: use it, take it down, or give another --name`,
    );
  }
  // Of an earlier lab of that name whose state file is gone.
  await takeDown(name);
  const taken = new Set(labNames().map((other) => readState(other)?.index));
  let index = 0;
  while (taken.has(index)) index += 1;
  if (index > INDEX_MAX) throw new UnderstudyError('LAB_TOO_MANY', 'too many labs: take some down');
  const directory = labDirectory(name);
  rmSync(directory, { recursive: true, force: true });
  const hosts = (options.hosts ?? ALL_HOSTS).map((host) => [
    host,
    initialHost(host, options.services ?? [UNDERSTUDYD]),
  ]);
  writeState({
    version: 1,
    name,
    index,
    directory,
    createdAt: new Date().toISOString(),
    owner,
    switch: null,
    cuts: [],
    hosts: Object.fromEntries(hosts) as Record<string, HostState>,
  });
}

function initialHost(name: HostName, services: readonly ServiceSpec[]): HostState {
  const hasDisk = isServer(name);
  return {
    name,
    number: NUMBERS[name],
    networks: hasDisk ? ['lan', 'sync'] : ['lan'],
    hasDisk,
    init: null,
    frozen: false,
    silent: false,
    unplugged: [],
    rates: {},
    claimed: [],
    services: hasDisk ? [...services] : [],
    keepers: {},
  };
}
