// Failover of all managed groups of this node: the connection to the cluster process, and one
// GroupFailover for each group. The cluster process is started with the first managed group.
import { present } from '../../core/assert.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { hasLeft, type MachineView } from '../../cluster/thread/machine-view.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { NodeConfig } from '../node-config.ts';
import type { PeerStore } from '../peer-store.ts';
import type { ServicePaths } from '../service-paths.ts';
import type { ControlEvent } from '../control-channel.ts';
import { ClusterProcess } from './cluster-process.ts';
import type { ClusterNotice, ClusterSpec, GroupStanding } from './cluster-protocol.ts';
import { GroupFailover } from './group-failover.ts';
import {
  type GroupSettings,
  heartbeatNetworks,
  type NodeIdentity,
  resolveGroup,
} from './group-settings.ts';
import type { GroupDefinition } from '../group-definition.ts';

/** Between attempts to have a group managed. */
const AGAIN_MS = 2000;
/** A machine that runs for so long after its goodbyes is not being shut down. */
const SHUTDOWN_MS = 600_000;

export interface NodeFailoverOptions {
  readonly paths: ServicePaths;
  readonly config: NodeConfig;
  readonly self: NodeIdentity;
  readonly peers: PeerStore;
  readonly onEvent: (event: ControlEvent) => void;
  readonly emit: (level: ControlEvent['level'], code: string, message: string) => void;
}

/** A group without a machine: what is in the way may be put right. */
interface Unmanaged {
  readonly runtime: GroupRuntime;
  /** As told last. */
  readonly sentence: string;
}

export class NodeFailover {
  readonly #options: NodeFailoverOptions;
  readonly #groups = new Map<string, GroupFailover>();
  readonly #unmanaged = new Map<string, Unmanaged>();
  #again: NodeJS.Timeout | undefined;
  #return: NodeJS.Timeout | undefined;
  /** Otherwise machines that have left did so for a service before this one. */
  #hasSaidGoodbye = false;
  #stopped = false;
  #cluster: ClusterProcess | undefined;
  #starting: Promise<void> | undefined;

  constructor(options: NodeFailoverOptions) {
    this.#options = options;
  }

  /** The settings of a group as each node uses them. Errors: those of {@link resolveGroup}. */
  settingsOf(definition: GroupDefinition): GroupSettings {
    const { self, peers } = this.#options;
    return resolveGroup(definition, self, peers.requirePeer());
  }

  /** What the machine of a group said last; null: nothing, or there is none. */
  viewOf(runtime: GroupRuntime): MachineView | null {
    return this.#groups.get(runtime.definition.groupId)?.view ?? null;
  }

  /** Errors: GROUP_NOT_MANAGED, FAILOVER_NOT_RUNNING. */
  of(runtime: GroupRuntime): GroupFailover {
    const failover = this.#groups.get(runtime.definition.groupId);
    if (failover !== undefined) return failover;
    if (runtime.isManaged) {
      throw new UnderstudyError(
        'FAILOVER_NOT_RUNNING',
        `failover of group "${runtime.name}" does not run on this node at this moment: see "understudy status"`,
      );
    }
    throw new UnderstudyError(
      'GROUP_NOT_MANAGED',
      `group "${runtime.name}" has no failover: it is switched over by command only. Create it with "failover: {}" in its YAML for maintenance mode and automatic takeover`,
    );
  }

  /** Takes groups over that exist already, at the start of the service. */
  start(runtimes: readonly GroupRuntime[]): void {
    for (const runtime of runtimes) {
      this.add(runtime).catch((thrown: unknown) => this.#tellNotRunning(runtime, thrown));
    }
  }

  /** Shown, told when it is new, and tried again. */
  #tellNotRunning(runtime: GroupRuntime, thrown: unknown): void {
    if (this.#stopped) return;
    const { groupId } = runtime.definition;
    const sentence = `failover of group "${runtime.name}" does not run: ${messageOf(thrown)}`;
    runtime.setTrouble('failover', sentence);
    if (this.#unmanaged.get(groupId)?.sentence !== sentence) {
      this.#options.emit('error', 'FAILOVER_NOT_RUNNING', sentence);
    }
    this.#unmanaged.set(groupId, { runtime, sentence });
    this.#again ??= setTimeout(() => void this.#tryAgain(), AGAIN_MS).unref();
  }

  async #tryAgain(): Promise<void> {
    const waiting = Array.from(this.#unmanaged.values());
    for (const one of waiting) await this.#tryToManage(one);
    this.#again = undefined;
    if (this.#unmanaged.size === 0 || this.#stopped) return;
    this.#again = setTimeout(() => void this.#tryAgain(), AGAIN_MS).unref();
  }

  async #tryToManage(one: Unmanaged): Promise<void> {
    const { runtime } = one;
    const { groupId } = runtime.definition;
    // Otherwise it was deleted, or a new connection has let it join or said why not.
    const isStill = (): boolean => this.#unmanaged.get(groupId) === one;
    if (!isStill()) return;
    const failover = this.#groups.get(groupId);
    try {
      if (failover === undefined) await this.add(runtime);
      else await this.#join(failover, (await this.#standings()).get(groupId));
      if (isStill()) this.#noteRunning(runtime);
    } catch (thrown) {
      if (isStill()) this.#tellNotRunning(runtime, thrown);
    }
  }

  #noteRunning(runtime: GroupRuntime): void {
    this.#unmanaged.delete(runtime.definition.groupId);
    runtime.setTrouble('failover', null);
  }

