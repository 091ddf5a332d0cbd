// The undo log as the standby's main thread knows it: where it is, what it reaches, and how the copy is
// taken back with it. The log itself is written by the applier's thread; what changes the copy here runs
// only while that one is stopped.
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { present } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { undoFlag } from '../journal/undo-format.ts';
import { UndoLog } from '../journal/undo-log.ts';
import { readUndoNote, writeUndoNote } from '../journal/undo-note.ts';
import { readUndoSegments, type UndoMoment } from '../journal/undo-reader.ts';
import { MiB } from '../core/units.ts';
import { endThread, startThread } from '../linux/threads.ts';
import type { RewindTask, RewindWorkerData, RewindWorkerMessage } from './applier/rewind-worker.ts';
import type { UndoSettings } from './applier/undo-keeper.ts';
import type { SalvageSummary } from './salvage/salvage-report.ts';

/** How much is kept: so many hours, and no more than a share of the disk. 0 hours: nothing. */
export interface UndoLimits {
  readonly hours: number;
  readonly diskPercent: number;
}

/** What can be reached, and what it takes on the disk of the log. */
export interface UndoRange {
  readonly from: UndoMoment;
  readonly to: UndoMoment;
  readonly bytes: number;
}

export interface UndoHostOptions {
  readonly stateDirectory: string;
  readonly groupId: string;
  readonly limits: UndoLimits;
  readonly directories: readonly { readonly dir: string; readonly fd: number }[];
}

type SalvageTask = Extract<RewindTask, { kind: 'salvage' }>;
type RewindDone = Extract<RewindWorkerMessage, { type: 'done' }>;

/** A staged scan is not begun with less of the disk free. */
const STAGING_FREE = 0.1;
const SEGMENT_BYTES = 8 * MiB;

export class UndoHost {
  readonly directory: string;
  readonly #options: UndoHostOptions;
  #cloner: Worker | undefined;
  #salvager: Worker | undefined;

  constructor(options: UndoHostOptions) {
    this.#options = options;
    this.directory = join(options.stateDirectory, 'undo');
  }

  get isKept(): boolean {
    return this.#options.limits.hours > 0;
  }

  /** What the applier's thread is told. */
  settings(what: Pick<UndoSettings, 'begin' | 'marks' | 'ownSinceMs' | 'redoUntil'>): UndoSettings {
    const { groupId, limits } = this.#options;
    return { directory: this.directory, groupId, ...limits, ...what };
  }

  /**
   * Sees to it that the log begins with the state at hand, as `sequence`, behind which a scan begins.
   * `goesOn`: another scan was cut short, and the log goes back to the state before that one.
   * Returns why it cannot, undefined when it can.
   */
  prepareScan(sequence: number, { goesOn }: { goesOn: boolean }): string | undefined {
    const { directories, stateDirectory, groupId } = this.#options;
    const paths = [...directories.map(({ fd }) => `/proc/self/fd/${fd}`), stateDirectory];
    for (const path of goesOn ? [] : paths) {
      const { bavail, blocks } = statfsSync(path);
      if (blocks > 0 && bavail / blocks < STAGING_FREE) {
        return `less than ${STAGING_FREE * 100} % of a disk are free`;
      }
    }
    try {
      const log = new UndoLog({ directory: this.directory, groupId, segmentBytes: SEGMENT_BYTES });
      try {
        beginBehind(log, sequence, goesOn);
      } finally {
        log.close();
      }
      return undefined;
    } catch (error) {
      return `the undo log cannot be written: ${messageOf(error)}`;
    }
  }

