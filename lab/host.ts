// One server of a lab: its own network, process, mount, name and IPC namespaces, its own disk.
//
// Everything here works on the lab's state file under the lab's lock, so that tests, the command
// line and several programs at once may drive the same lab.
import type { SpawnOptions } from 'node:child_process';
import { join } from 'node:path';
import { present } from '../src/core/assert.ts';
import { UnderstudyError } from '../src/core/errors.ts';
import { ControlGroup } from './cgroup.ts';
import { breakDisk, type DiskFault } from './disk-faults.ts';
import { cutDiskPower, fillDisk, freeDisk, releaseLoopDevices } from './disk.ts';
import { execArguments, type ExecEnvironment, namespaceArguments } from './enter.ts';
import { abortFuseConnections, fuseConnectionsOf } from './fuse-abort.ts';
import { startHostNamespaces } from './host-boot.ts';
import { applyRules, shapeCable } from './host-network.ts';
import { startService, stopService } from './host-services.ts';
import { LabProcess } from './lab-process.ts';
import { addressOf, interfaceOf, portOf, uncableBatch } from './network.ts';
import { childrenOf, isAlive } from './process.ts';
import { must, run, type RunOptions, type RunResult, shorten, start } from './run.ts';
import {
  type HostState,
  type LabState,
  type NetworkName,
  readState,
  type ServiceSpec,
  withLock,
  writeState,
} from './state.ts';

// What `spawn` returns, for those who import the host.
export type { LabProcess } from './lab-process.ts';

const GONE_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 20;

/** Options of {@link LabHost.exec}. */
export interface ExecOptions extends ExecEnvironment, Omit<RunOptions, 'env'> {}

/** A host of a lab. Get one from `Lab.host`. */
export class LabHost {
  readonly labName: string;
  readonly name: string;

  constructor(labName: string, name: string) {
    this.labName = labName;
    this.name = name;
  }

