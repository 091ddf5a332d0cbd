// What the primary's process makes of others that meddle with its mounts, and of those who still have one of its file
// systems when it ends. Data first: what was written past the filter is in no record, so a stream that it may have happened
// beside is never closed as complete: the next one compares both copies.
import { UnderstudyError } from '../core/errors.ts';
import { within } from '../core/within.ts';
import type { Filter } from '../filter/filter.ts';

/** The end of the last user of a file system may come a little after that of its mount. */
const OTHERS_PATIENCE_MS = 3000;
const CUT_OFF_TIMEOUT_MS = 10_000;

export interface MountWatchOptions {
  readonly group: string;
  readonly filter: Pick<Filter, 'lookAtMounts' | 'lost' | 'cutOff'>;
  /** Applications may work underneath: the process is to end, and another one to mount anew. */
  readonly onLost: (dirs: readonly string[], sentence: string) => void;
  readonly emit: (level: 'info' | 'warning' | 'error', code: string, sentence: string) => void;
}

export class MountWatch {
  readonly #options: MountWatchOptions;
  #covered: readonly string[] = [];
  #isOver = false;

  constructor(options: MountWatchOptions) {
    this.#options = options;
  }

  /** Directories over which somebody has mounted something else. */
  get covered(): readonly string[] {
    return this.#covered;
  }

  /** A look, which costs next to nothing while no mount of the machine changes. */
  look(): void {
    if (this.#isOver) return;
    const found = this.#options.filter.lookAtMounts();
    if (found === undefined) return;
    if (found.gone.length > 0) return this.lost(found.gone);
    this.#noteCovered(found.covered);
  }

  /** The mounts of `dirs` are gone, and nobody in here took them away. */
  lost(dirs: readonly string[]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onLost(dirs, lostSentence(dirs));
  }

  #noteCovered(covered: readonly string[]): void {
    const { emit } = this.#options;
    for (const dir of covered.filter((each) => !this.#covered.includes(each)))
      emit('error', 'MOUNT_COVERED', coveredSentence(dir));
    for (const dir of this.#covered.filter((each) => !covered.includes(each)))
      emit('info', 'MOUNT_UNCOVERED', `${dir} is visible again`);
    this.#covered = covered;
  }

  /**
   * Waits until nobody uses the file systems any more, once they are unmounted; who still does after a while is cut
   * off. Resolves with what `ended` does. Errors: MOUNT_LOST, UNMOUNT_FAILED; then the stream is not complete.
   */
  async untilEnded(ended: Promise<number>): Promise<number> {
    this.#isOver = true;
    const { filter, group, emit } = this.#options;
    // A number may be 0.
    const end = ended.then((sequence) => ({ sequence }));
    let result = await within(end, OTHERS_PATIENCE_MS);
    if (result === false) {
      const cut = filter.cutOff();
      if (cut.length > 0) emit('warning', 'USERS_CUT_OFF', cutOffSentence(cut));
      result = await within(end, CUT_OFF_TIMEOUT_MS);
    }
    if (result === false) {
      const why = `the file systems of group ${group} are still in use although they are mounted nowhere`;
      throw new UnderstudyError('UNMOUNT_FAILED', `${why}: the process ends without their end`);
    }
    const { lost } = filter;
    if (lost.length > 0) throw new UnderstudyError('MOUNT_LOST', lostSentence(lost));
    return result.sequence;
  }
}

function lostSentence(dirs: readonly string[]): string {
  const [what, it] = dirs.length === 1 ? ['mount', 'it'] : ['mounts', 'them'];
  return `somebody took away the filter's ${what} on ${dirs.join(', ')}: what applications have written there since went past the filter. The group mounts ${it} anew and compares both copies; files that were still open through the former ${what} give errors now: restart who had them open`;
}

/** Of directories that were unmounted to end the group, which could not come to its end then; `why` is a sentence. */
export function givenBackSentence(dirs: readonly string[], why: string): string {
  return `${dirs.join(', ')} had been unmounted already when this came up: ${why}. What applications have written there since went past the filter: the group mounts all of its directories anew and compares both copies. Then try again`;
}

/** For people. */
export function coveredSentence(dir: string): string {
  return `somebody mounted another file system over ${dir}: what applications open there now is not protected, and the copy does not get it. Unmount it, or mount it elsewhere`;
}

/** Of the status of a primary's process: what is to be shown as long as it is so. */
export function coveredTrouble(status: Readonly<Record<string, unknown>>): string | null {
  const directories = (status['directories'] ?? []) as readonly {
    readonly dir: string;
    readonly covered?: boolean;
  }[];
  const covered = directories.filter((one) => one.covered === true);
  return covered.length === 0 ? null : covered.map(({ dir }) => coveredSentence(dir)).join('; ');
}

function cutOffSentence(dirs: readonly string[]): string {
  return `${dirs.join(', ')} had been unmounted and was still in use: by files that were open when somebody took the mount away, or in another mount namespace (a container). Those users get errors from now on: restart them`;
}
