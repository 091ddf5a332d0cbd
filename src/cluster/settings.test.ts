import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkTimings } from './machine/config-check.ts';
import { defaultTimings, fastTimings } from './machine/timings.ts';
import {
  addressesInputSchema,
  type FailoverSettings,
  failoverInputSchema,
  type FencingSettings,
  fencingInputSchema,
  networksInputSchema,
  resolveAddresses,
  resolveFailover,
  resolveFencing,
  resolveNetworks,
} from './settings.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'settings-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const failover = (yaml: string): FailoverSettings =>
  resolveFailover(failoverInputSchema.parse(parse(yaml)), 'shop.yaml');
const fencing = (yaml: string): FencingSettings =>
  resolveFencing(fencingInputSchema.parse(parse(yaml)), {
    name: 'a',
    peer: 'b',
    origin: 'shop.yaml',
  });
const addresses = (yaml: string, name = 'a'): unknown =>
  resolveAddresses(addressesInputSchema.parse(parse(yaml)), { name, origin: 'shop.yaml' });

describe('failover', () => {
  test('without anything: no takeover by itself, no arbiter', () => {
    expect(failover('{}')).toMatchObject({
      automatic: false,
      arbiter: { kind: 'none' },
      timings: defaultTimings,
      failback: false,
      availabilityFirst: false,
      onAddressConflict: 'defend',
      addressProbe: { probes: 3, intervalMs: 100 },
    });
  });

  test('gateway', () => {
    expect(failover('{ automatic: true, arbiter: gateway, gateway: 192.0.2.1 }').arbiter).toEqual({
      kind: 'gateway',
      ip: '192.0.2.1',
      method: 'any',
    });
  });

  test('etcd with everything', () => {
    const yaml = `
      arbiter: etcd
      etcd:
        endpoints: [https://e1:2379, https://e2:2379]
        prefix: /site/
        tls: { ca: /etc/ca.pem, certificate: /etc/c.pem, key: /etc/k.pem }
        username: understudy
        passwordFile: /etc/understudy/etcd-password`;
    expect(failover(yaml).arbiter).toMatchObject({ kind: 'etcd', etcd: { prefix: '/site/' } });
  });

  test('profiles and single timings', () => {
    expect(failover('{ profile: fast }').timings).toEqual(fastTimings);
    expect(failover('{ timings: { deadAfter: 3s, lease: 2s } }').timings).toEqual({
      ...defaultTimings,
      deadAfterMs: 3000,
      leaseMs: 2000,
    });
    // Few heartbeats: the gateway's word counts later.
    const slow = failover(
      '{ timings: { heartbeatInterval: 250ms, deadAfter: 3s, aloneAfter: 4s, lease: 2s } }',
    );
    expect(slow.timings).toMatchObject({ heartbeatIntervalMs: 250, gatewayStableMs: 500 });
    for (const arbiter of ['gateway', 'etcd', 'none'] as const) {
      checkTimings({ group: 'shop', timings: slow.timings, arbiter });
    }
    expect(failover('{ addressProbe: off }').addressProbe).toBeUndefined();
    expect(failover('{ addressProbe: { probes: 1, interval: 50 ms } }').addressProbe).toEqual({
      probes: 1,
      intervalMs: 50,
    });
  });

  test.each([
    ['{ arbiter: gateway }', 'an address both nodes reach'],
    ['{ arbiter: etcd }', 'endpoints'],
    ['{ gateway: 192.0.2.1 }', 'the arbiter is "none"'],
    [
      '{ arbiter: gateway, gateway: 192.0.2.1, etcd: { endpoints: [http://e:1] } }',
      '"etcd" is set',
    ],
    ['{ arbiter: etcd, etcd: { endpoints: [http://e:1], username: u } }', 'passwordFile'],
    ['{ arbiter: etcd, etcd: { endpoints: [http://e:1], tls: { key: /k } } }', 'certificate'],
    ['{ failback: true }', '"preferred"'],
  ])('%s is refused', (yaml, hint) => {
    expect(() => failover(yaml)).toThrow(
      expect.objectContaining({
        code: 'FAILOVER_INVALID',
        message: expect.stringContaining(hint),
      }),
    );
  });

  test.each([
    '{ arbiter: witness }',
    '{ arbiter: gateway, gateway: router.example }',
    '{ etcd: { endpoints: [] } }',
    '{ etcd: { endpoints: [e1] } }',
    '{ timings: { leese: 1s } }',
    '{ unknown: 1 }',
  ])('%s does not fit', (yaml) => {
    expect(failoverInputSchema.safeParse(parse(yaml)).success).toBe(false);
  });

  test('a duration that is none', () => {
    expect(() => failover('{ timings: { lease: soon } }')).toThrow(
      expect.objectContaining({ code: 'DURATION_INVALID' }),
    );
  });
});

