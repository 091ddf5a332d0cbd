// What the applier's thread gets and what it says. Positions go through `ApplyControl`, not here.
import type { ApplierOptions } from './applier.ts';
import type { Need } from './context.ts';
import type { ApplyFault } from './fault.ts';
import type { VerifyNotice } from './verification.ts';
import type { UndoTold, UndoSettings } from './undo-keeper.ts';

/** `workerData` of `applier-worker.ts`. */
export interface ApplierWorkerData {
  /** In the order of the directory index in records; descriptors are the process's. */
  readonly directories: ApplierOptions['directories'];
  /** Directory with the journal's segments. */
  readonly journalDirectory: string;
  readonly groupId: string;
  /** Segment that has the first record behind the checkpoint, or an earlier one. */
  readonly segment: number;
  /** Last record that counts as applied. Where it is not followed by a scan, no scan is under way. */
  readonly checkpoint: number;
  /** What is kept to take the copy back; null: nothing. */
  readonly undo: UndoSettings | null;
  /** Memory of an `ApplyControl`. */
  readonly control: SharedArrayBuffer;
}

/**
 * `need`: contents that differ; `control.countNeeds` comes right before. `fault`: see its kind; a
 * blocked record is tried again by itself (`recovered` says when it worked), after a divergence
 * nothing more is applied. `stopped` is the last: everything is closed, only the thread has to end.
 */
export type ApplierMessage =
  | { readonly type: 'need'; readonly needs: readonly Need[] }
  | { readonly type: 'verify'; readonly notices: readonly VerifyNotice[] }
  | { readonly type: 'fault'; readonly fault: ApplyFault }
  | { readonly type: 'recovered'; readonly sequence: number }
  | { readonly type: 'undo'; readonly news: UndoTold }
  | { readonly type: 'stopped' };
