// From a group's definition to what its machine goes by.
import { expect, test } from 'vitest';
import { defineGroup, parseGroupInput } from '../group-definition.ts';
import { resolveGroup } from './group-settings.ts';

const NODES = [
  { id: 'aaaaaaaaaaaaaaaa', name: 'a' },
  { id: 'bbbbbbbbbbbbbbbb', name: 'b' },
] as const;

function fenceTimeoutOf(fencing: Record<string, unknown>): number {
  const input = { name: 'shop', paths: [{ dir: '/srv/shop' }], failover: {}, fencing };
  const given = { peerId: NODES[1].id, port: 7441, origin: 'test', agents: [] };
  const definition = defineGroup(parseGroupInput(input, 'test'), given);
  return resolveGroup(definition, ...NODES).config.timings.fenceTimeoutMs;
}

test.each([
  ['one device, quick', 30_000, [{}], {}],
  ['alternatives, one after the other', 40_000, [{}, {}], {}],
  ['… of which one may take long', 65_000, [{ timeout: '45s' }, {}], {}],
  ['all at the same time', 45_000, [{ timeout: '45s' }, {}], { require: 'all' }],
  ['after a delay', 50_000, [{}], { delay: { a: '30s' } }],
])('a machine waits as long for its fence devices as they may take: %s', (_, ms, given, rest) => {
  const devices = { b: given.map((one) => ({ agent: 'fence_test', ...one })) };
  expect(fenceTimeoutOf({ devices, ...rest })).toBe(ms);
});
