// Creates groups. Everything that can be checked is checked on both nodes before anything is
// changed; what was changed is undone in reverse order when a later step fails.
//
//   this node (primary)                       the other node (standby)
//   checks input, directories, patterns
//   POST /v1/groups/check ──▶                 checks name, directories, port
//   PUT /v1/groups/NAME ──▶                   creates missing directories, starts the standby
//   starts the primary, mounts
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { atField, atFieldLater } from '../core/at-field.ts';
import { UnderstudyError } from '../core/errors.ts';
import { checkAgents, withPool } from './agent-checks.ts';
import { resolveAgents } from './agent-definition.ts';
import { checkName, checkPort, checkStillFree, groupDirectory } from './creation-checks.ts';
import { beginServing, checkFailover } from './failover/creation.ts';
import { withDefaultGateway } from './failover/group-settings.ts';
import { checkDirectoryItself, checkNotInUse } from './directory-checks.ts';
import {
  defineGroup,
  type GroupDefinition,
  type GroupInput,
  mirroredDefinition,
} from './group-definition.ts';
import { removeFromPeer } from './group-deletion.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { initialState } from './group-state.ts';
import { checkJournals } from './standby-creation.ts';
import { findBlindNamespaces } from './mount-namespaces.ts';
import {
  type CheckReply,
  checkReplySchema,
  emptyReplySchema,
  type Ownership,
  type StandbyRequest,
} from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { checkPatterns, unmatchedPatterns } from './pattern-check.ts';

const PORT_FIRST = 7441;
const PORT_STEP = 2;
const PORTS_TRIED_MAX = 50;
const LINK_WAIT_MS = 10_000;
const FIRST_EPOCH = 1;

export interface CreateOptions {
  readonly origin: string;
  readonly allowEmptyMatch: boolean;
}

/** What was checked on both nodes, and what an operator should know before the group is created. */
export interface GroupPlan {
  readonly definition: GroupDefinition;
  readonly warnings: readonly string[];
}

/**
 * Makes every check that there is on both nodes, and changes nothing. Errors: see docs/errors.md,
 * "Groups".
 */
export async function planGroup(
  service: NodeService,
  input: GroupInput,
  options: CreateOptions,
): Promise<GroupPlan> {
  const peer = service.peers.requirePeer();
  if (input.peer !== undefined && input.peer !== peer.name) {
    throw new UnderstudyError(
      'NODE_UNKNOWN',
      `node "${input.peer}" is not the partner of this node: "${peer.name}" is`,
    );
  }
  atField('name', () => checkName(service, input.name));
  const { origin } = options;
  const agents = await withPool(service, input.name, async (pool) =>
    resolveAgents(input.agents ?? [], origin, pool),
  );
  const defined = defineGroup(input, { peerId: peer.id, port: PORT_FIRST, origin, agents });
  const { failover } = defined;
  const draft: GroupDefinition = {
    ...defined,
    failover:
      failover === null
        ? null
        : atField('failover.gateway', () => withDefaultGateway(failover, origin)),
  };
  const warnings = checkLocalDirectories(service, draft, options);
  warnings.push(...checkJournals(service, draft, 'primary'));
  warnings.push(...(await checkFailover(service, draft)));
  await checkAgents(service, draft, 'primary');
  const agreed = await agreeOnPort(service, draft, input.replication?.port);
  // Last: whoever stops an application for it should not find afterwards that something else is in the way.
  for (const [index, { dir }] of draft.directories.entries()) {
    atField(`paths[${index}].dir`, () => checkNotInUse(dir));
  }
  return { definition: agreed.definition, warnings: [...warnings, ...agreed.warnings] };
}

/** Creates a group with this node as primary. Errors: see docs/errors.md, "Groups". */
export async function createGroup(
  service: NodeService,
  input: GroupInput,
  options: CreateOptions,
): Promise<{ definition: GroupDefinition; warnings: string[] }> {
  const plan = await planGroup(service, input, options);
  const { definition } = plan;
  const warnings = [...plan.warnings];
  const body = standbyRequest(service, definition);
  const path = `/v1/groups/${definition.name}`;
  const client = service.link.client();
  try {
    await client.call({
      method: 'PUT',
      path,
      body,
      reply: emptyReplySchema,
      timeoutMs: 60_000,
    });
    warnings.push(...(await startLocally(service, definition)));
  } catch (thrown) {
    await removeFromPeer(service, definition);
    throw thrown;
  }
  service.emit('info', 'GROUP_CREATED', `group "${definition.name}" was created`, {
    group: definition.name,
  });
  return { definition, warnings };
}

