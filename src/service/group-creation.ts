// Creates and deletes groups. Everything that can be checked is checked on both nodes before anything is
// changed; what was changed is undone in reverse order when a later step fails.
//
//   this node (primary)                       the other node (standby)
//   checks input, directories, patterns
//   POST /v1/groups/check ──▶                 checks name, directories, port
//   PUT /v1/groups/NAME ──▶                   creates missing directories, starts the standby
//   starts the primary, mounts
import { chmodSync, chownSync, existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import {
  checkDirectory,
  checkNotInUse,
  checkOverlap,
  isEmptyDirectory,
  type OccupiedDirectory,
} from './directory-checks.ts';
import {
  defineGroup,
  type GroupDefinition,
  type GroupInput,
  mirroredDefinition,
} from './group-definition.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { initialState } from './group-state.ts';
import { findBlindNamespaces } from './mount-namespaces.ts';
import {
  type CheckReply,
  checkReplySchema,
  emptyReplySchema,
  type Ownership,
  type StandbyRequest,
} from './node-protocol.ts';
import { GROUPS_MAX, type NodeService } from './node-service.ts';
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

/** Creates a group with this node as primary. Errors: see docs/errors.md, "Groups". */
export async function createGroup(
  service: NodeService,
  input: GroupInput,
  options: CreateOptions,
): Promise<{ definition: GroupDefinition; warnings: string[] }> {
  const peer = service.peers.requirePeer();
  if (input.peer !== undefined && input.peer !== peer.name) {
    throw new UnderstudyError(
      'NODE_UNKNOWN',
      `node "${input.peer}" is not the partner of this node: "${peer.name}" is`,
    );
  }
  checkName(service, input.name);
  const draft = defineGroup(input, { peerId: peer.id, port: PORT_FIRST, origin: options.origin });
  const warnings = checkLocalDirectories(service, draft, options);
  const definition = await agreeOnPort(service, draft, input.replication?.port);
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
    await undoOnPeer(service, definition);
    throw thrown;
  }
  service.emit('info', 'GROUP_CREATED', `group "${definition.name}" was created`);
  return { definition, warnings };
}

async function startLocally(service: NodeService, definition: GroupDefinition): Promise<string[]> {
  const runtime = service.addGroup(definition, initialState('primary', FIRST_EPOCH));
  return runtime.exclusive(async () => {
    try {
      const warnings = await runtime.startPrimary();
      runtime.watch();
      warnings.push(...(await waitForLink(runtime)));
      return warnings;
    } catch (thrown) {
      await runtime.stopProcess();
      await forget(service, runtime);
      throw thrown;
    }
  });
}

/** `removeGroup` waits for the queue, so it may not be awaited inside `exclusive`. */
async function forget(service: NodeService, runtime: GroupRuntime): Promise<void> {
  service.groups.delete(runtime.name);
  void service.removeGroup(runtime);
}

