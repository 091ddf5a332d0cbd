import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { groupsOf } from './cgroup.ts';
import { loopDevicesOf } from './disk.ts';
import { CHECKOUT } from './enter.ts';
import type { LabHost } from './host.ts';
import { Lab } from './lab.ts';
import { run, type RunResult, waitUntil } from './run.ts';
import { labDirectory, labNames } from './state.ts';

const NODE = join(CHECKOUT, 'node_modules/.bin/node');

async function pings(from: LabHost, address: string): Promise<boolean> {
  const argv = ['ping', '-q', '-c', '1', '-W', '1', address];
  return (await from.exec(argv, { timeoutMs: 5000 })).code === 0;
}

async function read(host: LabHost, path: string): Promise<string> {
  return (await host.must(['cat', path])).trim();
}

/** Everything of the machine that a lab could leave behind. */
function tracesOf(name: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return [
    ...mounts.filter((line) => line.includes(labDirectory(name))),
    ...loopDevicesOf(labDirectory(name)),
    ...groupsOf(name),
    ...labNames().filter((other) => other === name),
    ...(existsSync(labDirectory(name)) ? [labDirectory(name)] : []),
  ];
}

/** Milliseconds that one MiB takes over `sync`. */
async function transfer(from: LabHost, to: LabHost): Promise<number> {
  const receive = `require('net').createServer((s) => s.resume().on('end', () => process.exit())).listen(7001)`;
  const receiver = to.spawn([NODE, '-e', receive], { stdio: 'ignore' });
  const listens = async (): Promise<boolean> => (await to.must(['ss', '-ltnH'])).includes(':7001');
  expect(await waitUntil(listens, 10_000, 50)).toBe(true);
  const started = performance.now();
  const address = JSON.stringify(to.address('sync'));
  await from.must([
    NODE,
    '-e',
    `require('net').connect(7001, ${address}).end(Buffer.alloc(1 << 20))`,
  ]);
  await receiver.ended;
  return performance.now() - started;
}

/** The command line. */
async function cli(...argv: string[]): Promise<RunResult> {
  return await run([NODE, join(CHECKOUT, 'lab/main.ts'), ...argv]);
}

