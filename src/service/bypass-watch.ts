// After the start of a primary: whether somebody works past its filter, and, once nobody does any more, the comparison
// that brings what was written so into the copy.
//
//   begin ─▶ look, look again ─▶ nobody twice ─▶ over
//                 └─▶ the same process twice ─▶ told ─(gone)─▶ compared ─▶ over
import { describeUser, type DirectoryUser } from './open-files.ts';

/** A process of the former role may still be ending, with its files open. */
const FIRST_LOOK_MS = 3000;
const AGAIN_MS = 3000;
/** A look at all descriptors of a machine costs some milliseconds. */
const WHILE_BYPASSED_MS = 15_000;

export interface BypassWatchOptions {
  readonly group: string;
  /** Undefined: the primary does not run any more. */
  readonly find: () => readonly DirectoryUser[] | undefined;
  readonly onBypass: (sentence: string | null) => void;
  /** Of the primary's process: it is so now; compare, it is over. */
  readonly noteBypassed: () => Promise<unknown>;
  readonly rescan: () => Promise<unknown>;
  readonly emit: (
    level: 'info' | 'error',
    code: string,
    sentence: string,
    details?: Record<string, string[]>,
  ) => void;
}

export class BypassWatch {
  readonly #options: BypassWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Pids of the look before. */
  #before: ReadonlySet<number> = new Set();
  #isTold = false;

  constructor(options: BypassWatchOptions) {
    this.#options = options;
  }

  /** A primary has begun to run. */
  begin(): void {
    this.#before = new Set();
    this.#again(FIRST_LOOK_MS);
  }

  /** The primary is gone, and so is what was known of it. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#isTold = false;
    this.#options.onBypass(null);
  }

  #again(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), delayMs).unref();
  }

  #look(): void {
    let users: readonly DirectoryUser[] | undefined;
    try {
      users = this.#options.find();
    } catch {
      // There is no descriptor for it at this moment.
      return this.#again(AGAIN_MS);
    }
    this.#judge(users);
  }

  #judge(users: readonly DirectoryUser[] | undefined): void {
    if (users === undefined) return this.stop();
    const { onBypass } = this.#options;
    const stayed = users.filter(({ pid }) => this.#before.has(pid) || this.#isTold);
    this.#before = new Set(users.map(({ pid }) => pid));
    if (stayed.length > 0) {
      const sentence = this.#sentence(stayed);
      onBypass(sentence);
      if (!this.#isTold) this.#tell(sentence, stayed);
      // Each time: it may be another process by now, and does no harm.
      this.#options.noteBypassed().catch(() => undefined);
      this.#again(WHILE_BYPASSED_MS);
    } else if (this.#isTold) void this.#over();
    else if (users.length > 0) this.#again(AGAIN_MS);
  }

  #tell(sentence: string, users: readonly DirectoryUser[]): void {
    this.#isTold = true;
    this.#options.emit('error', 'FILTER_BYPASSED', sentence, {
      processes: users.map(describeUser),
    });
  }

  #sentence(users: readonly DirectoryUser[]): string {
    const shown = users.slice(0, 5).map(describeUser).join('; ');
    return `group "${this.#options.group}": files were opened while the filter was not mounted, and what is written to them is not in the copy: restart ${shown}`;
  }

  /** What was written past the filter is found by a comparison; tried again when there can be none now. */
  async #over(): Promise<void> {
    const { group, onBypass, rescan, emit } = this.#options;
    try {
      await rescan();
    } catch {
      this.#again(WHILE_BYPASSED_MS);
      return;
    }
    this.#isTold = false;
    onBypass(null);
    const sentence = `group "${group}": nobody writes past the filter any more: both copies are compared`;
    emit('info', 'FILTER_BYPASS_OVER', sentence);
  }
}
