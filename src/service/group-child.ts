// One child of the service that is a group process, or may become one (group-program.ts has the other
// side). It outlives the service once it has begun.
import type { ChildProcess } from 'node:child_process';
import { within } from '../core/within.ts';
import { BEGINS, type BeginMessage, LISTENS, PREPARED_ARGUMENT, WAITS } from './group-program.ts';
import { spawnLocked } from './locked-process.ts';
import { type LockFile, openLock } from './process-lock.ts';

/** A prepared process that does not stir within so long is given up: a fresh one takes seconds, too. */
const BEGIN_TIMEOUT_MS = 3000;
/** One that still loads its code is further than a fresh one would be. */
const LOAD_TIMEOUT_MS = 10_000;

/** What is allocated lives long or dies at once: a large nursery only keeps garbage. */
const FLAGS = ['--max-semi-space-size=2', '--v8-pool-size=1'];

export interface GroupChildOptions {
  readonly program: string;
  readonly logPath: string;
  /** Inherited by the child; open here until {@link GroupChild.closeLock}. */
  readonly lock: LockFile;
}

export class GroupChild {
  readonly #child: ChildProcess;
  readonly lock: LockFile;
  /** How it ended: `exit code 1`, `SIGKILL`. */
  readonly ended: Promise<string>;
  readonly #listens: Promise<void>;
  #isWaiting = false;
  #hasEnded = false;
  #isLockOpen = true;

  private constructor({ program, logPath, lock }: GroupChildOptions, args: readonly string[]) {
    this.lock = lock;
    this.#child = spawnLocked({ program, args, flags: FLAGS, logPath, lock, hasChannel: true });
    this.#child.channel?.unref();
    this.ended = this.#watch();
    this.#listens = this.#heard(LISTENS);
    void this.#heard(WAITS).then(() => (this.#isWaiting = true));
  }

  /** Starts a process that begins at once. */
  static begun(options: GroupChildOptions, specPath: string): GroupChild {
    return new GroupChild(options, ['--spec', specPath]);
  }

  /** Starts a process that waits for {@link begin}. */
  static prepared(
    options: Omit<GroupChildOptions, 'lock'>,
    { lockPath, specPath }: { readonly lockPath: string; readonly specPath: string },
  ): GroupChild {
    const args = [PREPARED_ARGUMENT, '--spec', specPath];
    const lock = openLock(lockPath);
    try {
      return new GroupChild({ ...options, lock }, args);
    } catch (thrown) {
      lock.release();
      throw thrown;
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** It was prepared, and has loaded everything. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Lets a prepared process begin; false when it does not react, then it is of no use. */
  async begin(specPath: string): Promise<boolean> {
    const begins = this.#heard(BEGINS).then(() => true);
    if (this.#child.connected) {
      this.#child.send({ begin: specPath } satisfies BeginMessage, () => undefined);
    }
    return this.#within(this.#isWaiting ? BEGIN_TIMEOUT_MS : LOAD_TIMEOUT_MS, begins);
  }

  /** Waits until its control socket answers; false when it ended instead, or takes longer. */
  async listens(timeoutMs: number): Promise<boolean> {
    return this.#within(
      timeoutMs,
      this.#listens.then(() => true),
    );
  }

  async #within(timeoutMs: number, what: Promise<boolean>): Promise<boolean> {
    return within(Promise.race([what, this.ended.then(() => false)]), timeoutMs);
  }

  /** Closes this process's descriptor of the lock: from now on it is the child's alone. */
  closeLock(): void {
    if (this.#isLockOpen) this.lock.release();
    this.#isLockOpen = false;
  }

  kill(): void {
    if (!this.#hasEnded) this.#child.kill('SIGKILL');
  }

  /** Ends it at once, and gives its lock back. */
  async end(): Promise<void> {
    this.kill();
    await this.ended;
    this.closeLock();
  }

  /** Ends a prepared process that is not wanted any more. */
  dismiss(): void {
    this.closeLock();
    if (this.#child.connected) this.#child.disconnect();
  }

  /** Kills it if it has not ended by itself within `timeoutMs`. */
  expectEnd(timeoutMs: number): void {
    const timer = setTimeout(() => this.kill(), timeoutMs).unref();
    void this.ended.then(() => clearTimeout(timer));
  }

  async #watch(): Promise<string> {
    const how = await new Promise<string>((resolve) => {
      this.#child.on('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? '?'}`));
    });
    this.#hasEnded = true;
    return how;
  }

  async #heard(what: string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#child.on('message', (message) => {
        if (message === what) resolve();
      });
    });
  }
}
