// Commands about groups on two nodes that do not run smoothly: given twice at once, cut short on one node, on a disk that
// takes nothing any more, with answers that are lost. Group processes are the stand-in.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UnderstudyError } from '../core/errors.ts';
import {
  type TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';
import { planGroup } from './group-creation.ts';
import { takeFromPeer } from './group-edit.ts';
import { type GroupDefinition, mirroredDefinition, parseGroupInput } from './group-definition.ts';
import { exportSalvage } from './salvage.ts';
import { groupPaths } from './service-paths.ts';
import type { ServiceStatus } from './status.ts';
import { createStandby } from './standby-creation.ts';

const DAY_MS = 86_400_000;

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dir = '';
let otherDir = '';

beforeEach(async () => {
  nodes = await pairWithDirectory();
  ({ a, b, dirA: dir, dirB: otherDir } = nodes);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await nodes.down();
});

function input(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'shop', paths: [{ dir, standbyDir: otherDir }], ...change };
}

async function create(change: Record<string, unknown> = {}): Promise<void> {
  await a.call('group-create', { input: input(change), origin: 'test' });
}

const runtimeOf = (node: TestNode) => node.service.group('shop');

const edit = async (node: TestNode, change: Record<string, unknown>): Promise<unknown> =>
  node.call('group-edit', { group: 'shop', ...change });

function onBoth<T>(look: (definition: GroupDefinition) => T): T[] {
  return [a, b].map((node) => look(runtimeOf(node).definition));
}

/** In the way of every write of a file. */
function blockedFile(node: TestNode, file: 'state' | 'definition'): string {
  return `${groupPaths(node.paths, 'shop')[file]}.new`;
}

/** Codes of what was refused; undefined: it was done. */
async function codesOf(work: readonly Promise<unknown>[]): Promise<(string | undefined)[]> {
  const ends = await Promise.allSettled(work);
  return ends.map((end) =>
    end.status === 'fulfilled' ? undefined : (end.reason as UnderstudyError).code,
  );
}

const roles = async (): Promise<(string | undefined)[]> =>
  Promise.all([a, b].map(async (node) => (await node.group('shop'))?.local.role));

async function untilRunning(node: TestNode): Promise<void> {
  await until(
    `the process on ${node.name} runs`,
    async () => (await node.group('shop'))?.local.process === 'running',
    30_000,
  );
}

