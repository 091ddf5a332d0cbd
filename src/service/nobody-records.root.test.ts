// Somebody who is no agent's application writes into the directories of both nodes all the time, whatever role they have:
// what he is told is written is on both, also in the moments in which one process of a group goes and another comes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../test/support/loop-image.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { UnderstudyError } from '../core/errors.ts';
import { programs } from './daemon.ts';
import { pairWithDirectory, type PairWithDirectory, until } from './fixtures/two-nodes.ts';

const WORK_MS = 500;
const IMAGE_BYTES = 256 << 20;

/** Makes files until `stop` is there, then writes the names of those that could be made to `done`. */
const WRITER = `const fs = require('node:fs'); const [dir, name, stop, done] = process.argv.slice(1); const made = [];
  const step = () => {
    if (fs.existsSync(stop)) { fs.writeFileSync(done, JSON.stringify(made)); return; }
    const file = name + '-' + made.length;
    try { fs.writeFileSync(dir + '/' + file, file); made.push(file); } catch {}
    setTimeout(step, 3);
  };
  step();`;

let nodes: PairWithDirectory;
/** File systems of their own are mounted there. */
let images = '';

beforeEach(async () => {
  nodes = await pairWithDirectory(programs);
  images = mkdtempSync(join(tmpdir(), 'nobody-records-'));
});
afterEach(async () => {
  await nodes.down();
  for (const name of ['a', 'b']) unmountLazily(join(images, name));
  rmSync(images, { recursive: true });
});

function fileSystem(name: string): string {
  const dir = join(images, name);
  mountLoopImage({ image: join(images, `${name}.image`), dir, bytes: IMAGE_BYTES });
  return dir;
}

/** Starts a writer on each directory; the returned function ends them, and resolves with what they made. */
function startWriters(dirs: readonly string[]): () => Promise<string[]> {
  const stop = join(nodes.top, 'stop');
  const writers = dirs.map((dir, index) => {
    const done = join(nodes.top, `done-${index}`);
    const child = spawn(process.execPath, ['-e', WRITER, dir, `${index}`, stop, done]);
    return { done, ended: once(child, 'exit') };
  });
  return async () => {
    writeFileSync(stop, '');
    await Promise.all(writers.map(async ({ ended }) => ended));
    return writers.flatMap(({ done }) => JSON.parse(readFileSync(done, 'utf8')) as string[]);
  };
}

const isBusy = (thrown: unknown): false => {
  if (thrown instanceof UnderstudyError && thrown.code === 'DIRECTORY_BUSY') return false;
  throw thrown;
};

/** The roles change, and each new standby's process dies once. */
async function comeAndGo(): Promise<void> {
  const { a, b } = nodes;
  for (const [primary, standby] of [[b, a] as const, [a, b] as const, [b, a] as const]) {
    await sleep(WORK_MS);
    // It is refused while the writer has just opened a file.
    await until('a switchover', async () =>
      primary.call('switchover', { group: 'shop' }).then(() => true, isBusy),
    );
    await primary.upToDate('shop');
    const { process } = standby.service.group('shop');
    const killed = process.pid;
    process.kill();
    const isAnother = async (): Promise<boolean> => {
      const status = await primary.group('shop');
      const isThere = process.isAlive && process.pid !== killed;
      return isThere && status?.copy === 'up-to-date' && status.link === 'connected';
    };
    await until('another process goes on', isAnother, 60_000);
  }
}

test.each(['on a file system with others', 'that is a file system'])(
  'what others write while processes come and go is on both nodes, or refused: a directory %s',
  async (kind) => {
    const dirs =
      kind === 'that is a file system'
        ? [fileSystem('a'), fileSystem('b')]
        : [nodes.dirA, nodes.dirB];
    const [dirA = '', dirB = ''] = dirs;
    const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: dirB }] };
    await nodes.a.call('group-create', { input, origin: 'test' });
    await nodes.a.upToDate('shop');
    const end = startWriters(dirs);
    let made: string[] = [];
    try {
      await comeAndGo();
    } finally {
      made = await end();
    }
    expect(new Set(made.map((name) => name[0])).size, 'both wrote').toBe(2);
    expect(made.filter((name) => !existsSync(join(dirB, name)))).toEqual([]);
    await expect
      .poll(() => compareTrees(snapshotTree(dirA), dirB, { holes: false }), { timeout: 60_000 })
      .toEqual([]);
  },
);