  /** Begins to manage a group. Errors: those of the settings, NETWORKS_NEEDED, GROUP_MACHINE_FAILED. */
  async add(runtime: GroupRuntime): Promise<GroupFailover> {
    const settings = this.settingsOf(runtime.definition);
    const { groupId } = runtime.definition;
    const cluster = (this.#cluster ??= this.#makeCluster());
    const isFirst = this.#starting === undefined;
    if (!isFirst) await this.#starting;
    const failover = new GroupFailover({ runtime, cluster, settings });
    // Before it is asked what its machine wants: what that wants from then on is told at once.
    this.#groups.set(groupId, failover);
    if (!isFirst) {
      await this.#join(failover, (await this.#standingsFor(failover)).get(groupId));
      return failover;
    }
    // The first connection lets all groups join that are known by then.
    this.#starting = cluster.start();
    await this.#starting;
    return failover;
  }

  async #join(failover: GroupFailover, standing: GroupStanding | undefined): Promise<void> {
    await failover.join(standing);
    const { view } = failover;
    if (view?.leaving !== true || this.#hasSaidGoodbye) return;
    if (hasLeft(view)) await this.#takePartAgain(failover);
    // It is about to: see then.
    else this.#lookAfterGoodbyes();
  }

  /** The groups of this node have said goodbye, or are about to: when the machine still runs after a while, they take part again. */
  noteGoodbyes(): void {
    this.#hasSaidGoodbye = true;
    this.#lookAfterGoodbyes();
  }

  #lookAfterGoodbyes(): void {
    clearTimeout(this.#return);
    if (this.#stopped) return;
    this.#return = setTimeout(() => {
      this.#lookAfterGoodbyes();
      for (const failover of this.#groups.values()) {
        if (failover.view !== null && hasLeft(failover.view)) void this.#takePartAgain(failover);
      }
    }, SHUTDOWN_MS).unref();
  }

  /** What a machine has promised with its goodbye ends with it: another one takes its place. */
  async #takePartAgain(failover: GroupFailover): Promise<void> {
    const { runtime } = failover;
    let isDone = true;
    try {
      await failover.leave();
    } catch {
      isDone = false;
      this.#lookAfterGoodbyes();
    }
    // Otherwise it was deleted meanwhile, or the service ends.
    if (this.#stopped || this.#groups.get(runtime.definition.groupId) !== failover) return;
    if (isDone) {
      const sentence = `group "${runtime.name}": this node was to be shut down and still runs: it takes part again`;
      runtime.emit('info', 'TAKES_PART_AGAIN', sentence);
    }
    this.#manageAgain(failover);
  }

  /**
   * What the machine of a group wants is not carried out until {@link resume} or {@link remove}. It goes on with heartbeats and
   * lease, so that nobody takes over from a primary that is being stopped. Errors: as {@link remove}.
   */
  async suspend(runtime: GroupRuntime): Promise<void> {
    const failover = this.#groups.get(runtime.definition.groupId);
    if (failover === undefined) return;
    await this.clusterStatus();
    failover.stop();
  }

  /** What the machine of a group wants is carried out again, also what it wanted meanwhile. */
  resume(runtime: GroupRuntime): void {
    const failover = this.#groups.get(runtime.definition.groupId);
    if (failover !== undefined) this.#manageAgain(failover);
  }

