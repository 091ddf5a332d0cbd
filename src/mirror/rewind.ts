// Point in time: which states of the copy can be reached, bookmarks, and clones of the copy as of then.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../core/errors.ts';
import type { UndoMoment } from '../journal/undo-reader.ts';
import type { Bookmark, Bookmarks } from './bookmarks.ts';
import type { UndoHost, UndoRange } from './undo-host.ts';

/** A moment as people ask for it. */
export type RewindWish =
  | { readonly kind: 'sequence'; readonly sequence: number }
  | { readonly kind: 'name'; readonly name: string }
  /** Wall clock of the primary, in ms. */
  | { readonly kind: 'time'; readonly atMs: number };

/** A state, told to people. */
export interface RewindState {
  readonly sequence: number;
  /** ISO 8601; null: not known. */
  readonly at: string | null;
}

export interface RewindList {
  readonly from: RewindState | null;
  readonly to: RewindState | null;
  readonly bytes: number;
  readonly bookmarks: readonly (RewindState & { readonly name: string; readonly kept: boolean })[];
}

/** What the rewinder needs of the standby around it. */
export interface RewoundStandby {
  readonly group: string;
  readonly applied: number;
  /** Last state that can be gone back to, where an undo log is kept. */
  readonly moment: number;
  /** Wall clock in ms. */
  readonly nowMs: () => number;
  /** Resolves when everything up to `sequence` is applied to a complete copy; false when not in time. */
  reach(sequence: number, timeoutMs: number): Promise<boolean>;
  /** Runs `work` while nothing is applied; the copy and the log are durable as they are then. */
  paused<T>(work: () => Promise<T>): Promise<T>;
}

const REACH_TIMEOUT_MS = 60_000;
/** Clocks of the two nodes differ. */
const FUTURE_MS = 60_000;
const TRIES = 50;
const TRY_MS = 100;
const US_PER_MS = 1000;

export class Rewinder {
  readonly #standby: RewoundStandby;
  readonly #undo: UndoHost;
  readonly #bookmarks: Bookmarks;

  constructor(standby: RewoundStandby, undo: UndoHost, bookmarks: Bookmarks) {
    this.#standby = standby;
    this.#undo = undo;
    this.#bookmarks = bookmarks;
  }

