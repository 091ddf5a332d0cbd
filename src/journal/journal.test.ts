// The journal on a real file system: what was appended is read back; whatever a crash leaves
// behind, the journal ends before its first fault and goes on from there.
import * as fc from 'fast-check';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SampleRecord, sampleRecords } from '../../test/support/records.ts';
import { JournalReader } from './journal-reader.ts';
import type { JournalPosition } from './journal-recovery.ts';
import { JournalWriter } from './journal-writer.ts';
import { SEGMENT_HEADER_BYTES } from './segment.ts';

const groupId = 'aa'.repeat(16);
const streamA = '01'.repeat(16);
const streamB = '02'.repeat(16);
const SEGMENT_BYTES = 16 * 1024;
const start: JournalPosition = { streamId: streamA, epoch: 1, sequence: 0 };

let directory = '';
const opened: JournalWriter[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'journal-'));
});
afterEach(async () => {
  for (const writer of opened.splice(0)) await writer.close();
  rmSync(directory, { recursive: true });
});

function open(
  checkpoint: JournalPosition = start,
  firstSegment = 1,
  at = directory,
): JournalWriter {
  const options = { directory: at, groupId, segmentBytes: SEGMENT_BYTES, checkpoint, firstSegment };
  const writer = new JournalWriter(options);
  opened.push(writer);
  return writer;
}

async function close(writer: JournalWriter): Promise<void> {
  opened.splice(opened.indexOf(writer), 1);
  await writer.close();
}

function append(writer: JournalWriter, samples: readonly SampleRecord[]): Buffer {
  const bytes = sampleRecords(samples);
  writer.append(bytes, new DataView(bytes.buffer), 0, bytes.length);
  return bytes;
}

/** `count` records of varying sizes from sequence `from`. */
function varied(from: number, count: number, epoch = 1): SampleRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const sequence = from + index;
    return { sequence, epoch, payloadBytes: (sequence * 997) % 3000, path: `d/${sequence}` };
  });
}

/** Everything from `sequence` on, as the applier would read it. */
function readAll(
  segment: number,
  sequence: number,
  at = directory,
): { bytes: Buffer; outcome: string } {
  const reader = new JournalReader({ directory: at, groupId, segment, sequence });
  const parts: Buffer[] = [];
  let outcome = reader.next(5000, Number.MAX_SAFE_INTEGER);
  while (outcome === 'records') {
    const { batch } = reader;
    parts.push(Buffer.from(batch.bytes.subarray(batch.at, batch.end)));
    outcome = reader.next(5000, Number.MAX_SAFE_INTEGER);
  }
  reader.close();
  return { bytes: Buffer.concat(parts), outcome };
}