describe('an edit', () => {
  beforeEach(async () => create());

  test('with a bandwidth limit that is wrong changes nothing else either', async () => {
    const change = { verify: '5d', bandwidth: 'nonsense' };
    await expect(edit(a, change)).rejects.toMatchObject({
      code: 'RATE_INVALID',
    });
    expect(onBoth(({ verifyEveryMs }) => verifyEveryMs)).toEqual([7 * DAY_MS, 7 * DAY_MS]);
  });

  test('with a window of no day is refused: no service would read it again', async () => {
    const schedule = [{ days: [], from: '08:00', to: '18:00', bandwidth: '50 Mbit/s' }];
    await expect(edit(a, { bandwidth: { schedule } })).rejects.toMatchObject({
      code: 'BANDWIDTH_INVALID',
    });
    await a.stop();
    await a.start();
    await untilRunning(a);
  });

  test('at the same time as another one: both are there, or one is refused', async () => {
    const codes = await codesOf([
      edit(a, { verify: '5d' }),
      edit(a, { safety: { guard: 'halt' } }),
    ]);
    expect(codes.toSorted()).toEqual(['GROUP_CHANGING', undefined]);
    const crossed = await codesOf([edit(a, { verify: '6d' }), edit(b, { verify: '8d' })]);
    expect(crossed).toContain('GROUP_CHANGING');
    const [one, other] = onBoth(({ verifyEveryMs, safety }) => ({ verifyEveryMs, safety }));
    expect(one).toEqual(other);
    await edit(a, { verify: '9d' });
    await edit(b, { safety: { guard: 'off' } });
    const kept = onBoth(({ verifyEveryMs, safety }) => [verifyEveryMs, safety.guard]);
    expect(kept).toEqual([
      [9 * DAY_MS, 'off'],
      [9 * DAY_MS, 'off'],
    ]);
  });

  test('that the disk did not take is none: given again, it is kept', async () => {
    const file = blockedFile(a, 'definition');
    mkdirSync(file);
    await expect(edit(a, { verify: '5d' })).rejects.toMatchObject({ code: 'STATE_IO' });
    await expect(edit(a, { bandwidth: '50 Mbit/s' })).rejects.toMatchObject({ code: 'STATE_IO' });
    expect(runtimeOf(a).definition).toMatchObject({
      verifyEveryMs: 7 * DAY_MS,
      replication: { bandwidth: { rate: null } },
    });
    rmSync(file, { recursive: true });
    await edit(a, { verify: '5d' });
    await a.stop();
    await a.start();
    expect(onBoth(({ verifyEveryMs }) => verifyEveryMs)).toEqual([5 * DAY_MS, 5 * DAY_MS]);
  });

  test('for which a node has no room is refused on both', async () => {
    for (const node of [a, b]) {
      const file = blockedFile(node, 'state');
      mkdirSync(file);
      await expect(edit(a, { verify: '5d' })).rejects.toMatchObject({ code: 'STATE_IO' });
      rmSync(file, { recursive: true });
      expect(onBoth(({ verifyEveryMs }) => verifyEveryMs)).toEqual([7 * DAY_MS, 7 * DAY_MS]);
    }
  });

  test('after which a process does not start holds on both nodes', async () => {
    b.behave({ dieAtStart: 'standby' });
    await expect(edit(a, { safety: { guard: 'halt' } })).rejects.toMatchObject({
      code: 'RENEWAL_FAILED',
    });
    expect(onBoth(({ safety }) => safety.guard)).toEqual(['halt', 'halt']);
    expect(await a.eventCodes()).toContain('GROUP_CHANGED');
    b.behave({});
    await untilRunning(b);
  });

  test('that one node only has is told of on both, and completed on either', async () => {
    await takeFromPeer(b.service, runtimeOf(b), { verifyEveryMs: 5 * DAY_MS });
    const told = async (): Promise<boolean[]> =>
      Promise.all(
        [a, b].map(async (node) => {
          const trouble = (await node.group('shop'))?.local.trouble;
          return trouble?.includes('its settings are others than on node') === true;
        }),
      );
    await until('both say so', async () => (await told()).every(Boolean), 30_000);
    // Where it is already.
    await edit(b, { verify: '5d' });
    expect(onBoth(({ verifyEveryMs }) => verifyEveryMs)).toEqual([5 * DAY_MS, 5 * DAY_MS]);
    expect(await told()).toEqual([false, false]);
  }, 40_000);

  test('whose answer is lost says so, and is completed by giving it again', async () => {
    const runtime = runtimeOf(b);
    const take = runtime.changeSettings.bind(runtime);
    vi.spyOn(runtime, 'changeSettings').mockImplementationOnce(async (change) => {
      await take(change);
      a.service.link.client().close();
    });
    await expect(edit(a, { verify: '5d' })).rejects.toMatchObject({
      code: 'NODE_UNREACHABLE',
      message: expect.stringContaining('whether it has them now is not known') as string,
    });
    await edit(a, { verify: '5d' });
    expect(onBoth(({ verifyEveryMs }) => verifyEveryMs)).toEqual([5 * DAY_MS, 5 * DAY_MS]);
  });
});

