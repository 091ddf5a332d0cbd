import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, constantFrom, nat, property, record } from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../core/clock.ts';
import { commonPoint, type Mark, type MarkedPoint, Marks, MARKS_MAX } from './marks.ts';

const GROUP = 'a'.repeat(32);
const S = '1'.repeat(32);
const T = '2'.repeat(32);
const NOW = 1_000_000;

describe('Marks', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'marks-'));
    path = join(directory, 'marks.json');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Stands at `wallMs`. */
  const clockAt = (wallMs: number): Clock => ({ wallMs: () => wallMs, monotonicMs: () => 0 });
  const open = (wallMs = NOW, group = GROUP): Marks => Marks.open(path, group, clockAt(wallMs));
  const add = (marks: Marks, mark: Mark): void => marks.add(mark, marks.era);

  it('keeps marks across restarts, the newest ones when there are too many', () => {
    const marks = open();
    for (let n = 0; n < MARKS_MAX + 10; n += 1) add(marks, { streamId: S, sequence: n, wallMs: n });
    const again = open();
    expect(again.fault).toBeUndefined();
    expect(again.all).toHaveLength(MARKS_MAX);
    expect(again.upTo({ streamId: S, sequence: 20 })?.wallMs).toBe(20);
    expect(again.upTo({ streamId: S, sequence: 9 })).toBeUndefined();
    expect(again.upTo({ streamId: T, sequence: 20 })).toBeUndefined();
    again.clear();
    expect(open().all).toEqual([]);
  });

  it.each([
    ['truncated', (text: string): string => text.slice(0, 20), /damaged/],
    ['empty', (): string => '', /damaged/],
    [
      'of another version',
      (t: string): string => t.replace('"version":1', '"version":9'),
      /damaged/,
    ],
    [
      'with another number',
      (t: string): string => t.replace('"sequence":5', '"sequence":7'),
      /damaged/,
    ],
    [
      'with a number out of range',
      (t: string): string => t.replace('"sequence":5', '"sequence":-5'),
      /damaged/,
    ],
  ])('does not use a file that is %s, and says so', (_, spoil, message) => {
    add(open(), { streamId: S, sequence: 5, wallMs: 5 });
    writeFileSync(path, spoil(readFileSync(path, 'utf8')));
    const marks = open();
    expect(marks.fault).toMatch(message);
    expect(marks.all).toEqual([]);
    add(marks, { streamId: S, sequence: 6, wallMs: 6 });
    expect(open().all).toHaveLength(1);
  });

  it('does not use those of another group', () => {
    add(open(NOW, 'b'.repeat(32)), { streamId: S, sequence: 5, wallMs: 5 });
    const marks = open();
    expect(marks.fault).toMatch(/belongs to group b/);
    expect(marks.all).toEqual([]);
  });

  it('uses a file of before there were checksums', () => {
    const mark = { streamId: S, sequence: 5, wallMs: 5 };
    writeFileSync(path, `${JSON.stringify({ version: 1, groupId: GROUP, marks: [mark] })}\n`);
    expect(open().all).toEqual([mark]);
  });

  describe('with a clock that may be set', () => {
    let wallMs = 0;
    let monotonicMs = 0;
    let marks: Marks;
    beforeEach(() => {
      wallMs = 10_000;
      monotonicMs = 0;
      const clock = { wallMs: () => wallMs, monotonicMs: () => monotonicMs };
      marks = Marks.open(path, GROUP, clock);
      add(marks, { streamId: S, sequence: 5, wallMs: 5 });
    });
    const pass = (monotonic: number, wall: number): number => {
      monotonicMs += monotonic;
      wallMs += wall;
      return marks.watchClock();
    };
    const expectNone = (): void => {
      expect(marks.all).toHaveLength(0);
      expect(open().all).toHaveLength(0);
    };

    it('forgets everything when it is set back while it runs, not when it is set forward', () => {
      expect([pass(0, 0), pass(1000, 1000), pass(1000, 900_000), pass(1000, 900)]).toEqual([
        0, 0, 0, 0,
      ]);
      expect(marks.all).toHaveLength(1);
      expect(pass(1000, -500)).toBe(1500);
      expectNone();
    });

    it('forgets everything when it is set back before it is looked at for the first time', () => {
      expect(pass(500, -3000)).toBe(3500);
      expectNone();
    });

    it('forgets everything also when the disk takes nothing', () => {
      mkdirSync(`${path}.new`);
      pass(1000, -500);
      expectNone();
    });

    it('does not add a mark of before it was set back', () => {
      const { era } = marks;
      const mark = { streamId: S, sequence: 6, wallMs };
      pass(1000, -500);
      marks.add(mark, era);
      expectNone();
    });

    it('does not add a mark either when nobody has looked since', () => {
      const { era } = marks;
      const mark = { streamId: S, sequence: 6, wallMs };
      wallMs -= 500;
      marks.add(mark, era);
      expectNone();
    });
  });

  it('does not use marks when the clock was set back behind them', () => {
    add(open(), { streamId: S, sequence: 5, wallMs: NOW });
    expect(open(NOW - 1).fault).toMatch(/clock/);
  });

  it('does not use them later either: what was changed while the clock was behind looks older than they are', () => {
    add(open(), { streamId: S, sequence: 5, wallMs: NOW });
    expect(open(NOW - 1).all).toEqual([]);
    expect(open(NOW + 1000).all).toEqual([]);
  });
});

const at = (streamId: string, ...sequences: number[]): MarkedPoint[] =>
  sequences.map((sequence) => ({ streamId, sequence }));

describe('commonPoint', () => {
  it.each([
    ['nothing in common', at(S, 1), at(T, 1), undefined],
    ['no marks', [], at(S, 1), undefined],
    ['the same mark', at(S, 7), at(S, 7), 7],
    ['one is further', at(S, 3, 9), at(S, 5), 5],
    ['the other is further', at(S, 5), at(S, 3, 9), 5],
    ['all marks of one are later', at(S, 9), at(S, 5), undefined],
    ['the later of two streams', [...at(S, 3), ...at(T, 8)], [...at(S, 4), ...at(T, 8)], 8],
  ])('%s', (_, ours, theirs, expected) => {
    expect(commonPoint(ours, theirs)?.sequence).toBe(expected);
    expect(commonPoint(theirs, ours)?.sequence).toBe(expected);
  });

  it('is at or after a mark of each, and at or before the last of each', () => {
    const marks = array(record({ streamId: constantFrom(S, T), sequence: nat(30) }), {
      maxLength: 12,
    });
    assert(
      property(marks, marks, (ours, theirs) => {
        const point = commonPoint(ours, theirs);
        const fits = (candidate: MarkedPoint): boolean =>
          [ours, theirs].every((side) => {
            const own = side.filter(({ streamId }) => streamId === candidate.streamId);
            const sequences = own.map(({ sequence }) => sequence);
            const least = Math.min(...sequences);
            return least <= candidate.sequence && Math.max(...sequences) >= candidate.sequence;
          });
        if (point !== undefined) expect(fits(point)).toBe(true);
        const others = [...ours, ...theirs].filter(fits).map(({ sequence }) => sequence);
        expect(point?.sequence).toBe(others.length === 0 ? undefined : Math.max(...others));
      }),
    );
  });
});