describe('journal', () => {
  it('gives back what was appended, across segments, from any record on', async () => {
    const writer = open();
    const samples = varied(1, 60);
    const first = append(writer, samples.slice(0, 25));
    const second = append(writer, samples.slice(25));
    expect(writer.position).toEqual({ ...start, sequence: 60 });
    expect(await writer.flush()).toBe(60);
    expect(writer.bytes).toBeGreaterThan(4 * SEGMENT_BYTES);
    const all = Buffer.concat([first, second]);
    expect(readAll(1, 1).bytes.equals(all)).toBe(true);
    const tail = sampleRecords(samples.slice(41));
    expect(readAll(writer.segmentOf(42), 42).bytes.equals(tail)).toBe(true);
  });

  it('goes on where it was after a restart', async () => {
    const before = open();
    append(before, varied(1, 33));
    await close(before);
    const after = open();
    expect(after.fault).toBeUndefined();
    expect(after.position.sequence).toBe(33);
    expect(after.durableSequence).toBe(33);
    append(after, varied(34, 20));
    expect(readAll(1, 1).bytes.equals(sampleRecords(varied(1, 53)))).toBe(true);
  });

  it('finds a record far behind the beginning of its segment', async () => {
    const options = { directory, groupId, segmentBytes: 8 * 1024 * 1024 };
    const writer = new JournalWriter({ ...options, checkpoint: start, firstSegment: 1 });
    opened.push(writer);
    append(writer, varied(1, 4000));
    for (const wanted of [50, 1000, 3000, 4000]) {
      const found = readAll(1, wanted).bytes;
      expect(found.equals(sampleRecords(varied(wanted, 4001 - wanted)))).toBe(true);
    }
    await close(writer);
    const checkpoint = { ...start, sequence: 3990 };
    const again = new JournalWriter({ ...options, checkpoint, firstSegment: 1 });
    opened.push(again);
    expect(again.position.sequence).toBe(4000);
  });

  it('follows the tail record by record while it is written', () => {
    const writer = open();
    append(writer, varied(1, 1));
    const reader = new JournalReader({ directory, groupId, segment: 1, sequence: 1 });
    for (let sequence = 1; sequence <= 80; sequence += 1) {
      expect(reader.next(1, sequence)).toBe('records');
      const { batch } = reader;
      const expected = sampleRecords(varied(sequence, 1));
      expect(expected.equals(batch.bytes.subarray(batch.at, batch.end))).toBe(true);
      expect(reader.next(1, sequence)).toBe('end');
      append(writer, varied(sequence + 1, 1));
    }
    reader.close();
  });

  it('frees what the checkpoint covers, uses files again and never takes old contents for new', async () => {
    const writer = open();
    for (let sequence = 1; sequence <= 400; sequence += 10) {
      append(writer, varied(sequence, 10));
      await writer.flush();
      writer.free(sequence + 4, writer.segmentOf(sequence + 5));
      expect(writer.bytes).toBeLessThanOrEqual(4 * SEGMENT_BYTES);
    }
    const names = readdirSync(directory);
    expect(names.length).toBeLessThanOrEqual(8);
    await close(writer);
    const again = open({ ...start, sequence: 395 });
    expect(again.position.sequence).toBe(400);
    expect(readAll(again.segmentOf(396), 396).bytes.equals(sampleRecords(varied(396, 5)))).toBe(
      true,
    );
  });

  it('continues with another stream in a new segment', async () => {
    const writer = open();
    append(writer, varied(1, 12));
    writer.continueAs(streamB, 2);
    await writer.flush();
    await close(writer);
    const after = open();
    expect(after.position).toEqual({ streamId: streamB, epoch: 2, sequence: 12 });
    append(after, varied(13, 12, 2));
    const expected = Buffer.concat([
      sampleRecords(varied(1, 12)),
      sampleRecords(varied(13, 12, 2)),
    ]);
    expect(readAll(1, 1).bytes.equals(expected)).toBe(true);
  });

  it('does not take records of another epoch into a stream', () => {
    const writer = open();
    append(writer, varied(1, 3));
    append(writer, varied(4, 1, 7));
    const { bytes } = readAll(1, 1);
    expect(bytes.equals(sampleRecords(varied(1, 3)))).toBe(true);
  });

  it('starts anew for a stream with lower sequences without finding the old one', async () => {
    const writer = open();
    append(writer, varied(1, 90));
    await writer.flush();
    const given = { streamId: streamB, epoch: 1, sequence: 9 };
    const firstSegment = await writer.reset(given);
    append(writer, varied(10, 2));
    await writer.flush();
    await close(writer);
    const after = open(given, firstSegment);
    expect(after.position).toEqual({ ...given, sequence: 11 });
    expect(readAll(firstSegment, 10).bytes.equals(sampleRecords(varied(10, 2)))).toBe(true);
  });

  it('removes what a crash during a reset leaves behind', async () => {
    const writer = open();
    append(writer, varied(1, 30));
    await writer.flush();
    const old = mkdtempSync(join(tmpdir(), 'journal-old-'));
    cpSync(directory, old, { recursive: true });
    const given = { streamId: streamB, epoch: 1, sequence: 0 };
    const firstSegment = await writer.reset(given);
    for (const name of readdirSync(old)) cpSync(join(old, name), join(directory, name));
    rmSync(old, { recursive: true });
    await close(writer);
    const after = open(given, firstSegment);
    expect(after.position).toEqual(given);
    expect(existsSync(join(directory, '0000000001.seg'))).toBe(false);
  });

  it('says that the middle is missing instead of skipping it', async () => {
    const writer = open();
    append(writer, varied(1, 60));
    await writer.flush();
    const path = join(directory, '0000000002.seg');
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(SEGMENT_HEADER_BYTES + 700) ^ 1, SEGMENT_HEADER_BYTES + 700);
    writeFileSync(path, bytes);
    expect(readAll(1, 1).outcome).toBe('corrupt');
    await close(writer);
    const after = open();
    expect(after.fault).toMatch(/record \d+ is missing/);
    expect(after.position.sequence).toBeLessThan(30);
  });

  it('refuses nothing it should keep: every cut or flipped byte ends the journal before the fault', async () => {
    const writer = open();
    const samples = varied(1, 40);
    append(writer, samples);
    await writer.flush();
    await close(writer);
    const pristine = readdirSync(directory).map((name) => ({
      name,
      bytes: readFileSync(join(directory, name)),
    }));
    const faults = fc.array(
      fc.record({
        at: fc.nat(4 * SEGMENT_BYTES - 1),
        length: fc.integer({ min: 1, max: 4096 }),
        xor: fc.integer({ min: 0, max: 255 }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    const property = fc.asyncProperty(faults, async (list) => {
      const scratch = mkdtempSync(join(tmpdir(), 'journal-fuzz-'));
      try {
        for (const file of pristine) {
          const bytes = Buffer.from(file.bytes);
          const base = (Number.parseInt(file.name, 10) - 1) * SEGMENT_BYTES;
          for (const { at, length, xor } of list) {
            // xor 0 stands for a stretch that never reached the disk.
            const from = at - base;
            for (let i = from; i < from + (xor === 0 ? length : 1); i += 1) {
              if (i < 0 || i >= bytes.length) continue;
              bytes[i] = xor === 0 ? 0 : (bytes[i] ?? 0) ^ xor;
            }
          }
          writeFileSync(join(scratch, file.name), bytes);
        }
        const damaged = open(start, 1, scratch);
        const kept = damaged.position.sequence;
        const expected = sampleRecords(samples.slice(0, kept));
        expect(readAll(damaged.segmentOf(1), 1, scratch).bytes.equals(expected)).toBe(true);
        append(damaged, varied(kept + 1, 30));
        await damaged.flush();
        await close(damaged);
        const again = open(start, 1, scratch);
        expect(again.position.sequence).toBe(kept + 30);
        const whole = sampleRecords(varied(1, kept + 30));
        expect(readAll(again.segmentOf(1), 1, scratch).bytes.equals(whole)).toBe(true);
        await close(again);
      } finally {
        rmSync(scratch, { recursive: true });
      }
    });
    await fc.assert(property, { numRuns: 60 });
  }, 180_000);
});