describe('a change of role', () => {
  test('that could not be remembered when the stream was closed: the primary goes on', async () => {
    const file = blockedFile(a, 'state');
    await create({ agents: [{ use: 'command', start: 'true', stop: `mkdir -p ${file}` }] });
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'STATE_IO',
    });
    rmSync(file, { recursive: true });
    await untilRunning(a);
    expect(await roles()).toEqual(['primary', 'standby']);
    expect(runtimeOf(a).state.handedOverTo).toBeNull();
  });

  test('that the old primary cannot remember: it is a standby as soon as it can', async () => {
    const file = blockedFile(a, 'state');
    const flag = join(nodes.top, 'served');
    // The second start is that of the other node, when this one has handed over.
    const start = `test -e ${flag} && mkdir -p ${file} || touch ${flag}`;
    await create({ agents: [{ use: 'command', start, stop: 'true' }] });
    await a.call('switchover', { group: 'shop' });
    expect(await roles()).toEqual(['standby', 'primary']);
    expect((await a.group('shop'))?.local.trouble).toContain('cannot run as standby');
    rmSync(file, { recursive: true });
    await untilRunning(a);
    expect(await roles()).toEqual(['standby', 'primary']);
  });

  test('by force, to a node that could not remember it: the primary is not asked to cease', async () => {
    await create();
    const file = blockedFile(b, 'state');
    mkdirSync(file);
    await expect(b.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'STATE_IO',
    });
    expect(await roles()).toEqual(['primary', 'standby']);
    expect(await a.eventCodes()).not.toContain('YIELDED');
    rmSync(file, { recursive: true });
  });

  test('that the other node refuses, while this one cannot remember that: it serves as soon as it can', async () => {
    await create();
    b.behave({ wrongPosition: true, finishDelayMs: 1500 });
    const moved = a.call('switchover', { group: 'shop' });
    await until('handed over', async () => runtimeOf(a).state.handedOverTo !== null);
    const file = blockedFile(a, 'state');
    mkdirSync(file);
    await expect(moved).rejects.toMatchObject({ code: 'PROMOTION_FAILED' });
    rmSync(file, { recursive: true });
    await untilRunning(a);
    expect(await roles()).toEqual(['primary', 'standby']);
  });

  test('that is still under way when the service of the old primary starts again: one of both serves', async () => {
    await create();
    b.behave({ finishDelayMs: 5000 });
    a.call('switchover', { group: 'shop' }).catch(() => undefined);
    await until('handed over', async () => runtimeOf(a).state.handedOverTo !== null);
    await until('the other node is at it', async () => runtimeOf(b).isChanging);
    await a.stop();
    await a.start();
    await until('this one waits', async () => runtimeOf(a).phase === 'waiting');
    await expect(a.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'TAKEOVER_PRIMARY_ALIVE',
    });
    await until('it is promoted', async () => runtimeOf(b).state.role === 'primary');
    await untilRunning(a);
    expect(await roles()).toEqual(['standby', 'primary']);
    expect(await a.eventCodes()).not.toContain('SPLIT_BRAIN');
  }, 60_000);

  test('is no split brain while the new primary starts the application, and the old one waits for that', async () => {
    const up = join(nodes.top, 'up');
    const start = `if [ -e ${up}.second ]; then until [ -e ${up} ]; do sleep 0.05; done; fi; touch ${up}.second`;
    await create({ agents: [{ use: 'command', start, stop: 'true' }] });
    const moved = a.call('switchover', { group: 'shop' });
    await until('it starts the application', async () => {
      const { state, phase, isChanging } = runtimeOf(b);
      return state.role === 'primary' && phase === 'running' && isChanging;
    });
    await b.service.link.poll();
    writeFileSync(up, '');
    await moved;
    expect(await b.eventCodes()).not.toContain('SPLIT_BRAIN');
    expect(await roles()).toEqual(['standby', 'primary']);
  });

  test('is no split brain where the old primary said before it that it is one', async () => {
    await create();
    const { service } = a;
    const view = service.view.bind(service);
    let answer: (() => void) | undefined;
    vi.spyOn(service, 'view').mockImplementationOnce(async () => {
      const before = await view();
      // (A process of another group does not answer.)
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return before;
    });
    const asked = b.service.link.poll();
    await until('it is asked', async () => answer !== undefined);
    await a.call('switchover', { group: 'shop' });
    answer?.();
    await asked;
    const { groups } = await b.call<ServiceStatus>('status');
    expect(groups[0]).toMatchObject({ role: 'primary', primary: 'b', remote: null });
    expect(await b.eventCodes()).not.toContain('SPLIT_BRAIN');
  });

  test('that the old primary has not heard the end of is not ended by giving way to it: nobody would serve', async () => {
    await create();
    const client = a.service.link.client();
    const call = client.call.bind(client);
    let hear: (() => void) | undefined;
    vi.spyOn(client, 'call').mockImplementation(async (what) => {
      const answer = await call(what);
      if (what.path.endsWith('/promote')) {
        await new Promise<void>((resolve) => {
          hear = resolve;
        });
      }
      return answer;
    });
    const moved = a.call('switchover', { group: 'shop' });
    await until('it is promoted', async () => hear !== undefined);
    const yielded = b.call('yield', { group: 'shop', force: true });
    await expect(yielded).rejects.toMatchObject({ code: 'YIELD_NO_PRIMARY' });
    hear?.();
    await moved;
    expect(await roles()).toEqual(['standby', 'primary']);
  });

  test('by force, whose answer of the old primary is lost: while that serves, nobody else does', async () => {
    await create();
    const client = b.service.link.client();
    const call = client.call.bind(client);
    vi.spyOn(client, 'call').mockImplementation(async (what) => {
      if (what.path.endsWith('/yield')) throw new UnderstudyError('NODE_UNREACHABLE', 'too late');
      return call(what);
    });
    await expect(b.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'TAKEOVER_PRIMARY_ALIVE',
    });
    expect(await roles()).toEqual(['primary', 'standby']);
  });

  test('taken back by force, in what does not work at once: it is tried again', async () => {
    await create();
    await handedOverAndAlone();
    const file = blockedFile(a, 'state');
    const take = async (): Promise<unknown> => a.call('takeover', { group: 'shop', force: true });
    mkdirSync(file);
    await expect(take()).rejects.toMatchObject({ code: 'STATE_IO' });
    rmSync(file, { recursive: true });
    a.behave({ dieAtStart: 'primary' });
    await expect(take()).rejects.toMatchObject({ code: 'GROUP_PROCESS_START_FAILED' });
    a.behave({});
    await untilRunning(a);
    expect(runtimeOf(a).state).toMatchObject({ role: 'primary', epoch: 3 });
  }, 60_000);

  test('whose primary ends its process and gets no further: it serves again', async () => {
    await create();
    loseProcessOnce();
    await expect(b.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'UNMOUNT_FAILED',
    });
    await untilRunning(a);
    expect(await roles()).toEqual(['primary', 'standby']);
  });
});

