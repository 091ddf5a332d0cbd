// "understudy leave": before a machine is shut down, what it serves moves to the other node, and the other node knows that this one
// is gone on purpose. What cannot move is stopped in order.
import { messageOf } from '../core/errors.ts';
import { bringToDisk } from './bring-to-disk.ts';
import { leaveManaged } from './failover/managed-commands.ts';
import type { GroupRuntime } from './group-runtime.ts';
import type { NodeService } from './node-service.ts';

type Undone = 'failed' | 'unsaid' | 'unknown';

export interface LeftGroup {
  readonly group: string;
  /**
   * `standby`: it was one; `moved`: the other node serves it; `offered`: the other node may, and has not said that it does; `stopped`:
   * nobody does; `unmanaged`: it has no failover and stays as it is. Not done: `failed`: it is served here still; `unsaid`: it is
   * not, and the other node was not told that this one is gone on purpose; `unknown`: neither is sure.
   */
  readonly result: 'standby' | 'moved' | 'offered' | 'stopped' | 'unmanaged' | Undone;
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
    if (result === 'standby' || result === 'moved') return { group, result, why: null };
    const unsure = await toDisk(runtime);
    const { reason = null } = service.failover.viewOf(runtime) ?? {};
    return { group, result, why: unsure ?? reason };
  } catch (thrown) {
    const result = undone(service, runtime);
    const unsure = result === 'unsaid' ? await toDisk(runtime) : null;
    const why = messageOf(thrown);
    return { group, result, why: unsure === null ? why : `${why}; ${unsure}` };
  }
}

/** This node may lead when both are there again: what the power may take now, the copy that has it would lose as well. */
async function toDisk({ definition }: GroupRuntime): Promise<string | null> {
  return bringToDisk(definition.directories.map(({ dir }) => dir));
}

/** What is so after an error. A machine that said something else than what runs here is gone, or amid a change. */
function undone(service: NodeService, runtime: GroupRuntime): Undone {
  const { state, process, isSucceeding } = runtime;
  const said = service.failover.viewOf(runtime)?.role ?? state.role;
  if (said !== state.role) return 'unknown';
  if (state.role === 'standby') return 'unsaid';
  return process.isAlive || isSucceeding ? 'failed' : 'unknown';
}
