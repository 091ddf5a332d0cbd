import {
  array,
  assert,
  boolean,
  constant,
  integer,
  nat,
  oneof,
  property,
  record,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChangedExtents, type ChangedSince, EXTENT_BYTES } from './changed-extents.ts';

const E = EXTENT_BYTES;

function runs(view: ChangedSince | undefined, ino: number): string {
  const found: string[] = [];
  for (let at = 0; ;) {
    const run = view?.next(0, ino, at);
    if (run === undefined) return found.join(' ');
    found.push(`${run.from / E}-${run.to / E}`);
    at = run.to;
  }
}

describe('ChangedExtents', () => {
  it('tells the extents that were changed behind a mark', () => {
    const changed = new ChangedExtents();
    changed.touch(0, 5, 0, 10);
    expect(changed.since(0)).toBeUndefined();
    changed.mark(100);
    changed.touch(0, 5, 10, 20);
    changed.touch(0, 5, 3 * E - 1, 3 * E + 1);
    changed.touch(0, 6, 500 * E, 502 * E);
    changed.touch(0, 6, 0, 0);
    const view = changed.since(100);
    expect(view?.knows(0, 5)).toBe(true);
    expect(view?.knows(0, 7)).toBe(false);
    expect(runs(view, 5)).toBe('0-1 2-4');
    expect(runs(view, 6)).toBe('500-502');
    expect(changed.since(99)).toBeUndefined();
  });

  it('joins generations, and forgets old ones', () => {
    const changed = new ChangedExtents();
    for (let mark = 0; mark < 10; mark += 1) {
      changed.mark(mark);
      changed.touch(0, 5, mark * E, mark * E + 1);
    }
    expect(runs(changed.since(7), 5)).toBe('7-10');
    expect(runs(changed.since(2), 5)).toBe('2-10');
    expect(changed.since(1)).toBeUndefined();
  });

  it('knows nothing of a file that was made, cut or moved', () => {
    const changed = new ChangedExtents();
    changed.mark(1);
    changed.touch(0, 5, 0, 1);
    changed.touchAll(0, 5);
    changed.mark(2);
    changed.touch(0, 5, 0, 1);
    expect(changed.since(1)?.knows(0, 5)).toBe(false);
    expect(changed.since(2)?.knows(0, 5)).toBe(true);
  });

  it('gives up what would take too much memory, and only that', () => {
    const changed = new ChangedExtents();
    changed.mark(1);
    for (let ino = 0; ino < 600_000; ino += 1) changed.touch(0, ino, 0, 1);
    expect(changed.since(1)).toBeUndefined();
    changed.mark(2);
    changed.touch(0, 5, 0, 1);
    expect(changed.since(1)).toBeUndefined();
    expect(changed.since(2)?.knows(0, 5)).toBe(true);
    changed.touch(0, 6, 0, 2 ** 50);
    expect(changed.since(2)?.knows(0, 6) ?? false).toBe(false);
  });

  it('agrees with a set of extents', () => {
    const touch = record({
      ino: integer({ min: 1, max: 3 }),
      from: nat(70 * E),
      length: oneof(nat(3 * E), constant(1)),
      marks: boolean(),
    });
    assert(
      property(array(touch, { maxLength: 40 }), (touches) => {
        const changed = new ChangedExtents();
        changed.mark(0);
        const model = new Map<number, Set<number>>();
        touches.forEach(({ ino, from, length, marks }, index) => {
          if (marks && index % 6 === 0) changed.mark(index + 1);
          changed.touch(0, ino, from, from + length);
          const set = model.get(ino) ?? new Set();
          for (let at = from; at < from + length; at += 1) {
            set.add(Math.floor(at / E));
            at = (Math.floor(at / E) + 1) * E - 1;
          }
          if (length > 0) model.set(ino, set);
        });
        const view = changed.since(0);
        for (const ino of [1, 2, 3]) {
          const found = new Set<number>();
          for (let run = view?.next(0, ino, 0); run !== undefined; run = view?.next(0, ino, run.to))
            for (let extent = run.from / E; extent < run.to / E; extent += 1) found.add(extent);
          expect([...found]).toEqual([...(model.get(ino) ?? [])].toSorted((a, b) => a - b));
        }
      }),
    );
  });
});
