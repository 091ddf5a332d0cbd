// The service of a node is started again, or stands still, while its machine goes on: what was asked for before, and what was told
// before, is not taken for what is. Group processes are the stand-in.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { present } from '../../core/assert.ts';
import { ControlClient } from '../control-channel.ts';
import { clusterPid, endManaged } from '../fixtures/cluster-processes.ts';
import {
  type PairWithDirectory,
  pairWithDirectory,
  type TestNode,
  until,
} from '../fixtures/two-nodes.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { GroupStanding } from './cluster-protocol.ts';
import { ClusterProcess } from './cluster-process.ts';
import { GroupFailover } from './group-failover.ts';

const PATIENCE_MS = 30_000;
const FORCED = { force: true, acceptStale: true, acceptIncomplete: false, acceptHalted: false };

const AUTOMATIC = {
  arbiter: 'gateway',
  gateway: '127.0.0.1',
  gatewayMethod: 'ping',
  automatic: true,
};
/** Tells the cluster process on a socket to move groups, and ends when it has had the time to say what it wants. */
const SWITCH_OVER = `
  const [path, ...groups] = process.argv.slice(1);
  const socket = require('node:net').createConnection(path);
  groups.forEach((groupId, id) => {
    const params = { groupId, command: { kind: 'switchover' } };
    socket.write(JSON.stringify({ id, method: 'command', params }) + '\\n');
  });
  setTimeout(() => process.exit(0), 500);
`;

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await endManaged(nodes);
});

const view = ({ service }: TestNode) => service.failover.of(service.group('shop')).view;

/** Nothing that arrives is heard meanwhile. */
function beBusy(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

async function create(
  failover: Record<string, unknown> = {},
  agents: readonly Record<string, unknown>[] = [],
): Promise<void> {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  const input = {
    name: 'shop',
    paths: [{ dir, standbyDir }],
    agents,
    failover: { arbiter: 'none', ...failover },
  };
  await a.call('group-create', { input, origin: 'test' });
  await until('b takes part', async () => view(b)?.peerRole === 'primary', PATIENCE_MS);
}

async function isRole(node: TestNode, role: string): Promise<void> {
  await until(`${node.name} is ${role}`, async () => view(node)?.role === role, PATIENCE_MS);
}

async function startAgain(node: TestNode): Promise<void> {
  await node.stop();
  await node.start();
  await until('its machine is found', async () => view(node) !== null, PATIENCE_MS);
}

/** What the service of `node` has to carry out, as its cluster process has it. */
async function outstanding({ paths }: TestNode): Promise<string[]> {
  const client = await ControlClient.connect(paths.clusterSocket);
  try {
    const [standing] = (await client.call('outstanding')) as GroupStanding[];
    return (standing?.effects ?? []).map(({ kind }) => kind);
  } finally {
    client.close();
  }
}

/** Node, epoch and request of each. */
function allowances(): string[] {
  const file = join(nodes.top, 'stand-in', 'shop.allowances');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

test('what one primary may do is not told to the next one: commits wait until it is recorded', async () => {
  const { a, b } = nodes;
  a.behave({ commits: 'alone-wanted' });
  await create({ timings: { aloneAfter: '60s' } });
  await until('a may go on alone', async () => allowances().length > 0, PATIENCE_MS);
  await b.call('takeover', { group: 'shop', ...FORCED });
  await isRole(a, 'standby');
  a.behave({ commits: 'alone-wanted', finishDelayMs: 1000 });
  const taken = a.call('takeover', { group: 'shop', ...FORCED });
  await until('a promotes', async () => a.service.group('shop').isChanging, PATIENCE_MS);
  // From now on nothing is recorded at b.
  process.kill(clusterPid(b), 'SIGSTOP');
  await taken;
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'recording' });
  const { epoch } = a.service.group('shop').state;
  await startAgain(a);
  await until('its process is found', async () => a.service.group('shop').phase === 'running');
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'recording' });
  expect(allowances().filter((line) => line.startsWith(`a ${epoch} `))).toEqual([]);
}, 120_000);

test('a process that is started for a service that knows nothing of the one before is answered, too', async () => {
  const { a, b } = nodes;
  await create();
  await until('a and b are together', async () => view(a)?.alone === 'together', PATIENCE_MS);
  const { pid } = a.service.group('shop').process;
  await a.stop();
  process.kill(present(pid, 'a process'), 'SIGKILL');
  a.behave({ commits: 'alone-wanted' });
  const before = allowances().length;
  await a.start();
  await until('it may go on alone', async () => allowances().length > before, PATIENCE_MS);
  expect(view(a)).toMatchObject({ role: 'primary', alone: 'allowed' });
  await until('b is told', async () => view(b)?.stale === true, PATIENCE_MS);
}, 120_000);