describe('addresses', () => {
  test('interfaces may differ between the nodes', () => {
    const yaml = '[{ ip: 192.0.2.10/24, interface: { a: eth0, b: bond0.7 } }]';
    expect(addresses(yaml, 'b')).toMatchObject([
      { ip: '192.0.2.10', prefix: 24, interface: 'bond0.7' },
    ]);
    expect(() => addresses(yaml, 'c')).toThrow(
      expect.objectContaining({ code: 'FAILOVER_INVALID' }),
    );
  });

  test('the same address twice, however it is written', () => {
    const yaml =
      '[{ ip: "2001:db8::1/64", interface: eth0 }, { ip: "2001:DB8:0::1/64", interface: eth1 }]';
    expect(() => addresses(yaml)).toThrow(/listed twice/);
  });

  test('a hook must be there and executable', () => {
    const hook = join(directory, 'hook');
    const yaml = `[{ ip: 192.0.2.10/24, interface: eth0, hook: ${hook} }]`;
    expect(() => addresses(yaml)).toThrow(
      expect.objectContaining({ code: 'ADDRESS_HOOK_UNUSABLE' }),
    );
    writeFileSync(hook, '#!/bin/sh\n');
    expect(() => addresses(yaml)).toThrow(
      expect.objectContaining({ code: 'ADDRESS_HOOK_UNUSABLE' }),
    );
    chmodSync(hook, 0o755);
    expect(addresses(yaml)).toMatchObject([{ hook }]);
  });
});

describe('fencing', () => {
  const yaml = `
    delay: { a: 2s }
    devices:
      a: [{ agent: fence_ipmilan, options: { ip: 10.0.0.1 } }]
      b:
        - agent: fence_ipmilan
          options: { ip: 10.0.0.2, lanplus: true, ipport: 623 }
          secrets: { password: /etc/understudy/ipmi-b }
        - { agent: /opt/pdu, action: reboot, timeout: 5s }`;

  test('each node gets the devices of the other one', () => {
    expect(fencing(yaml)).toEqual({
      policy: 'required',
      watchdog: { use: 'auto', path: undefined },
      peer: {
        require: 'any',
        delayMs: 2000,
        devices: [
          {
            agent: 'fence_ipmilan',
            options: { ip: '10.0.0.2', lanplus: '1', ipport: '623' },
            secretFiles: { password: '/etc/understudy/ipmi-b' },
            action: 'off',
            timeoutMs: 20_000,
          },
          { agent: '/opt/pdu', options: {}, secretFiles: {}, action: 'reboot', timeoutMs: 5000 },
        ],
      },
    });
  });

  test('none, and watchdogs', () => {
    expect(fencing('{}')).toEqual({
      policy: 'off',
      peer: undefined,
      watchdog: { use: 'auto', path: undefined },
    });
    expect(fencing('{ watchdog: /dev/watchdog1 }').watchdog).toEqual({
      use: 'required',
      path: '/dev/watchdog1',
    });
  });

  test.each([
    ['{ policy: required }', 'no device that switches "b" off'],
    ['{ devices: { c: [{ agent: fence_x }] } }', 'names "c"'],
  ])('%s is refused', (text, hint) => {
    expect(() => fencing(text)).toThrow(hint);
  });

  test.each([
    '{ devices: { b: [{ agent: rm }] } }',
    '{ devices: { b: [{ agent: fence_x, options: { plug: "1\\naction=on" } }] } }',
    '{ devices: { b: [{ agent: fence_x, options: { "a\\nb": "1" } }] } }',
    '{ devices: { b: [] } }',
  ])('%s does not fit', (text) => {
    expect(fencingInputSchema.safeParse(parse(text)).success).toBe(false);
  });
});

const networks = (yaml: string): unknown => resolveNetworks(networksInputSchema.parse(parse(yaml)));

test('networks', () => {
  expect(networks('[{ name: lan, local: 10.0.0.1, remote: 10.0.0.2 }]')).toEqual([
    { name: 'lan', local: '10.0.0.1', remote: '10.0.0.2', port: 7442 },
  ]);
  expect(() => networks('[{ name: lan, local: 10.0.0.1, remote: "fd00::2" }]')).toThrow(/IPv6/);
  const twice = '{ name: lan, local: 10.0.0.1, remote: 10.0.0.2 }';
  expect(() => networks(`[${twice}, ${twice}]`)).toThrow(/same name/);
});
