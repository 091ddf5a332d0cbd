// Two nodes with real machines, heartbeats, gateway and addresses, each in a process and a network
// namespace of its own; a client and a gateway. What is measured here is everything but the mirror
// and the application.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EtcdCluster } from '../arbiter/fixtures/etcd-cluster.ts';
import { eventually, type RemoteProgram, TestNetwork } from '../fixtures/test-network.ts';
import { A, B } from '../heartbeat/fixtures/beats.ts';
import { HEARTBEAT_PORT, type HeartbeatPath } from '../heartbeat/path-socket.ts';
import { defaultTimings, fastTimings, type Timings } from '../machine/timings.ts';
import type { MachineConfig } from '../machine/types.ts';
import type { ArbiterSettings } from '../settings.ts';
import type { NodeOptions } from './fixtures/node-program.ts';
import type { MachineView } from './machine-view.ts';

const PROGRAM = join(import.meta.dirname, 'fixtures/node-program.ts');
const VIP = '10.1.0.100';
type Name = 'a' | 'b';

let network: TestNetwork;
let directory = '';
let timings: Timings = defaultTimings;
let arbiter: ArbiterSettings = { kind: 'none' };
let hook: string | undefined;

beforeEach(() => {
  network = new TestNetwork(['a', 'b', 'gateway', 'client'], 2);
  directory = mkdtempSync('/dev/shm/cluster-');
  timings = defaultTimings;
  hook = undefined;
  arbiter = { kind: 'gateway', ip: network.host('gateway').ip(), method: 'any' };
});
afterEach(async () => {
  await network.remove();
  rmSync(directory, { recursive: true });
});

const other = (name: Name): Name => (name === 'a' ? 'b' : 'a');
const idOf = (name: Name) => (name === 'a' ? A : B);

function config(name: Name): MachineConfig {
  return {
    group: 'shop',
    self: { id: idOf(name), name },
    peer: { id: idOf(other(name)), name: other(name) },
    mode: 'sync',
    arbiter: arbiter.kind,
    fencing: 'off',
    hasAddress: true,
    hasApplication: true,
    automatic: true,
    availabilityFirst: false,
    preferred: A,
    failback: false,
    timings,
  };
}

function paths(name: Name): HeartbeatPath[] {
  const [from, to] = [network.host(name), network.host(other(name))];
  return ['lan', 'sync'].map((path, index) => ({
    name: path,
    local: from.ip(index + 1),
    remote: to.ip(index + 1),
    port: HEARTBEAT_PORT,
  }));
}

async function startNode(name: Name, life = 1, isServing = false): Promise<RemoteProgram> {
  const program = network.host(name).program(PROGRAM);
  await program.call('start', nodeOptions(name, life, isServing));
  return program;
}

function nodeOptions(name: Name, life: number, isServing: boolean): NodeOptions {
  return {
    config: config(name),
    life,
    isCreator: name === 'a',
    position: { epoch: 1, sequence: 0 },
    paths: paths(name),
    leaseFile: join(directory, `${name}.lease`),
    arbiter,
    addresses: {
      group: 'shop',
      addresses: [{ ip: VIP, prefix: 24, interface: 'eth0', hook }],
      onConflict: 'defend',
      probe: { probes: 3, intervalMs: 50 },
    },
    // One that is missing is told of when it is to be armed.
    watchdogPath: isServing ? join(directory, 'watchdog') : null,
    isServing,
  };
}

async function until(program: RemoteProgram, wanted: Partial<MachineView>): Promise<void> {
  await expect
    .poll(async () => program.call<MachineView>('view'), { timeout: 10_000, interval: 20 })
    .toMatchObject(wanted);
}

/** The mirror has brought everything over: commits wait for the standby from now on. */
async function bringInStep(primary: RemoteProgram, standby: RemoteProgram): Promise<void> {
  const position = await primary.call('position');
  await standby.call('deliver', { kind: 'copy', copy: 'up-to-date', position });
  const event = { kind: 'commits', state: 'together', request: 2, why: 'in step' };
  await primary.call('deliver', event);
  await until(primary, { alone: 'together' });
  await until(standby, { fresh: true });
}

