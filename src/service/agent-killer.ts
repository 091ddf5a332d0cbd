// The last means against an application that does not stop: SIGKILL to everything that uses the
// group's directories, so that they can be unmounted.
import { setTimeout as sleep } from 'node:timers/promises';
import { type DirectoryUser, findDirectoryUsers } from './open-files.ts';

const LOOK_INTERVAL_MS = 20;

export interface KillOptions {
  /** Processes of Understudy itself, as of that moment: the group's own process above all, which may have a successor meanwhile. */
  readonly ignorePids: () => ReadonlySet<number>;
  /** How long to wait until nobody uses the directories any more. */
  readonly timeoutMs: number;
}

export interface KillResult {
  /** Processes that got a SIGKILL. */
  readonly killed: readonly DirectoryUser[];
  /** Those that live on: a process that waits in the kernel for a dead disk cannot be killed. */
  readonly left: readonly DirectoryUser[];
}

/**
 * Kills every process that has something of `directories` open, mapped, or as its working directory,
 * and waits until they are gone. What such a process starts meanwhile is found in the next round.
 * To be called while the directories are still mounted: the paths of a detached mount are unknown.
 */
export async function killAgents(
  directories: readonly string[],
  { ignorePids, timeoutMs }: KillOptions,
): Promise<KillResult> {
  const deadline = performance.now() + timeoutMs;
  const killed = new Map<number, DirectoryUser>();
  for (;;) {
    const left = usersOf(directories, new Set([...ignorePids(), process.pid, 1]));
    for (const user of left) {
      if (kill(user.pid)) killed.set(user.pid, user);
    }
    if (left.length === 0 || performance.now() >= deadline) {
      return { killed: [...killed.values()], left };
    }
    await sleep(LOOK_INTERVAL_MS);
  }
}

function usersOf(
  directories: readonly string[],
  ignorePids: ReadonlySet<number>,
): readonly DirectoryUser[] {
  const users = new Map<number, DirectoryUser>();
  for (const directory of directories) {
    // A file without a name holds the mount as well as any other.
    for (const user of findDirectoryUsers(directory, ignorePids, { deletedToo: true })) {
      if (!users.has(user.pid)) users.set(user.pid, user);
    }
  }
  return [...users.values()];
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    // It ended by itself in this moment.
    return false;
  }
}
