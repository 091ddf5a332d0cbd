// Two processes of a node end while they know of its application what nobody else knows: what is left of it is stopped, and it is
// started once. Group processes are the stand-in.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { livingProcess } from '../../agents/sdk/process-table.ts';
import { present } from '../../core/assert.ts';
import { clusterPid, endManaged } from '../fixtures/cluster-processes.ts';
import {
  type PairWithDirectory,
  pairWithDirectory,
  type TestNode,
  until,
} from '../fixtures/two-nodes.ts';
import { GroupApplication } from '../group-application.ts';
import { groupPaths } from '../service-paths.ts';
import { simpleCommand } from './managed-commands.ts';

const PATIENCE_MS = 30_000;
/** Longer than a lease of the profile `fast`. */
const LEASE_OVER_MS = 4000;
const FORCED = { force: true, acceptStale: true, acceptIncomplete: false, acceptHalted: false };
const GATEWAY = {
  arbiter: 'gateway',
  gateway: '127.0.0.1',
  gatewayMethod: 'ping',
  profile: 'fast',
};

let nodes: PairWithDirectory;
let log = '';

beforeEach(async () => {
  nodes = await pairWithDirectory();
  log = join(nodes.top, 'application.log');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await endManaged(nodes);
});

const runtimeOf = ({ service }: TestNode) => service.group('shop');
const view = ({ service }: TestNode) => service.failover.of(service.group('shop')).view;
const said = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);

async function create(
  failover: Record<string, unknown>,
  commands: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  const known = { start: `echo start >> ${log}`, stop: `echo stop >> ${log}`, ...commands };
  const agents = [{ use: 'command', name: 'db', ...known }];
  const input = { name: 'shop', paths: [{ dir, standbyDir }], agents, failover };
  await a.call('group-create', { input, origin: 'test' });
  await until('b takes part', async () => view(b)?.peerRole === 'primary', PATIENCE_MS);
}

const runs = async (node: TestNode): Promise<boolean> =>
  view(node)?.role === 'primary' && view(node)?.application === 'running';

async function startAgain(node: TestNode): Promise<void> {
  await node.start();
  await until('its machine is found', async () => view(node) !== null, PATIENCE_MS);
}

test('what is being started when service and cluster process end is stopped by a node that ceases', async () => {
  const { a } = nodes;
  await create(GATEWAY, { start: `echo start >> ${log}; sleep 60`, probe: 'true' });
  await until('it is being started', async () => existsSync(log), PATIENCE_MS);
  // Otherwise it would serve again at once.
  await simpleCommand(a.service, runtimeOf(a), 'pause');
  const cluster = clusterPid(a);
  await a.stop();
  process.kill(cluster, 'SIGKILL');
  await sleep(LEASE_OVER_MS);
  await startAgain(a);
  await until('it has ceased', async () => runtimeOf(a).state.role === 'standby', PATIENCE_MS);
  expect(said()).toEqual(['start', 'stop']);
}, 120_000);

const follows = (node: TestNode): boolean =>
  runtimeOf(node).state.role === 'standby' && runtimeOf(node).phase === 'running';

async function endAll(node: TestNode): Promise<void> {
  const pids = [clusterPid(node), present(runtimeOf(node).process.pid, 'a process')];
  await node.stop();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
}

test('an application that outlives all processes of its node is stopped by a node that follows', async () => {
  const { a, b } = nodes;
  await create({ arbiter: 'none' });
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  await endAll(a);
  await b.call('takeover', { group: 'shop', ...FORCED });
  await until('it runs on b', async () => runs(b), PATIENCE_MS);
  await startAgain(a);
  await until('a follows', async () => follows(a), PATIENCE_MS);
  expect(said()).toEqual(['start', 'start', 'stop']);
}, 120_000);

