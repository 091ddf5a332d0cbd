import { expect, test } from 'vitest';
import { type EventFilter, filterOf, NO_FILTER, queryOf, searchOf } from './event-filter.ts';

const full: EventFilter = {
  node: 'self',
  level: 'error',
  group: 'shop',
  text: '<script>',
  span: 'day',
  onlyOpen: true,
};

test('a filter is in the address, and read from it; nothing of the default is', () => {
  expect(searchOf(NO_FILTER).toString()).toBe('');
  expect(filterOf(new URLSearchParams(''))).toEqual(NO_FILTER);
  expect(filterOf(searchOf(full))).toEqual(full);
  expect(filterOf(new URLSearchParams('level=nonsense&span=age'))).toEqual(NO_FILTER);
});

test('the query of the API: what is not wished for is left out', () => {
  const now = Date.parse('2026-03-01T12:00:30Z');
  expect(queryOf(full, now)).toEqual({
    level: 'error',
    group: 'shop',
    text: '<script>',
    since: '2026-02-28T12:00:00.000Z',
    unacknowledged: 'true',
  });
  expect(Object.values(queryOf(NO_FILTER)).every((value) => value === undefined)).toBe(true);
});
