// The service's part of a group's life, with the stand-in as group process: what is checked, what is
// undone, who is primary after which accident.
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootId } from '../linux/boot-id.ts';
import {
  standInPrograms,
  TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';
import { groupPaths } from './service-paths.ts';
import type { ServiceStatus } from './status.ts';

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dir = '';
let otherDir = '';

beforeEach(async () => {
  nodes = await pairWithDirectory();
  ({ a, b, dirA: dir, dirB: otherDir } = nodes);
});
afterEach(async () => nodes.down());

function input(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'shop', paths: [{ dir, standbyDir: otherDir }], ...change };
}

async function create(change: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  return a.call<{ warnings: string[]; definition: { replicationPort: number } }>('group-create', {
    input: input(change),
    origin: 'test',
    ...more,
  });
}

/** Other tests on this machine may have mount namespaces of their own. */
function isAboutGroup(warning: string): boolean {
  return !warning.includes('mounts of their own');
}

async function rolesOf(): Promise<string> {
  const view = await a.group('shop');
  return `primary ${view?.primary ?? '-'}, standby ${view?.standby ?? '-'}, epoch ${view?.epoch ?? 0}`;
}

/** Neither node has heard of the group, and nothing was made for it. */
async function expectNothingLeft(): Promise<void> {
  for (const node of [a, b]) {
    expect(await node.group('shop')).toBeUndefined();
    expect(existsSync(groupPaths(node.paths, 'shop').directory)).toBe(false);
  }
  expect(existsSync(otherDir)).toBe(false);
}

/** As after a power cut of both nodes right after the primary had handed over to epoch 2. */
async function bothDieAfterHandover(): Promise<void> {
  await create();
  const file = groupPaths(a.paths, 'shop').state;
  for (const node of [a, b]) {
    const { pid } = node.service.group('shop').process;
    await node.stop();
    process.kill(pid ?? 0, 'SIGKILL');
  }
  const state = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const position = { streamId: 'ab'.repeat(16), sequence: 11 };
  const noted = { position, positionBoot: bootId(), handedOverTo: 2 };
  writeFileSync(file, JSON.stringify({ ...state, ...noted }));
}

