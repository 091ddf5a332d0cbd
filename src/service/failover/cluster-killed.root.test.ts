// The cluster process of a node is killed in the middle of something: the next one has a machine that knows nothing of it.
// Group processes are the stand-in.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clusterPid, endManaged } from '../fixtures/cluster-processes.ts';
import {
  type PairWithDirectory,
  pairWithDirectory,
  type TestNode,
  until,
} from '../fixtures/two-nodes.ts';
import { groupPaths } from '../service-paths.ts';
import { simpleCommand } from './managed-commands.ts';

const PATIENCE_MS = 30_000;
/** Longer than a lease of the profile `fast`. */
const LEASE_OVER_MS = 2000;

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory();
});
afterEach(async () => endManaged(nodes));

async function create(rest: Record<string, unknown>): Promise<void> {
  const { a, dirA: dir, dirB: standbyDir } = nodes;
  const input = { name: 'shop', paths: [{ dir, standbyDir }], ...rest };
  await a.call('group-create', { input, origin: 'test' });
}

/** The next one is there too late to go on with the lease. */
async function killWithoutLease(node: TestNode): Promise<void> {
  const pid = clusterPid(node);
  process.kill(pid, 'SIGSTOP');
  await sleep(LEASE_OVER_MS);
  process.kill(pid, 'SIGKILL');
}

test.each([
  ['and is not back when the promotion needs it', 200],
  ['and is back when the promotion comes to its end', 3000],
])(
  'its node is a standby again: it is killed during a promotion, %s',
  async (_, finishDelayMs) => {
    const { a, b } = nodes;
    await create({ failover: { arbiter: 'none' } });
    const runtime = b.service.group('shop');
    const failover = b.service.failover.of(runtime);
    await until('b is complete', async () => failover.view?.fresh === true, PATIENCE_MS);
    b.behave({ finishDelayMs });
    const options = {
      force: true,
      acceptStale: true,
      acceptIncomplete: false,
      acceptHalted: false,
    };
    const told = expect(b.call('takeover', { group: 'shop', ...options })).rejects.toMatchObject({
      code: 'COMMAND_UNFINISHED',
    });
    await until('b promotes', async () => failover.view?.role === 'promoting', PATIENCE_MS);
    await until('finish is called', async () => runtime.isChanging, PATIENCE_MS);
    process.kill(clusterPid(b), 'SIGKILL');
    await until('the promotion has ended', async () => !runtime.isChanging, PATIENCE_MS);
    const isWhole = async (): Promise<boolean> => {
      const roles = [await a.group('shop'), await b.group('shop')];
      return (
        roles[0]?.local.role === 'primary' &&
        roles[1]?.local.role === 'standby' &&
        runtime.process.isAlive &&
        runtime.phase === 'running'
      );
    };
    await until('a serves, and b runs as its standby', isWhole, PATIENCE_MS);
    await told;
    const memo = readFileSync(groupPaths(b.paths, 'shop').memo, 'utf8');
    expect(JSON.parse(memo)).toMatchObject({ memo: { served: 0 } });
  },
  120_000,
);

test('what is being started is given up by a node that ceases, though its machine is another one', async () => {
  const { a } = nodes;
  const log = join(nodes.top, 'application.log');
  const start = `echo begun >> ${log}; sleep 60; echo started >> ${log}`;
  const agents = [{ use: 'command', name: 'db', start, stop: 'true', probe: 'true' }];
  const gateway = { arbiter: 'gateway', gateway: '127.0.0.1', gatewayMethod: 'ping' };
  await create({ agents, failover: { ...gateway, profile: 'fast' } });
  await until('it is being started', async () => existsSync(log), PATIENCE_MS);
  // Otherwise it would serve again at once.
  const runtime = a.service.group('shop');
  await simpleCommand(a.service, runtime, 'pause');
  expect(a.service.failover.of(runtime).view?.application).toBe('starting');
  await killWithoutLease(a);
  await until('it has ceased', async () => runtime.state.role === 'standby', PATIENCE_MS);
  expect(runtime.agents.view[0]?.phase).toBe('stopped');
  expect(readFileSync(log, 'utf8')).toBe('begun\n');
}, 120_000);

