// A thread that copies one tree to another place. Posts one message and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../../core/assert.ts';
import { messageOf, type SerializedError, UnderstudyError } from '../../core/errors.ts';
import { AT, O } from '../../linux/constants.ts';
import { cpath, sys } from '../../linux/libc.ts';
import { tellRunning } from '../../linux/threads.ts';
import { cloneTree } from '../applier/clone.ts';

/** `workerData` of this file. */
export interface CloneTreeData {
  readonly from: string;
  /** An empty directory. */
  readonly to: string;
}

export type CloneTreeMessage =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly error: SerializedError };

function run({ from, to }: CloneTreeData): CloneTreeMessage {
  try {
    sys.umask(0);
    const [source, target] = [from, to].map((path) =>
      sys.openat(AT.FDCWD, cpath(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0),
    );
    cloneTree(source ?? -1, target ?? -1);
    return { type: 'done' };
  } catch (error) {
    if (error instanceof UnderstudyError) return { type: 'failed', error: error.serialize() };
    return { type: 'failed', error: { code: 'CLONE_FAILED', message: messageOf(error) } };
  }
}

tellRunning();
present(parentPort, 'the port to the thread that started this one').postMessage(
  run(workerData as CloneTreeData),
);