  get #lab(): LabState {
    return present(readState(this.labName), `state of lab ${this.labName}`);
  }

  get state(): HostState {
    return present(this.#lab.hosts[this.name], `host ${this.name}`);
  }

  get group(): ControlGroup {
    return new ControlGroup(this.labName, this.name);
  }

  /** Its address on a network. */
  address(network: NetworkName = 'lan'): string {
    return addressOf(this.#lab.index, network, this.state.number);
  }

  /** Whether it has power. */
  get isRunning(): boolean {
    return isAlive(this.state.init);
  }

  /** Another one after every boot; undefined: it has no power. */
  get initPid(): number | undefined {
    return this.state.init?.pid;
  }

  /** Directory of the machine with the logs of its services. */
  get logDirectory(): string {
    return join(this.#lab.directory, this.name, 'logs');
  }

  /** Path from the machine to a path inside the running host. */
  pathFromOutside(path: string): string {
    return join(`/proc/${this.#initPid()}/root`, path);
  }

  /** The same for a path on the host's disk, past whatever is mounted there in the host: `/srv` and the directories of the product. */
  pathOnDisk(path: string): string {
    return this.pathFromOutside(join(this.#lab.directory, this.name, 'disk', path));
  }

  /** Runs a program in the host to its end. */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<RunResult> {
    const { env, user, cwd, ...rest } = options;
    return await run(this.#enter(argv, { env, user, cwd }), rest);
  }

  /** Like {@link exec}, for programs that must succeed; returns the standard output. */
  async must(argv: readonly string[], options: ExecOptions = {}): Promise<string> {
    const result = await this.exec(argv, options);
    if (result.code === 0) return result.stdout;
    const why = result.timedOut ? 'did not end in time' : result.stderr.trim() || result.stdout;
    throw new UnderstudyError(
      'LAB_COMMAND_FAILED',
      `on ${this.name}: "${shorten(argv.join(' '))}" failed (${result.code ?? 'killed'}): ${why}`,
    );
  }

  /** Starts a program in the host; it dies with the host. Standard streams as `stdio` says. */
  spawn(
    argv: readonly string[],
    options: ExecEnvironment & Pick<SpawnOptions, 'stdio' | 'detached'> = {},
  ): LabProcess {
    const { stdio = ['ignore', 'pipe', 'pipe'], detached = true, ...environment } = options;
    return new LabProcess(start(this.#enter(argv, environment), { stdio, detached }));
  }

  #enter(argv: readonly string[], environment: ExecEnvironment): string[] {
    return execArguments({ pid: this.#initPid(), group: this.group, argv, environment });
  }

  #initPid(): number {
    const { init } = this.state;
    if (isAlive(init)) return init.pid;
    throw new UnderstudyError(
      'LAB_HOST_OFF',
      `host ${this.name} of lab "${this.labName}" has no power: boot it first`,
    );
  }

  /** Switches it on: disk, network, services. */
  async boot(): Promise<void> {
    await this.#change(async (lab, host) => {
      if (isAlive(host.init)) return;
      // Whatever an unfinished attempt (or a kill from outside) left.
      await this.#clear(lab, host);
      host.init = await startHostNamespaces(lab, host, this.group);
      host.frozen = false;
      for (const service of host.services) await startService(lab, host, service);
    });
  }

  /**
   * Takes the power away: the disk keeps what had reached it, no connection says goodbye, all
   * programs are gone. When this returns nothing of the host runs any more.
   */
  async powerOff(): Promise<void> {
    await this.#change(async (lab, host) => {
      // The processors stop first, so that no program sees its disk fail and can say so. Whoever
      // sits in a system call just now stops at its end.
      await this.group.freeze(STOP_TIMEOUT_MS);
      const disk = this.#diskFromOutside(lab, host);
      if (disk !== undefined) cutDiskPower(disk);
      await this.#clear(lab, host);
    });
  }

  /** Orderly end: programs get SIGTERM and ten seconds, the disk is unmounted cleanly. */
  async shutdown(): Promise<void> {
    await this.#change(async (lab, host) => {
      if (!isAlive(host.init)) return;
      const argv = ['sh', '-c', 'kill -TERM -1'];
      await this.exec(argv, { timeoutMs: 5000 });
      const others = (): number =>
        this.group.pids().filter((pid) => pid !== host.init?.pid && childrenOf(pid).length === 0)
          .length;
      const deadline = performance.now() + 10_000;
      while (others() > 0 && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await this.exec(['sync', '-f', '/srv'], { timeoutMs: 30_000 });
      await this.#clear(lab, host);
    });
  }

  /** Pulls the cables, ends all processes at once, waits until disk and namespaces are released. */
  async #clear(lab: LabState, host: HostState): Promise<void> {
    const { switch: hub } = lab;
    // Cables first: a killed program's sockets must not tell the other side that they are closed.
    if (isAlive(hub)) {
      const batch = [...namespaceArguments(hub.pid, ['net']), 'ip', '-force', '-batch', '-'];
      await run(batch, { input: uncableBatch(host) });
    }
    const connections = fuseConnectionsOf(this.group.pids());
    this.group.kill();
    await abortFuseConnections(connections);
    host.init = null;
    host.frozen = false;
    host.claimed = [];
    host.keepers = {};
    const isGone = await this.group.remove(GONE_TIMEOUT_MS);
    const isFree = await releaseLoopDevices(join(lab.directory, host.name), GONE_TIMEOUT_MS);
    if (isGone && isFree) return;
    throw new UnderstudyError(
      'LAB_HOST_STUCK',
      `host ${host.name} of lab "${lab.name}" does not let go of its ${isGone ? 'disk' : 'processes'}`,
      { details: { processes: this.group.pids().map(String) } },
    );
  }

  #diskFromOutside(lab: LabState, host: HostState): string | undefined {
    if (!host.hasDisk || !isAlive(host.init)) return undefined;
    return join(`/proc/${host.init.pid}/root`, lab.directory, host.name, 'disk');
  }

  /**
   * Stops every program at one instant, as a hung system does; the kernel still answers pings.
   * `silent`: nor does anything leave or reach its ports, as with a stopped virtual machine.
   */
  async freeze(options: { silent?: boolean } = {}): Promise<void> {
    await this.#change(async (lab, host) => {
      if (options.silent === true) {
        host.silent = true;
        await applyRules(lab);
      }
      host.frozen = true;
      await this.group.freeze();
    });
  }

  async thaw(): Promise<void> {
    await this.#change(async (lab, host) => {
      host.frozen = false;
      this.group.thaw();
      if (!host.silent) return;
      host.silent = false;
      await applyRules(lab);
    });
  }

  /** Pulls the cable: both ends lose their carrier. */
  async unplug(network: NetworkName): Promise<void> {
    await this.#setCable(network, false);
  }

  async plug(network: NetworkName): Promise<void> {
    await this.#setCable(network, true);
  }

  async #setCable(network: NetworkName, isPlugged: boolean): Promise<void> {
    await this.#change(async (lab, host) => {
      host.unplugged = host.unplugged.filter((name) => name !== network);
      if (!isPlugged) host.unplugged.push(network);
      if (!isAlive(host.init)) return;
      const state = isPlugged ? 'up' : 'down';
      const inSwitch = namespaceArguments(present(lab.switch, 'switch').pid, ['net']);
      await must([...inSwitch, 'ip', 'link', 'set', portOf(host.name, network), state]);
    });
  }

  /** Limits both directions of a cable to a rate as tc(8) writes it (`50mbit`); undefined: no limit. */
  async shape(network: NetworkName, rate: string | undefined): Promise<void> {
    await this.#change(async (lab, host) => {
      if (host.rates[network] === rate) return;
      if (isAlive(host.init)) await shapeCable(lab, host, network, rate);
      if (rate === undefined) delete host.rates[network];
      else host.rates[network] = rate;
    });
  }

  /** Takes all space of its disk but `leaveBytes`; returns the bytes taken. */
  async fillDisk(leaveBytes = 0): Promise<number> {
    return fillDisk(this.#runningDisk(), leaveBytes);
  }

  async freeDisk(): Promise<boolean> {
    return freeDisk(this.#runningDisk());
  }

  /** Its disk fails under the running host, until the next power off. */
  breakDisk(fault: DiskFault): void {
    breakDisk(join(this.#lab.directory, this.name), this.#runningDisk(), fault);
  }

  #runningDisk(): string {
    this.#initPid();
    const disk = this.#diskFromOutside(this.#lab, this.state);
    if (disk !== undefined) return disk;
    throw new UnderstudyError('LAB_HOST_DISKLESS', `host ${this.name} has no disk of its own`);
  }

  /** Takes an address that belongs to somebody else, and says so to the network. */
  async claimAddress(address: string, network: NetworkName = 'lan'): Promise<void> {
    const device = interfaceOf(network);
    await this.must(['ip', 'addr', 'add', `${address}/24`, 'dev', device]);
    await this.exec(['arping', '-q', '-A', '-c', '2', '-w', '3', '-I', device, address]);
    await this.#change(async (_, host) => {
      host.claimed.push({ address, network });
    });
  }

  async releaseAddress(address: string): Promise<void> {
    const claim = this.state.claimed.find((entry) => entry.address === address);
    if (claim === undefined) return;
    const device = interfaceOf(claim.network);
    await this.exec(['ip', 'addr', 'del', `${address}/24`, 'dev', device]);
    await this.#change(async (_, host) => {
      host.claimed = host.claimed.filter((entry) => entry.address !== address);
    });
  }

  /** Adds a command that runs from now on and after every boot. */
  async addService(service: ServiceSpec): Promise<void> {
    await this.#change(async (lab, host) => {
      host.services = host.services.filter(({ name }) => name !== service.name);
      host.services.push(service);
      if (isAlive(host.init)) await startService(lab, host, service);
    });
  }

  /** Starts a boot service that was stopped. */
  async startService(name: string): Promise<void> {
    await this.#change(async (lab, host) => {
      const service = host.services.find((candidate) => candidate.name === name);
      if (service === undefined) throw unknownService(host, name);
      if (!isAlive(host.init)) this.#initPid();
      await startService(lab, host, service);
    });
  }

  /** Stops a service (SIGTERM to its main process only, SIGKILL after `timeoutMs`) until the next boot. */
  async stopService(name: string, timeoutMs = 10_000): Promise<void> {
    await this.#change(async (_, host) => {
      if (!host.services.some((candidate) => candidate.name === name)) {
        throw unknownService(host, name);
      }
      await stopService(host, name, timeoutMs);
    });
  }

  async #change(action: (lab: LabState, host: HostState) => Promise<void>): Promise<void> {
    await withLock(this.labName, async () => {
      const lab = this.#lab;
      const host = present(lab.hosts[this.name], `host ${this.name}`);
      try {
        await action(lab, host);
      } finally {
        writeState(lab);
      }
    });
  }
}

function unknownService(host: HostState, name: string): UnderstudyError {
  const known = host.services.map((service) => service.name).join(', ') || 'none';
  return new UnderstudyError(
    'LAB_SERVICE_UNKNOWN',
    `host ${host.name} has no service "${name}"; it has: ${known}`,
  );
}
