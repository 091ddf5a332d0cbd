// Virtual addresses between real network namespaces: two nodes, a client, and a stranger on one bridge.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  eventually,
  type RemoteProgram,
  type TestHost,
  TestNetwork,
} from '../fixtures/test-network.ts';
import type { AddressEvent, AddressOptions, TakeResult } from './virtual-addresses.ts';

const PROGRAM = join(import.meta.dirname, 'fixtures/address-program.ts');
const VIP = '10.1.0.100';
const VIP6 = 'fd00:1::100';

const both: AddressOptions = {
  group: 'shop',
  addresses: [
    { ip: VIP, prefix: 24, interface: 'eth0' },
    { ip: VIP6, prefix: 64, interface: 'eth0' },
  ],
  onConflict: 'defend',
  probe: { probes: 3, intervalMs: 100 },
};

let network: TestNetwork;
let directory = '';
beforeAll(() => {
  network = new TestNetwork(['a', 'b', 'client', 'stranger'], 2);
});
afterAll(async () => network.remove());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'address-'));
});
afterEach(async () => {
  for (const host of network.hosts) {
    await host.stop();
    host.try('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
    host.try('ip', 'addr', 'del', `${VIP6}/64`, 'dev', 'eth0');
    host.exec('ip', 'neigh', 'flush', 'all');
  }
  network.plug('a', 1, true);
  rmSync(directory, { recursive: true });
});

const host = (name: string): TestHost => network.host(name);

async function node(name: string, options: AddressOptions = both): Promise<RemoteProgram> {
  const program = host(name).program(PROGRAM);
  await program.call('create', options);
  return program;
}

/** The hardware address that a host has in its cache for an address. */
function cached(name: string, ip: string): string {
  return /lladdr (\S+)/.exec(host(name).exec('ip', 'neigh', 'show', ip))?.[1] ?? '';
}

const has = (name: string, ip: string): boolean =>
  host(name).exec('ip', '-o', 'addr', 'show', 'dev', 'eth0').includes(` ${ip}/`);

const reaches = (name: string, ip: string): boolean =>
  host(name).try('ping', '-c', '1', '-W', '1', ip);

const told = (program: RemoteProgram, kind: AddressEvent['kind']): string[] =>
  (program.events as AddressEvent[]).filter((one) => one.kind === kind).map((one) => one.message);

const conflicts = (program: RemoteProgram): AddressEvent[] =>
  (program.events as AddressEvent[]).filter(({ kind }) => kind === 'conflict');

test('the caches of a client follow the addresses from one node to the other', async () => {
  const a = await node('a');
  const b = await node('b');
  const taken = await a.call<TakeResult>('take');
  expect(taken).toMatchObject({ taken: true });
  expect(reaches('client', VIP) && reaches('client', VIP6)).toBe(true);
  expect([cached('client', VIP), cached('client', VIP6)]).toEqual([
    host('a').mac(),
    host('a').mac(),
  ]);
  const released = await a.call<{ faults: string[]; tookMs: number }>('release');
  expect(released.faults).toEqual([]);
  const again = await b.call<TakeResult>('take');
  expect(again).toMatchObject({ taken: true });
  // Without a packet from the client: the announcement alone has moved it.
  const moved = (): boolean =>
    cached('client', VIP) === host('b').mac() && cached('client', VIP6) === host('b').mac();
  expect(await eventually(moved, 1500)).toBe(true);
  expect(reaches('client', VIP) && reaches('client', VIP6)).toBe(true);
  if (!taken.taken || !again.taken) throw new TypeError('not taken');
  process.stdout.write(
    `taking two addresses: ${taken.tookMs.toFixed(0)} and ${again.tookMs.toFixed(0)} ms with 3 probes in 300 ms; releasing: ${released.tookMs.toFixed(1)} ms\n`,
  );
  expect(taken.tookMs).toBeGreaterThanOrEqual(290);
  expect(taken.tookMs).toBeLessThan(3000);
});

test('without probes an address is taken at once', async () => {
  const a = await node('a', { ...both, probe: undefined });
  const taken = await a.call<TakeResult>('take');
  // Asking takes at least 300 ms; a busy machine takes its time too.
  expect(taken.taken && taken.tookMs).toBeLessThan(290);
  process.stdout.write(`without probes: ${JSON.stringify(taken)}\n`);
});

test.each([
  ['IPv4', VIP, 24],
  ['IPv6', VIP6, 64],
])(
  'an %s address that somebody uses is not taken, and the other machine is named',
  async (...row) => {
    const [, ip, prefix] = row;
    host('stranger').exec('ip', 'addr', 'add', `${ip}/${prefix}`, 'dev', 'eth0');
    // The kernel defends an IPv6 address only after its own duplicate detection, up to two seconds later.
    const isItsOwn = (): boolean =>
      !host('stranger').exec('ip', '-o', 'addr', 'show', 'dev', 'eth0').includes('tentative');
    expect(await eventually(isItsOwn, 10_000)).toBe(true);
    const a = await node('a');
    const start = performance.now();
    const taken = await a.call<TakeResult>('take');
    expect(performance.now() - start).toBeLessThan(1000);
    expect(taken).toMatchObject({ taken: false, code: 'ADDRESS_IN_USE' });
    if (taken.taken) throw new TypeError('taken');
    expect(taken.occupants).toEqual([{ ip, interface: 'eth0', mac: host('stranger').mac() }]);
    expect(taken.message).toContain(host('stranger').mac());
    expect(has('a', VIP) || has('a', VIP6)).toBe(false);
    await expect(a.call('check')).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    // Of a node that is proven dead the kernel may still answer: then it is taken all the same.
    expect(await a.call<TakeResult>('takeByForce')).toMatchObject({ taken: true });
    expect(has('a', ip)).toBe(true);
  },
);

test('a conflict while holding is reported and defended; when it ends, caches are mended', async () => {
  const a = await node('a');
  await a.call('take');
  expect(reaches('client', VIP)).toBe(true);
  // Linux adds an IPv4 address without asking, and arping -A announces it.
  host('stranger').exec('ip', 'addr', 'add', `${VIP}/24`, 'dev', 'eth0');
  host('stranger').exec('arping', '-A', '-q', '-c', '1', '-I', 'eth0', VIP);
  expect(await eventually(() => conflicts(a).length === 1, 1500)).toBe(true);
  expect(conflicts(a)[0]).toMatchObject({
    ip: VIP,
    mac: host('stranger').mac(),
    action: 'defended',
  });
  expect(has('a', VIP)).toBe(true);
  // The client points to this node again, although it heard the stranger last but one.
  expect(await eventually(() => cached('client', VIP) === host('a').mac(), 1000)).toBe(true);
  host('stranger').exec('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
  const over = (): boolean =>
    (a.events as AddressEvent[]).some(({ kind }) => kind === 'conflictOver');
  expect(await eventually(over, 12_000)).toBe(true);
});

test('IPv4 claims that come too soon to be answered before everybody: who is served here is told alone', async () => {
  const a = await node('a');
  await a.call('take');
  expect(reaches('client', VIP)).toBe(true);
  host('stranger').exec('ip', 'addr', 'add', `${VIP}/24`, 'dev', 'eth0');
  host('stranger').exec('arping', '-A', '-q', '-c', '3', '-w', '3', '-I', 'eth0', VIP);
  expect(await eventually(() => conflicts(a).length === 1, 1000)).toBe(true);
  expect(await eventually(() => cached('client', VIP) === host('a').mac(), 1000)).toBe(true);
  // The stranger has heard nothing that it would have to answer.
  await sleep(1500);
  expect(conflicts(a)).toHaveLength(1);
});

test('IPv6 claims that come too soon, as well', async () => {
  const a = await node('a');
  const announce = { count: 4, intervalMs: 500, againAfterMs: 0, refreshMs: 0 };
  const stranger = await node('stranger', { ...both, probe: undefined, announce });
  await a.call('take');
  expect(reaches('client', VIP6)).toBe(true);
  await stranger.call('take');
  await sleep(1700);
  const isHere = (): boolean => cached('client', VIP6) === host('a').mac();
  expect(await eventually(isHere, 3000)).toBe(true);
});

test('an IPv6 conflict while holding is reported', async () => {
  const a = await node('a');
  const stranger = await node('stranger', { ...both, probe: undefined });
  await a.call('take');
  await stranger.call('take');
  const seen = (): boolean =>
    conflicts(a).some((event) => event.kind === 'conflict' && event.ip === VIP6);
  expect(await eventually(seen, 1500)).toBe(true);
});

test('policy "release": the address is given up on a conflict', async () => {
  const a = await node('a', { ...both, onConflict: 'release' });
  await a.call('take');
  host('stranger').exec('ip', 'addr', 'add', `${VIP}/24`, 'dev', 'eth0');
  host('stranger').exec('arping', '-U', '-q', '-c', '1', '-I', 'eth0', VIP);
  expect(await eventually(() => conflicts(a).length > 0, 2000)).toBe(true);
  expect(conflicts(a)[0]).toMatchObject({ action: 'released' });
  expect(has('a', VIP) || has('a', VIP6)).toBe(false);
});

test('release is idempotent and also removes what a killed process left', async () => {
  const first = await node('a');
  await first.call('take');
  await host('a').stop();
  expect(has('a', VIP) && has('a', VIP6)).toBe(true);
  const second = await node('a');
  for (let round = 0; round < 2; round += 1) {
    expect(await second.call('release')).toMatchObject({ faults: [] });
    expect(has('a', VIP) || has('a', VIP6)).toBe(false);
  }
});

test('an address left by a killed process is taken over without asking oneself', async () => {
  const first = await node('a');
  await first.call('take');
  await host('a').stop();
  // Asking would take 9 s.
  const second = await node('a', { ...both, probe: { probes: 3, intervalMs: 3000 } });
  const taken = await second.call<TakeResult>('take');
  expect(taken.taken && taken.tookMs).toBeLessThan(3000);
});

test('a release overtakes a taking that is still asking', async () => {
  const a = await node('a');
  const taken = await a.call<TakeResult>('takeAndRelease');
  expect(taken).toMatchObject({ taken: false, code: 'ADDRESS_TAKE_CANCELLED' });
  await sleep(500);
  expect(has('a', VIP) || has('a', VIP6)).toBe(false);
});

test('what is still asking when it is abandoned does not put the addresses up any more', async () => {
  const a = await node('a');
  const taken = await a.call<TakeResult>('takeAndAbandon');
  expect(taken).toMatchObject({ taken: false, code: 'ADDRESS_TAKE_CANCELLED' });
  expect(has('a', VIP) || has('a', VIP6)).toBe(false);
});

test('an interface without a cable takes no address', async () => {
  const a = await node('a');
  network.plug('a', 1, false);
  await sleep(200);
  const taken = await a.call<TakeResult>('take');
  expect(taken).toMatchObject({ taken: false, code: 'ADDRESS_INTERFACE_DOWN' });
});

test('an address that somebody removes by hand is put back', async () => {
  const a = await node('a');
  await a.call('take');
  host('a').exec('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
  expect(await eventually(() => has('a', VIP), 4000)).toBe(true);
  const isRestored = (): boolean =>
    (a.events as AddressEvent[]).some(({ kind }) => kind === 'restored');
  expect(await eventually(isRestored)).toBe(true);
});

test('an interface that is made anew under its name: the address moves to it, and keeps no other one waiting', async () => {
  // Stands for VLANs and bonds: `netplan apply` makes them anew.
  const [bridge, ip] = ['br1.7', '10.7.0.50'];
  const makeBridge = (mac: string): void => {
    host('a').exec('ip', 'link', 'add', bridge, 'address', mac, 'type', 'bridge');
    host('a').exec('ip', 'link', 'set', 'eth1', 'master', bridge);
    host('a').exec('ip', 'addr', 'add', '10.7.0.1/24', 'dev', bridge);
    host('a').exec('ip', 'link', 'set', bridge, 'up');
  };
  // Without a packet from the client: the announcement alone has moved it.
  const isAt = async (mac: string): Promise<boolean> =>
    eventually(() => cached('client', ip) === mac, 3500);
  host('client').exec('ip', 'addr', 'add', '10.7.0.3/24', 'dev', 'eth1');
  makeBridge('02:00:00:00:07:01');
  const addresses = [{ ip, prefix: 24, interface: bridge }, ...both.addresses];
  const a = await node('a', { ...both, addresses });
  await a.call('take');
  expect(reaches('client', ip)).toBe(true);
  host('a').exec('ip', 'link', 'del', bridge);
  host('a').exec('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
  expect(await eventually(() => has('a', VIP), 3500)).toBe(true);
  await sleep(2500);
  expect(told(a, 'fault')).toEqual([expect.stringContaining(`no interface "${bridge}"`)]);
  makeBridge('02:00:00:00:07:02');
  expect(await isAt('02:00:00:00:07:02')).toBe(true);
  const isMended = (): boolean => told(a, 'restored').some((message) => message.includes(ip));
  expect(await eventually(isMended, 1000)).toBe(true);
  // As a bond does that goes over to its other card.
  host('a').exec('ip', 'link', 'set', bridge, 'address', '02:00:00:00:07:03');
  expect(await isAt('02:00:00:00:07:03')).toBe(true);
  expect(told(a, 'fault')).toHaveLength(1);
  host('a').exec('ip', 'link', 'del', bridge);
  host('client').exec('ip', 'addr', 'del', '10.7.0.3/24', 'dev', 'eth1');
});

test("an IPv4 address is not put back before the node's own, unless that does not come", async () => {
  const a = await node('a');
  await a.call('take');
  host('a').exec('ip', '-4', 'addr', 'flush', 'dev', 'eth0');
  const isToldOf = (count: number) => (): boolean => told(a, 'fault').length === count;
  expect(await eventually(isToldOf(1), 3500)).toBe(true);
  expect(has('a', VIP)).toBe(false);
  host('a').exec('ip', 'addr', 'add', `${host('a').ip()}/24`, 'dev', 'eth0');
  expect(await eventually(() => has('a', VIP), 3500)).toBe(true);
  const route = host('a').exec('ip', 'route', 'get', host('client').ip());
  expect(route).toContain(`src ${host('a').ip()}`);
  host('a').exec('ip', '-4', 'addr', 'flush', 'dev', 'eth0');
  expect(await eventually(isToldOf(2), 3500)).toBe(true);
  await a.call('advance', 30_000);
  expect(await eventually(() => has('a', VIP), 3500)).toBe(true);
  await a.call('release');
  host('a').exec('ip', 'addr', 'add', `${host('a').ip()}/24`, 'dev', 'eth0');
});

test('other addresses of the network survive when the first one of it is given up', async () => {
  const options: AddressOptions = {
    ...both,
    addresses: [{ ip: '10.1.50.1', prefix: 24, interface: 'eth0', force: true }],
  };
  const a = await node('a', options);
  await a.call('take');
  host('a').exec('ip', 'addr', 'add', '10.1.50.2/24', 'dev', 'eth0');
  expect(host('a').exec('ip', 'addr', 'show', 'dev', 'eth0')).toMatch(/10\.1\.50\.2.*secondary/);
  expect(await a.call('release')).toMatchObject({ faults: [] });
  expect(has('a', '10.1.50.1')).toBe(false);
  expect(has('a', '10.1.50.2')).toBe(true);
  host('a').exec('ip', 'addr', 'del', '10.1.50.2/24', 'dev', 'eth0');
});

test('several addresses on a bridge with a name like that of a VLAN', async () => {
  // Stands for VLANs and bonds too: to everything above the kernel they are Ethernet interfaces.
  const bridge = 'br1.7';
  host('a').exec('ip', 'link', 'add', bridge, 'type', 'bridge');
  host('a').exec('ip', 'link', 'set', 'eth1', 'master', bridge);
  host('a').exec('ip', 'addr', 'add', '10.7.0.1/24', 'dev', bridge);
  host('a').exec('ip', 'link', 'set', bridge, 'up');
  host('client').exec('ip', 'addr', 'add', '10.7.0.3/24', 'dev', 'eth1');
  const ips = ['10.7.0.50', '10.7.0.51', '10.7.0.52'];
  const addresses = ips.map((ip) => ({ ip, prefix: 24, interface: bridge }));
  const a = await node('a', { ...both, addresses });
  expect(await a.call('take')).toMatchObject({ taken: true });
  expect(ips.map((ip) => reaches('client', ip))).toEqual([true, true, true]);
  await a.call('release');
  expect(ips.map((ip) => reaches('client', ip))).toEqual([false, false, false]);
  host('a').exec('ip', 'link', 'del', bridge);
});

test('the IPv6 address is not chosen as source of own connections', async () => {
  const a = await node('a');
  await a.call('take');
  const route = host('a').exec('ip', '-6', 'route', 'get', host('client').ip6());
  expect(route).toContain(`src ${host('a').ip6()}`);
});

test('a hook is called for taking and releasing, in this order even when they overlap', async () => {
  const log = join(directory, 'log');
  const hook = join(directory, 'hook');
  writeFileSync(hook, `#!/bin/sh\nsleep 0.3\necho "$UNDERSTUDY_GROUP $*" >> ${log}\n`);
  chmodSync(hook, 0o755);
  const addresses = [{ ip: VIP, prefix: 24, interface: 'eth0', hook }];
  const a = await node('a', { ...both, addresses });
  expect(await a.call('takeAndRelease')).toMatchObject({ taken: false });
  expect(readFileSync(log, 'utf8')).toBe(`shop take ${VIP} 24 eth0\nshop release ${VIP} 24 eth0\n`);
});

test('a hook is called for an address that a killed process left, and for none that is not there', async () => {
  const log = join(directory, 'log');
  const hook = join(directory, 'hook');
  writeFileSync(log, '');
  writeFileSync(hook, `#!/bin/sh\necho "$1" >> ${log}\n`);
  chmodSync(hook, 0o755);
  const addresses = [{ ip: VIP, prefix: 24, interface: 'eth0', hook }];
  const a = await node('a', { ...both, addresses });
  expect(await a.call('releaseLeft')).toEqual([]);
  expect(readFileSync(log, 'utf8')).toBe('');
  host('a').exec('ip', 'addr', 'add', `${VIP}/24`, 'dev', 'eth0');
  expect(await a.call('releaseLeft')).toEqual([]);
  expect(has('a', VIP)).toBe(false);
  expect(readFileSync(log, 'utf8')).toBe('release\n');
});

test('a hook that fails or hangs gives the addresses up again', async () => {
  const hook = join(directory, 'hook');
  writeFileSync(hook, '#!/bin/sh\n[ "$1" = take ] && { echo "no permission"; exit 3; }\nexit 0\n');
  chmodSync(hook, 0o755);
  const addresses = [{ ip: VIP, prefix: 24, interface: 'eth0', hook }];
  const a = await node('a', { ...both, addresses });
  const failed = await a.call<TakeResult>('take');
  expect(failed).toMatchObject({ taken: false, code: 'ADDRESS_HOOK_FAILED' });
  expect(!failed.taken && failed.message).toContain('exit code 3: no permission');
  expect(has('a', VIP)).toBe(false);
  writeFileSync(hook, '#!/bin/sh\n[ "$1" = take ] && sleep 60\nexit 0\n');
  const hanging = await node('b', { ...both, addresses, hookTimeoutMs: 300 });
  const late = await hanging.call<TakeResult>('take');
  expect(!late.taken && late.message).toContain('not done within 300 ms');
  expect(has('b', VIP)).toBe(false);
});
