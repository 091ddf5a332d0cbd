// What this node remembers of one group: on the disk before it takes effect. With it goes where the journal of each
// generation is (journal-place.ts).
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { bootId } from '../linux/boot-id.ts';
import { writeJsonDurably } from './durable-file.ts';
import type { RuntimeContext } from './group-spec-builder.ts';
import type { GroupState } from './group-state.ts';
import { placeForNew, placeOf, processDirectory } from './journal-place.ts';
import type { GroupPaths } from './service-paths.ts';

const SEQUENCE_SAVE_INTERVAL_MS = 10_000;

export interface GroupStateKeeperOptions {
  readonly group: string;
  readonly state: GroupState;
  readonly files: GroupPaths;
  readonly config: RuntimeContext['config'];
  /** The disk for journals cannot be used. */
  readonly onJournalsNotUsed: (sentence: string) => void;
}

export class GroupStateKeeper {
  readonly #options: GroupStateKeeperOptions;
  #state: GroupState;
  /** The disk did not take the present state. */
  #isUnsaved = false;
  #roleSinceMs = 0;
  #sequenceSavedMs = Number.NEGATIVE_INFINITY;

  constructor(options: GroupStateKeeperOptions) {
    this.#options = options;
    this.#state = options.state;
  }

  get state(): GroupState {
    return this.#state;
  }

  /** `performance.now()` of the last change of this node's role; 0: none since the service was started. */
  get roleSinceMs(): number {
    return this.#roleSinceMs;
  }

  /** Persists a change before it takes effect. Errors: STATE_IO. */
  save(change: Partial<GroupState>): void {
    if (change.role !== undefined && change.role !== this.#state.role) {
      this.#roleSinceMs = performance.now();
    }
    this.#state = { ...this.#state, ...change, ...bootOf(change) };
    this.#isUnsaved = true;
    writeJsonDurably(this.#options.files.state, this.#state);
    this.#isUnsaved = false;
  }

  /** Before data is changed in the present role: it has to be known after a crash whose data that is. Errors: STATE_IO. */
  requireSaved(): void {
    if (this.#isUnsaved) this.save({});
  }

  /** Before anything is ended for it: whether what comes next could be remembered. Errors: STATE_IO. */
  requireWritable(): void {
    const { state } = this.#options.files;
    const aside = `${state}.new`;
    try {
      // Space is given at once; that it is durable is not the question, and would take time.
      writeFileSync(aside, JSON.stringify(this.#state), { mode: 0o600 });
      rmSync(aside);
    } catch (cause) {
      const why = `${state} could not be written, so nothing was changed: ${messageOf(cause)}; check space and that disk`;
      throw new UnderstudyError('STATE_IO', why, { cause });
    }
  }

  /** Kept in memory, and written now and then: the gap of group-state.ts covers the rest. */
  noteSequence(reached: number): void {
    if (reached <= this.#state.lastSequence) return;
    this.#state = { ...this.#state, lastSequence: reached };
    const now = performance.now();
    if (now - this.#sequenceSavedMs < SEQUENCE_SAVE_INTERVAL_MS) return;
    this.#sequenceSavedMs = now;
    try {
      this.save({});
    } catch {
      // A disk that has failed is told of by others; in here it would end the service in the middle
      // of handing the group over.
    }
  }

  /** To be saved together with the role: where a new generation has its journal. */
  newGeneration(generation: number): Pick<GroupState, 'generation' | 'journals'> {
    const { group, files, config, onJournalsNotUsed } = this.#options;
    const { journals } = config;
    const onUnusable = (why: string): void => {
      onJournalsNotUsed(
        `group "${group}": ${journals ?? ''} cannot be used for its journal (${why}): it is kept in ${files.directory} instead, until the next change of role`,
      );
    };
    return { generation, journals: placeForNew(journals, group, generation, onUnusable) };
  }

  /** State directory of the present generation. Errors: JOURNALS_MISSING. */
  place(): string {
    const { directory } = this.#options.files;
    const { generation, journals, role } = this.#state;
    const isNew = journals === null && !existsSync(processDirectory(directory, generation));
    // A standby that was just created: nothing has begun a generation for it.
    if (isNew && role === 'standby') this.save(this.newGeneration(generation));
    return placeOf({ own: directory, journals: this.#state.journals }, generation);
  }

  /** State directory of the present generation, which has begun. */
  get present(): string {
    const { generation, journals } = this.#state;
    return processDirectory(journals ?? this.#options.files.directory, generation);
  }

  /** Where state directories of this group are or were. */
  get places(): readonly string[] {
    const { group, files, config } = this.#options;
    const others = [
      this.#state.journals,
      config.journals === undefined ? null : join(config.journals, group),
    ];
    return [files.directory, ...new Set(others.filter((place) => place !== null))];
  }
}

function bootOf({ position }: Partial<GroupState>): Partial<GroupState> {
  if (position === undefined) return {};
  return { positionBoot: position === null ? null : bootId() };
}
