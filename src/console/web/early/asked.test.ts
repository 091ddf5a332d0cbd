import { afterEach, expect, test } from 'vitest';
import { type Early, takeEarly } from './asked.ts';

const place = globalThis as unknown as { window?: { understudyEarly?: Early } };

afterEach(() => {
  delete place.window;
});

test('an answer that was asked for ahead is taken once', async () => {
  const answer = new Response('{}');
  place.window = { understudyEarly: { '/session': Promise.resolve(answer) } };
  expect(await takeEarly('/fleet')).toBeNull();
  expect(await takeEarly('/session')).toBe(answer);
  expect(await takeEarly('/session')).toBeNull();
});

test('two who want it at once do not share it: its body can be read once', async () => {
  place.window = { understudyEarly: { '/session': Promise.resolve(new Response('{}')) } };
  const both = await Promise.all([takeEarly('/session'), takeEarly('/session')]);
  expect(both.filter((one) => one !== null)).toHaveLength(1);
});

test('without the script that asks ahead, everything is asked for when it is needed', async () => {
  place.window = {};
  expect(await takeEarly('/session')).toBeNull();
});
