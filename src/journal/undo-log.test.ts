// The undo log on disk: what is written is read, and what is damaged is found before it is used.
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KiB } from '../core/units.ts';
import { UNDO_HEADER_BYTES, undoFlag, undoKind, undoSegmentName } from './undo-format.ts';
import { UndoLog } from './undo-log.ts';
import {
  batchesAfter,
  batchesBackwards,
  momentsOf,
  readUndoSegments,
  type UndoMoment,
} from './undo-reader.ts';

const GROUP = 'ab'.repeat(16);
const OTHER = 'cd'.repeat(16);

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'undo-log-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (groupId = GROUP, segmentBytes = 8 * KiB): UndoLog =>
  new UndoLog({ directory, groupId, segmentBytes });

/** Appends a batch with one name and `bytes` bytes of attributes. */
function append(log: UndoLog, last: number, bytes = 100, flags = 0): void {
  log.putName(0, 7, `name ${last}`, last);
  log.putXattrs(1, 8, Buffer.alloc(bytes, last));
  const first = (log.last ?? 0) + 1;
  expect(log.commit({ flags, first, last, capturedAt: last * 1000, epoch: 1 })).toBe(0);
}

const lasts = (after = 0): number[] =>
  [...batchesAfter(directory, readUndoSegments(directory, GROUP).segments, after)].map(
    ({ batch }) => batch.last,
  );
const moments = (): UndoMoment[] => [
  ...momentsOf(directory, readUndoSegments(directory, GROUP).segments),
];

const fileOf = (index: number): string =>
  join(directory, readdirSync(directory).toSorted()[index] ?? '');

const fill = (): void => {
  const log = open();
  log.reset(0, 0);
  for (let last = 1; last < 40; last += 1) append(log, last, 1000);
  log.close();
};
const flip = (path: string, at: number): void => {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
};

