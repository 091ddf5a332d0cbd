// What the standby process and its applier thread agree on. How far to read and how far it has come
// is in shared memory (journal/apply-control.ts); the rest goes in these messages.
//
// A scan is always applied by one thread from scanBegin to scanEnd: a standby that restarts in the
// middle of one starts no applier and asks for a new scan, and the checkpoint of a complete copy is
// never before its scanEnd. So an applier needs to keep nothing of a scan's course on disk, and a
// redo after a crash meets no scan record.
import type { NeedRange } from './link/messages.ts';

/** `workerData` of `applier/applier-worker.ts`. */
export interface ApplierWorkerData {
  /** Memory of the ApplyControl. */
  readonly control: SharedArrayBuffer;
  readonly journalDirectory: string;
  readonly groupId: string;
  /** Where to begin: the first record to apply and the segment to look for it. */
  readonly start: { readonly segment: number; readonly sequence: number };
  /**
   * Marker xattrs that a former run left count (redo after a crash); false when the journal began
   * anew: then they are to be removed.
   */
  readonly trustMarker: boolean;
  /** Descriptors of the protected directories, opened before they were covered; same process. */
  readonly directories: readonly { readonly fd: number; readonly dir: string }[];
}

/** Messages of the applier thread. */
export type ApplierMessage =
  /** Ranges whose contents differ. `control.countNeeds(ranges.length)` comes right before. */
  | { readonly kind: 'need'; readonly ranges: readonly NeedRange[] }
  /**
   * The copy does not fit the stream: record `sequence` cannot be applied. The thread has ended
   * its batch before that record and applies nothing more.
   */
  | {
      readonly kind: 'diverged';
      readonly sequence: number;
      readonly code: string;
      readonly message: string;
    }
  /** Cannot go on for now (disk full, I/O error); tries again by itself. Once per change. */
  | { readonly kind: 'blocked'; readonly sequence: number; readonly message: string }
  | { readonly kind: 'unblocked'; readonly sequence: number }
  /** How far a scan has come, at most a few times a second. */
  | { readonly kind: 'progress'; readonly files: number; readonly bytes: number };