async function undoOnPeer(service: NodeService, definition: GroupDefinition): Promise<void> {
  try {
    await service.link.client().call({
      method: 'DELETE',
      path: `/v1/groups/${definition.name}`,
      body: { groupId: definition.groupId },
      reply: emptyReplySchema,
      timeoutMs: 60_000,
    });
  } catch (thrown) {
    if (thrown instanceof UnderstudyError && thrown.code === 'GROUP_UNKNOWN') return;
    const message = `group "${definition.name}" could not be removed from the other node again: ${messageOf(thrown)}`;
    service.emit('warning', 'UNDO_FAILED', message);
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

function checkName(service: NodeService, name: string): void {
  if (service.groups.has(name)) {
    throw new UnderstudyError(
      'GROUP_EXISTS',
      `there is a group "${name}" already on node "${service.config.name}": choose another name or delete it`,
    );
  }
  if (service.groups.size >= GROUPS_MAX) {
    throw new UnderstudyError(
      'GROUPS_TOO_MANY',
      `node "${service.config.name}" has ${GROUPS_MAX} groups, which is the limit: put several directories into one group`,
    );
  }
}

function checkLocalDirectories(
  service: NodeService,
  definition: GroupDefinition,
  options: CreateOptions,
): string[] {
  const warnings: string[] = [];
  const occupied = service.occupied();
  for (const { dir, include, exclude } of definition.directories) {
    checkDirectory(dir, occupied);
    occupied.push(groupDirectory(dir, definition.name));
    if (!options.allowEmptyMatch) checkPatterns(dir, include);
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

function groupDirectory(dir: string, group: string): OccupiedDirectory {
  return { dir, owner: `group "${group}"`, kind: 'group' };
}

/** Finds a replication port that is free on both nodes, and lets the peer check everything. */
async function agreeOnPort(
  service: NodeService,
  draft: GroupDefinition,
  wanted: number | undefined,
): Promise<GroupDefinition> {
  for (let tried = 0; tried < PORTS_TRIED_MAX; tried += 1) {
    const replicationPort = wanted ?? PORT_FIRST + tried * PORT_STEP;
    const definition = { ...draft, replicationPort };
    try {
      await checkPort(service, replicationPort);
      await askForCheck(service, definition);
      return definition;
    } catch (thrown) {
      const isTaken = thrown instanceof UnderstudyError && thrown.code === 'PORT_IN_USE';
      if (!isTaken || wanted !== undefined) throw thrown;
    }
  }
  const last = PORT_FIRST + PORTS_TRIED_MAX * PORT_STEP;
  throw new UnderstudyError(
    'PORT_IN_USE',
    `no replication port between ${PORT_FIRST} and ${last} is free on both nodes: give one as "replication.port"`,
  );
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

/** Errors: PORT_IN_USE. */
async function checkPort(service: NodeService, port: number): Promise<void> {
  const { address, replicationAddress, name } = service.config;
  const taken = new UnderstudyError(
    'PORT_IN_USE',
    `port ${port}/tcp is in use on node "${name}": give another one as "replication.port"`,
    { details: { port, node: name } },
  );
  if (service.usedPorts().has(port)) throw taken;
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    server.listen(port, replicationAddress ?? address, () => resolve(true));
  });
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  if (!free) throw taken;
}

/** The standby's side of the checks before a group is created; changes nothing. */
export async function checkStandby(
  service: NodeService,
  request: StandbyRequest,
): Promise<CheckReply> {
  const { definition } = request;
  checkName(service, definition.name);
  const occupied = service.occupied();
  const where = `on node "${service.config.name}"`;
  for (const { dir, seed } of definition.directories) {
    checkOverlap(dir, occupied);
    occupied.push(groupDirectory(dir, definition.name));
    if (!existsSync(dir)) continue;
    checkDirectory(dir, []);
    if (!seed && !isEmptyDirectory(dir)) {
      throw new UnderstudyError(
        'STANDBY_DIRECTORY_NOT_EMPTY',
        `${dir} ${where} has other data in it, which would be replaced: move it away, or pass --seed to use it as a base (equal blocks are not sent again, everything else is overwritten)`,
        { details: { dir, node: service.config.name } },
      );
    }
  }
  await checkPort(service, definition.replicationPort);
  return { usedPorts: [...service.usedPorts()], warnings: [] };
}

/** Creates the standby of a group here. On failure nothing is left of it. */
export async function createStandby(service: NodeService, request: StandbyRequest): Promise<void> {
  await checkStandby(service, request);
  const { definition, ownership, epoch } = request;
  const created: string[] = [];
  try {
    definition.directories.forEach(({ dir }, index) => {
      if (createDirectory(dir, ownership[index])) created.push(dir);
    });
    const runtime = service.addGroup(definition, {
      ...initialState('standby', epoch),
      createdDirectories: created,
    });
    await runtime.exclusive(async () => {
      try {
        await runtime.startStandby();
      } catch (thrown) {
        await runtime.stopProcess();
        await forget(service, runtime);
        throw thrown;
      }
    });
    runtime.watch();
  } catch (thrown) {
    removeCreated(created);
    throw thrown;
  }
  service.emit('info', 'GROUP_CREATED', `this node is now a standby of "${definition.name}"`);
}

/** Returns true when the directory was not there before. */
function createDirectory(dir: string, ownership: Ownership | undefined): boolean {
  if (existsSync(dir)) return false;
  mkdirSync(dirname(dir), { recursive: true });
  mkdirSync(dir, { mode: 0o700 });
  if (ownership !== undefined) {
    chownSync(dir, ownership.uid, ownership.gid);
    chmodSync(dir, ownership.mode);
  }
  return true;
}

function removeCreated(created: readonly string[]): void {
  for (const dir of created) {
    try {
      rmdirSync(dir);
    } catch {
      // Something was put into it meanwhile: it stays.
    }
  }
}

/** Removes a standby on behalf of its primary's node. */
export async function deleteStandby(service: NodeService, runtime: GroupRuntime): Promise<void> {
  if (runtime.state.role === 'primary') {
    throw new UnderstudyError(
      'GROUP_IS_PRIMARY_HERE',
      `node "${service.config.name}" is the primary of group "${runtime.name}": delete it there`,
    );
  }
  await runtime.exclusive(async () => runtime.stopProcess());
  const created = runtime.state.createdDirectories;
  await service.removeGroup(runtime);
  removeCreated(created);
  service.emit('info', 'GROUP_DELETED', `group "${runtime.name}" was deleted`);
}

/**
 * Deletes a group on both nodes; the data stays. With `force`, also when the other node does not
 * answer. Errors: DIRECTORY_BUSY, NODE_UNREACHABLE, AGENT_FAILED.
 */
export async function deleteGroup(
  service: NodeService,
  name: string,
  { force }: { force: boolean },
): Promise<void> {
  const runtime = service.group(name);
  if (runtime.state.role === 'standby') {
    await deleteFromStandby(service, runtime, force);
    return;
  }
  if (!force) await service.link.client().ping();
  await runtime.exclusive(async () => {
    await runtime.stopAgents();
    const pid = runtime.process.pid;
    try {
      for (const { dir } of runtime.definition.directories) {
        checkNotInUse(dir, new Set(pid === undefined ? [] : [pid]));
      }
      await runtime.stopProcess();
    } catch (thrown) {
      await runtime.startAgents();
      throw thrown;
    }
  });
  await service.removeGroup(runtime);
  await undoOnPeer(service, runtime.definition);
  service.emit('info', 'GROUP_DELETED', `group "${name}" was deleted`);
}

async function deleteFromStandby(
  service: NodeService,
  runtime: GroupRuntime,
  force: boolean,
): Promise<void> {
  if (force) {
    await deleteStandby(service, runtime);
    return;
  }
  await service.link.client().call({
    method: 'POST',
    path: `/v1/groups/${runtime.name}/delete`,
    body: { groupId: runtime.definition.groupId },
    reply: emptyReplySchema,
    timeoutMs: 120_000,
  });
}