describe('an undo log', () => {
  it('gives back what was written, in both directions, over several segments', () => {
    const log = open();
    log.reset(10, 5);
    for (let last = 12; last < 60; last += 2) append(log, last, 1000);
    expect(log.segments.length).toBeGreaterThan(3);
    const { segments } = readUndoSegments(directory, GROUP);
    const ends = log.segments.map(({ start, last }) => [start, last]);
    expect(segments.map(({ start, last }) => [start, last])).toEqual(ends);
    expect(lasts()).toEqual(lasts().toSorted((a, b) => a - b));
    expect(lasts(30)).toEqual([32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58]);
    const backwards = [...batchesBackwards(directory, segments, 30)].map(({ batch }) => batch.last);
    expect(backwards).toEqual(lasts(30).toReversed());
    expect(moments()[0]).toEqual({ sequence: 10, capturedAt: 5 });
    expect(moments().at(-1)).toEqual({ sequence: 58, capturedAt: 58_000 });
    for (const { file, batch } of batchesAfter(directory, segments, 56)) {
      expect(file.isWhole(batch)).toBe(true);
      const [name, xattrs] = [...file.entries(batch)].map((entry) => ({ ...entry }));
      expect(name).toMatchObject({ kind: undoKind.name, ino: 7, offset: 58, name: 'name 58' });
      expect(xattrs).toMatchObject({ kind: undoKind.xattrs, directory: 1, ino: 8 });
    }
    log.close();
  });

  it('has the ends of stretches as states to go back to, and no others', () => {
    const log = open();
    const end = (last: number): number =>
      log.endStretch({ flags: 0, last, capturedAt: last * 1000, epoch: 1 });
    log.reset(0, 0);
    append(log, 3, 100, undoFlag.open);
    append(log, 5, 9000, undoFlag.open);
    // A segment that is full ends with the stretch.
    expect(log.segments.length).toBe(1);
    expect(end(8)).toBe(0);
    expect(log.segments.length).toBe(2);
    append(log, 12, 100, undoFlag.open);
    expect([end(12), end(12)]).toEqual([0, 0]);
    append(log, 14, 100, undoFlag.open);
    log.close();
    expect(moments().map(({ sequence }) => sequence)).toEqual([0, 8, 12, 12]);
    expect(lasts(8)).toEqual([12, 12, 12, 14]);
    const again = open();
    expect(again.last).toBe(14);
    again.cutAfter(12);
    again.close();
    expect(lasts()).toEqual([3, 5, 8, 12, 12, 12]);
  });

  it('keeps long batches whole', () => {
    const log = open();
    log.reset(0, 0);
    append(log, 1, 3_000_000);
    append(log, 2);
    log.close();
    const { segments } = readUndoSegments(directory, GROUP);
    const found: number[] = [];
    for (const { file, batch } of batchesAfter(directory, segments, 0)) {
      expect(file.isWhole(batch)).toBe(true);
      found.push([...file.entries(batch)].reduce((sum, { data }) => sum + data.length, 0));
    }
    expect(found).toEqual([3_000_000, 100]);
    expect(lasts()).toEqual([1, 2]);
  });

  it('goes on after a restart, without what was not whole', () => {
    const log = open();
    log.reset(0, 0);
    append(log, 1);
    append(log, 2);
    const { bytes } = log.segments[0] ?? { bytes: 0 };
    log.close();
    truncateSync(fileOf(0), bytes - 8);
    const again = open();
    expect(again.last).toBe(1);
    append(again, 5);
    again.close();
    expect(lasts()).toEqual([1, 5]);
  });

  it.each([100, 5000])(
    'does not count a last batch of which only the header came to the disk, %i bytes',
    (bytes) => {
      const log = open(GROUP, 1 << 20);
      log.reset(0, 0);
      append(log, 1);
      append(log, 3, 100, undoFlag.open);
      const end = log.segments[0]?.bytes ?? 0;
      append(log, 4, bytes);
      log.close();
      const path = fileOf(0);
      const torn = readFileSync(path);
      torn.fill(0, end + UNDO_HEADER_BYTES + bytes / 2);
      writeFileSync(path, torn);
      expect(lasts()).toEqual([1, 3, 4]);
      const again = open(GROUP, 1 << 20);
      expect([again.last, again.fault]).toEqual([3, undefined]);
      append(again, 9);
      again.close();
      expect(lasts()).toEqual([1, 3, 9]);
    },
  );

  it.each([0, 10, UNDO_HEADER_BYTES])(
    'goes on before a segment that was only just begun, with %i bytes of it on the disk',
    (bytes) => {
      fill();
      const before = readUndoSegments(directory, GROUP).segments;
      const next = join(directory, undoSegmentName(before.length + 1));
      writeFileSync(next, Buffer.alloc(bytes));
      const log = open();
      expect(log.fault).toBeUndefined();
      expect(log.segments).toEqual(before);
      append(log, 40);
      append(log, 41, 9000);
      append(log, 42);
      log.close();
      expect(lasts(38)).toEqual([39, 40, 41, 42]);
    },
  );

  it('takes nothing behind its end for a batch', () => {
    const log = open(GROUP, 1 << 20);
    log.reset(0, 0);
    append(log, 1);
    append(log, 2);
    log.cutAfter(1);
    append(log, 3);
    log.close();
    expect(lasts()).toEqual([1, 3]);
    appendFileSync(fileOf(0), Buffer.alloc(500, 0x55));
    expect(lasts()).toEqual([1, 3]);
  });

  it('cuts at a state in an earlier segment', () => {
    const log = open();
    log.reset(0, 0);
    for (let last = 1; last < 40; last += 1) append(log, last, 1000);
    log.cutAfter(5);
    expect(log.last).toBe(5);
    append(log, 50);
    log.close();
    expect(lasts()).toEqual([1, 2, 3, 4, 5, 50]);
  });

  it('frees the oldest and keeps the one it writes', () => {
    const log = open();
    log.reset(0, 0);
    for (let last = 1; last < 40; last += 1) append(log, last, 1000);
    while (log.freeOldest()) expect(log.segments.length).toBeGreaterThan(0);
    expect(log.segments.length).toBe(1);
    expect(moments()[0]?.sequence).toBe(log.start);
    log.close();
  });

  it('offers no state within a scan', () => {
    const log = open(GROUP, 300);
    log.reset(0, 0);
    append(log, 1);
    append(log, 2, 100, undoFlag.scanning);
    append(log, 3, 100, undoFlag.scanning);
    append(log, 4);
    log.close();
    expect(moments().map(({ sequence }) => sequence)).toEqual([0, 1, 4]);
    expect(log.segments.length).toBeGreaterThan(1);
  });
});

describe('a damaged undo log', () => {
  it('is used only behind a segment whose header is wrong', () => {
    fill();
    const before = readUndoSegments(directory, GROUP).segments;
    flip(fileOf(2), 20);
    const { segments, fault } = readUndoSegments(directory, GROUP);
    expect(fault).toContain('0000000003.undo');
    expect(segments).toEqual(before.slice(3));
    const log = open();
    expect(log.fault).toContain('0000000003.undo');
    expect(readdirSync(directory).length).toBe(before.length - 3);
    log.close();
  });

  it('is not used over a segment that is missing', () => {
    fill();
    rmSync(fileOf(1));
    const { fault } = readUndoSegments(directory, GROUP);
    expect(fault).toContain('0000000003.undo does not follow on 0000000001.undo');
  });

  it('says so of a batch whose entries are wrong', () => {
    fill();
    flip(fileOf(0), 2 * UNDO_HEADER_BYTES + 30);
    const { segments } = readUndoSegments(directory, GROUP);
    const whole: boolean[] = [];
    for (const { file, batch } of batchesAfter(directory, segments, 0)) {
      whole.push(file.isWhole(batch));
    }
    expect(whole.indexOf(false)).toBe(0);
    expect(whole.filter((each) => !each).length).toBe(1);
  });

  it('is refused when it is of another group or version', () => {
    fill();
    expect(readUndoSegments(directory, OTHER).segments).toEqual([]);
    expect(readUndoSegments(directory, OTHER).fault).toContain('another group');
    flip(fileOf(0), 4);
    expect(readUndoSegments(directory, GROUP).fault).toBeDefined();
  });
});
