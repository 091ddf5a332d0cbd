// A process that ends while a burst of removals is waited for takes with it what it had counted. The next one counts again what the
// journal has of it, or a part of it would be applied that nobody has judged.
import { JournalReader } from '../../journal/journal-reader.ts';
import { field, recordBytes } from '../../journal/record.ts';
import { sequenceAt } from '../../journal/segment.ts';
import { readMarker } from '../applier/marker.ts';
import type { ApplyGate } from './apply-gate.ts';

const BATCH_BYTES = 1024 * 1024;

export interface JudgeAgainOptions {
  readonly gate: ApplyGate;
  /** Of the protected directories. */
  readonly roots: readonly number[];
  readonly journal: {
    readonly directory: string;
    readonly groupId: string;
    /** Segment that has the record behind the checkpoint. */
    readonly segment: number;
  };
  readonly checkpoint: number;
  /** Last record of the journal. */
  readonly tail: number;
  /** A person has accepted everything up to here. */
  readonly accepted: number;
}

/** To be called before an applier begins. What was applied before was judged before. */
export function judgeAgain(options: JudgeAgainOptions): void {
  const { gate, roots, journal, checkpoint, tail, accepted } = options;
  if (gate.halted !== null) return;
  const marked = roots.map((fd) => {
    const marker = readMarker(fd);
    return typeof marker === 'object' ? marker.sequence : 0;
  });
  const judged = Math.max(accepted, ...marked);
  gate.goOn(Math.max(judged, checkpoint));
  if (tail <= Math.max(judged, checkpoint)) return;
  const reader = new JournalReader({ ...journal, sequence: checkpoint + 1 });
  try {
    while (reader.next(BATCH_BYTES, tail) === 'records') {
      const { view, end } = reader.batch;
      for (let { at } = reader.batch; at < end; at += recordBytes(view, at)) {
        gate.noteAgain(view.getUint8(at + field.type), sequenceAt(view, at));
      }
    }
  } finally {
    reader.close();
  }
  // The applier may begin much later.
  gate.durable(tail);
}