test('what is still to be stopped of it is stopped before it is started again: its machine is killed twice', async () => {
  const { a } = nodes;
  const [log, hung] = [join(nodes.top, 'application.log'), join(nodes.top, 'hung')];
  const start = `echo start >> ${log}; test -e ${hung} || sleep 60`;
  const stop = `echo stop >> ${log}; if [ ! -e ${hung} ]; then touch ${hung}; sleep 60; fi; echo stopped >> ${log}`;
  const commands = { start, stop, probe: 'true' };
  const agents = [{ use: 'command', name: 'db', ...commands }];
  const gateway = { arbiter: 'gateway', gateway: '127.0.0.1', gatewayMethod: 'ping' };
  await create({ agents, failover: { ...gateway, profile: 'fast' } });
  const runtime = a.service.group('shop');
  const failover = a.service.failover.of(runtime);
  await until('it is being started', async () => existsSync(log), PATIENCE_MS);
  await simpleCommand(a.service, runtime, 'pause');
  await killWithoutLease(a);
  await until('it is being stopped', async () => existsSync(hung), PATIENCE_MS);
  process.kill(clusterPid(a), 'SIGKILL');
  await until('it is a standby', async () => failover.view?.role === 'standby', PATIENCE_MS);
  await simpleCommand(a.service, runtime, 'resume');
  const isServed = async (): Promise<boolean> => {
    const one = [nodes.a, nodes.b].map(({ service }) => service.failover.of(service.group('shop')));
    return one.some(({ view }) => view?.role === 'primary' && view.application === 'running');
  };
  await until('it runs again', isServed, PATIENCE_MS);
  expect(readFileSync(log, 'utf8')).toBe('start\nstop\nstop\nstopped\nstart\n');
}, 120_000);

test('the application runs again that was being stopped for a switchover', async () => {
  const { a, b } = nodes;
  const [up, stopping] = [join(nodes.top, 'up'), join(nodes.top, 'stopping')];
  const stop = `touch ${stopping}; sleep 3; rm ${up}`;
  const commands = { start: `touch ${up}`, stop, probe: `test -e ${up}`, probeInterval: '500ms' };
  const agents = [{ use: 'command', name: 'db', ...commands }];
  await create({ agents, failover: { arbiter: 'none' } });
  const failover = a.service.failover.of(a.service.group('shop'));
  const isServed = async (): Promise<boolean> =>
    existsSync(up) && failover.view?.application === 'running';
  await until('it runs', isServed, PATIENCE_MS);
  await until('b is known to be complete', async () => failover.view?.alone === 'together');
  b.behave({ fail: { finish: 'DIRECTORY_BUSY' } });
  const told = expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
    code: 'COMMAND_UNFINISHED',
  });
  await until('it is being stopped', async () => existsSync(stopping), PATIENCE_MS);
  process.kill(clusterPid(a), 'SIGKILL');
  await until('a machine is there again', async () => failover.view?.booting === false);
  const { agents: supervision } = a.service.group('shop');
  await until('nothing moves', async () => supervision.view[0]?.phase !== 'stopping', PATIENCE_MS);
  await until('it runs again', isServed, PATIENCE_MS);
  await told;
}, 120_000);

test('another one is started at once, also while a group has something to end for the one before', async () => {
  const { a, b } = nodes;
  await create({ failover: { arbiter: 'none' } });
  const runtime = a.service.group('shop');
  const failover = a.service.failover.of(runtime);
  await until('b is complete', async () => failover.view?.alone === 'together', PATIENCE_MS);
  a.behave({ handoverDelayMs: 25_000 });
  b.behave({ fail: { finish: 'DIRECTORY_BUSY' } });
  const told = expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
    code: 'COMMAND_UNFINISHED',
  });
  await until('it is handed over', async () => runtime.isChanging, PATIENCE_MS);
  const pids = [clusterPid(a)];
  const isAnother = async (): Promise<boolean> => !pids.includes(clusterPid(a));
  process.kill(clusterPid(a), 'SIGKILL');
  await until('the next one is there', isAnother, PATIENCE_MS);
  await until('it answers', async () => a.service.failover.clusterStatus().catch(() => null));
  pids.push(clusterPid(a));
  process.kill(clusterPid(a), 'SIGKILL');
  await until('the one after that is there', isAnother, 10_000);
  await until('a machine is there', async () => failover.view?.booting === false, 60_000);
  await until('nothing is left', async () => !runtime.isChanging, PATIENCE_MS);
  await told;
}, 120_000);