describe('create', () => {
  test('runs a primary here and a standby there, in a directory like this one', async () => {
    chmodSync(dir, 0o2750);
    const { warnings } = await create();
    expect(warnings.filter(isAboutGroup)).toEqual([]);
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    expect(statSync(otherDir).mode & 0o7777).toBe(0o2750);
    const spec = (await b.group('shop'))?.local.status?.['spec'];
    expect(spec).toMatchObject({
      role: 'standby',
      epoch: 1,
      holds: null,
      peer: { name: 'a', host: a.address },
      directories: [{ dir: otherDir, include: ['**'] }],
    });
  });

  test('a second group gets another port', async () => {
    const first = await create();
    mkdirSync(join(nodes.data(a), 'mail'));
    const second = await create({
      name: 'mail',
      paths: [{ dir: join(nodes.data(a), 'mail'), standbyDir: join(nodes.data(b), 'mail') }],
    });
    expect(first.definition.replicationPort).toBe(7441);
    expect(second.definition.replicationPort).toBe(7443);
  });

  test('what is wrong in a definition has a code, and leaves nothing behind', async () => {
    const wrong: [string, Record<string, unknown>][] = [
      ['AGENT_UNKNOWN', { agents: [{ use: 'nonsense', dataDir: '/x' }] }],
      ['RATE_INVALID', { replication: { bandwidth: '200' } }],
      ['BANDWIDTH_INVALID', { replication: { bandwidth: '1 bit/s' } }],
      ['GROUP_INVALID', { addresses: [{ ip: '192.0.2.10/24' }] }],
      ['GROUP_INVALID', { failover: { automatik: true } }],
      ['GROUP_INVALID', { nme: 'x' }],
      ['GROUP_INVALID', { name: 'Sh op' }],
      ['GROUP_INVALID', { replication: { mode: 'fast' } }],
      ['DURATION_INVALID', { replication: { syncTimeout: 'soon' } }],
      ['GROUP_INVALID', { agents: [{ use: 'command', strt: 'x' }] }],
      ['GROUP_INVALID', { agents: [{ use: 'command', start: 'true', after: ['nobody'] }] }],
      ['DIRECTORY_NOT_ABSOLUTE', { paths: [{ dir: 'srv' }] }],
      ['DIRECTORY_NOT_ABSOLUTE', { paths: [{ dir: '/srv/../etc' }] }],
      ['DIRECTORY_MISSING', { paths: [{ dir: '/srv/does-not-exist' }] }],
      ['DIRECTORY_IS_ROOT', { paths: [{ dir: '/' }] }],
      ['DIRECTORY_FS_UNSUPPORTED', { paths: [{ dir: '/proc/sys' }] }],
      ['DIRECTORY_OVERLAPS_UNDERSTUDY', { paths: [{ dir: import.meta.dirname }] }],
      ['NODE_UNKNOWN', { peer: 'c' }],
    ];
    for (const [code, change] of wrong) {
      await expect(create(change), JSON.stringify(change)).rejects.toMatchObject({ code });
      await expectNothingLeft();
    }
  });

  test('an unknown key is named together with the known ones', async () => {
    await expect(create({ replication: { mod: 'sync' } })).rejects.toThrow(
      /unknown key "mod" in "replication" \(allowed: mode, syncTimeout/,
    );
  });

  test('a directory that holds the state of the node, or lies inside it', async () => {
    for (const path of [nodes.top, join(a.paths.state, 'groups')]) {
      await expect(create({ paths: [{ dir: path }] })).rejects.toMatchObject({
        code: 'DIRECTORY_OVERLAPS_UNDERSTUDY',
      });
    }
  });

  test('a directory that is protected already, around it and inside it', async () => {
    await create();
    mkdirSync(join(dir, 'inner'));
    for (const path of [dir, nodes.data(a), join(dir, 'inner')]) {
      await expect(create({ name: 'other', paths: [{ dir: path }] })).rejects.toMatchObject({
        code: 'DIRECTORY_OVERLAPS_GROUP',
      });
    }
    await expect(create()).rejects.toMatchObject({ code: 'GROUP_EXISTS' });
  });

  test('two directories of one group may not overlap either', async () => {
    mkdirSync(join(dir, 'inner'));
    const paths = [{ dir }, { dir: join(dir, 'inner') }];
    await expect(create({ paths })).rejects.toMatchObject({ code: 'DIRECTORY_OVERLAPS_GROUP' });
  });

  test('a symbolic link is refused with the directory it leads to', async () => {
    const link = join(nodes.data(a), 'link');
    symlinkSync(dir, link);
    await expect(create({ paths: [{ dir: link }] })).rejects.toMatchObject({
      code: 'DIRECTORY_IS_SYMLINK',
      details: { real: dir },
    });
  });

  test('a file is refused with the way to protect it', async () => {
    writeFileSync(join(dir, 'one.db'), 'x');
    await expect(create({ paths: [{ dir: join(dir, 'one.db') }] })).rejects.toMatchObject({
      code: 'DIRECTORY_NOT_A_DIRECTORY',
    });
  });

  test('processes that use the directory are named', async () => {
    writeFileSync(join(dir, 'db'), 'x');
    const holders = [
      spawn('sleep', ['60'], { cwd: dir }),
      spawn('sh', ['-c', `exec sleep 60 < ${join(dir, 'db')}`]),
    ];
    try {
      await until('both run', async () => {
        const message = await create().then(
          () => '',
          (error: Error) => error.message,
        );
        return message.includes('2 processes') && message;
      });
      await expect(create()).rejects.toMatchObject({
        code: 'DIRECTORY_BUSY',
        details: {
          processes: expect.arrayContaining([
            `${holders[0]?.pid} sleep: ${dir} (working directory)`,
            `${holders[1]?.pid} sleep: ${join(dir, 'db')} (open file)`,
          ]),
        },
      });
      await expectNothingLeft();
    } finally {
      for (const holder of holders) holder.kill('SIGKILL');
    }
  });

  test('an include pattern that matches nothing, unless it is allowed', async () => {
    writeFileSync(join(dir, 'a.db'), 'x');
    const paths = [{ dir, standbyDir: otherDir, include: ['*.db', '*.bd'] }];
    await expect(create({ paths })).rejects.toMatchObject({
      code: 'PATTERN_MATCHES_NOTHING',
      details: { patterns: ['*.bd'] },
    });
    await create({ paths }, { allowEmptyMatch: true });
  });

  test('an exclude pattern that matches nothing is only mentioned', async () => {
    const paths = [{ dir, standbyDir: otherDir, exclude: ['*.tmp'] }];
    expect((await create({ paths })).warnings.filter(isAboutGroup)).toEqual([
      `the exclude pattern "*.tmp" matches nothing in ${dir} at present`,
    ]);
  });

  test('data in the directory of the standby, unless it is a seed', async () => {
    mkdirSync(otherDir);
    writeFileSync(join(otherDir, 'precious'), 'x');
    await expect(create()).rejects.toMatchObject({ code: 'STANDBY_DIRECTORY_NOT_EMPTY' });
    expect(existsSync(join(otherDir, 'precious'))).toBe(true);
    expect(await b.group('shop')).toBeUndefined();
    await create({ seed: true });
    expect((await b.group('shop'))?.local.status?.['spec']).toMatchObject({
      directories: [{ seed: true }],
    });
  });

  test('a port that is in use on the other node', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(7555, b.address, resolve);
    });
    await expect(create({ replication: { port: 7555 } })).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { node: 'b' },
    });
    server.close();
    await expectNothingLeft();
  });

  test('the other node does not answer: nothing is changed here', async () => {
    await b.stop();
    await expect(create()).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    await b.start();
    await expectNothingLeft();
  });

  test('the standby cannot start: everything is undone', async () => {
    b.behave({ dieAtStart: 'standby' });
    await expect(create()).rejects.toMatchObject({ code: 'GROUP_PROCESS_START_FAILED' });
    await expectNothingLeft();
  });

  test('the primary cannot start: everything is undone on both nodes', async () => {
    a.behave({ dieAtStart: 'primary' });
    await expect(create()).rejects.toMatchObject({
      code: 'GROUP_PROCESS_START_FAILED',
      message: expect.stringContaining('told to die at start') as string,
    });
    await expectNothingLeft();
    a.behave({});
    await create();
  });
});

