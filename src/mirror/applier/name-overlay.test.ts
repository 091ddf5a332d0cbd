import { describe, expect, it } from 'vitest';
import { NameOverlay } from './name-overlay.ts';
import { cover } from './pre-image.ts';

describe('names during a run of records', () => {
  it('are their own origins until one changes', () => {
    const overlay = new NameOverlay();
    expect(overlay.origin('a/b')).toBe('a/b');
    overlay.create('x');
    expect(overlay.origin('a/b')).toBe('a/b');
    expect(overlay.origin('x')).toBeUndefined();
    expect(overlay.origin('x/y')).toBeUndefined();
    overlay.clear();
    expect(overlay.origin('x')).toBe('x');
  });

  it('follow renamed directories, with what is in them', () => {
    const overlay = new NameOverlay();
    overlay.rename('a', 'b');
    overlay.rename('b/c', 'd');
    expect(overlay.origin('b/x')).toBe('a/x');
    expect(overlay.origin('d')).toBe('a/c');
    expect(overlay.origin('a/x')).toBeUndefined();
    overlay.remove('d');
    expect(overlay.origin('d')).toBeUndefined();
  });

  it('lead into directories that the run made, once what appears in them is noted', () => {
    const overlay = new NameOverlay();
    overlay.create('new');
    overlay.appear('new/sub');
    overlay.appear('new');
    overlay.exchange('old', 'new/sub/name');
    expect(overlay.origin('new/sub/name')).toBe('old');
    overlay.appear('kept');
    expect(overlay.origin('kept')).toBe('kept');
  });

  it('know both ends of an exchange and both names of a file', () => {
    const overlay = new NameOverlay();
    overlay.exchange('a', 'b');
    expect([overlay.origin('a'), overlay.origin('b')]).toEqual(['b', 'a']);
    overlay.link('a', 'c');
    expect(overlay.origin('c')).toBe('b');
    overlay.create('n');
    overlay.link('n', 'm');
    expect(overlay.origin('m')).toBeUndefined();
  });
});

describe('ranges that are saved', () => {
  it('grow by what was missing', () => {
    const ranges: number[] = [];
    expect(cover(ranges, 10, 20)).toEqual([[10, 20]]);
    expect(cover(ranges, 30, 40)).toEqual([[30, 40]]);
    expect(cover(ranges, 15, 35)).toEqual([[20, 30]]);
    expect(ranges).toEqual([10, 40]);
    expect(cover(ranges, 12, 38)).toEqual([]);
    expect(cover(ranges, 40, 50)).toEqual([[40, 50]]);
    expect(cover(ranges, 0, 60)).toEqual([
      [0, 10],
      [50, 60],
    ]);
    expect(ranges).toEqual([0, 60]);
  });
});