test('what a process wishes whose connection was lost is heard when there is one again, and its events once', async () => {
  await create();
  const { a } = nodes;
  const runtime = a.service.group('shop');
  const heard = vi.spyOn(a.service.failover.of(runtime), 'onNotice');
  a.behave({ commits: 'alone-wanted' });
  // Whoever says something that is no request is cut off.
  await expect(runtime.process.call('x'.repeat(65), {}, 5000)).rejects.toMatchObject({
    code: 'CONTROL_CLOSED',
  });
  await vi.waitFor(
    () => expect(heard).toHaveBeenCalledWith(expect.objectContaining({ state: 'alone-wanted' })),
    PATIENCE_MS,
  );
  expect((await a.eventCodes()).filter((code) => code === 'STAND_IN')).toHaveLength(1);
});

test('a disk that works again is known to do so, though another service has told that it had failed', async () => {
  const { b } = nodes;
  await create();
  const failover = b.service.failover.of(b.service.group('shop'));
  failover.onNotice({ kind: 'disk', why: 'the test says so' });
  await until('it has failed', async () => view(b)?.health.disk === 'failed', PATIENCE_MS);
  await startAgain(b);
  await until('it works', async () => view(b)?.health.disk === 'ok', PATIENCE_MS);
}, 120_000);

test('a copy that was complete is complete, though its process is ended amid a promotion', async () => {
  const { a, b } = nodes;
  await create();
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  const runtime = b.service.group('shop');
  const failover = b.service.failover.of(runtime);
  b.behave({ finishDelayMs: 2000 });
  const epoch = runtime.state.epoch + 1;
  failover.onEffect({ kind: 'promote', op: 1, epoch, base: null, accepts: ['up-to-date'] });
  await sleep(1000);
  process.kill(clusterPid(a), 'SIGSTOP');
  // As a process that has just been started, and has not heard of a primary.
  b.behave({ copy: 'catching-up' });
  failover.onEffect({ kind: 'demote', op: 2, drain: false, stays: false, timeoutMs: 60_000 });
  await until('it is over', async () => !runtime.isChanging, PATIENCE_MS);
  await sleep(1000);
  expect(runtime.process.isAlive).toBe(true);
  expect(view(b)).toMatchObject({ role: 'standby', copy: 'up-to-date' });
}, 120_000);

test('a takeover goes on whose service is started again amid it', async () => {
  const { a, b } = nodes;
  await create(AUTOMATIC);
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  b.behave({ finishDelayMs: 2000 });
  process.kill(clusterPid(a), 'SIGSTOP');

  await isRole(b, 'promoting');
  await sleep(500);
  b.behave({ copy: 'catching-up' });
  await startAgain(b);
  await isRole(b, 'primary');
}, 120_000);

test('a promotion that was broken off is not begun again by the next service', async () => {
  const { a, b } = nodes;
  await create(AUTOMATIC);
  await until('b is complete', async () => view(b)?.fresh === true, PATIENCE_MS);
  b.behave({ finishDelayMs: 5000 });
  process.kill(clusterPid(a), 'SIGSTOP');
  await isRole(b, 'promoting');
  expect(await outstanding(b)).toEqual(['promote']);
  // Its lease ends meanwhile.
  process.kill(clusterPid(b), 'SIGSTOP');
  await sleep(1500);
  process.kill(clusterPid(b), 'SIGCONT');
  await isRole(b, 'demoting');
  expect(await outstanding(b)).toEqual(['demote']);
}, 120_000);

