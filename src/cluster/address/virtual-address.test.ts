import { expect, test } from 'vitest';
import type { Link } from '../../linux/netlink.ts';
import {
  type NetworkView,
  parseAddressWithPrefix,
  placeAddress,
  type VirtualAddress,
} from './virtual-address.ts';

const link = (index: number, name: string, changes: Partial<Link> = {}): Link => ({
  index,
  name,
  mac: Uint8Array.of(2, 0, 0, 0, 0, index),
  up: true,
  carrier: true,
  loopback: false,
  ...changes,
});
const address = (index: number, ip: string, prefix: number) => ({
  index,
  ip,
  prefix,
  tentative: false,
  duplicate: false,
  deprecated: false,
});
const network: NetworkView = {
  links: [
    link(1, 'lo', { loopback: true }),
    link(2, 'eth0'),
    link(3, 'bond0.12'),
    link(4, 'tun0', { mac: new Uint8Array() }),
  ],
  addresses: [
    address(2, '192.0.2.5', 24),
    address(3, '10.1.0.5', 16),
    address(2, 'fe80::1', 64),
    address(2, '2001:db8::5', 64),
  ],
};
const place = (changes: Partial<VirtualAddress>): unknown => {
  const wanted = { ip: '192.0.2.10', prefix: 24, interface: 'eth0', ...changes };
  return placeAddress(wanted, network).link.name;
};

test.each([
  ['192.0.2.10/24', '192.0.2.10', 24],
  ['192.0.2.0/31', '192.0.2.0', 31],
  ['192.0.2.10/32', '192.0.2.10', 32],
  ['2001:DB8::10/64', '2001:db8::10', 64],
])('%s is an address', (text, ip, prefix) => {
  expect(parseAddressWithPrefix(text)).toEqual({ ip, prefix });
});

test.each([
  '192.0.2.10',
  '192.0.2.10/33',
  '192.0.2.10/0',
  '192.0.2.10/24/1',
  '192.0.2.10/+4',
  '192.0.2.0/24',
  '192.0.2.255/24',
  '0.0.0.0/24',
  '127.0.0.1/8',
  '224.0.0.18/24',
  'fe80::1/64',
  '::1/128',
  '::/64',
  'ff02::1/64',
  'eth0/24',
])('"%s" is refused', (text) => {
  expect(() => parseAddressWithPrefix(text)).toThrow(
    expect.objectContaining({ code: 'ADDRESS_INVALID' }),
  );
});

test('addresses inside a network of their interface are placed', () => {
  expect(place({})).toBe('eth0');
  expect(place({ prefix: 32 })).toBe('eth0');
  expect(place({ ip: '2001:db8::99', prefix: 64 })).toBe('eth0');
  expect(place({ ip: '10.1.77.1', prefix: 16, interface: 'bond0.12' })).toBe('bond0.12');
});

test.each([
  ['ADDRESS_INTERFACE_MISSING', { interface: 'eth7' }, 'eth0, bond0.12, tun0'],
  ['ADDRESS_INTERFACE_UNUSABLE', { interface: 'tun0' }, 'choose another interface'],
  ['ADDRESS_INTERFACE_UNUSABLE', { interface: 'lo' }, 'choose another interface'],
  ['ADDRESS_OUTSIDE_NETWORK', { ip: '198.51.100.1' }, '192.0.2.5/24'],
  ['ADDRESS_OUTSIDE_NETWORK', { prefix: 16 }, 'the prefix'],
  ['ADDRESS_OUTSIDE_NETWORK', { ip: '2001:db8:1::9', prefix: 64 }, 'force: true'],
  ['ADDRESS_ON_OTHER_INTERFACE', { ip: '10.1.0.5', prefix: 16 }, 'bond0.12'],
])('%s', (code, changes, hint) => {
  expect(() => place(changes)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(hint) }),
  );
});

test('"force" accepts an address outside', () => {
  expect(place({ ip: '198.51.100.1', force: true })).toBe('eth0');
});