async function startLocally(service: NodeService, definition: GroupDefinition): Promise<string[]> {
  checkStillFree(service, definition);
  const runtime = service.addGroup(definition, initialState('primary', FIRST_EPOCH));
  if (runtime.isManaged) return startManaged(service, runtime);
  return runtime.exclusive(async () => {
    try {
      const warnings = await runtime.startPrimary();
      runtime.watch();
      warnings.push(...(await waitForLink(runtime)));
      return warnings;
    } catch (thrown) {
      await runtime.stopProcess();
      service.discardGroup(runtime);
      throw thrown;
    }
  });
}

async function startManaged(service: NodeService, runtime: GroupRuntime): Promise<string[]> {
  try {
    await beginServing(service, runtime);
    runtime.watch();
    return await waitForLink(runtime);
  } catch (thrown) {
    await service.failover.remove(runtime).catch(() => undefined);
    await runtime.exclusive(async () => runtime.stopProcess());
    service.discardGroup(runtime);
    throw thrown;
  }
}

async function waitForLink(runtime: GroupRuntime): Promise<string[]> {
  const deadline = performance.now() + LINK_WAIT_MS;
  for (;;) {
    const status = await runtime.process.status();
    if (status['link'] === 'connected') return [];
    if (performance.now() > deadline) {
      const why = typeof status['linkReason'] === 'string' ? ` (${status['linkReason']})` : '';
      return [
        `the replication link is not connected yet${why}: check that port ${runtime.definition.replicationPort}/tcp of the other node is reachable`,
      ];
    }
    await sleep(200);
  }
}

function checkLocalDirectories(
  service: NodeService,
  definition: GroupDefinition,
  options: CreateOptions,
): string[] {
  const warnings: string[] = [];
  const occupied = service.occupied();
  for (const [index, { dir, include, exclude }] of definition.directories.entries()) {
    const field = `paths[${index}]`;
    atField(`${field}.dir`, () => checkDirectoryItself(dir, occupied));
    occupied.push(groupDirectory(dir, definition.name));
    if (!options.allowEmptyMatch) {
      atField(`${field}.include`, () => checkPatterns(dir, include));
    }
    for (const pattern of unmatchedPatterns(dir, exclude)) {
      warnings.push(`the exclude pattern "${pattern}" matches nothing in ${dir} at present`);
    }
    warnings.push(...warnOfNamespaces(dir));
  }
  return warnings;
}

function warnOfNamespaces(dir: string): string[] {
  const blind = findBlindNamespaces(dir);
  const [first] = blind;
  if (first === undefined) return [];
  const more = blind.length > 1 ? ` and ${blind.length - 1} more` : '';
  return [
    `processes with mounts of their own (${first.pid} ${first.command}${more}) do not see the filter on ${dir}: what they write there is not mirrored until they are restarted with propagation ("rslave")`,
  ];
}

/** Finds a replication port that is free on both nodes, and lets the peer check everything. */
async function agreeOnPort(
  service: NodeService,
  draft: GroupDefinition,
  wanted: number | undefined,
): Promise<GroupPlan> {
  for (let tried = 0; tried < PORTS_TRIED_MAX; tried += 1) {
    const replicationPort = wanted ?? PORT_FIRST + tried * PORT_STEP;
    const definition = { ...draft, replicationPort };
    try {
      await atFieldLater('replication.port', async () => checkPort(service, replicationPort));
      const { warnings } = await askForCheck(service, definition);
      return { definition, warnings };
    } catch (thrown) {
      const isTaken = thrown instanceof UnderstudyError && thrown.code === 'PORT_IN_USE';
      if (!isTaken || wanted !== undefined) throw thrown;
    }
  }
  const last = PORT_FIRST + PORTS_TRIED_MAX * PORT_STEP;
  const none = `no replication port between ${PORT_FIRST} and ${last} is free on both nodes: give one as "replication.port"`;
  throw new UnderstudyError('PORT_IN_USE', none, {
    details: { fields: ['replication.port'], faults: [none] },
  });
}

async function askForCheck(service: NodeService, definition: GroupDefinition): Promise<CheckReply> {
  return service.link.client().call({
    method: 'POST',
    path: '/v1/groups/check',
    body: standbyRequest(service, definition),
    reply: checkReplySchema,
    timeoutMs: 30_000,
  });
}

function standbyRequest(service: NodeService, definition: GroupDefinition): StandbyRequest {
  return {
    definition: mirroredDefinition(definition, service.identity.id),
    epoch: FIRST_EPOCH,
    ownership: definition.directories.map(({ dir }) => ownershipOf(dir)),
  };
}

function ownershipOf(dir: string): Ownership {
  const { uid, gid, mode } = statSync(dir);
  return { uid, gid, mode: mode & 0o7777 };
}