/** The primary has handed over to a node that is gone since, and waits for it. */
async function handedOverAndAlone(): Promise<void> {
  const { state } = groupPaths(a.paths, 'shop');
  for (const node of [a, b]) {
    const { pid } = runtimeOf(node).process;
    await node.stop();
    process.kill(pid ?? 0, 'SIGKILL');
  }
  const kept = JSON.parse(readFileSync(state, 'utf8')) as Record<string, unknown>;
  const position = { streamId: 'ab'.repeat(16), sequence: 11 };
  writeFileSync(state, JSON.stringify({ ...kept, position, handedOverTo: 2 }));
  await a.start();
  await until('it waits', async () => (await a.group('shop'))?.local.process === 'waiting', 30_000);
}

/** The primary's process ends, and something it leaves is in the way. */
function loseProcessOnce(): void {
  const runtime = runtimeOf(a);
  vi.spyOn(runtime, 'stopProcess').mockImplementationOnce(async () => {
    await runtime.killProcess();
    throw new UnderstudyError('UNMOUNT_FAILED', 'a mount cannot be taken away: the test says so');
  });
}

test('a deletion that ends the process and gets no further leaves a group that serves', async () => {
  await create();
  loseProcessOnce();
  await expect(a.call('group-delete', { group: 'shop' })).rejects.toMatchObject({
    code: 'UNMOUNT_FAILED',
  });
  await untilRunning(a);
  await a.call('group-delete', { group: 'shop' });
});

