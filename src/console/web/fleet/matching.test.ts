import { expect, test } from 'vitest';
import { nodeOf, overviewOf } from '../fixtures/overviews.ts';
import { matchingGroups, matchingNodes } from './matching.ts';

const groups = [
  overviewOf({ name: 'mail', level: 'error', primary: 'Berlin' }),
  overviewOf({ name: 'shop', directories: ['/srv/商店'] }),
];
const found = (text: string, level: 'error' | null = null): string[] =>
  matchingGroups(groups, { text, level }).map(({ name }) => name);

test('a group is found by its name, its nodes and its directories; every word has to be somewhere', () => {
  expect(found('')).toEqual(['mail', 'shop']);
  expect([found(' MAIL '), found('berlin mail'), found('berlin shop')]).toEqual([
    ['mail'],
    ['mail'],
    [],
  ]);
  expect([found('商店'), found('.*')]).toEqual([['shop'], []]);
});

test('only those of a level', () => {
  expect([found('', 'error'), found('shop', 'error')]).toEqual([['mail'], []]);
});

test('a node is found by its name, its address and its partner', () => {
  const nodes = [nodeOf({ id: 'a', where: '192.0.2.1:7440', peerName: 'b' })];
  for (const text of ['a', '192.0.2.1', 'b']) {
    expect(matchingNodes(nodes, { text, level: null })).toHaveLength(1);
  }
  expect(matchingNodes(nodes, { text: 'c', level: null })).toEqual([]);
});
