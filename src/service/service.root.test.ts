// Two nodes with the real group processes: what an operator does, and that the data is right.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { programs } from './daemon.ts';
import {
  type TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';
import { mountsOn, readMountTable } from '../linux/mount-table.ts';

const SOURCE = resolve(import.meta.dirname, '..');

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dirA = '';
let dirB = '';

beforeEach(async () => {
  nodes = await pairWithDirectory(programs);
  ({ a, b, dirA, dirB } = nodes);
  execFileSync('cp', ['-r', SOURCE, join(dirA, 'tree')]);
});
afterEach(async () => {
  await nodes.down();
  expect(readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(nodes.top))).toEqual([]);
});

async function create(change: Record<string, unknown> = {}): Promise<void> {
  const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: dirB }], ...change };
  await a.call('group-create', { input, origin: 'test' });
  await upToDate();
}

const upToDate = async (): Promise<void> => a.upToDate('shop');

/** Waits until both trees are equal in everything; says what differs. */
async function expectEqual(): Promise<void> {
  let differences: string[] = ['not compared yet'];
  await until(
    'equal trees',
    async () => {
      differences = compareTrees(snapshotTree(dirA), dirB, { holes: false, mtime: true });
      return differences.length === 0;
    },
    30_000,
  ).catch(() => undefined);
  expect(differences).toEqual([]);
}

function topMount(dir: string): string {
  const mount = mountsOn(readMountTable(), dir).at(-1);
  if (mount === undefined) return 'none';
  return mount.type === 'fuse.understudy' ? 'filter' : mount.options.includes('ro') ? 'cover' : '?';
}

test('create, write, switch over and back; the trees stay equal', async () => {
  await create();
  expect([topMount(dirA), topMount(dirB)]).toEqual(['filter', 'cover']);
  await expectEqual();
  expect(() => writeFileSync(join(dirB, 'x'), '')).toThrow(/EROFS/);
  writeFileSync(join(dirA, 'order 1'), 'a');
  await expectEqual();

  // As for a group that fails over by itself: the new primary's process is there before, code loaded.
  const { process: standby } = b.service.group('shop');
  standby.prepare();
  await until('a process is prepared', async () => standby.isPrepared, 60_000);
  const prepared = standby.preparedPid;
  await b.call('switchover', { group: 'shop' });
  expect(standby.pid).toBe(prepared);
  expect([topMount(dirA), topMount(dirB)]).toEqual(['cover', 'filter']);
  writeFileSync(join(dirB, 'order 2'), 'b');
  await expectEqual();
  await upToDate();

  await b.call('switchover', { group: 'shop' });
  expect([topMount(dirA), topMount(dirB)]).toEqual(['filter', 'cover']);
  writeFileSync(join(dirA, 'order 3'), 'c');
  await expectEqual();
  // Nothing was compared for it: both streams went on where the one before had ended.
  const scans = [...(await a.eventCodes()), ...(await b.eventCodes())].filter(
    (code) => code === 'SCAN_STARTED',
  );
  expect(scans).toHaveLength(1);

  await a.call('group-delete', { group: 'shop' });
  expect([topMount(dirA), topMount(dirB)]).toEqual(['none', 'none']);
  expect(readFileSync(join(dirB, 'order 3'), 'utf8')).toBe('c');
});

test('an application with a file open prevents a switchover until its agent stops it', async () => {
  const pidFile = join(nodes.top, 'app.pid');
  const app = `sh -c 'echo $$ > ${pidFile}; exec sleep 120 3>>$0' ${dirA}/log`;
  await create();
  execFileSync('setsid', ['-f', 'sh', '-c', app], { stdio: 'ignore' });
  const pid = Number(
    await until('the application runs', async () => {
      return existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim();
    }),
  );
  try {
    await until('its file is open', async () => existsSync(join(dirA, 'log')));
    await expect(a.call('switchover', { group: 'shop' })).rejects.toMatchObject({
      code: 'DIRECTORY_BUSY',
      details: { processes: [expect.stringContaining(`${pid} sleep: ${dirA}/log`)] },
    });
    expect(topMount(dirA)).toBe('filter');
  } finally {
    process.kill(pid, 'SIGKILL');
  }
  await a.call('switchover', { group: 'shop' });
  expect(topMount(dirB)).toBe('filter');
});