test('a standby whose process dies while it is to be replaced has another one', async () => {
  await create();
  const runtime = runtimeOf(b);
  const { pid } = runtime.process;
  b.behave({ die: ['shutdown'] });
  await expect(runtime.renew()).rejects.toMatchObject({ code: 'CONTROL_CLOSED' });
  expect(runtime.phase).toBe('running');
  expect(runtime.process.pid).not.toBe(pid);
});

test('an attempt to start that is due while another process goes on with the mounts leaves it to that', async () => {
  a.behave({ mounts: 'shared' });
  await create();
  const runtime = runtimeOf(a);
  await until('its mounts are held', async () => runtime.process.held !== null);
  runtime.process.kill();
  await until('the death is noticed', async () => runtime.isSucceeding);
  await runtime.boot(0);
  await untilRunning(a);
  expect(await a.eventCodes()).toContain('GROUP_PROCESS_SUCCEEDED');
  expect(await a.eventCodes()).not.toContain('GROUP_START_FAILED');
});

test('what is kept aside is not taken out into itself', async () => {
  await create();
  const { salvages } = runtimeOf(a);
  const name = '20260301T140500Z-1';
  writeFileSync(join(salvages.begin(name), 'file'), 'own');
  salvages.keep(name);
  const place = salvages.path(name);
  for (const to of [join(place, 'out'), join(dir, 'out')]) {
    const refused = exportSalvage(a.service, 'shop', { name, to });
    await expect(refused).rejects.toMatchObject({ code: 'SALVAGE_TARGET_INVALID' });
    expect(existsSync(to)).toBe(false);
  }
  const to = join(nodes.top, 'out');
  await exportSalvage(a.service, 'shop', { name, to });
  expect(readFileSync(join(to, 'file'), 'utf8')).toBe('own');
});

test('a deletion asked for twice takes nothing of a group that has the name afterwards', async () => {
  await create();
  const former = runtimeOf(a);
  await a.call('group-delete', { group: 'shop' });
  await create();
  await a.service.removeGroup(former);
  expect(runtimeOf(a).process.isAlive).toBe(true);
  expect(existsSync(groupPaths(a.paths, 'shop').definition)).toBe(true);
  const twice = [1, 2].map(async () => a.call('group-delete', { group: 'shop' }));
  expect(await codesOf(twice)).toContain(undefined);
  expect(a.service.groups.size + b.service.groups.size).toBe(0);
});

