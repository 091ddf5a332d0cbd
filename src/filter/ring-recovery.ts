// What can be told from a ring alone, when the process that filled it is gone.
import { RingConsumer, type RingMemory } from '../core/byte-ring.ts';
import { recordBytes } from '../journal/record.ts';
import { sequenceAt } from '../journal/segment.ts';

/**
 * Sequence of the last record that was published. An empty ring does not show it: the consumer notes
 * the sequence behind the last one it has released.
 */
export function lastSequenceIn(memory: RingMemory): number {
  const ring = new RingConsumer(memory);
  let last = ring.note - 1;
  let position = ring.released;
  for (;;) {
    const stretch = ring.readable(position);
    if (stretch.bytes === 0) return last;
    const start = ring.offsetOf(stretch.position);
    let length = 0;
    while (length < stretch.bytes && !ring.isSkipAt(start + length)) {
      last = sequenceAt(ring.view, start + length);
      length += recordBytes(ring.view, start + length);
    }
    position = (stretch.position + length) >>> 0;
  }
}
