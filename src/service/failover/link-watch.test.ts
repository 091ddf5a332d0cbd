import { expect, test } from 'vitest';
import { LinkWatch } from './link-watch.ts';

test.each([
  ['lo', 'ok'],
  ['no-such-card', 'failed'],
])('a machine that heard otherwise from another service hears how %s is', (name, state) => {
  const told: string[] = [];
  const watch = new LinkWatch([name], (now) => told.push(now));
  try {
    watch.tellAgain();
  } finally {
    watch.stop();
  }
  expect(told).toEqual([state]);
});
