// Ends the protection of a group on both nodes. The data stays where it is.
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { ORPHAN_DIRECTORY } from '../journal/record.ts';
import { removeShelf } from '../mirror/applier/shelf.ts';
import { checkNotInUse } from './directory-checks.ts';
import { removeRecord } from './failover/etcd-record.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { emptyReplySchema } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { removeCreated } from './standby-creation.ts';

/** What a process is busy with ends first, and what was kept to go back may be many files. */
const REMOVAL_TIMEOUT_MS = 600_000;

/** Removes a standby on behalf of its primary's node. */
export async function deleteStandby(service: NodeService, runtime: GroupRuntime): Promise<void> {
  if (runtime.state.role === 'primary') {
    throw new UnderstudyError(
      'GROUP_IS_PRIMARY_HERE',
      `node "${service.config.name}" is the primary of group "${runtime.name}": delete it there`,
    );
  }
  await service.failover.remove(runtime);
  await runtime.exclusive(async () => runtime.stopProcess());
  const created = runtime.state.createdDirectories;
  await removeShelves(runtime);
  await service.removeGroup(runtime);
  removeCreated(created);
  service.emit('info', 'GROUP_DELETED', `group "${runtime.name}" was deleted`, {
    group: runtime.name,
  });
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
  if (!force) await requirePeer(service, name);
  await stopServing(service, runtime);
  const isGoneThere = await removeFromPeer(service, runtime.definition);
  // Not before: for the other node, its silence would be that of a primary that has died.
  await service.failover.remove(runtime);
  await removeShelves(runtime);
  await service.removeGroup(runtime);
  service.emit('info', 'GROUP_DELETED', `group "${name}" was deleted`, { group: name });
  // As long as the other node may have the group, its record tells that one what it lacks.
  if (isGoneThere) await endRecord(service, runtime.definition);
}

async function requirePeer(service: NodeService, group: string): Promise<void> {
  try {
    await service.link.client().ping();
  } catch (cause) {
    if (!(cause instanceof UnderstudyError)) throw cause;
    const way = `nothing is deleted. When it does not come back: "understudy group delete ${group} --force"`;
    throw new UnderstudyError(cause.code, `${cause.message}; ${way}`, { cause });
  }
}

/** Ends application and process, under the lease of a managed group; on failure everything runs as before. */
async function stopServing(service: NodeService, runtime: GroupRuntime): Promise<void> {
  await service.failover.suspend(runtime);
  await runtime.exclusive(async () => {
    // Somebody else has deleted it while this one waited.
    service.groupById(runtime.name, runtime.definition.groupId);
    const pid = runtime.process.pid;
    try {
      await runtime.application.stop();
      for (const { dir } of runtime.definition.directories) {
        // The service itself holds the mounts of its groups (filter-holder.ts).
        checkNotInUse(dir, new Set(pid === undefined ? [process.pid] : [process.pid, pid]));
      }
      await runtime.stopProcess();
    } catch (thrown) {
      if (runtime.process.isAlive) await runtime.application.start();
      else await runtime.resume();
      service.failover.resume(runtime);
      throw thrown;
    }
  });
}

/** A failure is an event: nobody asks for the record any more. */
async function endRecord(service: NodeService, definition: GroupDefinition): Promise<void> {
  const { name, groupId, failover } = definition;
  if (failover === null) return;
  try {
    await removeRecord(service.failover.settingsOf(definition), groupId);
  } catch (thrown) {
    const message = `the record of group "${name}", which was deleted, is still in etcd, in a key that ends in ${groupId}: ${messageOf(thrown)}`;
    service.emit('warning', 'RECORD_LEFT', message, { group: name });
  }
}

/** What the copy kept to go back is of no use any more. */
async function removeShelves({ definition }: GroupRuntime): Promise<void> {
  for (const { dir } of definition.directories) {
    try {
      await removeShelf(dir);
      await rmdir(join(dir, ORPHAN_DIRECTORY));
    } catch {
      // It was not there, or has something else in it; a disk that fails is told of by others.
    }
  }
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
    timeoutMs: REMOVAL_TIMEOUT_MS,
  });
}

/**
 * Removes the standby from the other node; a failure is an event, since there is nothing to go back to. Resolves with true when
 * the group is not there for sure.
 */
export async function removeFromPeer(
  service: NodeService,
  definition: GroupDefinition,
): Promise<boolean> {
  try {
    await service.link.client().call({
      method: 'DELETE',
      path: `/v1/groups/${definition.name}`,
      body: { groupId: definition.groupId },
      reply: emptyReplySchema,
      timeoutMs: REMOVAL_TIMEOUT_MS,
    });
    return true;
  } catch (thrown) {
    if (thrown instanceof UnderstudyError && thrown.code === 'GROUP_UNKNOWN') return true;
    const message = `group "${definition.name}" could not be removed from the other node again: ${messageOf(thrown)}`;
    service.emit('warning', 'UNDO_FAILED', message, { group: definition.name });
    return false;
  }
}
