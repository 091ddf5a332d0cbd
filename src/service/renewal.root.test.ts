// A group's settings change, and another version of the program takes its processes over, while an application writes: no call
// of it fails, nothing is scanned again, and the copy has everything.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { present } from '../core/assert.ts';
import { SharedState, word } from '../filter/shared-state.ts';
import type { RewindList } from '../mirror/rewind.ts';
import { programs } from './daemon.ts';
import {
  type TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';
import type { GroupPrograms } from './group-process.ts';
import { readMountTable } from '../linux/mount-table.ts';
import type { UpgradeReport } from './upgrade.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const VERSION = '99.0.0';
/** The promise is 2 s; machines that run other tests at the same time say nothing about that. */
const STALL_MS_MAX = 60_000;

/** Writes, syncs, renames, reads again, with a file open that has no name; ends when told, and says how it went. */
const APPLICATION = `
  const fs = require('node:fs'); const dir = process.argv[1];
  const log = fs.openSync(dir + '/log', 'a+'); const lost = fs.openSync(dir + '/nameless', 'w+');
  fs.unlinkSync(dir + '/nameless');
  let worst = 0; let count = 0; let last = performance.now();
  const step = () => {
    fs.writeSync(log, 'line ' + count + '\\n'); fs.writeSync(lost, String(count) + '\\n');
    if (count % 4 === 0) fs.fdatasyncSync(log);
    fs.writeFileSync(dir + '/new', String(count)); fs.renameSync(dir + '/new', dir + '/current');
    if (fs.readFileSync(dir + '/current', 'utf8') !== String(count)) throw new Error('another content');
    const now = performance.now(); worst = Math.max(worst, now - last); count += 1;
    if (fs.existsSync(dir + '/stop')) {
      const numbers = fs.readFileSync('/proc/self/fd/' + lost, 'utf8').trim().split('\\n').length;
      console.log(JSON.stringify({ worst, count, numbers })); return;
    }
    last = performance.now(); setTimeout(step, 5);
  };
  step();`;

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dirA = '';
let dirB = '';
let application: ChildProcess;
let said: Promise<string>;
let stream: unknown;

beforeAll(async () => {
  nodes = await pairWithDirectory(programs);
  ({ a, b, dirA, dirB } = nodes);
  for (let index = 0; index < 200; index += 1) writeFileSync(join(dirA, `${index}`), `${index}`);
  const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: dirB }] };
  await a.call('group-create', { input, origin: 'test' });
  await calm();
  application = spawn(process.execPath, ['-e', APPLICATION, dirA], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  said = text(present(application.stdout, 'it says something'));
  stream = (await a.group('shop'))?.local.status?.['streamId'];
}, 120_000);
afterAll(async () => {
  application.kill('SIGKILL');
  await nodes.down();
  expect(readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(nodes.top))).toEqual([]);
});

/** Everything is connected and up to date, and the mounts can be handed over. */
async function calm(): Promise<void> {
  await until(
    'the group is calm',
    async () => {
      const view = await a.group('shop');
      if (view?.copy !== 'up-to-date' || view.link !== 'connected' || view.scan !== null)
        return false;
      if (view.remote === null) return false;
      return a.service.group('shop').process.held !== null;
    },
    60_000,
  );
}

const pids = (): (number | undefined)[] =>
  [a, b].map((node) => node.service.group('shop').process.pid);

async function count(code: string): Promise<number> {
  const codes = [...(await a.eventCodes()), ...(await b.eventCodes())];
  return codes.filter((each) => each === code).length;
}

test('settings that a process reads at its start change on both nodes', async () => {
  const before = pids();
  const replication = { syncTimeout: '9s', linkTimeout: '4s', journal: '1 GiB', compression: 'on' };
  // On the standby's node, which tells the primary's.
  await b.call('group-edit', { group: 'shop', replication, safety: { guard: 'off' } });
  for (const node of [a, b]) {
    const { definition } = node.service.group('shop');
    expect(definition.replication).toMatchObject({
      syncTimeoutMs: 9000,
      linkTimeoutMs: 4000,
      journalBytesMax: 1024 ** 3,
      compression: 'on',
    });
    expect(definition.safety.guard).toBe('off');
  }
  await calm();
  const after = pids();
  expect(after[0]).not.toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
  expect(await count('GROUP_PROCESS_RENEWED')).toBe(2);
  // In force, not only written down.
  const spec = JSON.parse(readFileSync(a.service.group('shop').files.spec, 'utf8')) as object;
  expect(spec).toMatchObject({ replication: { syncTimeoutMs: 9000 }, takeOver: expect.anything() });
  await until('records are compressed', async () => {
    return ((await a.group('shop'))?.compressionRatio ?? 0) > 1;
  });

  // Only the standby reads these.
  await a.call('group-edit', { group: 'shop', safety: { deletions: 'off' } });
  expect(pids()[0]).toBe(after[0]);
  expect(pids()[1]).not.toBe(after[1]);
  await calm();
});

