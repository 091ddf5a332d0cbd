import { expect, test } from 'vitest';
import { eventText } from './event-text.ts';

test.each([
  ['the standby is in step', { group: 'shop' }, 'shop: the standby is in step'],
  ['group "shop" was created', { group: 'shop' }, 'group "shop" was created'],
  ['a is standby of shop: asked for', { group: 'shop' }, 'a is standby of shop: asked for'],
  ['the web-shop is closed', { group: 'shop' }, 'shop: the web-shop is closed'],
  ['node "b" answers again', { node: 'b' }, 'node "b" answers again'],
])('%s %j', (message, details, text) => {
  expect(eventText({ message, details })).toBe(text);
});