  /** The oldest and the newest state that can be reached; undefined: none can. */
  range(): UndoRange | undefined {
    const { segments } = readUndoSegments(this.directory, this.#options.groupId);
    const [oldest] = segments;
    const newest = segments.at(-1);
    if (oldest === undefined || newest === undefined) return undefined;
    return {
      from: { sequence: oldest.start, capturedAt: oldest.startedAt },
      to: { sequence: newest.last, capturedAt: newest.lastAt },
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  /** The latest state not after a record or a time (microseconds); undefined: none is kept. */
  async find(by: 'sequence' | 'capturedAt', value: number): Promise<UndoMoment | undefined> {
    return (await this.#run({ kind: 'find', by, value })).found ?? undefined;
  }

  /** The state that a rollback was on its way to when its process ended; undefined: none was. */
  get goingBackTo(): number | undefined {
    return readUndoNote(this.directory)?.goingBackTo ?? undefined;
  }

  /**
   * Takes the copy back to the state `target`; durable when it resolves. Nothing may write the copy
   * meanwhile. Errors: REWIND_NOT_KEPT, UNDO_DAMAGED (nothing has changed then), ROLLBACK_FAILED.
   */
  async goBack(target: number): Promise<void> {
    // A state that was taken back in part is known as such after a crash.
    const mounts = readUndoNote(this.directory)?.mounts ?? '';
    writeUndoNote(this.directory, { mounts, goingBackTo: target });
    try {
      await this.#run({ kind: 'back', target });
    } catch (error) {
      const isUnchanged = error instanceof UnderstudyError && error.code !== 'ROLLBACK_FAILED';
      if (isUnchanged) writeUndoNote(this.directory, { mounts, goingBackTo: null });
      throw error;
    }
  }

  /** The log ends at `sequence` from now on, or is empty when it does not reach that. */
  cutAfter(sequence: number): void {
    const { groupId } = this.#options;
    const log = new UndoLog({ directory: this.directory, groupId, segmentBytes: SEGMENT_BYTES });
    if ((log.start ?? Number.POSITIVE_INFINITY) <= sequence) log.cutAfter(sequence);
    else log.clear();
    log.close();
    // The next applier notes the mounts.
    writeUndoNote(this.directory, { mounts: '', goingBackTo: null });
  }

  /** Forgets everything. Throws what the file system says. */
  clear(): void {
    const { groupId } = this.#options;
    const log = new UndoLog({ directory: this.directory, groupId, segmentBytes: SEGMENT_BYTES });
    log.clear();
    log.close();
    writeUndoNote(this.directory, { mounts: '', goingBackTo: null });
  }

  /**
   * Clones the copy into `clones`, one empty directory for each protected one, as of `target`. Nothing
   * may write the copy meanwhile. Errors: as {@link goBack}, CLONE_FAILED.
   */
  async clone(target: number, clones: readonly string[]): Promise<void> {
    await this.#run({ kind: 'clone', target, clones });
  }

  /** Writes aside what a scan has replaced; the copy is only read. Errors: as {@link writeSalvage}. */
  async salvage(options: SalvageTask['options']): Promise<SalvageSummary> {
    const { salvaged } = await this.#run({ kind: 'salvage', options });
    return present(salvaged, 'what a salvage has found');
  }

  /** Ends a salvage that is being written: its call rejects. */
  abortSalvage(): void {
    if (this.#salvager !== undefined) void endThread(this.#salvager);
  }

  /** Ends a clone that is being made, which only reads the copy. */
  abortClone(): void {
    if (this.#cloner !== undefined) void endThread(this.#cloner);
  }

  async #run(task: RewindTask): Promise<RewindDone> {
    const { groupId, directories } = this.#options;
    const workerData: RewindWorkerData = {
      logDirectory: this.directory,
      groupId,
      directories: directories.map(({ dir, fd }) => ({ fd, label: dir })),
      task,
    };
    const url = new URL('applier/rewind-worker.ts', import.meta.url);
    const worker = startThread(url, { workerData, name: 'rewind' });
    if (task.kind === 'clone') this.#cloner = worker;
    if (task.kind === 'salvage') this.#salvager = worker;
    const message = await new Promise<RewindWorkerMessage>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`the rewinding thread ended (${code})`)));
    });
    if (message.type === 'failed') throw UnderstudyError.from(message.error);
    return message;
  }
}

/** The last state of the log is the one at hand; it gets the number `sequence`. */
function beginBehind(log: UndoLog, sequence: number, goesOn: boolean): void {
  const newest = log.segments.at(-1);
  if (newest?.last === sequence) return;
  if (newest === undefined || newest.last > sequence) {
    if (goesOn) throw new Error('it does not reach this scan');
    log.reset(sequence);
    return;
  }
  // The scan may be of another stream, whose numbers begin elsewhere: nothing has changed in between.
  const { last, lastAt } = newest;
  const flags = goesOn ? undoFlag.scanning : 0;
  const bridge = { flags, first: last + 1, last: sequence, capturedAt: lastAt, epoch: 0 };
  const failed = log.commit(bridge);
  if (failed < 0) throw new Error(`errno ${-failed}`);
}
