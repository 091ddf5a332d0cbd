// What the functions that apply one kind of record get to work with.
import type { Patterns } from '../../core/patterns.ts';
import type { RecordView } from './record-view.ts';
import type { ScanState } from './scan-state.ts';
import type { Trust } from './trust.ts';
import type { Volume } from './volume.ts';

/** A range of a file whose contents the primary has to send, or with `compare` to announce by hashes. */
export interface Need {
  readonly directory: number;
  /** Latin1. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  readonly compare: boolean;
}

/** The record at hand and where it belongs. One object per protected directory, used again. */
export interface ApplyContext {
  readonly volume: Volume;
  readonly record: RecordView;
  readonly scan: ScanState;
  readonly trust: Trust;
  /** What of the directory is mirrored. */
  readonly patterns: Patterns;
  readonly onNeed: (need: Need) => void;
}

/** Outcome of a change of names that was not to be made here: there is no object to settle. */
export const SKIPPED = 1;

/** Notes which record is about to change names: see `marker.ts`. Returns 0 or a negative errno. */
export function mark(context: ApplyContext, sourceIno: number, targetIno: number): number {
  const { epoch, sequence } = context.record;
  return context.volume.mark({ epoch, sequence, sourceIno, targetIno });
}
