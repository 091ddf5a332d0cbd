import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Seats } from './seats.ts';

function bed(max: number) {
  const seats = new Seats(max);
  return (...who: string[]) => {
    const response = new ServerResponse(new IncomingMessage(new Socket()));
    return { response, isIn: seats.take(response, who) };
  };
}

test('nobody alone keeps others out, and nobody takes from who has as few', () => {
  const come = bed(4);
  const [oldest] = [come('a'), come('a'), come('a'), come('a')];
  expect(come('a').isIn).toBe(false);
  expect([come('b').isIn, come('c').isIn]).toEqual([true, true]);
  expect(oldest?.response.destroyed).toBe(true);
  // Two of a, one of b, one of c.
  expect([come('b').isIn, come('a').isIn]).toEqual([false, false]);
  expect(come('d').isIn).toBe(true);
  expect(come('e').isIn).toBe(false);
});

test('users of one token share what it has, and other names do not get more for it', () => {
  const come = bed(4);
  for (const user of ['ann', 'ann', 'ann', 'bob']) come('console', user);
  const others = ['cem', 'dee', 'eve'].map((user) => come('console', user).isIn);
  expect(others).toEqual([true, true, false]);
  const names = bed(4);
  for (const user of ['1', '2', '3', '4']) names('console', user);
  expect([names('console', '5').isIn, names('other', '').isIn]).toEqual([false, true]);
});

test('a place is free again when its connection is closed', async () => {
  const come = bed(1);
  const { response } = come('a');
  response.destroy();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(come('b').isIn).toBe(true);
});