async function startPair(): Promise<{ a: RemoteProgram; b: RemoteProgram }> {
  const [a, b] = await Promise.all([startNode('a'), startNode('b')]);
  const first = async (): Promise<string | undefined> => (await a.call<MachineView>('view'))?.role;
  await sleep(1000);
  if ((await first()) !== 'primary') {
    const command = { kind: 'takeover', force: true, acceptStale: true, acceptIncomplete: false };
    expect(await a.call('command', command)).toBeNull();
  }
  await until(a, { role: 'primary', address: 'held', application: 'running', hasLease: true });
  await until(b, { role: 'standby', peerRole: 'primary' });
  await bringInStep(a, b);
  return { a, b };
}

const reaches = (ip: string): boolean =>
  network.host('client').try('ping', '-c', '1', '-W', '1', ip);
const holds = (name: Name): boolean =>
  network.host(name).exec('ip', '-o', 'addr', 'show', 'dev', 'eth0').includes(` ${VIP}/`);

test.each([
  ['default', defaultTimings, 1900],
  ['fast', fastTimings, 1100],
])(
  'power off with the profile "%s": the other node serves',
  async (...[name, profile, limitMs]) => {
    timings = profile;
    const { a, b } = await startPair();
    expect(reaches(VIP)).toBe(true);
    const offMs = await b.call<number>('now');
    network.plug('a', 1, false);
    network.plug('a', 2, false);
    a.child.kill('SIGKILL');
    await until(b, { role: 'primary', address: 'held', application: 'running' });
    const event = b.events.find((one) => (one as { role?: string }).role === 'primary');
    const tookMs = (event as { atMs: number }).atMs - offMs;
    expect(await eventually(() => reaches(VIP), 2000)).toBe(true);
    expect(await b.call('mayWrite')).toBe(true);
    process.stdout.write(`${name}: primary ${tookMs.toFixed(0)} ms after the power cut\n`);
    expect(tookMs).toBeLessThan(limitMs);
  },
);

test('a frozen primary may not write when it is thawed, gives the address up, and is standby', async () => {
  const { a, b } = await startPair();
  a.child.kill('SIGSTOP');
  network.plug('a', 1, false);
  network.plug('a', 2, false);
  await until(b, { role: 'primary' });
  network.plug('a', 1, true);
  network.plug('a', 2, true);
  expect(holds('a')).toBe(true);
  a.child.kill('SIGCONT');
  expect(await a.call('mayWrite')).toBe(false);
  await until(a, { role: 'standby', address: 'released' });
  expect(holds('a')).toBe(false);
  await until(b, { address: 'held' });
  expect(await eventually(() => reaches(VIP), 3000)).toBe(true);
});

test('an isolated primary stops by itself, before the other one starts', async () => {
  const { a, b } = await startPair();
  network.plug('a', 1, false);
  network.plug('a', 2, false);
  await until(b, { role: 'primary' });
  await until(a, { role: 'standby' });
  const stopped = (a.events as { kind: string; role?: string; atMs: number }[]).find(
    ({ kind, role }) => kind === 'role' && role !== 'primary' && role !== 'promoting',
  );
  expect(await a.call('mayWrite')).toBe(false);
  expect(holds('a')).toBe(false);
  expect(stopped).toBeDefined();
});

test('a cut of the replication network alone moves nobody', async () => {
  const { a, b } = await startPair();
  network.plug('a', 2, false);
  await sleep(4000);
  await until(a, { role: 'primary', hasLease: true });
  await until(b, { role: 'standby' });
});

