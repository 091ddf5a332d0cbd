// A thread that plays the capture thread: fills a ring with valid, unsealed records in order.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { RingProducer, type RingMemory } from '../../src/core/byte-ring.ts';
import { field, recordType, writeU53 } from '../../src/journal/record.ts';
import { layRecord, sampleBytes, type SampleRecord } from './records.ts';

export interface ProduceOptions {
  readonly ring: RingMemory;
  readonly epoch: number;
  readonly from: number;
  readonly count: number;
  readonly payloadBytesMax: number;
  /** Every so many records is a commit; the producer pauses after it. */
  readonly commitEvery: number;
  readonly pauseMs: number;
  /** Records of these types come at these sequences. */
  readonly special: Readonly<Record<number, number>>;
  /** Float64Array: per record the time of its capture, milliseconds since the Unix epoch. */
  readonly stamps?: SharedArrayBuffer;
}

/** Wall clock with fractions of a millisecond, comparable between threads. */
export const preciseNow = (): number => performance.timeOrigin + performance.now();

type Shape = Pick<ProduceOptions, 'epoch' | 'payloadBytesMax' | 'commitEvery' | 'special'>;

/** The record with this sequence: everyone who knows the options knows its bytes. */
export function producedRecord(shape: Shape, sequence: number): SampleRecord {
  const special = shape.special[sequence];
  if (special !== undefined) return { sequence, epoch: shape.epoch, type: special, path: '' };
  if (sequence % shape.commitEvery === 0) {
    return { sequence, epoch: shape.epoch, type: recordType.commit, path: '' };
  }
  // Mostly small, now and then as large as it may be.
  const roll = Math.imul(sequence, 2_654_435_761) >>> 0;
  const limit = roll % 16 === 0 ? shape.payloadBytesMax : Math.min(512, shape.payloadBytesMax);
  const path = `dir/file-${sequence % 97}`;
  return { sequence, epoch: shape.epoch, payloadBytes: (roll >>> 4) % (limit + 1), path };
}

function produce(options: ProduceOptions): void {
  const producer = new RingProducer(options.ring);
  const stamps = options.stamps === undefined ? undefined : new Float64Array(options.stamps);
  for (let i = 0; i < options.count; i += 1) {
    const sequence = options.from + i;
    const sample = producedRecord(options, sequence);
    const bytes = sampleBytes(sample);
    while (!producer.waitForRoom(bytes, 1000)) producer.wake();
    const at = producer.reserve(bytes);
    layRecord(producer.bytes, producer.view, at, sample);
    const now = preciseNow();
    if (stamps !== undefined) stamps[i] = now;
    writeU53(producer.view, at + field.capturedAt, now * 1000);
    producer.commit(bytes);
    if (sample.type !== recordType.commit && i % 7 !== 0 && i < options.count - 1) continue;
    producer.wake();
    if (options.pauseMs > 0) pause(options.pauseMs);
  }
  parentPort?.postMessage('done');
}

const nothing = new Int32Array(new SharedArrayBuffer(4));
function pause(ms: number): void {
  Atomics.wait(nothing, 0, 0, ms);
}

if (!isMainThread) produce(workerData as ProduceOptions);
