// A comparison through the stream: finds every kind of difference, none where there is none, and is
// exact while applications change what is being compared.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';

const MiB = 1024 * 1024;
let mirror: FilterMirror;
let b: string;

beforeEach(async () => {
  mirror = await FilterMirror.start({ exclude: ['skip/**', '*.tmp'] });
  ({ b } = mirror);
  const { a } = mirror;
  fs.mkdirSync(join(a, 'dir/sub'), { recursive: true });
  for (let n = 0; n < 30; n += 1) fs.writeFileSync(join(a, 'dir', `f${n}`), `file ${n}\n`);
  fs.writeFileSync(join(a, 'big'), Buffer.alloc(5 * MiB + 17, 'big '));
  fs.symlinkSync('dir/f1', join(a, 'symbolic'));
  fs.linkSync(join(a, 'dir/f2'), join(a, 'second'));
  execFileSync('mkfifo', [join(a, 'fifo')]);
  execFileSync('setfattr', ['-n', 'user.mark', '-v', 'one', join(a, 'dir/f3')]);
  execFileSync('truncate', ['-s', '3M', join(a, 'sparse')]);
  fs.mkdirSync(join(a, 'skip'));
  fs.writeFileSync(join(a, 'skip/x'), 'not mirrored');
  fs.writeFileSync(join(a, 'y.tmp'), 'not mirrored');
  fs.writeFileSync(Buffer.concat([Buffer.from(`${a}/`), Buffer.from([0xff, 0xfe])]), 'odd name');
}, 60_000);
afterEach(async () => mirror.stop(), 30_000);

it('finds nothing when the copies are equal', async () => {
  expect(await mirror.verify()).toEqual([]);
  const { byType } = await mirror.counters();
  expect(byType['verifyObject']).toBeGreaterThan(38);
  expect(byType['verifyHash']).toBeGreaterThan(35);
});

it('says nothing of what is not mirrored, which a former primary may have of its own', async () => {
  await mirror.quiesce();
  fs.mkdirSync(join(b, 'cache.tmp'));
  for (const name of ['skip/own', 'dir/mirrored', 'own.tmp', 'cache.tmp/x']) {
    fs.writeFileSync(join(b, name), 'of this node only');
  }
  expect(await mirror.verify()).toEqual(['surplus dir/mirrored']);
});

it('finds every kind of difference, and where contents differ', async () => {
  await mirror.quiesce();
  const write = (name: string, position: number, text: string): void => {
    const { atime, mtime } = fs.statSync(join(b, name));
    const fd = fs.openSync(join(b, name), 'r+');
    fs.writeSync(fd, text, position);
    fs.closeSync(fd);
    fs.utimesSync(join(b, name), atime, mtime);
  };
  const f4 = fs.statSync(join(b, 'dir/f4'), { bigint: true });
  write('big', 2 * MiB + 5, 'X');
  write('big', 2 * MiB + 65_536 + 5, 'X');
  write('sparse', MiB, 'not a hole');
  fs.rmSync(join(b, 'dir/f5'));
  fs.writeFileSync(join(b, 'dir/surplus'), 'nobody has this');
  fs.chownSync(join(b, 'dir/f6'), 1234, 0);
  fs.chmodSync(join(b, 'dir/f7'), 0o600);
  fs.appendFileSync(join(b, 'dir/f8'), 'more');
  fs.utimesSync(join(b, 'dir/f9'), 1, 1);
  execFileSync('setfattr', ['-n', 'user.mark', '-v', 'two', join(b, 'dir/f3')]);
  fs.rmSync(join(b, 'symbolic'));
  execFileSync('ln', ['-s', 'elsewhere', join(b, 'symbolic')]);
  fs.rmSync(join(b, 'second'));
  execFileSync('cp', ['-a', join(b, 'dir/f2'), join(b, 'second')]);
  fs.rmSync(join(b, 'fifo'));
  fs.mkdirSync(join(b, 'fifo'));
  expect(f4.size).toBe(7n);
  const found = (await mirror.verify()).filter(
    (line) => !/^mtime (big|sparse|symbolic)$/.test(line),
  );
  // Either of the two names is met first.
  const lines = found.map((line) => line.replace(/^link .*/, 'link'));
  expect(lines).toEqual([
    `contents big ${2 * MiB}+131072`,
    `contents sparse ${MiB}+65536`,
    'link',
    'missing dir/f5',
    'mode dir/f7',
    'mtime dir/f8',
    'mtime dir/f9',
    'owner dir/f6',
    'size dir/f8',
    'surplus dir/surplus',
    'target symbolic',
    'type fifo',
    'xattrs dir/f3',
  ]);
});

it('is exact while everything is being changed', async () => {
  const { a } = mirror;
  const churn = (async (): Promise<void> => {
    for (let round = 0; round < 60; round += 1) {
      fs.writeFileSync(join(a, 'dir', `f${round % 30}`), `round ${round}`);
      fs.renameSync(join(a, 'dir', `f${(round + 7) % 30}`), join(a, 'dir/sub', `moved${round}`));
      fs.writeFileSync(join(a, 'dir', `f${(round + 7) % 30}`), 'again');
      fs.rmSync(join(a, 'dir/sub', `moved${round - 3}`), { force: true });
      const fd = fs.openSync(join(a, 'big'), 'r+');
      fs.writeSync(fd, `round ${round}`, (round * 77_777) % (5 * MiB));
      fs.closeSync(fd);
      fs.mkdirSync(join(a, `new${round}`));
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
    }
  })();
  expect(await mirror.verify()).toEqual([]);
  expect(await mirror.verify()).toEqual([]);
  await churn;
  expect(await mirror.verify()).toEqual([]);
});
