// The journal on a disk that loses power: what was reported durable is there afterwards, and what
// is there is a prefix of what was appended.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type FileSystemKind,
  mountAgain,
  mountLoopImage,
  unmountLazily,
} from '../../test/support/loop-image.ts';
import { cutPower } from '../../test/support/power-cut.ts';
import { Random } from '../../test/support/random.ts';
import { type SampleRecord, sampleRecords } from '../../test/support/records.ts';
import type { UnderstudyError } from '../core/errors.ts';
import { JournalReader } from './journal-reader.ts';
import type { JournalPosition } from './journal-recovery.ts';
import { JournalWriter } from './journal-writer.ts';

const groupId = 'aa'.repeat(16);
const start: JournalPosition = { streamId: '01'.repeat(16), epoch: 1, sequence: 0 };

let top = '';
let disk = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'journal-power-'));
  disk = join(top, 'disk');
});
afterEach(() => {
  unmountLazily(disk);
  rmSync(top, { recursive: true });
});

function open(checkpoint: JournalPosition): JournalWriter {
  const directory = join(disk, 'journal');
  const options = { directory, groupId, checkpoint, firstSegment: 1 };
  return new JournalWriter({ ...options, segmentBytes: 256 * 1024 });
}

function records(from: number, count: number): SampleRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const sequence = from + index;
    return { sequence, payloadBytes: (sequence * 7919) % 9000, path: `f/${sequence % 13}` };
  });
}

/** Everything behind the checkpoint must be what was appended. */
function check(writer: JournalWriter, checkpoint: number): void {
  const { sequence } = writer.position;
  const reader = new JournalReader({
    directory: join(disk, 'journal'),
    groupId,
    segment: writer.segmentOf(checkpoint + 1),
    sequence: checkpoint + 1,
  });
  let next = checkpoint + 1;
  while (next <= sequence) {
    expect(reader.next(1_000_000, sequence)).toBe('records');
    const { batch } = reader;
    const expected = sampleRecords(records(next, batch.lastSequence - next + 1));
    expect(expected.equals(batch.bytes.subarray(batch.at, batch.end))).toBe(true);
    next = batch.lastSequence + 1;
  }
  reader.close();
}

it.each<FileSystemKind>(['ext4', 'xfs'])(
  'keeps what is durable through power cuts on %s',
  async (kind) => {
    const seed = Date.now() & 0xffff;
    process.stdout.write(`seed ${seed}\n`);
    const random = new Random(seed);
    const image = join(top, 'image');
    mountLoopImage({ image, dir: disk, bytes: 384 * 1024 * 1024, kind });
    let checkpoint = start;
    let lost = 0;
    for (let round = 0; round < 12; round += 1) {
      const writer = open(checkpoint);
      check(writer, checkpoint.sequence);
      const steps = 5 + random.below(60);
      for (let step = 0; step < steps; step += 1) {
        const bytes = sampleRecords(records(writer.position.sequence + 1, 1 + random.below(30)));
        writer.append(bytes, new DataView(bytes.buffer), 0, bytes.length);
        if (random.chance(0.5)) await writer.flush();
        if (random.chance(0.1)) {
          // As if a checkpoint had been made: the copy itself is not on this disk.
          checkpoint = { ...start, sequence: writer.durableSequence };
          writer.free(checkpoint.sequence, writer.segmentOf(checkpoint.sequence + 1));
        }
      }
      const durable = writer.durableSequence;
      const appended = writer.position.sequence;
      cutPower(disk);
      await writer.close();
      execFileSync('umount', [disk]);
      mountAgain(image, disk);
      const after = open(checkpoint);
      expect(after.position.sequence).toBeGreaterThanOrEqual(durable);
      expect(after.position.sequence).toBeLessThanOrEqual(appended);
      lost += appended - after.position.sequence;
      check(after, checkpoint.sequence);
      await after.close();
    }
    // Otherwise the power was never really cut.
    expect(lost).toBeGreaterThan(0);
  },
);

it('says that the disk is full, loses nothing by it, and goes on when there is room', async () => {
  mountLoopImage({ image: join(top, 'image'), dir: disk, bytes: 32 * 1024 * 1024 });
  const writer = open(start);
  const fill = (): string => {
    for (let i = 0; i < 1000; i += 1) {
      const bytes = sampleRecords(records(writer.position.sequence + 1, 20));
      try {
        writer.append(bytes, new DataView(bytes.buffer), 0, bytes.length);
      } catch (error) {
        return (error as UnderstudyError).code;
      }
    }
    return 'none';
  };
  expect(fill()).toBe('JOURNAL_NO_SPACE');
  const full = writer.position.sequence;
  await writer.flush();
  expect(fill()).toBe('JOURNAL_NO_SPACE');
  check(writer, 0);
  const checkpoint = { ...start, sequence: Math.floor(full * 0.8) };
  writer.free(checkpoint.sequence, writer.segmentOf(checkpoint.sequence + 1));
  expect(fill()).toBe('JOURNAL_NO_SPACE');
  expect(writer.position.sequence).toBeGreaterThan(full * 1.5);
  await writer.flush();
  await writer.close();
  const after = open(checkpoint);
  expect(after.position.sequence).toBe(writer.position.sequence);
  check(after, checkpoint.sequence);
  await after.close();
});

it('stays with its stream while the disk has no room for the next one', async () => {
  mountLoopImage({ image: join(top, 'image'), dir: disk, bytes: 32 * 1024 * 1024 });
  const writer = open(start);
  const append = (count: number, epoch = 1): void => {
    const samples = records(writer.position.sequence + 1, count);
    const bytes = sampleRecords(samples.map((sample) => ({ ...sample, epoch })));
    writer.append(bytes, new DataView(bytes.buffer), 0, bytes.length);
  };
  const next = '02'.repeat(16);
  append(1);
  await writer.flush();
  const filler = join(disk, 'filler');
  expect(() => writeFileSync(filler, Buffer.alloc(64 * 1024 * 1024))).toThrow('ENOSPC');
  // The spare segment was made before; without one there has to be room.
  const other = '03'.repeat(16);
  expect(() => {
    for (let turn = 0; turn < 9; turn += 1) writer.continueAs(turn % 2 === 0 ? other : next, 1);
  }).toThrow('free some space there');
  const { streamId } = writer.position;
  expect(() => writer.continueAs('04'.repeat(16), 2)).toThrow('free some space there');
  expect(writer.position).toEqual({ streamId, epoch: 1, sequence: 1 });
  rmSync(filler);
  writer.continueAs('04'.repeat(16), 2);
  append(5, 2);
  await writer.flush();
  await writer.close();
  const after = open(start);
  expect(after.position).toEqual({ streamId: '04'.repeat(16), epoch: 2, sequence: 6 });
  await after.close();
});