describe('state on a bad disk', () => {
  test('files that a node can do without are put aside when they are damaged, and its groups run', async () => {
    await create();
    const { invitations, accessTokens, alerts, acknowledged } = a.paths;
    const files = [invitations, accessTokens, alerts, acknowledged];
    await a.stop();
    for (const file of files) writeFileSync(file, '{"torn');
    await a.start();
    await until('running', async () => (await a.group('shop'))?.local.process === 'running');
    const told = (await a.events()).filter(({ code }) => code === 'STATE_FILE_DAMAGED');
    expect(told.map(({ message }) => files.find((file) => message.startsWith(file)))).toEqual(
      expect.arrayContaining(files),
    );
    for (const file of files) expect(readFileSync(`${file}.damaged`, 'utf8')).toBe('{"torn');
  });

  test('a switchover that could not be remembered is refused, and everything runs on', async () => {
    const log = join(nodes.top, 'agents.log');
    const say = (what: string): string => `echo ${what} >> ${log}`;
    await create({ agents: [{ use: 'command', start: say('start'), stop: say('stop') }] });
    const pids = () => [a, b].map((node) => node.service.group('shop').process.pid);
    const before = pids();
    const inTheWay = [a, b].map((node) => `${groupPaths(node.paths, 'shop').state}.new`);
    mkdirSync(inTheWay[0] ?? '');
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'STATE_IO',
    });
    expect(readFileSync(log, 'utf8')).toBe('start\n');
    rmSync(inTheWay[0] ?? '', { recursive: true });
    // On the other node: it is asked when the application has stopped, and does not end its process.
    mkdirSync(inTheWay[1] ?? '');
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'PROMOTION_FAILED',
    });
    rmSync(inTheWay[1] ?? '', { recursive: true });
    expect(readFileSync(log, 'utf8')).toBe('start\nstop\nstart\n');
    expect(pids()[1]).toBe(before[1]);
    expect(await rolesOf()).toContain('primary a, standby b');
  });

  test('what cannot be listed keeps nobody from seeing the rest', async () => {
    await create();
    const { salvage } = groupPaths(a.paths, 'shop');
    rmSync(salvage, { recursive: true, force: true });
    // As a directory that the disk cannot read.
    writeFileSync(salvage, '');
    expect((await a.group('shop'))?.local.process).toBe('running');
    expect((await b.group('shop'))?.remote?.process).toBe('running');
    rmSync(salvage);
  });

  test('what the other node says is remembered as far as possible, and the service lives', async () => {
    await create();
    const { state } = groupPaths(b.paths, 'shop');
    // In the way of every write of it.
    mkdirSync(`${state}.new`);
    const { epoch } = a.service.group('shop').state;
    a.service.group('shop').saveState({ epoch: epoch + 4 });
    await b.service.link.poll();
    await b.service.link.poll();
    expect(b.service.group('shop').state.epoch).toBe(epoch + 4);
    const codes = (await b.eventCodes()).filter((code) => code === 'STATE_NOT_SAVED');
    expect(codes).toHaveLength(1);
    rmSync(`${state}.new`, { recursive: true });
    await b.stop();
    await b.start();
    await b.service.link.poll();
    expect(b.service.group('shop').state.epoch).toBe(epoch + 4);
  });
});

