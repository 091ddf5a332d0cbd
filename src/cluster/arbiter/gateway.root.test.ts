// Asking a gateway over real networks: on the same network and behind a router, by ARP, neighbour
// discovery and ping, with cables pulled and packets lost in one direction.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type RemoteProgram, run, TestNetwork } from '../fixtures/test-network.ts';
import type { GatewayAnswer } from './gateway-probe.ts';

const PROGRAM = join(import.meta.dirname, 'fixtures/gateway-program.ts');
let network: TestNetwork;
let program: RemoteProgram;

beforeAll(async () => {
  network = new TestNetwork(['a', 'gateway', 'far'], 2);
  const gateway = network.host('gateway');
  gateway.exec('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  // "far" is only on the second network, and is reached through the gateway.
  const far = network.host('far');
  far.exec('ip', 'link', 'set', 'eth0', 'down');
  far.exec('ip', 'route', 'add', '10.1.0.0/24', 'via', gateway.ip(2));
  const a = network.host('a');
  a.exec('ip', 'link', 'set', 'eth1', 'down');
  a.exec('ip', 'route', 'add', 'default', 'via', gateway.ip(1));
  program = a.program(PROGRAM);
});
afterAll(async () => network.remove());
afterEach(() => {
  network.heal();
  network.plug('a', 1, true);
  network.host('gateway').exec('nft', 'flush', 'ruleset');
});

async function ask(ip: string, method = 'any', timeoutMs = 150): Promise<GatewayAnswer> {
  await program.call('create', ip, method);
  return program.call<GatewayAnswer>('probe', timeoutMs);
}

test.each(['any', 'ping'])('a gateway on the same network answers (%s)', async (method) => {
  const gateway = network.host('gateway');
  for (const ip of [gateway.ip(), gateway.ip6()]) {
    const answer = await ask(ip, method, 500);
    expect(answer).toMatchObject({ reachable: true });
    expect(answer.tookMs).toBeLessThan(100);
  }
});

test('a gateway that ignores ping is reachable by ARP and neighbour discovery', async () => {
  const gateway = network.host('gateway');
  gateway.exec(
    'nft',
    'table inet quiet { chain input { type filter hook input priority 0; icmp type echo-request drop; icmpv6 type echo-request drop; }; }',
  );
  expect(await ask(gateway.ip())).toMatchObject({ reachable: true, by: 'neighbour' });
  expect(await ask(gateway.ip6())).toMatchObject({ reachable: true, by: 'neighbour' });
  expect(await ask(gateway.ip(), 'ping')).toMatchObject({ reachable: false, by: 'nothing' });
});

test('an address behind a router is reached by ping', async () => {
  const answer = await ask(network.host('far').ip(2), 'any', 500);
  expect(answer).toMatchObject({ reachable: true, by: 'ping' });
});

test('without a cable nothing is reachable, and the answer comes in time', async () => {
  network.plug('a', 1, false);
  const answer = await ask(network.host('gateway').ip());
  expect(answer.reachable).toBe(false);
  expect(answer.tookMs).toBeGreaterThanOrEqual(140);
  expect(answer.tookMs).toBeLessThan(400);
  expect(await ask(network.host('far').ip(2))).toMatchObject({ reachable: false });
});

test.each([
  ['to', 'a', 'gateway'],
  ['from', 'gateway', 'a'],
])('packets lost only on the way %s the gateway', async (...[, from, to]) => {
  network.cut(from, to, 1);
  expect(await ask(network.host('gateway').ip())).toMatchObject({ reachable: false });
});

test('an address that nobody has, and one of our own, are not reachable', async () => {
  expect(await ask('10.1.0.77')).toMatchObject({ reachable: false });
  expect(await ask('fd00:1::77')).toMatchObject({ reachable: false });
  await program.call('create', '10.1.0.77', 'any');
  await expect(program.call('check')).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' });
  await expect(program.call('create', 'router.example', 'any')).rejects.toMatchObject({
    code: 'GATEWAY_INVALID',
  });
});

test.each([
  ['IPv6, next to one of its own', ''],
  ['IPv4, alone in that network', '10.2.0.100'],
])('a virtual address is no sender of questions: %s', async (_, alone) => {
  const [a, gateway] = [network.host('a'), network.host('gateway')];
  // Whoever is asked notes where the asker is; an echo that is answered would make it look that up.
  gateway.exec(
    'nft',
    'table inet quiet { chain input { type filter hook input priority 0; icmp type echo-request drop; icmpv6 type echo-request drop; }; }',
  );
  const virtual = alone || 'fd00:1::100';
  const asked = alone === '' ? gateway.ip6() : gateway.ip(2);
  if (alone === '') {
    a.exec('ip', 'addr', 'add', `${virtual}/64`, 'dev', 'eth0', 'preferred_lft', '0', 'nodad');
  } else {
    a.exec('ip', 'addr', 'del', `${a.ip(2)}/24`, 'dev', 'eth1');
    a.exec('ip', 'addr', 'add', `${virtual}/24`, 'dev', 'eth1');
    a.exec('ip', 'link', 'set', 'eth1', 'up');
    // Else the kernel asks, from the address that it sends the echo from.
    a.exec('ip', 'neigh', 'add', asked, 'lladdr', gateway.mac(2), 'dev', 'eth1');
  }
  try {
    await program.call('create', asked, 'any', [virtual]);
    const answer = await program.call<GatewayAnswer>('probe', 300);
    expect(answer.by).toBe(alone === '' ? 'neighbour' : 'nothing');
    expect(gateway.exec('ip', 'neigh', 'show', virtual)).not.toContain('lladdr');
  } finally {
    const [prefix, card] = alone === '' ? [64, 'eth0'] : [24, 'eth1'];
    a.exec('ip', 'addr', 'del', `${virtual}/${prefix}`, 'dev', card);
    a.exec('ip', 'link', 'set', 'eth1', 'down');
  }
});

test('a node that cannot look at its interfaces asks by ping alone', async () => {
  const poor = network.host('a').program(PROGRAM);
  await poor.call('create', network.host('gateway').ip(), 'any');
  // No descriptors are left.
  run(['prlimit', '--pid', String(poor.child.pid), '--nofile=3:']);
  expect(await poor.call('probe', 300)).toMatchObject({ reachable: true, by: 'ping' });
  network.plug('a', 1, false);
  expect(await poor.call('probe', 50)).toMatchObject({ reachable: false });
});

test('questions that overlap are all answered, and none by the answer to a former one', async () => {
  const gateway = network.host('gateway').ip();
  await program.call('create', gateway, 'any');
  const many = Array.from({ length: 20 }, () => program.call<GatewayAnswer>('probe', 200));
  expect((await Promise.all(many)).filter(({ reachable }) => !reachable)).toEqual([]);
  network.plug('a', 1, false);
  const none = Array.from({ length: 5 }, () => program.call<GatewayAnswer>('probe', 100));
  expect((await Promise.all(none)).filter(({ reachable }) => reachable)).toEqual([]);
});

test('asking in this process keeps its time on a busy machine', async () => {
  const gateway = network.host('gateway').ip();
  await program.call('create', gateway, 'any');
  const burners = Array.from({ length: 4 }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  try {
    const answers: GatewayAnswer[] = [];
    for (let round = 0; round < 50; round += 1) {
      answers.push(await program.call<GatewayAnswer>('probe', 200));
    }
    const compared = await program.call<Record<string, number>>('compare', gateway, 20);
    const times = answers.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
    process.stdout.write(
      `gateway with four burners: median ${times[25]?.toFixed(1)} ms, longest ${times.at(-1)?.toFixed(1)} ms; ${JSON.stringify(compared)}\n`,
    );
    expect(answers.filter(({ reachable }) => !reachable)).toEqual([]);
  } finally {
    for (const burner of burners) burner.kill('SIGKILL');
  }
});