test('an application that outlives all processes of its node and does not stop is ended by force', async () => {
  const { a, b, dirA } = nodes;
  const [once, pidFile] = [join(nodes.top, 'once'), join(nodes.top, 'pid')];
  const first = `touch ${once}; cd ${dirA}; sleep 600 & echo $! > ${pidFile}`;
  const start = `if [ ! -e ${once} ]; then ${first}; fi`;
  await create({ arbiter: 'none' }, { start, stop: 'exit 1' });
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  await endAll(a);
  await b.call('takeover', { group: 'shop', ...FORCED });
  await startAgain(a);
  await until('a follows', async () => follows(a), PATIENCE_MS);
  expect(livingProcess(Number(readFileSync(pidFile, 'utf8')))).toBeUndefined();
  expect(await a.eventCodes()).toContain('STOP_ESCALATED');
}, 120_000);

test('an application that outlives all processes of its node is stopped before it is started there', async () => {
  const { a } = nodes;
  await create({ arbiter: 'none' });
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await endAll(a);
  await startAgain(a);
  await until('it runs again', async () => runs(a), PATIENCE_MS);
  expect(said()).toEqual(['start', 'stop', 'start']);
}, 120_000);

test('an application that was started again with its filter is not started once more when service and cluster process end', async () => {
  const { a } = nodes;
  await create({ arbiter: 'none' });
  await until('it runs', async () => runs(a), PATIENCE_MS);
  const pid = present(runtimeOf(a).process.pid, 'a process');
  await a.stop();
  process.kill(pid, 'SIGKILL');
  await startAgain(a);
  await until('it was started again', async () => said().length === 3, PATIENCE_MS);
  await until('nothing moves', async () => !runtimeOf(a).isChanging, PATIENCE_MS);
  const cluster = clusterPid(a);
  await a.stop();
  process.kill(cluster, 'SIGKILL');
  await startAgain(a);
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await sleep(1000);
  expect(said()).toEqual(['start', 'stop', 'start']);
}, 120_000);

test('an application without a probe runs in the end whose start was broken off', async () => {
  const { a } = nodes;
  const once = join(nodes.top, 'once');
  const start = `if [ ! -e ${once} ]; then touch ${once}; sleep 60; fi; echo start >> ${log}`;
  await create({ arbiter: 'none' }, { start });
  await until('it is being started', async () => existsSync(once), PATIENCE_MS);
  process.kill(clusterPid(a), 'SIGKILL');
  await until('it was started', async () => said().includes('start'), PATIENCE_MS);
  await until('it runs', async () => runs(a), PATIENCE_MS);
  expect(said()).toEqual(['stop', 'start']);
}, 120_000);

test('an application whose start was broken off in maintenance runs after that', async () => {
  const { a } = nodes;
  const once = join(nodes.top, 'once');
  const start = `if [ ! -e ${once} ]; then touch ${once}; sleep 60; fi; echo start >> ${log}`;
  await create({ arbiter: 'none' }, { start });
  await until('it is being started', async () => existsSync(once), PATIENCE_MS);
  await simpleCommand(a.service, runtimeOf(a), 'pause');
  process.kill(clusterPid(a), 'SIGKILL');
  const isTold = async (): Promise<boolean> => (await a.eventCodes()).includes('AGENT_FAILED');
  await until('it is told', isTold, PATIENCE_MS);
  await sleep(500);
  expect(said()).toEqual([]);
  await simpleCommand(a.service, runtimeOf(a), 'resume');
  await until('it was started', async () => said().includes('start'), PATIENCE_MS);
  expect(said()).toEqual(['stop', 'start']);
}, 120_000);

test('an application that is ended by force for a switchover is not started again where it was', async () => {
  const { a, b } = nodes;
  const { service } = a;
  const stop = `echo stop >> ${log}; sleep 60`;
  await create({ arbiter: 'none' }, { stop, stopTimeout: '2s' });
  const runtime = runtimeOf(a);
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  await service.failover
    .of(runtime)
    .command(
      { kind: 'switchover' },
      { isDone: ({ role }) => role === 'standby', failures: [], timeoutMs: PATIENCE_MS },
    );
  await sleep(1000);
  expect(said()).toEqual(['start', 'stop']);
  expect(runtime.agents.view[0]?.phase).toBe('stopped');
}, 120_000);

