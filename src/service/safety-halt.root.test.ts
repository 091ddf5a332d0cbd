// A data disk that is not mounted, and a directory that was emptied behind Understudy's back: no
// group starts on them, and the other node's copy stays what it is. One pair for all tests, which leave
// it whole.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../test/support/loop-image.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { mountsOn, readMountTable } from '../linux/mount-table.ts';
import { programs } from './daemon.ts';
import { type TestNode, twoNodes, type TwoNodes, until } from './fixtures/two-nodes.ts';

const FILES = 40;

let nodes: TwoNodes;
let a: TestNode;
let b: TestNode;
let disks = '';

/** Both nodes have a disk of their own on `disk`, with the protected directory in it. */
beforeAll(async () => {
  disks = mkdtempSync(join(tmpdir(), 'understudy-disks-'));
  nodes = await twoNodes(programs);
  ({ a, b } = nodes);
  await nodes.pair();
  for (const node of [a, b]) {
    mountLoopImage({ image: imageOf(node), dir: diskOf(node), bytes: 64 * 1024 * 1024 });
    mkdirSync(join(diskOf(node), 'shop'));
  }
  for (let index = 0; index < FILES; index += 1) {
    writeFileSync(join(dirOf(a), `file-${index}`), `${index}`);
  }
  const input = { name: 'shop', paths: [{ dir: dirOf(a), standbyDir: dirOf(b) }] };
  await a.call('group-create', { input, origin: 'test' });
  await upToDate();
});

afterAll(async () => {
  await nodes.down();
  for (const node of [a, b]) unmountLazily(diskOf(node));
  rmSync(disks, { recursive: true, force: true });
});

const imageOf = (node: TestNode): string => join(disks, `${node.name}.img`);
const diskOf = (node: TestNode): string => join(disks, node.name);
const dirOf = (node: TestNode): string => join(diskOf(node), 'shop');

const upToDate = async (): Promise<void> => a.upToDate('shop', 30_000);

/** Ends service and group process of a node as a power cut does, and takes its mounts along. */
async function powerOff(node: TestNode): Promise<void> {
  const { pid } = node.service.group('shop').process;
  await node.stop();
  process.kill(pid ?? 0, 'SIGKILL');
  // The filter, and below it the cover of a standby that was promoted.
  while (mountsOn(readMountTable(), dirOf(node)).length > 0) unmountLazily(dirOf(node));
}

async function halted(node: TestNode): Promise<string> {
  return until('it says that it is halted', async () => {
    const view = await node.group('shop');
    return view?.troubles.find((trouble) => trouble.includes('is halted'));
  });
}

async function expectEqual(): Promise<void> {
  let differences: string[] = [];
  await until('equal trees', async () => {
    differences = compareTrees(snapshotTree(dirOf(a)), dirOf(b));
    return differences.length === 0;
  }).catch(() => undefined);
  expect(differences, differences.length > 0 ? await situation() : '').toEqual([]);
}

/** What both nodes have to say, for whoever has to find out why the trees differ. */
async function situation(): Promise<string> {
  const ofNode = async (node: TestNode): Promise<string> => {
    const status = JSON.stringify(await node.group('shop'));
    const events = (await node.events())
      .slice(-30)
      .map(({ at, code, message }) => `${at} ${code} ${message}`);
    return [node.name, status, ...events].join('\n');
  };
  return `${await ofNode(a)}\n${await ofNode(b)}`;
}

test('the primary boots without its data disk: halted, the copy is whole; with the disk it goes on', async () => {
  await powerOff(a);
  unmountLazily(diskOf(a));
  // What is seen where the disk is missing.
  mkdirSync(dirOf(a), { recursive: true });
  await a.start();
  expect(await halted(a)).toContain('was replaced; it lies on another file system');
  expect(readdirSync(dirOf(a))).toEqual([]);
  expect(readdirSync(dirOf(b)).filter((name) => name.startsWith('file-'))).toHaveLength(FILES);
  expect((await a.eventCodes()).filter((code) => code === 'GROUP_HALTED')).toHaveLength(1);

  execFileSync('mount', ['-o', 'loop', imageOf(a), diskOf(a)]);
  await upToDate();
  writeFileSync(join(dirOf(a), 'after'), 'x');
  await expectEqual();
});

test('a switchover and back finds its own directories again', async () => {
  await a.call('switchover', { group: 'shop' });
  for (let index = 20; index < FILES; index += 1) rmSync(join(dirOf(b), `file-${index}`));
  await upToDate();
  await b.call('switchover', { group: 'shop' });
  await upToDate();
  expect((await a.group('shop'))?.troubles).toEqual([]);
  await expectEqual();
});

test('a primary that was emptied while it was away asks first; accepted, the copy follows', async () => {
  await powerOff(a);
  for (const name of readdirSync(dirOf(a))) rmSync(join(dirOf(a), name), { recursive: true });
  writeFileSync(join(dirOf(a), 'left'), 'x');
  await expect(a.start().then(async () => halted(a))).resolves.toContain('was emptied');
  expect(readdirSync(dirOf(b)).filter((name) => name.startsWith('file-'))).toHaveLength(20);

  // Asked on the other node, which tells this one.
  const accepted = await b.call('accept', { group: 'shop' });
  expect(accepted).toEqual({ what: 'on node "a" its directories are taken as they are now' });
  await upToDate();
  await expect(b.call('accept', { group: 'shop' })).rejects.toThrow('is not halted on this node');
  await expectEqual();
  expect(readdirSync(dirOf(b)).filter((name) => name !== '.understudy')).toEqual(['left']);
  expect((await a.group('shop'))?.troubles).toEqual([]);
});

test('the standby boots without its data disk: nothing is copied into the mount point', async () => {
  await powerOff(b);
  unmountLazily(diskOf(b));
  mkdirSync(dirOf(b), { recursive: true });
  await b.start();
  expect(await halted(b)).toContain('another file system');
  writeFileSync(join(dirOf(a), 'meanwhile'), 'x');
  expect(readdirSync(dirOf(b))).toEqual([]);

  execFileSync('mount', ['-o', 'loop', imageOf(b), diskOf(b)]);
  await upToDate();
  await expectEqual();
});

test('a standby that was emptied while it was away is filled again before it counts', async () => {
  for (let index = 0; index < FILES; index += 1)
    writeFileSync(join(dirOf(a), `file-${index}`), 'x');
  await upToDate();
  await expectEqual();
  // One comes every twenty seconds.
  const checkpoint = async (): Promise<boolean> => {
    const status = await b.service.group('shop').process.status();
    return status['checkpointSequence'] === status['receivedSequence'];
  };
  await until('everything is on the disk of the standby', checkpoint, 40_000);
  await powerOff(b);
  for (const name of readdirSync(dirOf(b)))
    if (name !== '.understudy') rmSync(join(dirOf(b), name), { recursive: true });
  await b.start();
  await upToDate();
  await expectEqual();
});
