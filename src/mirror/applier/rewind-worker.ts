// A thread for what takes long with an undo log: the copy, or a clone of one, is taken back, or a state
// is looked for. The process has to answer meanwhile. Posts one message and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../../core/assert.ts';
import { messageOf, type SerializedError, UnderstudyError } from '../../core/errors.ts';
import {
  lastMoment,
  momentAtTime,
  readUndoSegments,
  type UndoMoment,
} from '../../journal/undo-reader.ts';
import { errnoName } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { tellRunning } from '../../linux/threads.ts';
import { type SalvageOptions, writeSalvage } from '../salvage/salvage-writer.ts';
import type { SalvageSummary } from '../salvage/salvage-report.ts';
import { cloneCopies } from './clone.ts';
import { removeMarker } from './marker.ts';
import { rollBack } from './rollback.ts';

export type RewindTask =
  /** The copy itself is taken back. */
  | { readonly kind: 'back'; readonly target: number }
  /** Directories that get clones, one for each protected one. */
  | { readonly kind: 'clone'; readonly target: number; readonly clones: readonly string[] }
  /** What a scan has replaced is written aside. */
  | {
      readonly kind: 'salvage';
      readonly options: Omit<SalvageOptions, 'logDirectory' | 'groupId'>;
    }
  /** The latest state not after a record, or a time in microseconds. */
  | { readonly kind: 'find'; readonly by: 'sequence' | 'capturedAt'; readonly value: number };

/** `workerData` of this file. */
export interface RewindWorkerData {
  readonly logDirectory: string;
  readonly groupId: string;
  readonly directories: readonly { readonly fd: number; readonly label: string }[];
  readonly task: RewindTask;
}

export type RewindWorkerMessage =
  | {
      readonly type: 'done';
      readonly found: UndoMoment | null;
      readonly salvaged: SalvageSummary | null;
    }
  | { readonly type: 'failed'; readonly error: SerializedError };

function run({ task, ...options }: RewindWorkerData): RewindWorkerMessage {
  try {
    if (task.kind === 'salvage') {
      const { entries: _, ...salvaged } = writeSalvage({ ...options, ...task.options });
      return { type: 'done', found: null, salvaged };
    }
    return { type: 'done', found: perform(task, options) ?? null, salvaged: null };
  } catch (error) {
    if (error instanceof UnderstudyError) return { type: 'failed', error: error.serialize() };
    return { type: 'failed', error: { code: 'ROLLBACK_FAILED', message: messageOf(error) } };
  }
}

function perform(
  task: Exclude<RewindTask, { kind: 'salvage' }>,
  options: Omit<RewindWorkerData, 'task'>,
): UndoMoment | undefined {
  if (task.kind === 'find') {
    const { logDirectory, groupId } = options;
    const { segments } = readUndoSegments(logDirectory, groupId);
    if (task.by === 'capturedAt') return momentAtTime(logDirectory, segments, task.value);
    return lastMoment(logDirectory, segments, ({ sequence }) => sequence <= task.value);
  }
  const { target } = task;
  if (task.kind === 'clone') cloneCopies({ ...options, target, clones: task.clones });
  else {
    rollBack({ ...options, target });
    for (const { fd, label } of options.directories) makeDurable(fd, label);
  }
  return undefined;
}

/** What the marker says was taken back with the rest. */
function makeDurable(fd: number, label: string): void {
  const result = Math.min(removeMarker(fd), sys.syncfs(fd));
  if (result >= 0) return;
  throw new UnderstudyError(
    'ROLLBACK_FAILED',
    `the copy in ${label} was taken back, and could not be brought to the disk (${errnoName(result)})`,
  );
}

tellRunning();
present(parentPort, 'the port to the thread that started this one').postMessage(
  run(workerData as RewindWorkerData),
);
