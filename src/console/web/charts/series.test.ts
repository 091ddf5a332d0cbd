import { expect, test } from 'vitest';
import { align, appendLive, mergePoints, type Point, summaryOf, thinned } from './series.ts';

const point = (at: number, value: number): Point => [at, value, value - 1, value + 1];

test('lines share an axis; where one has nothing there is no value', () => {
  const { times, lines } = align([[point(10, 1), point(20, 2)], [point(20, 5)]], 10);
  expect(times).toEqual([10, 20]);
  expect(lines[0]?.mean).toEqual([1, 2]);
  expect(lines[1]).toEqual({ mean: [null, 5], least: [null, 4], most: [null, 6] });
});

test('a time of which nothing is known interrupts the lines', () => {
  const { times, lines } = align([[point(10, 1), point(100, 2)]], 10);
  expect(times).toEqual([10, 20, 100]);
  expect(lines[0]?.mean).toEqual([1, null, 2]);
  expect(align([[point(10, 1), point(40, 2)]], 10).times).toEqual([10, 40]);
});

test('what two nodes remember is one line, in order, each moment once', () => {
  const merged = mergePoints([point(30, 3), point(10, 1)], [point(30, 4), point(20, 2)]);
  expect(merged.map(([at, mean]) => [at, mean])).toEqual([
    [10, 1],
    [20, 2],
    [30, 4],
  ]);
});

test('live points replace remembered ones of the same time, and old ones go', () => {
  const points = appendLive(
    [point(10, 1), point(20, 2), point(30, 3)],
    [point(25, 9), point(26, 9)],
    15,
  );
  expect(points.map(([at]) => at)).toEqual([20, 25, 26]);
  expect(appendLive([point(10, 1)], [], 0)).toHaveLength(1);
});

test('the summary, of something and of nothing', () => {
  expect(summaryOf([])).toBeNull();
  expect(summaryOf([point(10, 2), point(20, 4)])).toEqual({ last: 4, mean: 3, least: 1, most: 5 });
});

test('a table has first and last, and no more rows than asked for', () => {
  const points = Array.from({ length: 100 }, (_, at) => point(at, at));
  const few = thinned(points, 12);
  expect([few.length, few[0]?.[0], few.at(-1)?.[0]]).toEqual([12, 0, 99]);
  expect(thinned(points.slice(0, 5), 12)).toHaveLength(5);
});
