// Heartbeats over real sockets between two network namespaces with two networks.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Urgency } from '../../linux/scheduling.ts';
import {
  eventually,
  type RemoteProgram,
  type TestHost,
  TestNetwork,
} from '../fixtures/test-network.ts';
import type { PathMeasurements } from './board.ts';
import { A, B } from './fixtures/beats.ts';
import { HEARTBEAT_PORT, type HeartbeatPath } from './path-socket.ts';

type Measured = PathMeasurements & {
  readonly beats: number;
  readonly silenceMaxMs: number;
  readonly loopDelayMaxMs: number;
};

const PROGRAM = join(import.meta.dirname, 'fixtures/beating-program.ts');
let network: TestNetwork;

beforeEach(() => {
  network = new TestNetwork(['a', 'b'], 2);
});
afterEach(async () => network.remove());

function paths(from: TestHost, to: TestHost): HeartbeatPath[] {
  const port = HEARTBEAT_PORT;
  return [
    { name: 'lan', local: from.ip(1), remote: to.ip(1), port },
    { name: 'sync', local: from.ip6(2), remote: to.ip6(2), port },
  ];
}

async function startNode(name: 'a' | 'b', life = 1, intervalMs = 100): Promise<RemoteProgram> {
  const program = network.host(name).program(PROGRAM);
  const [own, peer] = name === 'a' ? [A, B] : [B, A];
  const other = network.host(name === 'a' ? 'b' : 'a');
  const options = { own, peer, life, paths: paths(network.host(name), other), intervalMs };
  const urgency = await program.call<Urgency>('start', options);
  expect(urgency.kind).toBe('real-time');
  return program;
}

async function startBoth(): Promise<{ a: RemoteProgram; b: RemoteProgram }> {
  const [a, b] = await Promise.all([startNode('a'), startNode('b')]);
  expect(await eventually(() => ups(a) === 2 && ups(b) === 2)).toBe(true);
  return { a, b };
}

const ups = (program: RemoteProgram): number =>
  (program.events as { up: boolean }[]).reduce((sum, event) => sum + (event.up ? 1 : -1), 0);

test('both networks carry heartbeats of both families in both directions', async () => {
  const { a, b } = await startBoth();
  await sleep(2000);
  for (const program of [a, b]) {
    for (const path of [0, 1]) {
      const measured = await program.call<Measured>('measurements', path);
      expect(measured.received).toBeGreaterThan(15);
      expect(measured.lost).toBe(0);
      expect(measured.faults).toBe(0);
      expect(measured.roundTripMs).toBeGreaterThan(0);
      expect(measured.roundTripMs).toBeLessThan(50);
      expect(measured.beats).toBeGreaterThan(15);
    }
  }
});

test('one cut network is reported on both sides, the other one carries on, and back', async () => {
  const { a, b } = await startBoth();
  network.plug('a', 1, false);
  expect(await eventually(() => ups(a) === 1 && ups(b) === 1, 2000)).toBe(true);
  expect(a.events.at(-1)).toMatchObject({ kind: 'network', name: 'lan', up: false });
  const before = await b.call<Measured>('measurements', 0);
  await sleep(500);
  const after = await b.call<Measured>('measurements', 0);
  expect(after.beats - before.beats).toBeGreaterThan(2);
  expect(after.received).toBe(before.received);
  network.plug('a', 1, true);
  expect(await eventually(() => ups(a) === 2 && ups(b) === 2, 4000)).toBe(true);
});

test('loss in one direction: the deaf side says so, the other one hears that it is not heard', async () => {
  const { a, b } = await startBoth();
  network.cut('a', 'b', 1);
  network.cut('a', 'b', 2);
  expect(await eventually(() => ups(b) === 0, 2000)).toBe(true);
  expect(ups(a)).toBe(2);
  const before = await a.call<Measured>('measurements', 0);
  await sleep(600);
  const after = await a.call<Measured>('measurements', 0);
  expect(after.received).toBeGreaterThan(before.received);
  expect(after.peerHeardMs).toBe(before.peerHeardMs);
  network.heal();
  expect(await eventually(() => ups(b) === 2, 2000)).toBe(true);
});