test('the primary dies with its service: what was synced is there after the takeover', async () => {
  await create();
  execFileSync('dd', ['if=/dev/urandom', `of=${dirA}/synced`, 'bs=64k', 'count=20', 'conv=fsync'], {
    stdio: 'ignore',
  });
  const content = readFileSync(join(dirA, 'synced'));
  const { pid } = a.service.group('shop').process;
  await a.stop();
  process.kill(pid ?? 0, 'SIGKILL');
  await b.call('takeover', { group: 'shop', force: true });
  expect(readFileSync(join(dirB, 'synced')).equals(content)).toBe(true);
  writeFileSync(join(dirB, 'written after'), 'x');

  // Back again, the old primary becomes the standby, and what it has more is undone.
  await a.start();
  await until(
    'a is an up-to-date standby',
    async () => {
      const view = await b.group('shop');
      return view?.standby === 'a' && view.copy === 'up-to-date';
    },
    60_000,
  );
  await expectEqual();
  expect(topMount(dirA)).toBe('cover');
});

test('group processes killed again and again under load: no call fails, equal in the end', async () => {
  await create({ replication: { mode: 'async' } });
  await until('the mounts are held', async () => a.service.group('shop').process.held !== null);
  for (let round = 0; round < 6; round += 1) {
    const victim = round % 2 === 0 ? b : a;
    const before = victim.service.group('shop').process.pid;
    // In another process: the service of this one has to go on while the application waits.
    const line = `for i in $(seq 200); do echo ${round} $i > file-$((i % 50)) || exit 1; done`;
    const writer = spawn('sh', ['-c', line], { cwd: dirA, stdio: 'ignore' });
    const ended = once(writer, 'exit');
    await sleep(100);
    process.kill(before ?? 0, 'SIGKILL');
    expect((await ended)[0]).toBe(0);
    await until('it runs again', async () => {
      const { pid } = victim.service.group('shop').process;
      return pid !== before && victim.service.group('shop').phase === 'running';
    });
  }
  await upToDate();
  await expectEqual();
  const codes = await a.eventCodes();
  expect(codes.filter((code) => code === 'GROUP_PROCESS_SUCCEEDED')).toHaveLength(3);
  expect(codes).not.toContain('GROUP_PROCESS_DIED');
});

test('the services are killed and started: replication goes on meanwhile', async () => {
  await create();
  for (const node of [a, b]) await node.stop();
  writeFileSync(join(dirA, 'while away'), 'x');
  await expectEqual();
  for (const node of [a, b]) await node.start();
  await upToDate();
});

test('journals on a disk of their own: checked at a creation, waited for at a boot, and gone with the group', async () => {
  const journals = join(nodes.top, 'journals');
  const away = `${journals}-away`;
  await b.stop();
  appendFileSync(b.paths.nodeConfig, `journals: ${journals}\n`);
  await b.start();
  await expect(create()).rejects.toMatchObject({ code: 'JOURNALS_UNUSABLE' });
  expect([a.service.groups.size, b.service.groups.size]).toEqual([0, 0]);
  mkdirSync(journals);
  await create();
  expect(readdirSync(join(journals, 'shop'))).toEqual(['process-1']);
  expect(readdirSync(join(b.paths.groups, 'shop'))).not.toContain('process-1');

  // The disk is missing when the node boots; its mount point is there, and empty.
  const { pid } = b.service.group('shop').process;
  await b.stop();
  process.kill(pid ?? 0, 'SIGKILL');
  renameSync(journals, away);
  mkdirSync(journals);
  await b.start();
  const says = async (): Promise<boolean | undefined> =>
    (await b.group('shop'))?.troubles.some((trouble) => trouble.includes('Mount the disk'));
  await until('it waits for its journal', says);
  writeFileSync(join(dirA, 'meanwhile'), 'x');
  rmSync(journals, { recursive: true });
  renameSync(away, journals);
  await upToDate();
  await expectEqual();

  await b.call('switchover', { group: 'shop' });
  await until('what is over is removed', async () => {
    return readdirSync(join(journals, 'shop')).join() === 'process-2';
  });
  const codes = [...(await a.eventCodes()), ...(await b.eventCodes())];
  expect(codes.filter((code) => code === 'SCAN_STARTED')).toHaveLength(1);
  await a.call('group-delete', { group: 'shop' });
  expect(readdirSync(journals)).toEqual([]);
});
