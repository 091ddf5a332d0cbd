// The past of a copy: it is taken back to an earlier state, because an operator wants that, or because a
// scan did not come to its end.
//
//   complete ──stage, scan──▶ syncing ──end of the scan──▶ complete
//                                └──cut short──▶ returnToStaged ──▶ complete, as before the scan
//   complete ──rewind──▶ rewound, no primary is taken ──release──▶ complete
//
// A rollback that a crash cuts short is done again from its beginning at the next start.
import { UnderstudyError } from '../core/errors.ts';
import type { StandbyStateData } from '../journal/standby-state.ts';
import type { UndoNews } from './applier/undo-keeper.ts';
import type { CopyCourse } from './copy-course.ts';
import {
  Rewinder,
  type RewindState,
  type RewindWish,
  type RewoundStandby,
  stateOf,
} from './rewind.ts';
import { undoEvent } from './standby-events.ts';
import type { StandbyParts } from './standby-parts.ts';

export class CopyPast {
  readonly #parts: StandbyParts;
  readonly #course: CopyCourse;
  /** Bookmarks and earlier states. */
  readonly rewinder: Rewinder;
  /** The copy is being taken back. */
  #returning: Promise<void> = Promise.resolve();

  constructor(parts: StandbyParts, course: CopyCourse) {
    this.#parts = parts;
    this.#course = course;
    this.rewinder = new Rewinder(this.#rewound(), parts.undo, parts.bookmarks);
  }

  /** Goes on with a way back that the end of the process cut short. False: there was none. */
  resume(): boolean {
    const { state, undo, handlers } = this.#parts;
    const { copy, checkpoint, staged } = state.data;
    const goingBackTo = undo.goingBackTo ?? Number.POSITIVE_INFINITY;
    if (copy === 'complete' && goingBackTo < checkpoint.sequence) {
      this.#returning = this.#resumeRewind(goingBackTo);
      // A scan that was cut short is not gone on with: only memory knew its course.
    } else if (copy === 'syncing' && staged !== null) this.#returning = this.returnToStaged();
    else return false;
    this.#returning.catch((error: unknown) => handlers.onFatal(error));
    return true;
  }

  /** Resolves when the copy is not on its way back any more; rejects when it could not be taken back. */
  async settled(): Promise<void> {
    await this.#returning;
  }

  /**
   * Takes the copy back for good, to be promoted: records behind that state are forgotten, and no primary
   * is taken until {@link release}. Errors: REWIND_BUSY, and those of {@link Rewinder.resolve} and
   * {@link UndoHost.goBack}.
   */
  async rewind(wish: RewindWish): Promise<RewindState> {
    const { options, receiver } = this.#parts;
    // After a power cut in the middle of it, the one that was asked for before comes first.
    await this.settled();
    // Nothing is given up for a moment that cannot be reached.
    await this.rewinder.resolve(wish);
    return this.#course.paused(async () => {
      const moment = await this.rewinder.resolve(wish);
      receiver.hold(`the copy of ${options.group} was taken back by an operator`);
      await receiver.settle();
      await this.#rewindTo(moment.sequence);
      return stateOf(moment);
    });
  }

  /** A copy that was taken back is not promoted after all: the primary may change it again. */
  release(): void {
    this.#parts.state.update({ rewound: false });
    this.#parts.receiver.hold(null);
  }

  /** Nothing is applied meanwhile. What a crash cuts short is gone on with at the next start. */
  async #rewindTo(sequence: number): Promise<void> {
    const { handlers, undo, receiver } = this.#parts;
    try {
      await undo.goBack(sequence);
    } catch (error) {
      const isUnchanged = error instanceof UnderstudyError && error.code !== 'ROLLBACK_FAILED';
      if (isUnchanged) receiver.hold(null);
      else handlers.onFatal(error);
      throw error;
    }
    try {
      await this.#noteRewound(sequence);
    } catch (error) {
      // Only the note of the way back knows where the copy is: the next process goes on from that.
      handlers.onFatal(error);
      throw error;
    }
  }

  async #noteRewound(sequence: number): Promise<void> {
    const { options, handlers, undo, receiver, journal, state, gate } = this.#parts;
    const { streamId, epoch } = journal.position;
    const checkpoint = { streamId, epoch, sequence };
    const firstSegment = await journal.reset(checkpoint);
    const change = {
      checkpoint,
      firstSegment,
      closed: null,
      halt: null,
      accepted: sequence,
    } as const;
    state.update({ ...change, rewound: true });
    gate.accept(sequence);
    undo.cutAfter(sequence);
    receiver.movedTo(sequence);
    const what = `the copy of ${options.group} was taken back to record ${sequence}`;
    handlers.onEvent('warning', 'COPY_REWOUND', what, { sequence });
  }

  /** An operator took the copy back, and the process ended in the middle of it. */
  async #resumeRewind(sequence: number): Promise<void> {
    const { options, receiver, undo } = this.#parts;
    receiver.hold(`the copy of ${options.group} is being taken back`);
    try {
      await undo.goBack(sequence);
    } catch (error) {
      if (!isFinal(error)) throw error;
      // Part of it is taken back, and the rest cannot be any more.
      receiver.diverged(sequence, error.message);
      receiver.hold(null);
      return;
    }
    await this.#noteRewound(sequence);
    if (!this.#course.isClosed) this.#course.start(sequence, 'complete');
  }

  /** The complete copy at hand, to go back to when the scan behind `sequence` does not end. */
  stage(sequence: number): StandbyStateData['staged'] {
    const { streamId, epoch, sequence: reached } = this.#parts.journal.position;
    // A copy that was taken back gets the number of a state that it does not have any more.
    this.#parts.bookmarks.forgetAfter(reached);
    const sinceMs = this.#parts.clock.wallMs();
    const staged = { streamId, epoch, sequence: reached, undo: sequence, sinceMs };
    return this.#prepare(sequence, false) ? staged : null;
  }

  /** Another scan begins behind `sequence` before the end of one over a copy that was complete. */
  stageAgain(sequence: number): StandbyStateData['staged'] {
    const { staged } = this.#parts.state.data;
    return staged !== null && this.#prepare(sequence, true) ? staged : null;
  }

  #prepare(sequence: number, goesOn: boolean): boolean {
    const { options, undo, handlers } = this.#parts;
    if (options.undo === undefined) return false;
    const why = undo.prepareScan(sequence, { goesOn });
    if (why === undefined) return true;
    const what = `the copy of ${options.group} is not usable while the primary scans`;
    handlers.onEvent('warning', 'STAGING_NO_ROOM', `${what}: ${why}`, {});
    return false;
  }

  /** A scan did not come to its end: the copy is taken back to the state before it. */
  async returnToStaged(): Promise<void> {
    const { options, state, undo, receiver, journal, logger, handlers } = this.#parts;
    const { staged } = state.data;
    if (staged === null) return;
    const { streamId, epoch, sequence } = staged;
    const { group } = options;
    receiver.hold(`the copy of ${group} is being taken back to the state before a scan`);
    try {
      await undo.goBack(staged.undo);
    } catch (error) {
      if (!isFinal(error)) throw error;
      this.#stagingLost(error.message);
      receiver.hold(null);
      return;
    }
    const position = { streamId, epoch, sequence };
    const firstSegment = await journal.reset(position);
    const change = { copy: 'complete', checkpoint: position, firstSegment, staged: null } as const;
    state.update({ ...change, accepted: 0 });
    undo.cutAfter(sequence);
    receiver.movedTo(sequence);
    logger.info({ from: 'syncing', to: 'complete', reason: 'a scan was cut short' }, 'copy');
    const message = `a scan of group ${group} was cut short: the copy is as it was before`;
    handlers.onEvent('warning', 'COPY_TAKEN_BACK', message, { sequence });
    if (this.#course.isClosed || !receiver.isOpen) return;
    this.#course.start(sequence, 'complete');
    receiver.hold(null);
  }

  onNews(news: UndoNews): void {
    if (news.kind === 'staging-lost') {
      this.#stagingLost(news.why);
      return;
    }
    const { options, handlers } = this.#parts;
    const [level, code, message] = undoEvent(options.group, news);
    handlers.onEvent(level, code, message, {});
  }

  /** The state before the scan cannot be reached any more. */
  #stagingLost(why: string): void {
    const { state, options, handlers } = this.#parts;
    state.update({ staged: null });
    const what = `the copy of ${options.group} is not usable until the scan is complete`;
    handlers.onEvent('error', 'STAGING_LOST', `${what}: ${why}`, {});
  }

  /** What the rewinder sees of the standby. */
  #rewound(): RewoundStandby {
    const course = this.#course;
    const { options, clock } = this.#parts;
    return {
      group: options.group,
      get applied() {
        return course.applied;
      },
      get moment() {
        return course.moment;
      },
      nowMs: () => clock.wallMs(),
      reach: async (sequence, timeoutMs) => course.reach(sequence, timeoutMs),
      paused: async (work) => course.paused(work),
    };
  }
}

/** An earlier state cannot be reached any more. What went wrong on the way to it, or writing it down, is tried again by the next process. */
function isFinal(error: unknown): error is UnderstudyError {
  const passing = ['ROLLBACK_FAILED', 'STATE_IO'];
  return error instanceof UnderstudyError && !passing.includes(error.code);
}
