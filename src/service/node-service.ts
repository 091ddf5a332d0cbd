// What one node consists of: identity, partner, groups, events. The operations (pairing.ts,
// group-creation.ts, group-deletion.ts, switchover.ts, takeover.ts) work on this; the two APIs call the operations.
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { AgentCatalog } from '../agents/catalog.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import type { OccupiedDirectory } from './directory-checks.ts';
import { makePrivateDirectory, writeJsonDurably } from './durable-file.ts';
import { EventLog } from './event-log.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupPrograms } from './group-process.ts';
import { GroupRuntime } from './group-runtime.ts';
import type { RuntimeContext } from './group-spec-builder.ts';
import type { GroupState } from './group-state.ts';
import { NodeFailover } from './failover/node-failover.ts';
import { type Identity, readIdentity } from './identity.ts';
import { INSTALLATION } from './installation.ts';
import { Invitations } from './invitations.ts';
import { type NodeConfig, readNodeConfig } from './node-config.ts';
import { NODE_PROTOCOL_VERSION, type NodeInfo, type NodeView } from './node-protocol.ts';
import { NodeLimit } from './node-limit.ts';
import { PeerLink } from './peer-link.ts';
import { PeerStore } from './peer-store.ts';
import { groupPaths, type ServicePaths } from './service-paths.ts';
import { readDefinition } from './stored-definition.ts';
import { VerifySchedule } from './verification.ts';

export const GROUPS_MAX = 64;

export interface NodeServiceOptions {
  readonly paths: ServicePaths;
  readonly programs: GroupPrograms;
  readonly version: string;
}

export class NodeService {
  readonly paths: ServicePaths;
  readonly version: string;
  readonly programs: GroupPrograms;
  readonly config: NodeConfig;
  readonly identity: Identity;
  readonly peers: PeerStore;
  readonly invitations: Invitations;
  readonly events: EventLog;
  readonly link: PeerLink;
  readonly failover: NodeFailover;
  readonly limit: NodeLimit;
  readonly catalog: AgentCatalog;
  readonly groups = new Map<string, GroupRuntime>();
  readonly #context: RuntimeContext;
  readonly #verifySchedule = new VerifySchedule(this);

