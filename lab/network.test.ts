import { describe, expect, it } from 'vitest';
import { unwantedMounts } from './mounts.ts';
import { addressOf, hardwareAddressOf, portOf, shapeArguments, switchRules } from './network.ts';
import type { HostState, LabState } from './state.ts';

function host(name: string, silent = false): HostState {
  return {
    name,
    number: 1,
    networks: ['lan'],
    hasDisk: true,
    init: null,
    frozen: false,
    silent,
    unplugged: [],
    rates: {},
    claimed: [],
    services: [],
    keepers: {},
  };
}

function labWith(change: Partial<LabState>): LabState {
  return {
    version: 1,
    name: 'x',
    index: 3,
    directory: '/x',
    createdAt: '',
    owner: null,
    switch: null,
    cuts: [],
    hosts: {},
    ...change,
  };
}

describe('the cabling', () => {
  it('derives addresses from lab and host', () => {
    expect(addressOf(3, 'lan', 10)).toBe('10.77.3.10');
    expect(addressOf(3, 'sync', 1)).toBe('10.78.3.1');
    expect(hardwareAddressOf(3, 'lan', 254)).toBe('02:4d:00:03:00:fe');
  });

  it('keeps port names within the 15 characters of an interface name', () => {
    for (const name of ['a', 'b', 'client', 'gateway']) {
      expect(portOf(name, 'sync').length).toBeLessThanOrEqual(15);
    }
  });

  it('drops by port and direction', () => {
    const cuts = [{ from: 'a', to: 'b', network: 'sync' as const }];
    const rules = switchRules(labWith({ cuts }));
    expect(rules).toContain('iifname "a-sync" oifname "b-sync" drop');
    expect(rules).not.toContain('iifname "b-sync"');
  });

  it('silences all ports of a silent host only', () => {
    const rules = switchRules(labWith({ hosts: { a: host('a', true), b: host('b') } }));
    expect(rules).toContain('iifname "a-lan" drop');
    expect(rules).toContain('oifname "a-lan" drop');
    expect(rules).not.toContain('b-lan');
  });

  it('limits and lifts a rate', () => {
    expect(shapeArguments('eth1', '50mbit')).toContain('50mbit');
    expect(shapeArguments('eth1', undefined)).toEqual(['qdisc', 'del', 'dev', 'eth1', 'root']);
  });
});

describe('mounts inherited from the machine', () => {
  it('are dropped when they are loop devices or FUSE, deepest first, and kept otherwise', () => {
    const mountinfo = [
      '21 1 254:0 / / rw - ext4 /dev/vda rw',
      '22 21 0:5 / /proc rw - proc proc rw',
      String.raw`30 21 7:0 / /mnt/a\040b rw shared:1 - ext4 /dev/loop0 rw`,
      '31 30 0:40 / /mnt/a/f rw - fuse.sshfs host:/ rw',
      '32 21 0:41 / /sys/fs/fuse/connections rw - fusectl fusectl rw',
      '',
    ].join('\n');
    expect(unwantedMounts(mountinfo)).toEqual(['/mnt/a/f', '/mnt/a b']);
  });
});
