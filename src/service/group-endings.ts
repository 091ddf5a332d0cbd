// How the process of a group is ended by its service: asked to, asked for something after which it ends, or at once.
import { UnderstudyError } from '../core/errors.ts';
import { readMountTable } from '../linux/mount-table.ts';
import { coverAgain } from '../mirror/cover.ts';
import type { GroupProcess } from './group-process.ts';
import type { GroupSuccession } from './group-succession.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';

/** Refusals after which a group process goes on as if nothing had been asked. */
const HARMLESS_REFUSALS: readonly string[] = ['DIRECTORY_BUSY', 'COPY_NOT_UP_TO_DATE'];
const LAST_WORDS_MS = 3000;
const END_TIMEOUT_MS = 30_000;
export const KILL_TIMEOUT_MS = 10_000;
export const SHUTDOWN_TIMEOUT_MS = 60_000;

export interface GroupEndingsOptions {
  readonly process: GroupProcess;
  readonly succession: () => GroupSuccession;
  readonly directories: () => readonly string[];
  /** Nothing is to start it again by itself. */
  readonly onBegin: () => void;
  readonly onStopped: () => void;
}

export interface KillOptions {
  readonly keepMounts?: boolean;
  readonly cover?: boolean;
}

export class GroupEndings {
  readonly #options: GroupEndingsOptions;
  #isExpected = false;

  constructor(options: GroupEndingsOptions) {
    this.#options = options;
  }

  /** The end of the process is no accident. */
  get isExpected(): boolean {
    return this.#isExpected;
  }

  /**
   * Calls a method after which the process ends by itself, and waits for its end; `onResult` is
   * called before that. When the method fails and the process lives on, nothing has changed.
   */
  async callLast(
    method: string,
    params: Record<string, unknown>,
    timeoutMs: number,
    onResult: (result: unknown) => void = () => undefined,
  ): Promise<unknown> {
    const { process, succession, onStopped } = this.#options;
    await succession().settled();
    this.#isExpected = true;
    try {
      const result = await process.call(method, params, timeoutMs);
      onResult(result);
      await process.waitForEnd(END_TIMEOUT_MS);
      onStopped();
      return result;
    } catch (thrown) {
      // Some failures are the last thing a process says; it has to be known which kind this was.
      const code = thrown instanceof UnderstudyError ? thrown.code : '';
      const livesOn = HARMLESS_REFUSALS.includes(code);
      if (!livesOn && (await process.endsWithin(LAST_WORDS_MS))) onStopped();
      throw thrown;
    } finally {
      this.#isExpected = false;
    }
  }

  /**
   * Ends the process, by force when it does not end by itself. `cover`: a standby follows, before which nobody is to write
   * the directories. Errors: DIRECTORY_BUSY; then it runs on.
   */
  async stop({ cover = false }: { cover?: boolean } = {}): Promise<void> {
    const { process, succession, onBegin, onStopped } = this.#options;
    onBegin();
    await succession().settled();
    if (process.isAlive) await this.#end();
    onStopped();
    this.#removeMounts(cover);
  }

  async #end(): Promise<void> {
    const { process } = this.#options;
    try {
      await this.callLast('shutdown', {}, SHUTDOWN_TIMEOUT_MS);
    } catch (thrown) {
      if (thrown instanceof UnderstudyError && thrown.code === 'DIRECTORY_BUSY') throw thrown;
      this.#isExpected = true;
      process.letGo();
      process.kill();
      await process.waitForEnd(KILL_TIMEOUT_MS);
      this.#isExpected = false;
    }
  }

  /**
   * Ends the process at once; what it had not sent stays here only. `keepMounts`: dead mounts stay,
   * by which the processes can be found that use them. `cover`: as in {@link stop}.
   */
  async kill({ keepMounts = false, cover = false }: KillOptions = {}): Promise<void> {
    const { process, succession, onBegin, onStopped } = this.#options;
    onBegin();
    this.#isExpected = true;
    // Applications that wait for the mounts are not to wait for nobody.
    process.letGo();
    try {
      await succession().giveUp();
      if (process.isAlive) process.kill();
      // Also of one that has ended already: from then on nothing is heard of it.
      await process.waitForEnd(KILL_TIMEOUT_MS);
    } finally {
      this.#isExpected = false;
    }
    onStopped();
    if (!keepMounts) this.#removeMounts(cover);
  }

  #removeMounts(cover: boolean): void {
    for (const dir of this.#options.directories()) {
      removeLeftoverMounts(dir, { covers: true });
      if (cover) coverAgain([dir], readMountTable());
    }
  }
}