test('what a machine wants while the service asks for what it wants is carried out', async () => {
  const { a, b } = nodes;
  await create();
  const [dir, standbyDir] = [join(nodes.data(a), 'books'), join(nodes.data(b), 'books')];
  mkdirSync(dir);
  const input = { name: 'books', paths: [{ dir, standbyDir }], failover: { arbiter: 'none' } };
  await a.call('group-create', { input, origin: 'test' });
  const names = ['books', 'shop'];
  const viewOf = ({ service }: TestNode, name: string) =>
    service.failover.of(service.group(name)).view;
  for (const name of names) {
    await until('in step', async () => viewOf(a, name)?.alone === 'together', PATIENCE_MS);
  }
  const ids = names.map((name) => a.service.group(name).definition.groupId);
  await a.stop();
  let asked = 0;
  const { call } = ClusterProcess.prototype;
  vi.spyOn(ClusterProcess.prototype, 'call').mockImplementation(async function (
    this: ClusterProcess,
    ...question
  ) {
    const answer = call.apply(this, question);
    // The second is that for the group that is not the first one: this process stands still before it reads the answer.
    if (question[0] === 'outstanding' && (asked += 1) === 2) {
      execFileSync(process.execPath, ['-e', SWITCH_OVER, a.paths.clusterSocket, ...ids]);
    }
    return answer;
  });
  await a.start();
  for (const name of names) {
    const isGiven = async (): Promise<boolean> => viewOf(a, name)?.role === 'standby';
    await until(`${name} is handed over`, isGiven, PATIENCE_MS);
  }
  await a.service.failover.suspend(a.service.group('books'));
  await b.service.failover.suspend(b.service.group('books'));
}, 120_000);

test('what was carried out is not begun again by an answer that is older than its result', async () => {
  const { a } = nodes;
  const log = join(nodes.top, 'application.log');
  const commands = { start: `echo started >> ${log}`, stop: 'true', probe: 'true' };
  const asked = vi.spyOn(GroupFailover.prototype, 'onEffect');
  await create({}, [{ use: 'command', name: 'db', ...commands }]);
  const failover = a.service.failover.of(a.service.group('shop'));
  await until('it runs', async () => failover.view?.application === 'running', PATIENCE_MS);
  const { groupId } = failover.runtime.definition;
  const effects = asked.mock.calls.map(([effect]) => effect).filter((one) => 'op' in one);
  expect(effects.map(({ kind }) => kind)).toContain('startApplication');
  await failover.join({ groupId, view: null, effects });
  await sleep(500);
  expect(readFileSync(log, 'utf8')).toBe('started\n');
  expect(view(a)).toMatchObject({ role: 'primary', application: 'running' });
}, 60_000);

test('what a process says of its copy behind its status counts, however busy the service is', async () => {
  const { b } = nodes;
  await create();
  const isComplete = async (): Promise<boolean> => view(b)?.copy === 'up-to-date';
  await until('the copy is complete', isComplete, PATIENCE_MS);
  const failover = b.service.failover.of(b.service.group('shop'));
  b.behave({ copy: 'catching-up', copyBehindStatus: 'up-to-date' });
  failover.onRunning();
  beBusy(300);
  await sleep(300);
  expect(view(b)).toMatchObject({ role: 'standby', copy: 'up-to-date' });
}, 60_000);

test.each<[string, (failover: GroupFailover) => void]>([
  [
    'has to cease',
    (failover) => {
      const op = { op: 1, drain: false, stays: false, timeoutMs: 1000 };
      failover.onEffect({ kind: 'demote', ...op });
    },
  ],
  [
    'finds the other one serving',
    (failover) => {
      const before = present(failover.view, 'a view');
      failover.onView({ ...before, role: 'standby', peerRole: 'primary' });
    },
  ],
])(
  'what a primary said before it ended says nothing of the standby that follows it, when its node %s: its data stays its own',
  async (_, follow) => {
    const { a } = nodes;
    await create();
    const runtime = a.service.group('shop');
    const failover = a.service.failover.of(runtime);
    await until('it serves', async () => view(a)?.role === 'primary', PATIENCE_MS);
    a.behave({ copyBehindStatus: 'up-to-date' });
    failover.onRunning();
    beBusy(300);
    a.behave({ copy: 'empty' });
    runtime.process.kill();
    beBusy(300);
    follow(failover);
    await until('it follows', async () => runtime.state.role === 'standby', PATIENCE_MS);
    await sleep(300);
    expect(runtime.state).toMatchObject({ role: 'standby', own: { epoch: 2 } });
  },
  60_000,
);

test('a process that does not answer the next service, and ends, is started again', async () => {
  const { a } = nodes;
  await create();
  const runtime = (): GroupRuntime => a.service.group('shop');
  const pid = present(runtime().process.pid, 'a process');
  await a.stop();
  process.kill(pid, 'SIGSTOP');
  await a.start();
  await isRole(a, 'primary');
  await sleep(500);
  process.kill(pid, 'SIGKILL');
  await until('another one runs', async () => runtime().phase === 'running', PATIENCE_MS);
  expect(runtime().process.pid).not.toBe(pid);
  expect(view(a)?.role).toBe('primary');
}, 120_000);