test('an application is started anew whose service and filter end while it is being started', async () => {
  const { a } = nodes;
  const once = join(nodes.top, 'once');
  const start = `echo start >> ${log}; if [ ! -e ${once} ]; then touch ${once}; sleep 60; fi`;
  await create({ arbiter: 'none' }, { start });
  await until('it is being started', async () => existsSync(once), PATIENCE_MS);
  const pid = present(runtimeOf(a).process.pid, 'a process');
  await a.stop();
  process.kill(pid, 'SIGKILL');
  await startAgain(a);
  await until('it runs', async () => runs(a), PATIENCE_MS);
  expect(said()).toEqual(['start', 'stop', 'start']);
}, 120_000);

test('a filter that ends while the application is being started is there again for the next attempt', async () => {
  const { a } = nodes;
  const [once, over] = [join(nodes.top, 'once'), join(nodes.top, 'over')];
  const first = `touch ${once}; while [ ! -e ${over} ]; do sleep 0.1; done; exit 1`;
  const start = `echo start >> ${log}; if [ ! -e ${once} ]; then ${first}; fi`;
  await create({ arbiter: 'none' }, { start });
  await until('it is being started', async () => existsSync(once), PATIENCE_MS);
  const pid = present(runtimeOf(a).process.pid, 'a process');
  process.kill(pid, 'SIGKILL');
  await until('it is dead', async () => runtimeOf(a).process.pid !== pid, PATIENCE_MS);
  writeFileSync(over, '');
  await until('it runs', async () => runs(a), PATIENCE_MS);
  expect(said().filter((one) => one === 'start')).toHaveLength(2);
  expect(said().slice(-2)).toEqual(['stop', 'start']);
}, 120_000);

test('an application that cannot be ended, and is left to its node for that, is brought into order there', async () => {
  const { a } = nodes;
  const timings = { applicationStopTimeout: '1s' };
  await create({ arbiter: 'none', timings }, { stop: 'sleep 60', stopTimeout: '60s' });
  const failover = a.service.failover.of(runtimeOf(a));
  await until('it runs', async () => runs(a), PATIENCE_MS);
  await until('b is complete', async () => view(nodes.b)?.fresh === true, PATIENCE_MS);
  // A process that waits for a disk that does not answer.
  vi.spyOn(GroupApplication.prototype, 'killAll').mockImplementation(async (timeoutMs) => {
    await sleep(timeoutMs + 300);
    return 'these processes cannot be killed: 1';
  });
  const failing = { isDone: () => false, failures: ['HANDOVER_FAILED'], timeoutMs: PATIENCE_MS };
  await expect(failover.command({ kind: 'switchover' }, failing)).rejects.toMatchObject({
    code: 'HANDOVER_FAILED',
  });
  await until('it is started again', async () => said().length > 1 && runs(a), PATIENCE_MS);
  expect(said()).toEqual(['start', 'start']);
  const isWatched = async (): Promise<boolean> => runtimeOf(a).agents.view[0]?.phase === 'running';
  await until('it is watched', isWatched, PATIENCE_MS);
}, 120_000);

test('an application that runs is not started again by a version that keeps more of it than the one before', async () => {
  const { a } = nodes;
  await create({ arbiter: 'none' });
  await until('it runs', async () => runs(a), PATIENCE_MS);
  const pid = present(runtimeOf(a).process.pid, 'a process');
  await a.stop();
  const { state } = groupPaths(a.paths, 'shop');
  const kept = JSON.parse(readFileSync(state, 'utf8')) as Record<string, unknown>;
  // As a filter that was started anew left it.
  writeFileSync(state, JSON.stringify({ ...kept, agentsStarted: false, agentsBegun: null }));
  await startAgain(a);
  const failover = a.service.failover.of(runtimeOf(a));
  for (let looks = 0; looks < 3; looks += 1) failover.onView(present(failover.view, 'a view'));
  await sleep(500);
  expect(runtimeOf(a).process.pid).toBe(pid);
  expect(said()).toEqual(['start']);
}, 120_000);
