// What is needed to go back is checked before anything is changed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { undoSegmentName } from '../../journal/undo-format.ts';
import { UndoLog } from '../../journal/undo-log.ts';
import { lastMoment, readUndoSegments, type UndoSegment } from '../../journal/undo-reader.ts';
import { planRollback, type RollbackPlan } from './rollback-plan.ts';

const GROUP = 'ab'.repeat(16);

let directory = '';
let segments: readonly UndoSegment[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rollback-plan-'));
  const log = new UndoLog({ directory, groupId: GROUP, segmentBytes: 4096 });
  log.reset(10, 10_000);
  for (let last = 12; last <= 40; last += 2) {
    log.putObject(0, 5, Buffer.alloc(48, last), last);
    log.putXattrs(0, 5, Buffer.alloc(700, last));
    log.putName(1, 6, 'name', last);
    const own = { first: last - 1, last, capturedAt: last * 1000 };
    expect(log.commit({ flags: 0, epoch: 1, ...own })).toBe(0);
  }
  log.close();
  ({ segments } = readUndoSegments(directory, GROUP));
  expect(segments.length).toBeGreaterThan(2);
});
afterEach(() => rmSync(directory, { recursive: true }));

const plan = (target: number, directories = 2): RollbackPlan[] =>
  planRollback({ logDirectory: directory, segments, target, directories });

const pathOf = (index: number): string =>
  join(directory, undoSegmentName(segments[index]?.segment ?? 0));

const at = (us: number): number | undefined =>
  lastMoment(directory, segments, ({ capturedAt }) => capturedAt <= us)?.sequence;

function flip(path: string, byte: number): void {
  const bytes = readFileSync(path);
  bytes[byte] = (bytes[byte] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

describe('the plan of going back', () => {
  it('has the oldest of what is known behind a state', () => {
    const [first, second] = plan(20);
    expect(first?.objects.get(5)?.attributes).toEqual(Buffer.alloc(48, 22));
    expect(first?.objects.get(5)?.changedMs).toBe(22);
    expect(first?.objects.get(5)?.xattrs).toEqual(Buffer.alloc(700, 22));
    expect([...(second?.names.values() ?? [])]).toEqual([{ parent: 6, name: 'name', ino: 22 }]);
    expect(plan(40)[0]?.objects.size).toBe(0);
  });

  it('refuses what is no state of the log', () => {
    for (const target of [9, 21, 41]) {
      expect(() => plan(target)).toThrow(expect.objectContaining({ code: 'REWIND_NOT_KEPT' }));
    }
  });

  it('finds damage anywhere behind the state, and none before it', () => {
    const damaged = expect.objectContaining({ code: 'UNDO_DAMAGED' }) as Error;
    const { start } = segments[1] ?? { start: 0 };
    flip(pathOf(1), 64 + 64 + 40);
    expect(() => plan(start)).toThrow(damaged);
    expect(plan(start + 2).length).toBe(2);
    flip(pathOf(1), 64 + 16);
    expect(() => plan(start)).toThrow(damaged);
    expect(() => plan(10)).toThrow(damaged);
  });

  it('finds the latest state at a time', () => {
    expect([at(9000), at(10_000), at(21_500), at(40_000), at(99_000)]).toEqual([
      undefined,
      10,
      20,
      40,
      40,
    ]);
  });
});