  /** Ends to manage a group. Errors: CLUSTER_PROCESS_DOWN, CONTROL_TIMEOUT, CONTROL_CLOSED; then it is managed as before. */
  async remove(runtime: GroupRuntime): Promise<void> {
    const { groupId } = runtime.definition;
    this.#unmanaged.delete(groupId);
    const failover = this.#groups.get(groupId);
    if (failover === undefined) return;
    try {
      await failover.leave();
    } catch (thrown) {
      this.#manageAgain(failover);
      throw thrown;
    }
    this.#groups.delete(groupId);
    if (this.#groups.size > 0) return;
    const cluster = this.#cluster;
    this.#cluster = undefined;
    this.#starting = undefined;
    await cluster?.end();
  }

  /** What the machine of a group wants is carried out again; where it has none any more, another one is made. */
  #manageAgain(before: GroupFailover): void {
    const { runtime, settings } = before;
    const { groupId } = runtime.definition;
    const cluster = present(this.#cluster, 'the cluster process');
    const failover = new GroupFailover({ runtime, cluster, settings });
    this.#groups.set(groupId, failover);
    this.#standings()
      .then(async (known) => failover.join(known.get(groupId)))
      .catch((thrown: unknown) => {
        if (this.#groups.get(groupId) === failover) this.#tellNotRunning(runtime, thrown);
      });
  }

  /** Of the cluster process; null: there is none. Errors: CLUSTER_PROCESS_DOWN, CONTROL_TIMEOUT, CONTROL_CLOSED. */
  async clusterStatus(): Promise<Readonly<Record<string, unknown>> | null> {
    const cluster = this.#cluster;
    if (cluster === undefined) return null;
    return (await cluster.call('status', {})) as Readonly<Record<string, unknown>>;
  }

  /** Another cluster process in the place of the one that runs; no managed group may be primary here. */
  async renewCluster(): Promise<void> {
    await this.#cluster?.renew();
  }

  /** The service ends; the cluster process goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#again);
    clearTimeout(this.#return);
    for (const failover of this.#groups.values()) failover.stop();
    await this.#cluster?.stop();
  }

  #makeCluster(): ClusterProcess {
    const { paths, onEvent } = this.#options;
    return new ClusterProcess({
      paths,
      spec: this.#spec(),
      onNotice: (notice) => this.#onNotice(notice),
      onEvent,
      onConnected: async () => this.#joinAll(),
      onTrouble: (sentence) => {
        for (const { runtime } of this.#groups.values()) runtime.setTrouble('failover', sentence);
      },
    });
  }

  #spec(): ClusterSpec {
    const { paths, config, self, peers } = this.#options;
    const { id, name, certificate, host, replicationHost } = peers.requirePeer();
    return {
      controlSocket: paths.clusterSocket,
      node: self,
      peer: { id, name, certificate },
      keyPath: paths.key,
      networks: heartbeatNetworks(config, { host, replicationHost }),
      selfFencing: config.selfFencing ?? 'reboot',
    };
  }

  async #standings(): Promise<Map<string, GroupStanding>> {
    const seen = new Map(
      Array.from(this.#groups.values(), (failover) => [failover, failover.viewsSeen]),
    );
    const all = (await this.#cluster?.call('outstanding', {})) as GroupStanding[];
    const isPast = (groupId: string): boolean => {
      const failover = this.#groups.get(groupId);
      return failover !== undefined && seen.get(failover) !== failover.viewsSeen;
    };
    return new Map(
      all.map((one) => [one.groupId, isPast(one.groupId) ? { ...one, view: null } : one]),
    );
  }

  /** Where that cannot be asked, the group is not managed yet. */
  async #standingsFor(failover: GroupFailover): Promise<Map<string, GroupStanding>> {
    try {
      return await this.#standings();
    } catch (thrown) {
      failover.stop();
      this.#groups.delete(failover.runtime.definition.groupId);
      throw thrown;
    }
  }

  async #joinAll(): Promise<void> {
    const known = await this.#standings();
    // At the same time: one may have something under way that has to end first.
    const joins = Array.from(this.#groups, async ([groupId, failover]) => {
      try {
        await this.#join(failover, known.get(groupId));
        this.#noteRunning(failover.runtime);
      } catch (thrown) {
        this.#tellNotRunning(failover.runtime, thrown);
      }
    });
    await Promise.all(joins);
  }

  #onNotice(notice: ClusterNotice): void {
    switch (notice.kind) {
      case 'effect':
        this.#groups.get(notice.groupId)?.onEffect(notice.effect);
        return;
      case 'view':
        this.#groups.get(notice.groupId)?.onView(notice.view);
        return;
      default:
      // A network between the nodes: the machines of the groups say it.
    }
  }
}