describe('a lab', { timeout: 30_000 }, () => {
  let lab: Lab;
  let a: LabHost;
  let b: LabHost;
  let client: LabHost;
  const linksBefore = readdirSync('/sys/class/net').sort();

  beforeAll(async () => {
    lab = await Lab.up({ services: [] });
    a = lab.host('a');
    b = lab.host('b');
    client = lab.host('client');
  }, 60_000);

  afterAll(async () => {
    await lab.down();
    expect(tracesOf(lab.name)).toEqual([]);
  }, 60_000);

  it('gives each host its own names, processes and directories', async () => {
    expect((await a.must(['hostname'])).trim()).toBe('a');
    expect((await a.must(['sh', '-c', 'echo $$'])).trim()).not.toBe(String(process.pid));
    expect((await a.must(['ps', '-e', '-o', 'comm='])).split('\n')[0]).toBe('sleep');
    await a.must(['sh', '-c', 'echo of-a > /srv/file; echo x > /etc/understudy/y; echo > /run/z']);
    for (const path of ['/srv/file', '/etc/understudy/y', '/run/z']) {
      expect((await b.exec(['cat', path])).code).toBe(1);
      expect(existsSync(path)).toBe(false);
    }
    expect(readdirSync('/sys/class/net').sort()).toEqual(linksBefore);
  });

  it('passes input, output, exit code, environment and user', async () => {
    const argv = ['sh', '-c', 'cat; echo $GREETING $(id -un) >&2; exit 3'];
    const result = await a.exec(argv, { input: 'in', env: { GREETING: 'hi' }, user: 'nobody' });
    expect(result).toMatchObject({ code: 3, stdout: 'in', stderr: 'hi nobody\n' });
  });

  it('ends a program with all it started at the deadline', async () => {
    const result = await a.exec(['sh', '-c', 'sleep 977 & sleep 977'], { timeoutMs: 300 });
    expect(result).toMatchObject({ code: null, timedOut: true });
    const isGone = async (): Promise<boolean> =>
      !(await a.must(['ps', '-e', '-o', 'args='])).includes('977');
    expect(await waitUntil(isGone, 2000)).toBe(true);
  });

  it('leaves no zombie of an orphan', async () => {
    await a.must(['sh', '-c', '(sleep 0.05 &) ; exit 0']);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await a.must(['ps', '-e', '-o', 'ppid=,stat='])).not.toMatch(/^ *1 +Z/m);
  });

  it('connects the hosts on both networks', async () => {
    expect(await pings(a, b.address('lan'))).toBe(true);
    expect(await pings(a, b.address('sync'))).toBe(true);
    expect(await pings(client, 'a')).toBe(true);
    expect(await pings(b, 'gateway')).toBe(true);
  });

  it('cuts one network and leaves the other', async () => {
    await lab.cut('a', 'b', { network: 'sync' });
    expect(await pings(a, b.address('sync'))).toBe(false);
    expect(await pings(a, b.address('lan'))).toBe(true);
    await lab.heal('a', 'b');
    expect(await pings(a, b.address('sync'))).toBe(true);
  });

  it('cuts one direction only', async () => {
    await a.must(['ip', 'neigh', 'flush', 'all']);
    await b.must(['ip', 'neigh', 'flush', 'all']);
    expect(await pings(a, b.address())).toBe(true);
    // Echo requests only: hosts probe each other's addresses at any time.
    const counter = async (): Promise<number> => {
      const [names, values] = (await b.must(['grep', '^Icmp:', '/proc/net/snmp'])).split('\n');
      const column = names?.split(' ').indexOf('InEchos') ?? -1;
      return Number(values?.split(' ')[column]);
    };
    await lab.cut('b', 'a', { network: 'lan', oneWay: true });
    const before = await counter();
    expect(await pings(a, b.address())).toBe(false);
    expect(await counter()).toBeGreaterThan(before);
    await lab.heal();
    await lab.cut('a', 'b', { network: 'lan', oneWay: true });
    const quiet = await counter();
    expect(await pings(a, b.address())).toBe(false);
    expect(await counter()).toBe(quiet);
    await lab.heal();
    expect(lab.status().cuts).toEqual([]);
  });

  it('keeps a cut over a reboot of the hosts', async () => {
    await lab.cut('a', 'b');
    await a.powerOff();
    await a.boot();
    expect(await pings(a, b.address())).toBe(false);
    expect(await pings(client, a.address())).toBe(true);
    await lab.heal();
    expect(await pings(a, b.address())).toBe(true);
  });

  it('pulls a cable: the carrier is lost, also over a reboot', async () => {
    await a.unplug('sync');
    expect(await read(a, '/sys/class/net/eth1/carrier')).toBe('0');
    expect(await pings(a, b.address('sync'))).toBe(false);
    await a.powerOff();
    await a.boot();
    expect(await read(a, '/sys/class/net/eth1/carrier')).toBe('0');
    await a.plug('sync');
    expect(await pings(a, b.address('sync'))).toBe(true);
  });

  it('freezes programs at once and lets them go on', async () => {
    const ticker = a.spawn(['sh', '-c', 'while :; do date +%s%N > /srv/tick; sleep 0.01; done']);
    const tick = (): string => readFileSync(a.pathFromOutside('/srv/tick'), 'utf8');
    expect(await waitUntil(() => existsSync(a.pathFromOutside('/srv/tick')), 2000)).toBe(true);
    await a.freeze();
    const frozen = tick();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(tick()).toBe(frozen);
    expect(await pings(b, a.address())).toBe(true);
    await a.thaw();
    expect(await waitUntil(() => tick() !== frozen, 2000)).toBe(true);
    ticker.kill('SIGKILL');
    await ticker.ended;
  });

  it('silences a frozen host on request, and can cut its power', async () => {
    await a.freeze({ silent: true });
    expect(await pings(b, a.address())).toBe(false);
    await a.powerOff();
    await a.thaw();
    await a.boot();
    expect(await pings(b, a.address())).toBe(true);
  });

  it('keeps after a power cut what was synced and loses what was not', async () => {
    await a.must(['sh', '-c', 'echo kept > /srv/kept; sync /srv/kept /srv; echo lost > /srv/lost']);
    const before = performance.now();
    await a.powerOff();
    expect(performance.now() - before).toBeLessThan(2000);
    expect(a.isRunning).toBe(false);
    await expect(a.exec(['true'])).rejects.toMatchObject({ code: 'LAB_HOST_OFF' });
    expect(lab.status().hosts.find(({ name }) => name === 'a')?.power).toBe('off');
    await a.boot();
    expect(await read(a, '/srv/kept')).toBe('kept');
    expect((await a.exec(['cat', '/srv/lost'])).code).toBe(1);
    expect(await pings(a, b.address('sync'))).toBe(true);
  });

  it('does not say goodbye on the network when the power is cut', async () => {
    const script = `require('net').createServer((s) => s.resume()).listen(7000)`;
    a.spawn([NODE, '-e', script], { stdio: 'ignore' });
    const listens = async (): Promise<boolean> => (await a.must(['ss', '-ltnH'])).includes(':7000');
    expect(await waitUntil(listens, 10_000, 50)).toBe(true);
    const peer = b.spawn([
      NODE,
      '-e',
      `const s = require('net').connect(7000, ${JSON.stringify(a.address())});
       s.on('connect', () => console.log('open'));
       for (const e of ['end', 'error', 'close']) s.on(e, () => console.log(e));`,
    ]);
    let said = '';
    peer.child.stdout?.on('data', (text: Buffer) => (said += text.toString()));
    expect(await waitUntil(() => said.includes('open'), 10_000)).toBe(true);
    await a.powerOff();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(said).toBe('open\n');
    peer.kill('SIGKILL');
    await a.boot();
  });

  it('shuts down in good order: nothing is lost', async () => {
    await a.must(['sh', '-c', 'echo written > /srv/unsynced']);
    await a.shutdown();
    expect(a.isRunning).toBe(false);
    await a.boot();
    expect(await read(a, '/srv/unsynced')).toBe('written');
  });

  it('fills a disk to the last block and frees it', async () => {
    await b.fillDisk();
    const write = ['dd', 'if=/dev/zero', 'of=/srv/big', 'bs=64k', 'count=4', 'conv=fsync'];
    expect((await b.exec(write)).stderr).toContain('No space left on device');
    expect(await b.freeDisk()).toBe(true);
    expect((await b.exec(write)).code).toBe(0);
    expect((await a.exec(write)).code).toBe(0);
  });

  it('lets another host claim an address', async () => {
    const argv = ['arping', '-D', '-q', '-c', '1', '-w', '2', '-I', 'eth0', b.address()];
    expect((await a.exec(argv)).code).toBe(1);
    const free = lab.freeAddress('lan', 99);
    const probe = [...argv.slice(0, -1), free];
    expect((await a.exec(probe)).code).toBe(0);
    await client.claimAddress(free);
    expect((await a.exec(probe)).code).toBe(1);
    await client.releaseAddress(free);
    expect((await a.exec(probe)).code).toBe(0);
  });

  it('limits the rate of a cable both ways, also over a reboot', async () => {
    await a.shape('sync', '10mbit');
    // One MiB at 10 Mbit/s takes 0.84 s.
    expect(await transfer(a, b)).toBeGreaterThan(600);
    expect(await transfer(b, a)).toBeGreaterThan(600);
    await a.powerOff();
    await a.boot();
    expect(await transfer(a, b)).toBeGreaterThan(600);
    await a.shape('sync', undefined);
    expect(await a.must(['tc', 'qdisc', 'show', 'dev', 'eth1'])).not.toContain('tbf');
  });

  it('keeps services running from boot on, once their condition holds', async () => {
    const argv = ['sh', '-c', 'echo run >> /srv/runs; exec sleep 0.05'];
    await a.addService({ name: 'counter', argv, condition: '/srv/go' });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(existsSync(a.pathFromOutside('/srv/runs'))).toBe(false);
    await a.must(['sh', '-c', 'touch /srv/go; sync -f /srv']);
    const runs = (): number =>
      existsSync(a.pathFromOutside('/srv/runs'))
        ? readFileSync(a.pathFromOutside('/srv/runs'), 'utf8').split('\n').length - 1
        : 0;
    expect(await waitUntil(() => runs() >= 2, 5000)).toBe(true);
    await a.powerOff();
    await a.boot();
    await a.must(['rm', '-f', '/srv/runs']);
    expect(await waitUntil(() => runs() >= 1, 5000)).toBe(true);
    await a.stopService('counter');
    const stopped = runs();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(runs()).toBe(stopped);
    expect(readFileSync(join(a.logDirectory, 'counter.log'), 'utf8')).toContain('starting again');
  });

  it('cuts the power of a host that hangs in a FUSE mount whose server does not answer', async () => {
    // Mounts and never answers: everyone who touches the mount point waits for ever.
    const server = `
      const { sys, cstring } = await import(${JSON.stringify(join(CHECKOUT, 'src/linux/libc.ts'))});
      const fd = sys.openat(-100, cstring('/dev/fuse'), 2, 0);
      const options = 'fd=' + fd + ',rootmode=40000,user_id=0,group_id=0';
      const result = sys.mount(cstring('hang'), cstring('/srv/hang'), cstring('fuse'), 0, cstring(options));
      console.log(result);
      setInterval(() => {}, 1000);`;
    await a.must(['mkdir', '/srv/hang']);
    const fuse = a.spawn([NODE, '--input-type=module', '-e', server]);
    const [said] = (await once(fuse.child.stdout!, 'data')) as [Buffer];
    expect(said.toString()).toBe('0\n');
    a.spawn(['ls', '/srv/hang'], { stdio: 'ignore' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = performance.now();
    await a.powerOff();
    expect(performance.now() - before).toBeLessThan(3000);
    await a.boot();
    expect(await read(a, '/srv/kept')).toBe('kept');
  });
});

describe('several labs', () => {
  it('run side by side with addresses of their own', async () => {
    const one = await Lab.up({ hosts: ['a', 'b'], services: [] });
    const two = await Lab.up({ hosts: ['a', 'b'], services: [] });
    try {
      expect(one.host('a').address()).not.toBe(two.host('a').address());
      await one.host('b').powerOff();
      expect(await pings(two.host('a'), 'b')).toBe(true);
      expect(await pings(one.host('a'), 'b')).toBe(false);
      expect(await pings(one.host('a'), two.host('a').address())).toBe(false);
    } finally {
      await one.down();
      await two.down();
    }
    expect([...tracesOf(one.name), ...tracesOf(two.name)]).toEqual([]);
  }, 60_000);

  it('refuse a name in use, and host names that do not exist', async () => {
    const lab = await Lab.up({ hosts: ['a'], services: [] });
    try {
      await expect(Lab.up({ name: lab.name })).rejects.toMatchObject({ code: 'LAB_EXISTS' });
      expect(() => lab.host('c')).toThrow(/no host "c"/);
      expect(lab.host('a').isRunning).toBe(true);
    } finally {
      await lab.down();
    }
    expect(() => Lab.open(lab.name)).toThrow(/there is no lab/);
    expect(await lab.down()).toEqual({ hosts: [], isDiskHeld: false });
  }, 60_000);
});

describe('a lab whose program', () => {
  const lab = join(CHECKOUT, 'lab/lab.ts');

  async function abandoned(end: string): Promise<string> {
    const script = `
      const { Lab } = await import(${JSON.stringify(lab)});
      const lab = await Lab.up({ hosts: ['a', 'b'], services: [] });
      console.log(lab.name);
      ${end}`;
    const child = spawn(NODE, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [name] = (await once(child.stdout, 'data')) as [Buffer];
    if (end === '') child.kill('SIGKILL');
    await once(child, 'exit');
    return name.toString().trim();
  }

  it('was killed is removed by the next one', async () => {
    const name = await abandoned('');
    // Its processes and disks are gone at once; files stay until somebody looks.
    expect(await waitUntil(() => loopDevicesOf(labDirectory(name)).length === 0, 10_000)).toBe(
      true,
    );
    expect(await Lab.removeStale()).toContain(name);
    expect(tracesOf(name)).toEqual([]);
  }, 60_000);

  it('ended without taking it down leaves nothing', async () => {
    const name = await abandoned('process.exit(0);');
    expect(tracesOf(name)).toEqual([]);
  }, 60_000);
});

describe('the command line', () => {
  const name = `cli-${process.pid}`;

  it('drives a lab across invocations', async () => {
    try {
      expect(await cli('up', '--name', name, '--hosts', 'a,b')).toMatchObject({ code: 0 });
      const write = ['sh', '-c', 'echo "$1" > /srv/x; exit 7', 'sh', '--name'];
      expect((await cli('exec', '--name', name, 'a', '--', ...write)).code).toBe(7);
      expect((await cli('exec', '--name', name, 'a', '--', 'cat', '/srv/x')).stdout).toBe(
        '--name\n',
      );
      expect((await cli('power-off', 'a', '--name', name)).code).toBe(0);
      const status = await cli('status', '--name', name, '--json');
      expect(JSON.parse(status.stdout)).toMatchObject({
        name,
        hosts: [
          { name: 'a', power: 'off' },
          { name: 'b', power: 'on' },
        ],
      });
      expect((await cli('exec', '--name', name, 'a', 'true')).code).toBe(1);
      expect((await cli('boot', 'a', '--name', name)).code).toBe(0);
    } finally {
      await cli('down', '--name', name);
    }
    expect(await cli('down', '--name', name)).toMatchObject({ code: 0 });
    expect(tracesOf(name)).toEqual([]);
  }, 60_000);

  it('removes a lab whose state file is gone', async () => {
    await cli('up', '--name', name, '--hosts', 'a');
    await run(['rm', `/run/understudy-lab/${name}.json`]);
    expect((await cli('down', '--name', name)).code).toBe(0);
    expect(tracesOf(name)).toEqual([]);
  }, 60_000);

  it('refuses bad usage with exit code 2', async () => {
    expect((await cli('explode', 'a')).code).toBe(2);
    expect((await cli('heal', 'a')).code).toBe(2);
    expect((await cli('status', '--name', 'no-such-lab')).code).toBe(1);
    expect((await cli('up', '--name', '../x')).stderr).toContain('not a lab name');
  }, 60_000);
});
