import { expect, test } from 'vitest';
import { nextInTurn } from './held-address.ts';

test('of more than can be told at once each has its turn', () => {
  const all = [0, 1, 2, 3, 4, 5, 6];
  let doneCount = 0;
  const told = [0, 1, 2].map(() => {
    const next = nextInTurn(all, doneCount, 3);
    doneCount += next.length;
    return next;
  });
  expect(told).toEqual([
    [0, 1, 2],
    [3, 4, 5],
    [6, 0, 1],
  ]);
});

test('nobody is told twice in one turn, and of nobody nobody is', () => {
  expect(nextInTurn([1, 2], 3, 256)).toEqual([2, 1]);
  expect(nextInTurn([], 5, 256)).toEqual([]);
  expect(nextInTurn([1, 2], 0, 0)).toEqual([]);
});