describe('delete', () => {
  test('from either node, leaving the data', async () => {
    for (const node of [a, b]) {
      await create();
      writeFileSync(join(dir, 'kept'), 'x');
      writeFileSync(join(otherDir, 'kept'), 'x');
      await node.call('group-delete', { group: 'shop' });
      expect(existsSync(join(dir, 'kept'))).toBe(true);
      expect(existsSync(join(otherDir, 'kept'))).toBe(true);
      expect(await a.group('shop')).toBeUndefined();
      expect(await b.group('shop')).toBeUndefined();
      rmSync(otherDir, { recursive: true });
    }
  });

  test('an application that does not stop is started again, and its group is what it was', async () => {
    const log = join(nodes.top, 'agents.log');
    const flag = join(nodes.top, 'hang');
    const say = (what: string): string => `echo ${what} >> ${log}`;
    const agents = [
      { use: 'command', name: 'db', start: say('start db'), stop: `test ! -e ${flag}` },
      { use: 'command', name: 'web', start: say('start web'), stop: say('stop web') },
    ];
    await create({ agents });
    writeFileSync(flag, '');
    await expect(a.call('group-delete', { group: 'shop' })).rejects.toMatchObject({
      code: 'AGENT_FAILED',
    });
    const said = readFileSync(log, 'utf8').trim().split('\n');
    expect(said.slice(0, 3)).toEqual(['start db', 'start web', 'stop web']);
    expect(said.slice(3)).toContain('start web');
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    rmSync(flag);
    await a.call('group-delete', { group: 'shop' });
    await expectNothingLeft();
  });

  test('a directory in use is not given back', async () => {
    await create();
    const holder = spawn('sleep', ['60'], { cwd: dir });
    await until('in use', async () => holder.pid !== undefined);
    await expect(a.call('group-delete', { group: 'shop' })).rejects.toMatchObject({
      code: 'DIRECTORY_BUSY',
    });
    holder.kill('SIGKILL');
    expect((await a.group('shop'))?.local.process).toBe('running');
  });

  test('without the other node only by force; what is left there says so', async () => {
    await create();
    await b.stop();
    await expect(a.call('group-delete', { group: 'shop' })).rejects.toMatchObject({
      code: 'NODE_UNREACHABLE',
      message: expect.stringContaining('group delete shop --force') as string,
    });
    await a.call('group-delete', { group: 'shop', force: true });
    await b.start();
    const trouble = await until('the orphan is noticed', async () => {
      const view = await b.group('shop');
      return view?.local.trouble;
    });
    expect(trouble).toContain('does not know this group');
    await b.call('group-delete', { group: 'shop', force: true });
    expect(await b.group('shop')).toBeUndefined();
  });
});

