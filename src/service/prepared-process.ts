// A process that waits to become the primary of a group: loading its code takes most of the time of a
// promotion, and can be done before. One at a time; one that dies is replaced.
import { GroupChild } from './group-child.ts';
import { RestartBackoff } from './restart-backoff.ts';

export interface PreparedProcessOptions {
  readonly program: string;
  readonly logPath: string;
  readonly lockPath: string;
  /** The specification of the present process, to practise with. */
  readonly specPath: string;
}

export class PreparedProcess {
  readonly #options: PreparedProcessOptions;
  readonly #retry = new RestartBackoff(() => this.#spawn());
  #child: GroupChild | undefined;
  #isWanted = false;

  constructor(options: PreparedProcessOptions) {
    this.#options = options;
  }

  /** Process id of the one that waits. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** It has loaded everything and waits. */
  get isReady(): boolean {
    return this.#child?.isWaiting === true;
  }

  /** Keeps one waiting from now on. */
  keep(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#spawn();
  }

  /** Gives away the one that waits, if its lock is still the group's. */
  take(): GroupChild | undefined {
    const child = this.#child;
    this.#isWanted = false;
    this.#retry.cancel();
    this.#child = undefined;
    if (child === undefined || child.lock.isCurrent()) return child;
    child.dismiss();
    return undefined;
  }

  /** None is wanted any more. */
  dismiss(): void {
    this.take()?.dismiss();
  }

  #spawn(): void {
    if (!this.#isWanted || this.#child !== undefined) return;
    const { program, logPath, lockPath, specPath } = this.#options;
    try {
      const child = GroupChild.prepared({ program, logPath }, { lockPath, specPath });
      this.#child = child;
      this.#retry.started();
      void child.ended.then(() => this.#ended(child));
    } catch {
      // No descriptor, or no room for its lock, at this moment: it only spares time, and the group goes on.
      this.#retry.schedule();
    }
  }

  #ended(child: GroupChild): void {
    if (child !== this.#child) return;
    child.closeLock();
    this.#child = undefined;
    this.#retry.schedule();
  }
}