  list(): RewindList {
    const range = this.#undo.range();
    return {
      from: range === undefined ? null : stateOf(range.from),
      to: range === undefined ? null : stateOf(range.to),
      bytes: range?.bytes ?? 0,
      bookmarks: this.#bookmarks.all.map(({ name, sequence, atMs }) => ({
        name,
        sequence,
        at: new Date(atMs).toISOString(),
        kept: isWithin(range, sequence),
      })),
    };
  }

  /**
   * Gives a name to a state that has record `sequence`, which the primary has captured when it is asked
   * for, and nothing that is captured after this resolves. Errors: BOOKMARK_INVALID, BOOKMARK_EXISTS,
   * BOOKMARKS_FULL, BOOKMARK_BEHIND, UNDO_NOT_KEPT.
   */
  async mark(name: string, sequence: number): Promise<Bookmark> {
    const { group } = this.#standby;
    this.#bookmarks.check(name);
    if (!(await this.#standby.reach(sequence, REACH_TIMEOUT_MS))) {
      throw new UnderstudyError(
        'BOOKMARK_BEHIND',
        `the copy of group ${group} is behind: record ${sequence} is not in it after ${REACH_TIMEOUT_MS / 1000} s; see "understudy status"`,
      );
    }
    const bookmark = {
      name,
      sequence: await this.#momentSince(sequence),
      atMs: this.#standby.nowMs(),
    };
    this.#bookmarks.add(bookmark, this.#undo.range()?.from.sequence ?? 0);
    return bookmark;
  }

  /** A state of the log that has record `sequence`, which is applied: one comes every half second. */
  async #momentSince(sequence: number): Promise<number> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { moment } = this.#standby;
      if (moment >= sequence) {
        const found = await this.#undo.find('sequence', moment);
        if (found?.sequence === moment) return moment;
      }
      await sleep(TRY_MS);
    }
    throw this.#notKept('the present state is none that the undo log can tell');
  }

  /**
   * The state that is meant. Errors: REWIND_NOT_KEPT, REWIND_IN_FUTURE, BOOKMARK_UNKNOWN, UNDO_NOT_KEPT.
   */
  async resolve(wish: RewindWish): Promise<UndoMoment> {
    const range = this.#undo.range();
    if (range === undefined) throw this.#notKept('there is no undo log');
    const moment = await this.#find(wish);
    if (moment !== undefined) return moment;
    const { from, to } = range;
    throw new UnderstudyError(
      'REWIND_NOT_KEPT',
      `group ${this.#standby.group} can be taken back to ${tell(from)} at the earliest, and is at ${tell(to)} now`,
      { details: { from: from.sequence, to: to.sequence } },
    );
  }

  async #find(wish: RewindWish): Promise<UndoMoment | undefined> {
    if (wish.kind === 'time') {
      this.#checkTime(wish.atMs);
      const found = await this.#undo.find('capturedAt', wish.atMs * US_PER_MS);
      // The end of the log may be ahead of the last state that can be gone back to.
      const { moment } = this.#standby;
      const isAhead = found !== undefined && found.sequence > moment;
      return isAhead ? this.#undo.find('sequence', moment) : found;
    }
    if (wish.kind === 'sequence') {
      if (wish.sequence > this.#standby.applied) return undefined;
      return this.#undo.find('sequence', wish.sequence);
    }
    const bookmark = this.#bookmarks.find(wish.name);
    if (bookmark === undefined) {
      throw new UnderstudyError(
        'BOOKMARK_UNKNOWN',
        `there is no bookmark "${wish.name}" for group ${this.#standby.group}: see "understudy rewind list ${this.#standby.group}"`,
      );
    }
    const found = await this.#undo.find('sequence', bookmark.sequence);
    return found?.sequence === bookmark.sequence ? found : undefined;
  }

  #checkTime(atMs: number): void {
    if (Number.isFinite(atMs) && atMs <= this.#standby.nowMs() + FUTURE_MS) return;
    throw new UnderstudyError(
      'REWIND_IN_FUTURE',
      `${new Date(atMs).toISOString()} is yet to come: choose a moment in the past`,
    );
  }

  /**
   * Makes a tree as of then below `to`, which has to be empty or not there: one directory of the group
   * becomes `to` itself, several become directories in it. Errors: those of {@link resolve},
   * REWIND_TARGET_INVALID, CLONE_FAILED, UNDO_DAMAGED.
   */
  async browse(wish: RewindWish, to: string, dirs: readonly string[]): Promise<RewindState> {
    await this.resolve(wish);
    const clones = makeTargets(to, dirs);
    try {
      return await this.#standby.paused(async () => {
        const moment = await this.resolve(wish);
        await this.#undo.clone(moment.sequence, clones);
        return stateOf(moment);
      });
    } catch (error) {
      for (const path of clones) rmSync(path, { recursive: true, force: true });
      throw error;
    }
  }

  #notKept(why: string): UnderstudyError {
    const { group } = this.#standby;
    return new UnderstudyError(
      'UNDO_NOT_KEPT',
      `group ${group} cannot be taken back: ${why}; see "undo" of the group's replication, and "understudy events"`,
    );
  }
}

const isWithin = (range: UndoRange | undefined, sequence: number): boolean =>
  range !== undefined && sequence >= range.from.sequence && sequence <= range.to.sequence;

export function stateOf({ sequence, capturedAt }: UndoMoment): RewindState {
  const at = capturedAt === 0 ? null : new Date(capturedAt / US_PER_MS).toISOString();
  return { sequence, at };
}

const tell = (moment: UndoMoment): string => {
  const { sequence, at } = stateOf(moment);
  return at === null ? `record ${sequence}` : `${at} (record ${sequence})`;
};

/** Empty directories for the clones. Errors: REWIND_TARGET_INVALID. */
function makeTargets(to: string, dirs: readonly string[]): string[] {
  const invalid = (why: string): UnderstudyError =>
    new UnderstudyError('REWIND_TARGET_INVALID', `${to} cannot be used: ${why}`);
  for (const dir of dirs) {
    const isInside = to === dir || to.startsWith(dir + sep) || dir.startsWith(to + sep);
    if (isInside) throw invalid(`it and the protected directory ${dir} are within each other`);
  }
  mkdirSync(to, { recursive: true, mode: 0o755 });
  if (readdirSync(to).length > 0) throw invalid('it is not empty');
  const targets = dirs.length === 1 ? [to] : dirs.map((dir, index) => join(to, nameOf(dir, index)));
  for (const path of targets) mkdirSync(path, { recursive: true, mode: 0o700 });
  return targets;
}

const nameOf = (dir: string, index: number): string =>
  `${index}-${dir.slice(dir.lastIndexOf(sep) + 1)}`;