  /**
   * Reads everything that is kept. Errors: NOT_INITIALISED, CONFIG_INVALID, BANDWIDTH_INVALID,
   * RATE_INVALID, STATE_FILE_INVALID.
   */
  constructor(options: NodeServiceOptions, { clock }: { clock: Clock }) {
    const { paths, programs } = options;
    this.paths = paths;
    this.version = options.version;
    this.programs = programs;
    this.config = readNodeConfig(paths);
    this.identity = readIdentity(paths);
    for (const path of [paths.state, paths.run, paths.groups, paths.logs]) {
      makePrivateDirectory(path);
    }
    this.catalog = new AgentCatalog(paths.agents);
    this.peers = new PeerStore(paths.peers);
    this.events = new EventLog(paths.events);
    const onDamaged = (sentence: string): void => this.tellDamaged(sentence);
    this.invitations = new Invitations(paths.invitations, { clock, onDamaged });
    const onEvent = (event: ControlEvent): void => this.events.add(event);
    this.link = new PeerLink({
      identity: this.identity,
      peers: this.peers,
      onEvent,
      onView: (view, askedMs) => {
        for (const runtime of this.groups.values()) runtime.onPeerView(view, askedMs);
      },
    });
    this.failover = new NodeFailover({
      paths,
      config: this.config,
      self: { id: this.identity.id, name: this.config.name },
      peers: this.peers,
      onEvent,
      emit: (level, code, message) => this.emit(level, code, message),
    });
    this.limit = new NodeLimit({
      file: paths.nodeConfig,
      input: this.config.bandwidth,
      groups: () => this.groups.values(),
      now: () => new Date(),
    });
    this.#context = {
      config: this.config,
      identity: this.identity,
      paths,
      peers: this.peers,
      programs,
      catalog: this.catalog,
      onEvent,
      knownEvents: (group) => this.events.about(group),
      askPeer: async (group, timeoutMs) => this.link.askAbout(group, timeoutMs),
    };
    this.#loadGroups();
  }

  /** Boots all groups, each on its own. */
  start(): void {
    this.link.start();
    this.limit.start();
    for (const runtime of this.groups.values()) void runtime.boot();
    const managed = [...this.groups.values()].filter(({ isManaged }) => isManaged);
    this.failover.start(managed);
    this.#verifySchedule.start();
  }

  /** Stops watching; group processes go on. */
  async stop(): Promise<void> {
    this.#verifySchedule.stop();
    this.limit.stop();
    await this.link.stop();
    await this.failover.stop();
    await Promise.all([...this.groups.values()].map(async (runtime) => runtime.close()));
  }

  emit(
    level: ControlEvent['level'],
    code: string,
    message: string,
    details: ControlEvent['details'] = {},
  ): void {
    this.events.add(makeEvent(level, code, message, details));
  }

  /** A file that the service can do without was put aside. */
  tellDamaged(sentence: string): void {
    this.emit('error', 'STATE_FILE_DAMAGED', sentence);
  }

  get info(): NodeInfo {
    const { name, address, port, replicationAddress } = this.config;
    return {
      id: this.identity.id,
      name,
      host: address,
      port,
      replicationHost: replicationAddress ?? address,
      version: this.version,
      protocol: NODE_PROTOCOL_VERSION,
    };
  }

  async view(): Promise<NodeView> {
    const groups = await Promise.all(
      [...this.groups.values()].map(async (runtime) => runtime.view()),
    );
    return { node: this.info, groups };
  }

  /** Errors: GROUP_UNKNOWN. */
  group(name: string): GroupRuntime {
    const runtime = this.groups.get(name);
    if (runtime !== undefined) return runtime;
    const known = [...this.groups.keys()].join(', ');
    throw new UnderstudyError(
      'GROUP_UNKNOWN',
      `there is no group "${name}" on this node (${known === '' ? 'it has none' : `known: ${known}`})`,
    );
  }

  /** Like {@link group}, and it has to be the very same one. Errors: GROUP_UNKNOWN. */
  groupById(name: string, groupId: string): GroupRuntime {
    const runtime = this.group(name);
    if (runtime.definition.groupId === groupId) return runtime;
    throw new UnderstudyError(
      'GROUP_UNKNOWN',
      `group "${name}" on node "${this.config.name}" is another group of the same name: delete one of them`,
    );
  }

  /** Persists a new group and makes its runtime; nothing is started yet. */
  addGroup(definition: GroupDefinition, state: GroupState): GroupRuntime {
    const files = groupPaths(this.paths, definition.name);
    makePrivateDirectory(files.directory);
    writeJsonDurably(files.state, state);
    // The definition comes last: a group without it does not exist.
    writeJsonDurably(files.definition, definition);
    const runtime = new GroupRuntime(definition, state, this.#context);
    this.groups.set(definition.name, runtime);
    return runtime;
  }

  /** Forgets a group whose process has ended; nothing when it is forgotten already: another one may have its name by now. */
  async removeGroup(runtime: GroupRuntime): Promise<void> {
    if (this.groups.get(runtime.name) !== runtime) return;
    this.groups.delete(runtime.name);
    await runtime.close();
    runtime.removeFiles();
  }

  /** Forgets a group from within its own `exclusive`: its files go as soon as that has ended. */
  discardGroup(runtime: GroupRuntime): void {
    this.removeGroup(runtime).catch((thrown: unknown) => {
      const what = `what is left of group "${runtime.name}" cannot be removed: ${messageOf(thrown)}`;
      this.emit('warning', 'UNDO_FAILED', what, { group: runtime.name });
    });
  }

  /** Directories that no new group may touch. */
  occupied(): OccupiedDirectory[] {
    const own: [string, string][] = [
      [INSTALLATION, "Understudy's installation"],
      [dirname(process.execPath), 'the runtime that Understudy uses'],
      [this.paths.etc, "Understudy's configuration"],
      [this.paths.state, "Understudy's state"],
      [this.paths.run, "Understudy's sockets"],
      ...(this.config.journals === undefined
        ? []
        : [[this.config.journals, "Understudy's journals"] as [string, string]]),
    ];
    const groups = [...this.groups.values()].flatMap(({ definition }) =>
      definition.directories.map(({ dir }) => ({
        dir,
        owner: `group "${definition.name}"`,
        kind: 'group' as const,
      })),
    );
    return [...own.map(([dir, owner]) => ({ dir, owner, kind: 'understudy' as const })), ...groups];
  }

  usedPorts(): Set<number> {
    const ports = [...this.groups.values()].map(({ definition }) => definition.replicationPort);
    return new Set([...ports, this.config.port]);
  }

  #loadGroups(): void {
    for (const name of readdirSync(this.paths.groups)) {
      const files = groupPaths(this.paths, name);
      if (!existsSync(files.definition)) continue;
      try {
        const definition = readDefinition(files.definition);
        const state = GroupRuntime.readState(this.paths, name);
        if (definition === undefined || state === undefined) continue;
        const runtime = new GroupRuntime(definition, state, this.#context);
        this.groups.set(name, runtime);
        for (const fault of runtime.agents.faults) runtime.emit('error', 'AGENT_UNUSABLE', fault);
      } catch (thrown) {
        // One damaged group must not keep the others from running.
        this.emit('error', 'GROUP_UNREADABLE', messageOf(thrown));
      }
    }
  }
}