test('what cannot be done changes nothing on either node', async () => {
  const before = pids();
  const definitions = [a, b].map((node) => node.service.group('shop').definition);
  await expect(
    a.call('group-edit', { group: 'shop', replication: { ring: '64 MiB' } }),
  ).rejects.toMatchObject({ code: 'GROUP_KEY_FIXED' });
  // The other node refuses, so this one does not begin.
  const port = 7440;
  await expect(
    a.call('group-edit', { group: 'shop', replication: { port } }),
  ).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  await b.stop();
  await expect(
    a.call('group-edit', { group: 'shop', replication: { syncTimeout: '1s' } }),
  ).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  await b.start();
  await calm();
  expect([a, b].map((node) => node.service.group('shop').definition)).toEqual(definitions);
  expect(pids()).toEqual(before);
});

/** Another version of all files, beside this one. */
function installed(): GroupPrograms {
  const place = join(nodes.top, 'installation');
  mkdirSync(place);
  cpSync(join(ROOT, 'src'), join(place, 'src'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'));
  const packageJson = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(place, 'package.json'), JSON.stringify({ ...packageJson, version: VERSION }));
  const at = (name: string): string => join(place, 'src/service', name);
  return { primary: at('primary-main.ts'), standby: at('standby-main.ts') };
}

test('another version takes over on both nodes, standby first', async () => {
  const version = installed();
  for (const node of [b, a]) {
    await node.stop();
    await node.start(version);
    await calm();
    const due = await node.call<UpgradeReport>('upgrade', { check: true });
    expect(due.parts).toMatchObject([{ group: 'shop', result: 'due', why: null }]);
    const done = await node.call<UpgradeReport>('upgrade');
    expect(done).toMatchObject({ version: VERSION, parts: [{ result: 'replaced' }] });
    await calm();
    expect((await node.group('shop'))?.local.status).toMatchObject({ version: VERSION });
    const again = await node.call<UpgradeReport>('upgrade');
    expect(again.parts).toMatchObject([{ from: VERSION, result: 'current' }]);
  }
  expect((await a.eventCodes()).filter((code) => code === 'UPGRADED')).toHaveLength(1);
});

test('a version that does not read what the filter keeps is refused, and nothing happens', async () => {
  const before = pids();
  await a.stop();
  await a.start();
  await calm();
  const held = present(a.service.group('shop').process.held, 'the mounts are held');
  const { words } = SharedState.open(held.held.memory);
  const layout = words[word.version] ?? 0;
  words[word.version] = 77;
  const report = await a.call<UpgradeReport>('upgrade');
  words[word.version] = layout;
  expect(report.parts).toMatchObject([{ from: VERSION, result: 'refused' }]);
  expect(report.parts[0]?.why).toContain('its memory has layout 77');
  expect(report.parts[0]?.why).toContain('understudy switchover');
  expect(pids()).toEqual(before);
});

test('the application noticed nothing, and the copy has everything', async () => {
  await sleep(500);
  writeFileSync(join(dirA, 'stop'), '');
  const [code] = (await once(application, 'exit')) as [number | null];
  const complaint = application.stderr === null ? '' : await text(application.stderr);
  expect([code, complaint]).toEqual([0, '']);
  const { worst, count: steps, numbers } = JSON.parse(await said) as Record<string, number>;
  expect(numbers).toBe(steps);
  expect(worst, `of ${steps} steps`).toBeLessThan(STALL_MS_MAX);
  rmSync(join(dirA, 'stop'));
  let differences: string[] = ['not compared yet'];
  await until('equal trees', async () => {
    differences = compareTrees(snapshotTree(dirA), dirB, { holes: false, mtime: true });
    return differences.length === 0;
  }).catch(() => undefined);
  expect(differences).toEqual([]);
  expect(await count('SCAN_STARTED')).toBe(1);
  expect(await count('GROUP_PROCESS_DIED')).toBe(0);
  expect((await a.group('shop'))?.local.status?.['streamId']).toBe(stream);
});

test('earlier states are asked for on either node, and the one with the copy answers', async () => {
  const rewind = '/groups/shop/rewind';
  writeFileSync(join(dirA, 'before'), '1');
  await a.api.run({ method: 'POST', path: `${rewind}/marks`, body: { name: 'here' } });
  writeFileSync(join(dirA, 'after'), '2');
  const list = await a.api.call<RewindList>({ method: 'GET', path: rewind });
  const { from, bookmarks } = await b.api.call<RewindList>({ method: 'GET', path: rewind });
  expect([list.from, list.bookmarks]).toEqual([from, bookmarks]);
  expect(list.bookmarks).toMatchObject([{ name: 'here', kept: true }]);
  await calm();

  const wish = { kind: 'name', name: 'here' } as const;
  const restore = (force: boolean): Promise<{ epoch: number }> =>
    a.api.run({ method: 'POST', path: `${rewind}/restore`, body: { wish, force } });
  await expect(restore(false)).rejects.toMatchObject({ code: 'REWIND_NEEDS_FORCE' });
  expect((await restore(true)).epoch).toBe(2);
  expect(b.service.group('shop').state.role).toBe('primary');
  await until(
    'the other one follows',
    async () => {
      const view = await b.group('shop');
      return view?.copy === 'up-to-date' && view.remote?.role === 'standby';
    },
    60_000,
  );
  for (const dir of [dirA, dirB]) {
    expect(existsSync(join(dir, 'before'))).toBe(true);
    expect(existsSync(join(dir, 'after'))).toBe(false);
  }
});
