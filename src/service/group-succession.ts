// A process goes on in the place of a primary's that died, with the same mounts and in the same stream:
// applications only wait. Not one of the changes of role, which may themselves be waiting for the mounts: they
// wait for this instead, or give it up.
import { messageOf } from '../core/errors.ts';
import { within } from '../core/within.ts';
import type { ControlEvent } from './control-channel.ts';
import type { HeldFilter } from './filter-holder.ts';
import type { GroupProcess, ProcessExit } from './group-process.ts';
import type { GroupProcessSpec } from './group-spec.ts';

/** Processes that are started in the place of one that died, before its mounts are given up. */
const SUCCESSORS_MAX = 2;
const RETRY_KILL_MS = 50;
const KILL_TIMEOUT_MS = 10_000;

export interface GroupSuccessionOptions {
  readonly group: string;
  readonly process: GroupProcess;
  /** False: somebody ends the process, or the group is no primary any more. */
  readonly isWanted: () => boolean;
  readonly spec: (takeOver: HeldFilter) => GroupProcessSpec;
  /** The process was ended for this. */
  readonly isRenewal: () => boolean;
  readonly onSucceeded: () => void;
  readonly onFailed: (exit: ProcessExit) => void;
  readonly emit: (
    level: ControlEvent['level'],
    code: string,
    message: string,
    details?: ControlEvent['details'],
  ) => void;
}

export class GroupSuccession {
  readonly #options: GroupSuccessionOptions;
  #running: Promise<void> | undefined;

  constructor(options: GroupSuccessionOptions) {
    this.#options = options;
  }

  /** A successor is being started: the process is neither there nor lost. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Resolves when no succession is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** The process has died; its mounts are held. */
  begin(exit: ProcessExit): void {
    this.#running = this.#carryOut(exit);
  }

  async #carryOut(exit: ProcessExit): Promise<void> {
    let isDone = false;
    try {
      isDone = await this.#succeed(exit);
    } finally {
      this.#running = undefined;
    }
    if (isDone) return;
    // Whoever hears of it may start another process: none is being started any more.
    this.#options.process.letGo();
    this.#options.onFailed(exit);
  }

  /** Ends one that is under way; the mounts must have been let go. */
  async giveUp(): Promise<void> {
    if (this.#running === undefined) return;
    const ended = this.#running.then(() => true);
    while (!(await within(ended, RETRY_KILL_MS))) this.#options.process.kill();
  }

  /** True when another process goes on. */
  async #succeed(exit: ProcessExit): Promise<boolean> {
    const { group, process, isWanted, spec, emit } = this.#options;
    const started = performance.now();
    for (let tries = 0; tries < SUCCESSORS_MAX; tries += 1) {
      const takeOver = process.held;
      if (takeOver === null || !isWanted()) break;
      try {
        await process.start(spec(takeOver));
        if (process.held === null) break;
        this.#options.onSucceeded();
        this.#tell(exit, Math.round(performance.now() - started));
        return true;
      } catch (thrown) {
        emit('warning', 'SUCCESSION_FAILED', `group "${group}": ${messageOf(thrown)}`);
        if (process.isAlive) process.kill();
        await process.endsWithin(KILL_TIMEOUT_MS);
      }
    }
    return false;
  }

  #tell({ how, logTail }: ProcessExit, ms: number): void {
    const { group, isRenewal, emit } = this.#options;
    const next = `another one went on in its place after ${ms} ms, open files and all`;
    if (isRenewal()) {
      const sentence = `the primary process of group "${group}" was replaced: ${next}`;
      emit('info', 'GROUP_PROCESS_RENEWED', sentence, { ms });
      return;
    }
    const sentence = `the primary process of group "${group}" ended unexpectedly (${how}): ${next}`;
    emit('warning', 'GROUP_PROCESS_SUCCEEDED', sentence, { how, log: logTail, ms });
  }
}