test('a restarted node is heard at once, with its new life', async () => {
  const { a, b } = await startBoth();
  b.child.kill('SIGKILL');
  expect(await eventually(() => ups(a) === 0, 2000)).toBe(true);
  const { refused } = await a.call<Measured>('measurements', 0);
  expect(refused).toBeGreaterThan(0);
  await startNode('b', 2);
  expect(await eventually(() => ups(a) === 2, 2000)).toBe(true);
});

test('an address that is missing at the start is used as soon as it is there', async () => {
  network.host('b').exec('ip', 'addr', 'del', `${network.host('b').ip(1)}/24`, 'dev', 'eth0');
  const [a, b] = await Promise.all([startNode('a'), startNode('b')]);
  expect(await eventually(() => ups(a) === 1 && ups(b) === 1)).toBe(true);
  network.host('b').exec('ip', 'addr', 'add', `${network.host('b').ip(1)}/24`, 'dev', 'eth0');
  expect(await eventually(() => ups(a) === 2 && ups(b) === 2, 4000)).toBe(true);
});

test('a flood of forged datagrams is counted and harms nothing', async () => {
  const { a, b } = await startBoth();
  const flooder = join(import.meta.dirname, 'fixtures/flooding-program.ts');
  const flood = network
    .host('b')
    .program(flooder, network.host('b').ip(1), network.host('a').ip(1));
  await once(flood.child, 'exit');
  const measured = await a.call<Measured>('measurements', 0);
  expect(measured.faults).toBeGreaterThan(100);
  expect(ups(a)).toBe(2);
  expect(ups(b)).toBe(2);
  expect(measured.silenceMaxMs).toBeLessThan(1000);
});

test('silence on a busy machine stays far below the deadline', async () => {
  const { a, b } = await startBoth();
  const burners = Array.from({ length: 4 }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  try {
    await sleep(10_000);
  } finally {
    for (const burner of burners) burner.kill('SIGKILL');
  }
  const rows: Record<string, string> = {};
  for (const [name, program] of Object.entries({ a, b })) {
    for (const path of [0, 1]) {
      const one = await program.call<Measured>('measurements', path);
      rows[`${name}, network ${path}`] =
        `jitter ${one.jitterMs.toFixed(2)} ms, longest gap ${one.gapMaxMs.toFixed(0)} ms, lost ${one.lost}, ` +
        `round trip ${one.roundTripMs.toFixed(2)} (longest ${one.roundTripMaxMs.toFixed(1)}) ms, ` +
        `loop late by at most ${one.loopDelayMaxMs.toFixed(1)} ms`;
      expect(one.lost).toBe(0);
      expect(one.gapMaxMs).toBeLessThan(1000);
      expect(one.loopDelayMaxMs).toBeLessThan(500);
    }
  }
  process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
});

test('who serves behind a virtual address says so, while its lease is valid and it is not frozen', async () => {
  const vip = ['10.1.0.100', 'fd00:1::100'];
  const host = network.host('a');
  const { a, b } = await startBoth();
  const ask = async (): Promise<boolean> => b.call<boolean>('ask', B, A, vip);
  expect(await ask()).toBe(false);
  await a.call('serve', vip, 600_000);
  host.exec('ip', 'addr', 'add', '10.1.0.100/24', 'dev', 'eth0');
  await expect.poll(ask, { timeout: 3000 }).toBe(true);
  // One address is enough.
  host.exec('ip', 'addr', 'add', 'fd00:1::100/64', 'dev', 'eth0', 'nodad');
  host.exec('ip', 'addr', 'del', '10.1.0.100/24', 'dev', 'eth0');
  await expect.poll(ask, { timeout: 3000 }).toBe(true);
  // A stranger's question is not answered.
  expect(await b.call<boolean>('ask', 'cccccccccccccccc', A, vip)).toBe(false);
  // Frozen: its kernel still answers ping, nobody answers the question.
  a.child.kill('SIGSTOP');
  await sleep(200);
  expect(network.host('b').try('ping', '-c', '1', '-W', '1', 'fd00:1::100')).toBe(true);
  expect(await ask()).toBe(false);
  a.child.kill('SIGCONT');
  await expect.poll(ask, { timeout: 3000 }).toBe(true);
  await a.call('serve', vip, 0);
  expect(await ask()).toBe(false);
  await a.call('serve', vip, 600_000);
  await expect.poll(ask, { timeout: 3000 }).toBe(true);
  await a.call('cease');
  expect(await ask()).toBe(false);
});
