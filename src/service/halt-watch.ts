// Keeps a group from being started on directories that are not what they were, and tells of it.
import { UnderstudyError } from '../core/errors.ts';
import type { GroupState } from './group-state.ts';
import type { GroupTroubles } from './group-troubles.ts';
import type { DirectoryGuard } from './safety-identity.ts';

/** Between looks at directories that are not what they were. */
export const HALT_INTERVAL_MS = 2000;

export interface HaltWatchOptions {
  readonly group: string;
  readonly guard: DirectoryGuard;
  readonly troubles: GroupTroubles;
  readonly role: () => GroupState['role'];
  /** A process has the directories, or its mounts are held for the next one. */
  readonly areMountsHeld: () => boolean;
  readonly onHalt: (sentence: string) => void;
}

export class HaltWatch {
  readonly #options: HaltWatchOptions;

  constructor(options: HaltWatchOptions) {
    this.#options = options;
  }

  /**
   * Why no process may be started on the directories as they are, as a sentence; null: nothing is
   * known against it. Whoever is told is told once, and it is shown until it is over.
   */
  look(): string | null {
    const { guard, troubles, role, areMountsHeld } = this.#options;
    // While nobody serves mounts that are held, whoever looks at them waits.
    if (areMountsHeld()) return null;
    let halt = null;
    try {
      halt = guard.look(role());
    } catch {
      // A dead mount is in the way, or there is no directory: the process will see, and say so.
      return null;
    }
    if (halt !== null) return this.#note(halt.sentence);
    troubles.set('halt', null);
    return null;
  }

  #note(why: string): string {
    const { group, troubles, role, onHalt } = this.#options;
    const then = role() === 'primary' ? 'the copy is then made the same' : 'it is then filled anew';
    const sentence = `group "${group}" is halted on this node: ${why}. Bring back what was there; if it is right as it is now, run "understudy accept ${group}" here (${then})`;
    if (troubles.get('halt') === sentence) return sentence;
    troubles.set('halt', sentence);
    onHalt(sentence);
    return sentence;
  }

  /** The directories are to be taken as they are now. */
  accept(): void {
    this.#options.guard.accept();
    this.#options.troubles.set('halt', null);
  }

  /** Before and after a start. Errors: GROUP_HALTED. */
  refuse(): void {
    // Only after a start was refused: otherwise the process looks, which has to do so anyway.
    if (this.#options.guard.halt === null) return;
    const sentence = this.look();
    if (sentence !== null) throw new UnderstudyError('GROUP_HALTED', sentence);
  }
}
