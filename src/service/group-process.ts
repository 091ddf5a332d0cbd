// One group process seen from the service: started, or found running and adopted, watched, called
// and ended.
//
//   stopped ──start()──▶ starting ──answers──▶ running ──exit──▶ stopped
//      └────adopt()─────────▲
//
// The process holds the group's lock (process-lock.ts) through a descriptor it inherits, so it is
// known to live even when its control socket does not answer, and never runs twice.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../core/errors.ts';
import { ControlClient, type ControlEvent, type ControlParams } from './control-channel.ts';
import { writeJsonDurably } from './durable-file.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import { isLocked, lockOwner, tryLock } from './process-lock.ts';
import type { GroupPaths } from './service-paths.ts';

const START_TIMEOUT_MS = 30_000;
const ADOPT_TIMEOUT_MS = 10_000;
const RETRY_MS = 50;
const LOCK_INTERVAL_MS = 500;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const LOG_TAIL_LINES = 6;

/** Scripts of the two kinds of group process. */
export interface GroupPrograms {
  readonly primary: string;
  readonly standby: string;
}

export interface ProcessExit {
  /** `exit code 1`, `SIGKILL`, or `unknown` for a process that was adopted. */
  readonly how: string;
  /** What it wrote last. */
  readonly logTail: string;
}

export interface GroupProcessOptions {
  readonly group: string;
  readonly paths: GroupPaths;
  readonly programs: GroupPrograms;
  readonly onEvent: (event: ControlEvent) => void;
  readonly onNotice: (notice: unknown) => void;
  /** Called once for every process that ended, expected or not. */
  readonly onExit: (exit: ProcessExit) => void;
}

export type ProcessStatus = Readonly<Record<string, unknown>>;

export class GroupProcess {
  readonly #options: GroupProcessOptions;
  #client: ControlClient | undefined;
  #child: ChildProcess | undefined;
  /** Resolves when the present process has ended. */
  #ended: Promise<void> | undefined;
  /** Makes the watcher of an adopted process look at its lock now. */
  #nudge: (() => void) | undefined;
  /** How the present process ended. */
  #exit: ProcessExit | undefined;

  constructor(options: GroupProcessOptions) {
    this.#options = options;
  }

  /** Whether a process of this group lives, of whichever service. */
  get isAlive(): boolean {
    return isLocked(this.#options.paths.lock);
  }

  get pid(): number | undefined {
    return this.isAlive ? lockOwner(this.#options.paths.lock) : undefined;
  }

  /**
   * Starts a process and waits until it answers. Errors: GROUP_PROCESS_RUNNING,
   * GROUP_PROCESS_START_FAILED with the end of its log.
   */
  async start(spec: GroupProcessSpec): Promise<ProcessStatus> {
    const { paths, group, programs } = this.#options;
    writeJsonDurably(paths.spec, spec);
    const lock = tryLock(paths.lock);
    if (lock === undefined) {
      throw new UnderstudyError(
        'GROUP_PROCESS_RUNNING',
        `a process of group "${group}" (pid ${lockOwner(paths.lock) ?? '?'}) is still running: end it first`,
      );
    }
    const log = openLog(paths.log);
    try {
      const child = spawn(process.execPath, [programs[spec.role], '--spec', paths.spec], {
        cwd: '/',
        detached: true,
        // The fourth descriptor is the lock: it is free again when the process has ended.
        stdio: ['ignore', log, log, lock.fd],
      });
      if (child.pid !== undefined) lock.note(child.pid);
      child.unref();
      this.#child = child;
      this.#exit = undefined;
      this.#ended = this.#watchChild(child);
    } finally {
      closeSync(log);
      lock.release();
    }
    return this.#connect(START_TIMEOUT_MS);
  }

  /**
   * Connects to the process that an earlier service started. Errors: GROUP_PROCESS_SILENT when it
   * lives and does not answer.
   */
  async adopt(): Promise<ProcessStatus> {
    this.#child = undefined;
    this.#exit = undefined;
    this.#ended = this.#watchLock();
    return this.#connect(ADOPT_TIMEOUT_MS);
  }

  /** Calls a method of the process. Errors: its own, GROUP_PROCESS_DOWN, and of the channel. */
  async call(method: string, params: ControlParams, timeoutMs: number): Promise<unknown> {
    const client = this.#client;
    if (client === undefined || client.isClosed) {
      throw new UnderstudyError(
        'GROUP_PROCESS_DOWN',
        `the process of group "${this.#options.group}" does not run: see "understudy status"`,
      );
    }
    return client.call(method, params, timeoutMs);
  }

  async status(timeoutMs = 3000): Promise<ProcessStatus> {
    return (await this.call('status', {}, timeoutMs)) as ProcessStatus;
  }

  /** Waits for the end of the process; false when it lives on after `timeoutMs`. */
  async endsWithin(timeoutMs: number): Promise<boolean> {
    if (this.#ended === undefined || !this.isAlive) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    try {
      return await Promise.race([this.#ended.then(() => true), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for the end of the process; kills it when it takes longer than `timeoutMs`. */
  async waitForEnd(timeoutMs: number): Promise<void> {
    if (await this.endsWithin(timeoutMs)) return;
    this.kill();
    await this.#ended;
  }

  /** SIGKILL; the end is reported as for every other. */
  kill(): void {
    const pid = this.pid;
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in this moment.
    }
  }

  /** Lets go of a process that goes on running (the service stops). */
  release(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#child?.removeAllListeners();
  }

  async #connect(timeoutMs: number): Promise<ProcessStatus> {
    const { paths, group } = this.#options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        const client = await ControlClient.connect(paths.controlSocket, 1000);
        const status = (await client.call('status', {}, 5000)) as ProcessStatus;
        this.#client = client;
        client.onEvent(this.#options.onEvent);
        client.onNotice(this.#options.onNotice);
        client.onClose(() => this.#nudge?.());
        return status;
      } catch (cause) {
        if (this.#exit !== undefined) throw startFailed(group, this.#exit);
        if (performance.now() > deadline) {
          throw new UnderstudyError(
            'GROUP_PROCESS_SILENT',
            `the process of group "${group}" (pid ${this.pid ?? '?'}) runs but does not answer on ${paths.controlSocket}: see ${paths.log}`,
            { cause },
          );
        }
        await sleep(RETRY_MS);
      }
    }
  }

  async #watchChild(child: ChildProcess): Promise<void> {
    const how = await new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? '?'}`));
    });
    this.#finished(how);
  }

  /** For a process that is not our child: its lock tells. */
  async #watchLock(): Promise<void> {
    while (this.isAlive) {
      // The end of the connection is a good moment to look at once.
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOCK_INTERVAL_MS).unref();
        this.#nudge = () => {
          clearTimeout(timer);
          this.#nudge = undefined;
          setTimeout(resolve, RETRY_MS);
        };
      });
    }
    this.#finished('unknown');
  }

  #finished(how: string): void {
    this.#client?.close();
    this.#client = undefined;
    this.#exit = { how, logTail: tailOf(this.#options.paths.log) };
    this.#options.onExit(this.#exit);
  }
}

function startFailed(group: string, { how, logTail }: ProcessExit): UnderstudyError {
  return new UnderstudyError(
    'GROUP_PROCESS_START_FAILED',
    `the process of group "${group}" ended while starting (${how}): ${logTail}`,
    { details: { group, how } },
  );
}

function openLog(path: string): number {
  const size = existsSync(path) ? statSync(path).size : 0;
  if (size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

function tailOf(path: string): string {
  if (!existsSync(path)) return '';
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.slice(-LOG_TAIL_LINES).join(' | ').slice(-2000);
}