test('a blocked main thread and a busy machine are no reason for a failover', async () => {
  const { a, b } = await startPair();
  const { epoch } = await a.call<MachineView>('view');
  const burners = Array.from({ length: 4 }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  try {
    await a.call('block', 4000);
    await b.call('block', 4000);
    await sleep(1000);
  } finally {
    for (const burner of burners) burner.kill('SIGKILL');
  }
  await until(a, { role: 'primary', hasLease: true, epoch });
  await until(b, { role: 'standby' });
  const measured = { a: await a.call('measurements'), b: await b.call('measurements') };
  process.stdout.write(`${JSON.stringify(measured)}\n`);
  expect(measured.b).toMatchObject({ lost: 0 });
});

test('switchover by command', async () => {
  const { a, b } = await startPair();
  const start = performance.now();
  expect(await a.call('command', { kind: 'switchover' })).toBeNull();
  await until(b, { role: 'primary', address: 'held', application: 'running' });
  process.stdout.write(`switchover: ${(performance.now() - start).toFixed(0)} ms\n`);
  await until(a, { role: 'standby', address: 'released' });
  expect(reaches(VIP)).toBe(true);
  expect(await a.call('command', { kind: 'switchover' })).toMatchObject({ code: 'NOT_PRIMARY' });
});

test('the thread of a service that ends leaves lease and address as they are', async () => {
  const { a } = await startPair();
  await a.call('close');
  expect(holds('a')).toBe(true);
});

test('another thread for a primary that serves: an address that cannot be had at once is taken later', async () => {
  arbiter = { kind: 'none' };
  network.plug('a', 1, false);
  const a = await startNode('a', 2, true);
  await until(a, { role: 'primary', address: 'released', application: 'running' });
  // That of the thread before counts on.
  expect(a.events).toContainEqual(expect.objectContaining({ code: 'WATCHDOG_ABSENT' }));
  network.plug('a', 1, true);
  await until(a, { role: 'primary', address: 'held', application: 'running' });
  expect(await eventually(() => reaches(VIP), 3000)).toBe(true);
});

test('another thread for a primary whose lease has no end puts back what is taken off the interface', async () => {
  arbiter = { kind: 'none' };
  const a = await startNode('a', 2, true);
  await until(a, { role: 'primary', address: 'held' });
  network.host('a').exec('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
  expect(await eventually(() => holds('a'), 3500)).toBe(true);
});

test('an address that a killed process left is given up by a node that starts as standby', async () => {
  network.host('b').exec('ip', 'addr', 'add', `${VIP}/24`, 'dev', 'eth0');
  const b = await startNode('b');
  await until(b, { role: 'standby', address: 'released' });
  expect(holds('b')).toBe(false);
});

test('a machine that takes the place of another one is not disturbed by the slow hook of that', async () => {
  arbiter = { kind: 'none' };
  hook = join(directory, 'hook');
  const log = join(directory, 'hook.log');
  const script = `#!/bin/sh\n[ "$1" = take ] || sleep 1.5\necho "$1" >> ${log}\n`;
  writeFileSync(hook, script, { mode: 0o755 });
  const a = await startNode('a', 2, true);
  await until(a, { role: 'primary', address: 'held' });
  await a.call('replaceGroup', nodeOptions('a', 3, true));
  await sleep(2500);
  await until(a, { role: 'primary', address: 'held' });
  expect(holds('a')).toBe(true);
  // Whoever asks whether it serves is answered.
  expect(network.host('a').exec('ss', '-lun')).toContain(`${VIP}:${HEARTBEAT_PORT}`);
  expect(readFileSync(log, 'utf8')).toBe('take\nrelease\ntake\n');
});

test('etcd as arbiter: power off, return as standby, and a pair that goes on without etcd', async () => {
  const gateway = network.host('gateway');
  const etcd = await EtcdCluster.start(1, {
    host: gateway.ip(),
    prefix: ['ip', 'netns', 'exec', gateway.namespace],
  });
  try {
    arbiter = { kind: 'etcd', etcd: { endpoints: etcd.endpoints } };
    const { a, b } = await startPair();
    const offMs = await b.call<number>('now');
    network.plug('a', 1, false);
    network.plug('a', 2, false);
    a.child.kill('SIGKILL');
    await until(b, { role: 'primary', address: 'held', application: 'running' });
    const event = b.events.find((one) => (one as { role?: string }).role === 'primary');
    const tookMs = (event as { atMs: number }).atMs - offMs;
    process.stdout.write(`etcd: primary ${tookMs.toFixed(0)} ms after the power cut\n`);
    expect(tookMs).toBeLessThan(3000);
    network.host('a').exec('ip', 'addr', 'del', `${VIP}/24`, 'dev', 'eth0');
    network.plug('a', 1, true);
    network.plug('a', 2, true);
    const back = await startNode('a', 2);
    await until(back, { role: 'standby', peerRole: 'primary' });
    await bringInStep(b, back);
    await etcd.kill(0);
    await sleep(3000);
    await until(b, { role: 'primary', hasLease: true });
    await until(back, { role: 'standby' });
  } finally {
    await etcd.stop();
  }
});
