// "understudy leave": before a machine is shut down, what it serves moves to the other node, and the other node knows that this one
// is gone on purpose. What cannot move is stopped in order.
import { messageOf } from '../core/errors.ts';
import { bringToDisk } from './bring-to-disk.ts';
import { leaveManaged } from './failover/managed-commands.ts';
import type { GroupRuntime } from './group-runtime.ts';
import type { NodeService } from './node-service.ts';

export interface LeftGroup {
  readonly group: string;
  /**
   * `standby`: it was one; `moved`: the other node serves it; `stopped`: nobody does; `unmanaged`: it has no failover and stays as it
   * is; `failed`: it is served here still.
   */
  readonly result: 'standby' | 'moved' | 'stopped' | 'unmanaged' | 'failed';
  /** Why, as a sentence; null where there is nothing to say. */
  readonly why: string | null;
}

/** `groups`: in order of their names. */
export interface LeaveReport {
  readonly node: string;
  readonly groups: readonly LeftGroup[];
}

export async function leave(service: NodeService): Promise<LeaveReport> {
  service.failover.noteGoodbyes();
  const runtimes = Array.from(service.groups.values());
  const groups = await Promise.all(runtimes.map(async (one) => leaveGroup(service, one)));
  return {
    node: service.config.name,
    groups: groups.toSorted((a, b) => a.group.localeCompare(b.group)),
  };
}

async function leaveGroup(service: NodeService, runtime: GroupRuntime): Promise<LeftGroup> {
  const group = runtime.name;
  if (!runtime.isManaged) return { group, result: 'unmanaged', why: null };
  try {
    const result = await leaveManaged(service, runtime);
    if (result !== 'stopped') return { group, result, why: null };
    // This node leads when both are there again: what the power may take now, the copy that has it would lose as well.
    const unsure = await bringToDisk(runtime.definition.directories.map(({ dir }) => dir));
    const { reason = null } = service.failover.of(runtime).view ?? {};
    return { group, result, why: unsure ?? reason };
  } catch (thrown) {
    return { group, result: 'failed', why: messageOf(thrown) };
  }
}