describe('a creation', () => {
  test('asked for twice in the same moment makes one standby, which is left alone', async () => {
    const options = { origin: 'test', allowEmptyMatch: true };
    const plan = await planGroup(a.service, parseGroupInput(input(), 'test'), options);
    const { uid, gid } = statSync(dir);
    const request = (definition: GroupDefinition) => ({
      definition: mirroredDefinition(definition, a.service.identity.id),
      epoch: 1,
      ownership: [{ uid, gid, mode: 0o750 }],
    });
    const { definition } = plan;
    const other = { groupId: 'ab'.repeat(16), replicationPort: definition.replicationPort + 2 };
    const second = { ...definition, ...other };
    const codes = await codesOf(
      [definition, second].map(async (each) => createStandby(b.service, request(each))),
    );
    expect(codes).toEqual([undefined, 'GROUP_EXISTS']);
    expect(runtimeOf(b).definition.groupId).toBe(definition.groupId);
    expect(runtimeOf(b).process.isAlive).toBe(true);
    const [third, fourth] = ['third', 'fourth'].map((name) => ({ ...second, name }));
    const overlapping = [third, fourth].map((each, index) => ({
      ...(each ?? definition),
      replicationPort: 7461 + index,
      directories: definition.directories.map((one) => ({ ...one, peerDir: `${otherDir}2` })),
    }));
    expect(
      await codesOf(overlapping.map(async (each) => createStandby(b.service, request(each)))),
    ).toEqual([undefined, 'DIRECTORY_OVERLAPS_GROUP']);
  });

  test.each([
    ['below a symbolic link', 'link/shop', 'DIRECTORY_IS_SYMLINK'],
    ['below a file', 'file/shop', 'DIRECTORY_NOT_A_DIRECTORY'],
    ['in the place of a link that leads nowhere', 'dangling', 'DIRECTORY_IS_SYMLINK'],
    ['where nothing can be kept', '/proc/understudy', 'DIRECTORY_FS_UNSUPPORTED'],
  ])('of a standby %s is refused by the check already', async (_, place, code) => {
    const data = nodes.data(b);
    mkdirSync(join(data, 'real'));
    symlinkSync('real', join(data, 'link'));
    symlinkSync('/nowhere', join(data, 'dangling'));
    writeFileSync(join(data, 'file'), '');
    const standbyDir = place.startsWith('/') ? place : join(data, place);
    const body = { input: input({ paths: [{ dir, standbyDir }] }), origin: 'test' };
    const refusal = {
      code,
      message: expect.stringContaining(standbyDir) as string,
      details: { fields: ['paths[0].standbyDir'] },
    };
    const check = a.api.call({ method: 'POST', path: '/groups/check', body });
    await expect(check).rejects.toMatchObject(refusal);
    await expect(a.call('group-create', body)).rejects.toMatchObject(refusal);
    expect(existsSync(join(data, 'real', 'shop'))).toBe(false);
    const below = { ...body, input: input({ paths: [{ dir: join(data, 'file', 'x') }] }) };
    await expect(a.call('group-create', below)).rejects.toMatchObject({
      code: 'DIRECTORY_MISSING',
    });
  });
});

test('an application that outlives its service and its process is stopped by a node that finds the other one serving', async () => {
  const log = join(nodes.top, 'application.log');
  const commands = { start: `echo start >> ${log}`, stop: `echo stop >> ${log}` };
  await create({ agents: [{ use: 'command', name: 'db', ...commands }] });
  await untilRunning(a);
  const { pid } = runtimeOf(a).process;
  await a.stop();
  process.kill(pid ?? 0, 'SIGKILL');
  const given = { acceptStale: true, acceptIncomplete: false, acceptHalted: false };
  await b.call('takeover', { group: 'shop', force: true, ...given });
  await a.start();
  await until('it follows', async () => runtimeOf(a).state.role === 'standby');
  // The start of the other node, and the stop here.
  expect(readFileSync(log, 'utf8')).toBe('start\nstart\nstop\n');
}, 60_000);

test.each([
  ['is stopped', ''],
  ['is ended by force, if it does not stop,', '; exit 1'],
])(
  'an application that outlives its service and its process %s before it is started again',
  async (_, end) => {
    const log = join(nodes.top, 'application.log');
    const commands = { start: `echo start >> ${log}`, stop: `echo stop >> ${log}${end}` };
    await create({ agents: [{ use: 'command', name: 'db', ...commands }] });
    await untilRunning(a);
    const { pid } = runtimeOf(a).process;
    await a.stop();
    process.kill(pid ?? 0, 'SIGKILL');
    await a.start();
    await untilRunning(a);
    await until('nothing moves', async () => !runtimeOf(a).isChanging);
    expect(readFileSync(log, 'utf8')).toBe('start\nstop\nstart\n');
  },
  60_000,
);