describe('switchover', () => {
  test('the other node goes on at the position, this one knows where its data stands', async () => {
    await create();
    await a.call('switchover', { group: 'shop' });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    const primary = (await b.group('shop'))?.local.status?.['spec'];
    expect(primary).toMatchObject({
      epoch: 2,
      start: { firstSequence: 12, base: { sequence: 11 } },
    });
    const standby = (await a.group('shop'))?.local.status?.['spec'];
    expect(standby).toMatchObject({ epoch: 2, holds: { sequence: 11 } });
    await a.call('switchover', { group: 'shop', to: 'a' });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 3');
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({
      start: { firstSequence: 23, base: { sequence: 22 } },
    });
  });

  test('to the node that is primary already, or to an unknown one', async () => {
    await create();
    await expect(b.call('switchover', { group: 'shop', to: 'a' })).rejects.toMatchObject({
      code: 'ALREADY_PRIMARY',
    });
    await expect(a.call('switchover', { group: 'shop', to: 'x' })).rejects.toMatchObject({
      code: 'NODE_UNKNOWN',
    });
  });

  test('open files are named and nothing changes', async () => {
    await create();
    a.behave({ fail: { handover: 'DIRECTORY_BUSY' } });
    await expect(b.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'DIRECTORY_BUSY',
      details: { processes: ['77 editor: /srv/x (open file)'] },
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    expect((await a.group('shop'))?.local).toMatchObject({ process: 'running', trouble: null });
  });

  test.each([
    ['COPY_NOT_UP_TO_DATE', { copy: 'syncing' }],
    ['LINK_DOWN', { link: 'connecting' }],
  ])('%s before anything is stopped', async (code, behaviour) => {
    await create();
    a.behave(behaviour);
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({ code });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
  });

  test('a standby that the primary is about to hear of is waited for', async () => {
    await create();
    a.behave({ copy: 'catching-up' });
    const moved = a.call('switchover', { group: 'shop' });
    await new Promise((done) => setTimeout(done, 700));
    a.behave({});
    await moved;
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
  });

  test.each([
    ['the new primary cannot start', { dieAtStart: 'primary' as const }],
    ['the standby stands elsewhere', { wrongPosition: true }],
    ['the standby refuses to finish', { fail: { finish: 'COPY_NOT_UP_TO_DATE' } }],
    ['the standby dies in finish', { die: ['finish'] }],
  ])('%s: the old primary takes over again', async (_what, behaviour) => {
    await create();
    b.behave(behaviour);
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'PROMOTION_FAILED',
    });
    b.behave({});
    await until('all runs again', async () => {
      const view = await a.group('shop');
      return view?.local.process === 'running' && view.remote?.process === 'running';
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 3');
    // Its data did not move: it goes on after its own position.
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({
      start: { firstSequence: 12, base: { sequence: 11 } },
    });
  });

  test('the primary process dies in handover: it is started again', async () => {
    await create();
    a.behave({ die: ['handover'] });
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'CONTROL_CLOSED',
    });
    await until('running', async () => (await a.group('shop'))?.local.process === 'running');
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
  });

  test('agents are stopped here before and started there after', async () => {
    const log = join(nodes.top, 'agents.log');
    const say = (what: string): string => `echo "$UNDERSTUDY_ROLE ${what}" >> ${log}`;
    const agents = [
      { use: 'command', name: 'db', start: say('start db'), stop: say('stop db') },
      { use: 'command', name: 'web', start: say('start web'), stop: say('stop web') },
    ];
    await create({ agents });
    await a.call('switchover', { group: 'shop' });
    expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual([
      'primary start db',
      'primary start web',
      'primary stop web',
      'primary stop db',
      'primary start db',
      'primary start web',
    ]);
  });

  test('an agent that does not stop prevents it; one that does not start is reported', async () => {
    const flag = join(nodes.top, 'hang');
    const agents = [
      {
        use: 'command',
        stop: `test -e ${flag} && sleep 60; touch ${flag}`,
        start: `test ! -e ${flag}`,
        timeout: '300ms',
      },
    ];
    await create({ agents });
    writeFileSync(flag, '');
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'AGENT_FAILED',
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    rmSync(flag);
    // The stop of the old primary raises the flag, so the start on the new one fails.
    const outcome = await a.call<{ warnings: string[] }>('switchover', { group: 'shop' });
    expect(outcome.warnings).toEqual([expect.stringContaining('did not start')]);
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    expect((await b.group('shop'))?.local.trouble).toContain('did not start');
  });
});

