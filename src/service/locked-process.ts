// A process of which there is one for each purpose, and which outlives the service that started it: known by the lock that it
// inherits (process-lock.ts), found again through its control socket. What group processes (group-process.ts) and the cluster
// process (failover/cluster-process.ts) have in common.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from './control-channel.ts';
import { openLogFile } from './log-file.ts';
import { isLocked, lockOwner, type ProcessLock } from './process-lock.ts';

const CONNECT_TIMEOUT_MS = 1000;
const RETRY_MS = 20;

export interface LockedProcessPaths {
  readonly lock: string;
  readonly controlSocket: string;
}

export class LockedProcess {
  readonly #paths: LockedProcessPaths;

  constructor(paths: LockedProcessPaths) {
    this.#paths = paths;
  }

  /** Whether it lives, of whichever service. */
  get isAlive(): boolean {
    return isLocked(this.#paths.lock);
  }

  get pid(): number | undefined {
    return this.isAlive ? lockOwner(this.#paths.lock) : undefined;
  }

  /** SIGKILL. */
  kill(): void {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in this moment.
    }
  }

  /** False when it still lives after `timeoutMs`. */
  async endsWithin(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.isAlive) {
      if (performance.now() > deadline) return false;
      await sleep(RETRY_MS);
    }
    return true;
  }

  /**
   * Connects as soon as it answers and `greet` succeeds. Rejects with what went wrong last when it `hasEnded`, or has
   * not answered within `timeoutMs`.
   */
  async connect<T>(
    greet: (client: ControlClient) => Promise<T>,
    until: { readonly timeoutMs: number; readonly hasEnded: () => boolean },
  ): Promise<T> {
    const deadline = performance.now() + until.timeoutMs;
    for (;;) {
      let client: ControlClient | undefined;
      try {
        client = await ControlClient.connect(this.#paths.controlSocket, CONNECT_TIMEOUT_MS);
        return await greet(client);
      } catch (cause) {
        client?.close();
        if (until.hasEnded() || performance.now() > deadline) throw cause;
        await sleep(RETRY_MS);
      }
    }
  }
}

export interface LockedSpawn {
  readonly program: string;
  readonly args: readonly string[];
  /** Of Node. */
  readonly flags: readonly string[];
  readonly logPath: string;
  readonly lock: ProcessLock;
  /** With a channel of Node between both, until one of them closes it. */
  readonly hasChannel?: boolean;
}

/** Starts a program that inherits the lock, and does not end with this process. */
export function spawnLocked(what: LockedSpawn): ChildProcess {
  const { program, args, flags, logPath, lock, hasChannel = false } = what;
  const log = openLogFile(logPath);
  try {
    const child = spawn(process.execPath, [...flags, program, ...args], {
      cwd: '/',
      detached: true,
      // The fourth descriptor is the lock: it is free again when the process has ended.
      stdio: ['ignore', log, log, lock.fd, ...(hasChannel ? ['ipc' as const] : [])],
    });
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}
