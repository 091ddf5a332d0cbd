// A group of several directories, one of which the kernel does not unmount although no process has anything of it open:
// none of the others is given back without its being told of.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { present } from '../core/assert.ts';
import { isFilterMount, mountsOn, readMountTable } from '../linux/mount-table.ts';
import { programs } from './daemon.ts';
import { type TestNode, twoNodes, type TwoNodes, until } from './fixtures/two-nodes.ts';

const IMAGE_BYTES = 1 << 20;

let nodes: TwoNodes;
let a: TestNode;
let b: TestNode;
/** Mounts of node a are to be seen in other mount namespaces. */
let shared = '';
/** Directories of the group on node a. */
let one = '';
let two = '';

beforeAll(async () => {
  nodes = await twoNodes(programs);
  ({ a, b } = nodes);
  await nodes.pair();
  shared = mkdtempSync(join(tmpdir(), 'unmount-refused-'));
  execFileSync('mount', ['--bind', shared, shared]);
  execFileSync('mount', ['--make-shared', shared]);
  [one, two] = [join(shared, 'one'), join(shared, 'two')];
  for (const dir of [one, two]) mkdirSync(dir);
  mkdirSync(join(two, 'sub'));
  writeFileSync(join(two, 'image'), Buffer.alloc(IMAGE_BYTES));
  const paths = [one, two].map((dir) => ({ dir, standbyDir: copyOf(dir) }));
  await a.call('group-create', { input: { name: 'shop', paths }, origin: 'test' });
  await a.upToDate('shop');
}, 120_000);
afterAll(async () => {
  await nodes.down();
  execFileSync('umount', ['-l', shared]);
  rmSync(shared, { recursive: true });
  const left = readMountTable().map(({ mountPoint }) => mountPoint);
  expect(left.filter((dir) => dir.startsWith(nodes.top) || dir.startsWith(shared))).toEqual([]);
});

const copyOf = (dir: string): string => join(nodes.data(b), basename(dir));
const runtime = () => a.service.group('shop');
const isMounted = (dir: string): boolean => mountsOn(readMountTable(), dir).some(isFilterMount);

/** A file that is made in the first directory is in the copy, as everything else. */
async function expectFollowing(name: string): Promise<void> {
  expect([one, two].filter(isMounted)).toEqual([one, two]);
  writeFileSync(join(one, name), name);
  await expectEqualCopies();
}

async function expectEqualCopies(): Promise<void> {
  const differences = (): string[] =>
    [one, two].flatMap((dir) => compareTrees(snapshotTree(dir), copyOf(dir)));
  await until('equal trees', async () => differences().length === 0).catch(() => undefined);
  expect(differences()).toEqual([]);
}

test.each(['shutdown', 'handover'])(
  '%s, a mount below one: refused, all as before',
  async (how) => {
    const below = join(two, 'sub');
    execFileSync('mount', ['-t', 'tmpfs', 'none', below]);
    try {
      await expect(runtime().process.call(how, {}, 30_000)).rejects.toMatchObject({
        code: 'DIRECTORY_BUSY',
        message: expect.stringContaining(below),
      });
    } finally {
      execFileSync('umount', [below]);
    }
    await expectFollowing(`after ${how}, mount`);
  },
);

test.each(['shutdown', 'handover'])(
  '%s, a loop device in one: refused, all as before',
  async (how) => {
    const attach = ['--find', '--show', join(two, 'image')];
    const device = execFileSync('losetup', attach, { encoding: 'utf8' }).trim();
    try {
      await expect(runtime().process.call(how, {}, 30_000)).rejects.toMatchObject({
        code: 'DIRECTORY_BUSY',
        message: expect.stringContaining(`${two} of group shop is in use`),
      });
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
    await expectFollowing(`after ${how}, loop device`);
  },
);

/** A loop device in `two` that only another mount namespace knows of. */
async function attachElsewhere(): Promise<{ keeper: ChildProcess; device: string }> {
  const script = 'losetup --find --show "$0"; exec sleep 60 >&-';
  const keeper = spawn(
    'unshare',
    ['--mount', '--propagation', 'slave', 'sh', '-c', script, join(two, 'image')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const device = (await text(present(keeper.stdout, 'it says something'))).trim();
  return { keeper, device };
}

test('one is unmounted before another turns out not to be: told, mounted anew, and both copies compared', async () => {
  const { keeper, device } = await attachElsewhere();
  const { pid } = runtime().process;
  try {
    await expect(runtime().process.call('shutdown', {}, 30_000)).rejects.toMatchObject({
      code: 'MOUNT_LOST',
      message: expect.stringContaining(one),
    });
    writeFileSync(join(one, 'past'), 'written underneath');
  } finally {
    keeper.kill('SIGKILL');
    execFileSync('losetup', ['--detach', device]);
  }
  await until('it is mounted anew', async () => isMounted(one) && runtime().process.pid !== pid);
  const told = (await a.events()).filter(({ code }) => code === 'MOUNT_LOST');
  expect(told.map(({ message }) => message)).toEqual([expect.stringContaining(two)]);
  await a.upToDate('shop');
  await expectFollowing('after all');
});
