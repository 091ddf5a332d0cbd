// Somebody meddles with the mounts of a group that runs: nothing that went past the filter is missing in the copy in the end, and
// whoever ends the group is not kept waiting.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { present } from '../core/assert.ts';
import { isFilterMount, mountsOn, readMountTable } from '../linux/mount-table.ts';
import { programs } from './daemon.ts';
import {
  type TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';
import type { VerifyOutcome } from './verification-run.ts';

/** Appends to a file that it keeps open, whenever it is told to; says how that went. */
const APPENDER = `
  const fd = require('node:fs').openSync(process.argv[1], 'a'); console.log('open');
  process.stdin.on('data', () => {
    try { require('node:fs').writeSync(fd, 'line\\n'); console.log('written'); }
    catch (thrown) { console.log(thrown.code); }
  });`;

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dirA = '';
let dirB = '';
const children: ChildProcess[] = [];

beforeAll(async () => {
  nodes = await pairWithDirectory(programs);
  ({ a, b, dirA, dirB } = nodes);
  for (let index = 0; index < 50; index += 1) writeFileSync(join(dirA, `${index}`), `${index}`);
  const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: dirB }] };
  await a.call('group-create', { input, origin: 'test' });
  await a.upToDate('shop');
}, 120_000);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await nodes.down();
  expect(readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(nodes.top))).toEqual([]);
});

const isMounted = (): boolean => mountsOn(readMountTable(), dirA).some(isFilterMount);
const runtime = () => a.service.group('shop');
const trouble = async (): Promise<string> => (await runtime().view()).trouble ?? '';

async function events(node: TestNode, code: string): Promise<string[]> {
  return (await node.events()).filter((each) => each.code === code).map(({ message }) => message);
}

async function open(path: string): Promise<{ pid: number; append: () => Promise<string> }> {
  const child = spawn(process.execPath, ['-e', APPENDER, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const heard = async (): Promise<string> => {
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    return said.toString().trim();
  };
  expect(await heard()).toBe('open');
  return {
    pid: present(child.pid, 'it runs'),
    append: async () => {
      child.stdin.write('go\n');
      return heard();
    },
  };
}

async function expectEqualCopies(): Promise<void> {
  let differences: string[] = ['not compared yet'];
  await until('equal trees', async () => {
    differences = compareTrees(snapshotTree(dirA), dirB, { holes: false, mtime: true });
    return differences.length === 0;
  }).catch(() => undefined);
  expect(differences).toEqual([]);
}

test('a mount that is taken away is there again, and what went past it is in the copy', async () => {
  const before = await open(join(dirA, 'before'));
  expect(await before.append()).toBe('written');
  const { pid } = runtime().process;
  execFileSync('umount', ['-l', dirA]);
  writeFileSync(join(dirA, 'past'), 'written underneath');
  const past = await open(join(dirA, 'log'));
  expect(await past.append()).toBe('written');
  await until('it is mounted anew', async () => isMounted() && runtime().process.pid !== pid);
  expect(await events(a, 'MOUNT_LOST')).toEqual([
    expect.stringContaining(`the filter's mount on ${dirA}`),
  ]);
  await expectEqualCopies();
  expect(readFileSync(join(dirB, 'past'), 'utf8')).toBe('written underneath');
  // What was open has nobody who would record it.
  expect(await before.append()).toMatch(/ENOTCONN|ECONNABORTED|EIO/);
  // Who opened something meanwhile is named: what it writes is not in the copy.
  const [sentence = ''] = await until('the bypass is told', async () => {
    const all = await events(a, 'FILTER_BYPASSED');
    return all.length > 0 ? all : undefined;
  });
  expect(sentence).toContain(`restart ${past.pid} `);
  expect(sentence).not.toContain(String(before.pid));
  expect(await trouble()).toContain(sentence);
  for (const { pid: each } of [past, before]) process.kill(each, 'SIGKILL');
});

test('a group whose directory is mounted elsewhere too comes to its end', async () => {
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sleep', '60']);
  children.push(child);
  await until('it has mounts of its own', async () => {
    try {
      return readFileSync(`/proc/${child.pid ?? 0}/comm`, 'utf8').trim() === 'sleep';
    } catch {
      return false;
    }
  });
  const from = performance.now();
  await runtime().exclusive(async () => runtime().stopProcess());
  // Less than the patience of the service, which would have killed it: everything was sent, and the stream closed.
  expect(performance.now() - from).toBeLessThan(40_000);
  expect(isMounted()).toBe(false);
  expect(await events(a, 'USERS_CUT_OFF')).toEqual([expect.stringContaining(dirA)]);
  await runtime().exclusive(async () => runtime().resume());
  await a.upToDate('shop');
  child.kill('SIGKILL');
});

test('a process that somebody ends in order is started anew at once, and what went past it is in the copy', async () => {
  await until('its mounts are held', async () => runtime().process.held !== null);
  const { pid = 0 } = runtime().process;
  process.kill(pid, 'SIGTERM');
  await until('it has unmounted', async () => !isMounted());
  writeFileSync(join(dirA, 'between'), 'written underneath');
  await until('it is mounted anew', async () => isMounted() && runtime().process.pid !== pid);
  // There was nothing that another one could have gone on with.
  expect(await events(a, 'SUCCESSION_FAILED')).toEqual([]);
  await a.upToDate('shop');
  await expectEqualCopies();
});

test('a service that ends amid a succession leaves the mounts to the next one', async () => {
  const kept = await open(join(dirA, 'kept'));
  runtime().process.kill();
  await until('the death is noticed', async () => runtime().isSucceeding);
  await a.stop();
  await a.start();
  await a.upToDate('shop');
  expect(await kept.append()).toBe('written');
  expect(await events(a, 'GROUP_PROCESS_SUCCEEDED')).toHaveLength(1);
  process.kill(kept.pid, 'SIGKILL');
});

test('a mount over the directory is told of until it is gone', async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'none', dirA]);
  try {
    await until('it is told', async () =>
      (await trouble()).includes(`mounted another file system over ${dirA}`),
    );
    await expect(runtime().process.call('shutdown', {}, 30_000)).rejects.toMatchObject({
      code: 'DIRECTORY_BUSY',
    });
  } finally {
    execFileSync('umount', [dirA]);
  }
  await until('it is over', async () => !(await trouble()).includes('mounted another'));
  expect(await events(a, 'MOUNT_COVERED')).toHaveLength(1);
  expect(await events(a, 'MOUNT_UNCOVERED')).toHaveLength(1);
  writeFileSync(join(dirA, 'after'), 'x');
  await expectEqualCopies();
});

test('a copy that somebody uncovered is covered again, and that is told', async () => {
  execFileSync('umount', ['-l', dirB]);
  await until('it cannot be written', async () => {
    try {
      writeFileSync(join(dirB, 'mine'), 'x');
      return false;
    } catch (thrown) {
      return (thrown as NodeJS.ErrnoException).code === 'EROFS';
    }
  });
  await until('it is told', async () => (await events(b, 'COVER_LOST')).length === 1);
  const { report, repaired } = await a.api.run<VerifyOutcome>({
    method: 'POST',
    path: '/groups/shop/verify',
    body: { repair: true },
  });
  expect([repaired?.state, report.state]).toEqual(['differs', 'equal']);
  await expectEqualCopies();
});
