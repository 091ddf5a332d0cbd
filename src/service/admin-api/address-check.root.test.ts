// Is an address free? Asked over a cable to another machine (a network namespace).
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { probeAddress } from './address-check.ts';

const SPACE = `understudy-ac-${process.pid}`;
const [OWN, OTHER] = [`uac${process.pid % 100_000}a`, `uac${process.pid % 100_000}b`];

function ip(...argv: string[]): void {
  execFileSync('ip', argv, { stdio: 'pipe' });
}

beforeAll(() => {
  ip('netns', 'add', SPACE);
  ip('link', 'add', OWN, 'type', 'veth', 'peer', 'name', OTHER);
  ip('link', 'set', OTHER, 'netns', SPACE);
  ip('addr', 'add', '198.51.100.1/24', 'dev', OWN);
  ip('link', 'set', OWN, 'up');
  ip('-n', SPACE, 'addr', 'add', '198.51.100.7/24', 'dev', OTHER);
  ip('-n', SPACE, 'link', 'set', OTHER, 'up');
});
afterAll(() => {
  // The pair of interfaces goes with it.
  ip('netns', 'del', SPACE);
});

test('free, used by another machine, used by this node', async () => {
  const ask = async (address: string) => probeAddress({ ip: address, interface: OWN });
  expect(await ask('198.51.100.9/24')).toEqual({
    ip: '198.51.100.9',
    isFree: true,
    occupant: null,
  });
  expect(await ask('198.51.100.7/24')).toMatchObject({
    isFree: false,
    occupant: { kind: 'other-machine', mac: expect.stringMatching(/^([0-9a-f]{2}:){5}/) as string },
  });
  expect((await ask('198.51.100.1/24')).occupant?.kind).toBe('this-node');
});

test.each([
  ['ADDRESS_INVALID', '198.51.100.0/24', OWN],
  ['ADDRESS_INVALID', 'localhost', OWN],
  ['ADDRESS_OUTSIDE_NETWORK', '192.0.2.9/24', OWN],
  ['ADDRESS_INTERFACE_MISSING', '198.51.100.9/24', 'nosuch0'],
  ['ADDRESS_INTERFACE_UNUSABLE', '198.51.100.9/24', 'lo'],
])('%s: %s on %s', async (code, address, name) => {
  await expect(probeAddress({ ip: address, interface: name })).rejects.toMatchObject({ code });
});
