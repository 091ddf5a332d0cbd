// From what the service knows of a group to what its process is told.
import type { AgentCatalog } from '../agents/catalog.ts';
import type { ControlEvent } from './control-channel.ts';
import type { KnownEvents } from './event-log.ts';
import type { HeldFilter } from './filter-holder.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupPrograms } from './group-process.ts';
import { groupProcessSpecSchema, type GroupProcessSpec, type Position } from './group-spec.ts';
import type { GroupState } from './group-state.ts';
import { processDirectory } from './journal-place.ts';
import type { Identity } from './identity.ts';
import type { NodeConfig } from './node-config.ts';
import type { PeerStore } from './peer-store.ts';
import type { PeerAnswer } from './role-decision.ts';
import type { GroupPaths, ServicePaths } from './service-paths.ts';

/** What the runtime of a group needs from the service around it. */
export interface RuntimeContext {
  readonly config: NodeConfig;
  readonly identity: Identity;
  readonly paths: ServicePaths;
  readonly peers: PeerStore;
  readonly programs: GroupPrograms;
  readonly catalog: AgentCatalog;
  readonly onEvent: (event: ControlEvent) => void;
  /** What was told about a group before. */
  readonly knownEvents: (group: string) => KnownEvents;
  readonly askPeer: (group: string, timeoutMs: number) => Promise<PeerAnswer>;
}

export interface SpecInput {
  readonly definition: GroupDefinition;
  readonly state: GroupState;
  readonly context: RuntimeContext;
  readonly files: GroupPaths;
  /** Where a primary begins its stream; null for a standby. */
  readonly start: { readonly base: Position | null; readonly firstSequence: number } | null;
  /** See the specification. */
  readonly takeOver?: HeldFilter | null;
  /** See the specification; null for groups that are not managed. */
  readonly firstCommitRequest: number | null;
}

export function buildSpec(input: SpecInput): GroupProcessSpec {
  const { definition, state, context, files, start, firstCommitRequest, takeOver } = input;
  const { config, identity, paths, peers } = context;
  const peer = peers.peer?.id === definition.peerId ? peers.peer : undefined;
  const spec = {
    group: definition.name,
    groupId: definition.groupId,
    role: state.role,
    epoch: state.epoch,
    node: { id: identity.id, name: config.name },
    peer:
      peer === undefined
        ? null
        : {
            id: peer.id,
            name: peer.name,
            host: peer.replicationHost,
            certificate: peer.certificate,
          },
    identity: { certificatePath: paths.certificate, keyPath: paths.key },
    replicationHost: config.replicationAddress ?? config.address,
    replicationPort: definition.replicationPort,
    controlSocket: files.controlSocket,
    stateDirectory: processDirectory(state.journals ?? files.directory, state.generation),
    marksFile: files.marks,
    directories: definition.directories.map(({ dir, include, exclude, seed }) => ({
      dir,
      include,
      exclude,
      seed,
    })),
    replication: definition.replication,
    safety: definition.safety,
    leaseFile: definition.failover === null ? null : files.lease,
    safetyFile: files.safety,
    salvageDirectory: files.salvage,
    // Data that was there before the group is a base for the first copy, by the operator's word.
    dataIsBase: state.generation <= 1,
    firstCommitRequest,
    takeOver: takeOver ?? null,
    ...(start === null ? { holds: state.position } : { start }),
  };
  return groupProcessSpecSchema.parse(spec);
}
