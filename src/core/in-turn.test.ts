import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { InTurn } from './in-turn.ts';

/** Even numbers are waited for. */
function numbers(): { readonly seen: number[]; readonly turns: InTurn<number> } {
  const seen: number[] = [];
  const turns = new InTurn<number>((one) => {
    seen.push(one);
    return one % 2 === 0;
  });
  return { seen, turns };
}

test('what comes behind something that was waited for is handed on one turn later', async () => {
  const { seen, turns } = numbers();
  for (const one of [1, 2, 3, 4, 5]) turns.push(one);
  expect(seen).toEqual([1, 2]);
  await nextTurn();
  expect(seen).toEqual([1, 2, 3, 4]);
  turns.push(6);
  await nextTurn();
  expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
});

test('at once, and once, where nobody is to wait for it', async () => {
  const { seen, turns } = numbers();
  for (const one of [2, 3, 4, 5]) turns.push(one);
  turns.flush();
  expect(seen).toEqual([2, 3, 4, 5]);
  await nextTurn();
  turns.push(7);
  expect(seen).toEqual([2, 3, 4, 5, 7]);
});