describe("agents of one's own", () => {
  const flag = (name: string): string => join(nodes.top, name);

  function provide(node: TestNode): void {
    mkdirSync(node.paths.agents, { recursive: true });
    writeFileSync(
      join(node.paths.agents, 'till.ts'),
      `import { existsSync } from 'node:fs';
import { defineAgent, z } from 'understudy/agent';
export default defineAgent({
  name: 'till', title: 'Till', description: 'For a test',
  parameters: z.strictObject({ port: z.int() }),
  async validate({ port }, { role }) {
    return existsSync('${flag('unfit')}') && role === 'standby' ? ['port ' + port + ' is taken'] : [];
  },
  async probe() { return { state: 'ok', sentence: 'open' }; },
  async promoteCheck() { return existsSync('${flag('expired')}') ? 'its licence has expired' : undefined; },
});
`,
    );
  }

  test('have to be on both nodes, and are heard before anything changes', async () => {
    const agents = [{ use: 'till', port: 80 }];
    await expect(create({ agents })).rejects.toMatchObject({ code: 'AGENT_UNKNOWN' });
    provide(a);
    await expect(create({ agents: [{ use: 'till' }] })).rejects.toThrow(/"port" is missing/);
    await expect(create({ agents })).rejects.toThrow(
      /on node "b": agent "till" \(till\): .*no agent/,
    );
    provide(b);
    writeFileSync(flag('unfit'), '');
    await expect(create({ agents })).rejects.toMatchObject({
      code: 'AGENT_CANNOT_WORK',
      message: 'on node "b": agent "till" (till): port 80 is taken',
    });
    await expectNothingLeft();
    rmSync(flag('unfit'));
    await create({ agents });
    writeFileSync(flag('expired'), '');
    await expect(a.call('switchover', { group: 'shop' })).rejects.toThrow(
      /node "b" should not become the primary .*agent "till": its licence has expired/,
    );
    await expect(b.call('switchover', { group: 'shop' })).rejects.toThrow(
      /its licence has expired/,
    );
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    rmSync(flag('expired'));
    await a.call('switchover', { group: 'shop' });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    // Who takes over by force is told, and not held up.
    writeFileSync(flag('expired'), '');
    const outcome = await a.call<{ warnings: string[] }>('takeover', {
      group: 'shop',
      force: true,
    });
    expect(outcome.warnings).toEqual([
      'served against the advice of agent "till": its licence has expired',
    ]);
    expect(await rolesOf()).toBe('primary a, standby b, epoch 3');
  });
});

