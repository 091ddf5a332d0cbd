// Valid records for tests that move records about without applying them.
import {
  field,
  HEADER_BYTES,
  NO_TIME,
  padded,
  RECORD_MAGIC,
  RECORD_VERSION,
  recordType,
  sealRecord,
  writeU53,
} from '../../src/journal/record.ts';

export interface SampleRecord {
  readonly sequence: number;
  readonly epoch?: number;
  readonly type?: number;
  readonly payloadBytes?: number;
  readonly path?: string;
}

/** Padded size of a sample record. */
export function sampleBytes(sample: SampleRecord): number {
  return padded(HEADER_BYTES + (sample.payloadBytes ?? 0) + (sample.path ?? 'file').length);
}

/** Lays a sample record out at `at`, without checksums; the payload depends on the sequence only. */
export function layRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  sample: SampleRecord,
): number {
  const total = sampleBytes(sample);
  const path = sample.path ?? 'file';
  const payload = sample.payloadBytes ?? 0;
  bytes.fill(0, at, at + HEADER_BYTES);
  view.setUint32(at + field.magic, RECORD_MAGIC, true);
  view.setUint8(at + field.version, RECORD_VERSION);
  view.setUint8(at + field.type, sample.type ?? recordType.write);
  view.setUint32(at + field.epoch, sample.epoch ?? 1, true);
  view.setUint16(at + field.pathLength, path.length, true);
  writeU53(view, at + field.sequence, sample.sequence);
  view.setUint32(at + field.payloadLength, payload, true);
  view.setUint32(at + field.mtimeNsec, NO_TIME, true);
  const body = at + HEADER_BYTES;
  for (let i = 0; i < payload; i += 1) bytes[body + i] = (sample.sequence * 31 + i) & 0xff;
  for (let i = 0; i < path.length; i += 1) bytes[body + payload + i] = path.charCodeAt(i);
  bytes.fill(0, body + payload + path.length, at + total);
  return total;
}

/** Sealed records back to back. */
export function sampleRecords(samples: readonly SampleRecord[]): Buffer {
  const total = samples.reduce((sum, sample) => sum + sampleBytes(sample), 0);
  const bytes = Buffer.from(new ArrayBuffer(total));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const sample of samples) {
    const length = layRecord(bytes, view, at, sample);
    sealRecord(bytes, view, at);
    at += length;
  }
  return bytes;
}