describe('takeover', () => {
  test('needs force, and is not meant for a primary that lives', async () => {
    await create();
    await expect(b.call('takeover', { group: 'shop' })).rejects.toMatchObject({
      code: 'TAKEOVER_PRIMARY_ALIVE',
    });
    await a.stop();
    await expect(b.call('takeover', { group: 'shop' })).rejects.toMatchObject({
      code: 'TAKEOVER_NEEDS_FORCE',
    });
  });

  test('a copy that was never complete is not promoted', async () => {
    await create();
    b.behave({ copy: 'syncing' });
    await expect(b.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'COPY_UNUSABLE',
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
  });

  test('a living primary is asked to cease and becomes the standby', async () => {
    await create();
    await b.call('takeover', { group: 'shop', force: true });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    expect(await a.eventCodes()).toContain('YIELDED');
    // It is not known where its data stands: the new primary has to compare.
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({ holds: null });
  });

  test('a living primary that cannot cease prevents it', async () => {
    await create();
    a.behave({ fail: { shutdown: 'DIRECTORY_BUSY' } });
    await expect(b.call('takeover', { group: 'shop', force: true })).rejects.toMatchObject({
      code: 'DIRECTORY_BUSY',
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
    a.behave({});
  });

  test('with the other node dead; when it comes back it becomes the standby', async () => {
    await create();
    const pid = a.service.group('shop').process.pid ?? 0;
    await a.stop();
    process.kill(pid, 'SIGKILL');
    await b.call('takeover', { group: 'shop', force: true });
    expect((await b.group('shop'))?.local).toMatchObject({ role: 'primary', epoch: 2 });
    await a.start();
    await until('a is standby', async () => {
      const view = await a.group('shop');
      return view?.local.role === 'standby' && view.local.process === 'running';
    });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    expect(await a.eventCodes()).toContain('PRIMARY_ELSEWHERE');
  });

  test('both became primary: it is said on both nodes, and ended by hand', async () => {
    await create();
    await a.stop();
    // The process of a lives on while its service is away: the split brain.
    await b.call('takeover', { group: 'shop', force: true });
    await a.start();
    for (const node of [a, b]) {
      // Another trouble may be there before: in the moment of its creation a group is known to one node only.
      await until('the split brain is noticed', async () => {
        const view = await node.group('shop');
        return view?.local.trouble?.includes('"b" was promoted later');
      });
      expect(await node.eventCodes()).toContain('SPLIT_BRAIN');
    }
    await expect(a.call('yield', { group: 'shop' })).rejects.toMatchObject({
      code: 'YIELD_NEEDS_FORCE',
    });
    await a.call('yield', { group: 'shop', force: true });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    await until('all is well', async () => {
      const view = await b.group('shop');
      return view?.troubles.length === 0;
    });
  });
});

describe('accidents', () => {
  test('a group process that dies is started again, with what it said', async () => {
    await create();
    for (const [node, code] of [
      [a, 'primary'],
      [b, 'standby'],
    ] as const) {
      const { pid } = node.service.group('shop').process;
      process.kill(pid ?? 0, 'SIGKILL');
      await until(`${code} runs again`, async () => {
        const next = node.service.group('shop').process.pid;
        return next !== pid && (await node.group('shop'))?.local.process === 'running';
      });
      const died = (await node.events()).find((event) => event.code === 'GROUP_PROCESS_DIED');
      expect(died?.details).toMatchObject({ group: 'shop', how: 'SIGKILL' });
    }
    // A primary that died begins a new stream, far behind everything it may have used.
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({
      start: { firstSequence: 10_000_001, base: null },
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 1');
  });

  test('the service is restarted: it finds the same processes', async () => {
    await create();
    const before = [a, b].map((node) => node.service.group('shop').process.pid);
    for (const node of [a, b]) await node.stop();
    for (const node of [a, b]) await node.start();
    await until('adopted', async () => {
      const view = await a.group('shop');
      return view?.local.process === 'running' && view.remote?.process === 'running';
    });
    expect([a, b].map((node) => node.service.group('shop').process.pid)).toEqual(before);
    // What the processes had said before is not told twice.
    expect((await a.eventCodes()).filter((code) => code === 'STAND_IN')).toHaveLength(1);
    // And notices when an adopted one dies.
    process.kill(before[0] ?? 0, 'SIGKILL');
    await until('a new one', async () => {
      const { pid } = a.service.group('shop').process;
      return pid !== undefined && pid !== before[0];
    });
  });

  test('agents of another version, or that are gone: the group is mirrored, its application marked', async () => {
    await create({ agents: [{ use: 'command', name: 'web', start: 'true' }] });
    const file = groupPaths(a.paths, 'shop').definition;
    const pids = [a, b].map((node) => node.service.group('shop').process.pid);
    const definition = JSON.parse(readFileSync(file, 'utf8')) as { agents: object[] };
    await a.stop();
    const agents = [
      { use: 'command', name: 'db', start: 'true', stop: null, timeoutMs: 5000 },
      { use: 'oracle9', name: 'ora', shards: 3 },
      { ...definition.agents[0], use: 'removed' },
    ];
    writeFileSync(file, JSON.stringify({ ...definition, agents }));
    await a.start();
    const view = await until('the group runs', async () => {
      const found = await a.group('shop');
      return found?.local.process === 'running' && found.copy === 'up-to-date' ? found : undefined;
    });
    expect([a, b].map((node) => node.service.group('shop').process.pid)).toEqual(pids);
    expect(view.troubles.join()).toMatch(
      /a: the application is not watched: agent "ora" .*another version.*; agent "web" .*there is no agent "removed"/,
    );
    expect(view.local.agents.map(({ name, fault }) => [name, fault !== null])).toEqual([
      ['db', false],
      ['ora', true],
      ['web', true],
    ]);
    expect((await a.eventCodes()).filter((code) => code === 'AGENT_UNUSABLE')).toHaveLength(2);
    // It can still be moved, and does not lose what it cannot read.
    await a.call('switchover', { group: 'shop' });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    await expect(b.call('switchover', { group: 'shop' })).rejects.toThrow(/agent "ora".*another/);
    expect(readFileSync(file, 'utf8')).toContain('"shards"');
  });

  test('a second service on the same directories is refused', async () => {
    const second = new TestNode({
      top: nodes.top,
      name: 'a',
      address: '127.0.0.99',
      programs: standInPrograms,
    });
    await expect(second.start()).rejects.toMatchObject({ code: 'DAEMON_RUNNING' });
  });

  test('a primary that keeps dying is tried again with growing pauses', async () => {
    await create();
    a.behave({ dieAtStart: 'primary' });
    process.kill(a.service.group('shop').process.pid ?? 0, 'SIGKILL');
    await until('several attempts', async () => {
      const codes = await a.eventCodes();
      return codes.filter((code) => code === 'GROUP_START_FAILED').length >= 2;
    });
    expect((await a.group('shop'))?.local.trouble).toContain('told to die at start');
    a.behave({});
    await until('running', async () => (await a.group('shop'))?.local.process === 'running');
    expect((await a.group('shop'))?.local.trouble).toBeNull();
  });

  test('both services stop and start: roles stay', async () => {
    await create();
    await a.call('switchover', { group: 'shop' });
    for (const node of [a, b]) {
      const { pid } = node.service.group('shop').process;
      await node.stop();
      process.kill(pid ?? 0, 'SIGKILL');
    }
    for (const node of [a, b]) await node.start();
    await until('both run', async () => {
      const { groups } = await a.call<ServiceStatus>('status');
      return groups[0]?.local.process === 'running' && groups[0].remote?.process === 'running';
    });
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
  });

  test('handed over, the other node gone: it waits; the other did not take it: it goes on', async () => {
    await bothDieAfterHandover();
    await a.start();
    const waits = async () => (await a.group('shop'))?.local.process === 'waiting';
    await until('waiting', waits, 30_000);
    expect((await a.group('shop'))?.local.trouble).toContain('takeover shop --force');
    await b.start();
    await until('settled', async () => {
      const view = await a.group('shop');
      return view?.local.process === 'running' && view.remote?.process === 'running';
    });
    expect(await rolesOf()).toBe('primary a, standby b, epoch 3');
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({
      start: { firstSequence: 12, base: { sequence: 11 } },
    });
  });

  test('handed over, and the other node took it: this one is its standby, without a scan', async () => {
    await bothDieAfterHandover();
    const file = groupPaths(b.paths, 'shop').state;
    const state = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...state, role: 'primary', epoch: 2 }));
    await b.start();
    await a.start();
    await until(
      'settled',
      async () => {
        const view = await a.group('shop');
        return view?.local.process === 'running' && view.remote?.process === 'running';
      },
      30_000,
    );
    expect(await rolesOf()).toBe('primary b, standby a, epoch 2');
    expect((await a.group('shop'))?.local.status?.['spec']).toMatchObject({
      holds: { sequence: 11 },
    });
  });

  test('handed over, and the other node lost for good: taken back by force', async () => {
    await bothDieAfterHandover();
    await a.start();
    const waits = async () => (await a.group('shop'))?.local.process === 'waiting';
    await until('waiting', waits, 30_000);
    await expect(a.call('takeover', { group: 'shop' })).rejects.toMatchObject({
      code: 'TAKEOVER_NEEDS_FORCE',
    });
    await a.call('takeover', { group: 'shop', force: true });
    expect((await a.group('shop'))?.local).toMatchObject({ role: 'primary', epoch: 3 });
    await b.start();
  });
});
