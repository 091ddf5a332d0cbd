import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareTrees, snapshotTree } from './tree.ts';

let top = '';
let a = '';
let b = '';

function build(dir: string): void {
  fs.mkdirSync(join(dir, 'd/e'), { recursive: true });
  fs.writeFileSync(join(dir, 'd/file'), Buffer.alloc(200_000, 7));
  fs.linkSync(join(dir, 'd/file'), join(dir, 'd/e/other name'));
  fs.symlinkSync('d/file', join(dir, 'link'));
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  execFileSync('mknod', [join(dir, 'null'), 'c', '1', '3']);
  fs.writeFileSync(Buffer.from(`${dir}/\xff\xe9`, 'latin1'), 'not utf-8');
  execFileSync('setfattr', ['-n', 'user.a', '-v', 'x', join(dir, 'd/file')]);
  execFileSync('setfacl', ['-m', 'u:1234:rw', join(dir, 'd/e')]);
  const sparse = fs.openSync(join(dir, 'sparse'), 'w');
  fs.writeSync(sparse, 'head', 0);
  fs.writeSync(sparse, 'tail', 1 << 20);
  fs.closeSync(sparse);
}

function settle(dir: string): void {
  execFileSync('find', [dir, '-exec', 'touch', '-h', '-d', '@1000.123456789', '{}', '+']);
}

beforeAll(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'tree-test-'));
  a = join(top, 'a');
  b = join(top, 'b');
});
afterAll(() => fs.rmSync(top, { recursive: true }));

/** Each change of tree b, and what has to be said about it. */
const changes: readonly (readonly [string, (dir: string) => void, RegExp])[] = [
  ['content', (d) => writeByte(join(d, 'd/file'), 150_000), /contents.*from offset 150000/],
  ['size', (d) => fs.truncateSync(join(d, 'sparse'), 5 << 20), /"sparse": size/],
  ['mode', (d) => fs.chmodSync(join(d, 'd/e'), 0o1700), /"d\/e": mode .* became 01700/],
  ['owner', (d) => fs.lchownSync(join(d, 'link'), 5, 6), /"link": uid 0 became 5/],
  ['mtime', (d) => fs.utimesSync(join(d, 'd'), 5, 6), /"d": mtime "1000.123456789" became "6.0000/],
  ['xattr', (d) => setUserXattr(join(d, 'd/file'), 'y'), /"d\/file": xattrs/],
  ['acl', (d) => execFileSync('setfacl', ['-b', join(d, 'd/e')]), /"d\/e": xattrs/],
  ['missing', (d) => fs.rmSync(join(d, 'fifo')), /"fifo": fifo is missing in .*\/b/],
  ['extra', (d) => fs.mkdirSync(join(d, 'new')), /"new": directory is missing in .*\/a/],
  ['hard link', breakLink, /nlink 2 became 1/],
  ['target', retarget, /target "d\/file" became "d\/e"/],
  ['hole', fillHole, /"sparse": data ranges "0-4096,1048576-1048580" became "0-1048580"/],
  ['type', changeType, /"fifo": fifo became file/],
  ['device', changeDevice, /"null": rdev "1:3" became "1:5"/],
];

function writeByte(path: string, at: number): void {
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, 'X', at);
  fs.closeSync(fd);
}
function setUserXattr(path: string, value: string): void {
  execFileSync('setfattr', ['-n', 'user.a', '-v', value, path]);
}
function breakLink(dir: string): void {
  fs.rmSync(join(dir, 'd/e/other name'));
  fs.copyFileSync(join(dir, 'd/file'), join(dir, 'd/e/other name'));
}
function retarget(dir: string): void {
  fs.rmSync(join(dir, 'link'));
  fs.symlinkSync('d/e', join(dir, 'link'));
}
function fillHole(dir: string): void {
  const fd = fs.openSync(join(dir, 'sparse'), 'r+');
  fs.writeSync(fd, Buffer.alloc((1 << 20) - 4), 0, (1 << 20) - 4, 4);
  fs.closeSync(fd);
}
function changeType(dir: string): void {
  fs.rmSync(join(dir, 'fifo'));
  fs.writeFileSync(join(dir, 'fifo'), '');
}
function changeDevice(dir: string): void {
  fs.rmSync(join(dir, 'null'));
  execFileSync('mknod', [join(dir, 'null'), 'c', '1', '5']);
}

describe('compareTrees', () => {
  it('finds two trees built alike equal, whatever is in .understudy', () => {
    for (const dir of [a, b]) fs.rmSync(dir, { recursive: true, force: true });
    for (const dir of [a, b]) build(dir);
    fs.mkdirSync(join(b, '.understudy'));
    for (const dir of [a, b]) settle(dir);
    expect(compareTrees(a, b)).toEqual([]);
    expect(snapshotTree(a).entries.size).toBe(10);
  });

  it.each(changes)('reports a different %s', (_name, change, sentence) => {
    for (const dir of [a, b]) fs.rmSync(dir, { recursive: true, force: true });
    for (const dir of [a, b]) build(dir);
    for (const dir of [a, b]) settle(dir);
    change(b);
    const differences = compareTrees(a, b, { limit: 10 });
    expect(differences.join('\n')).toMatch(sentence);
    if (_name === 'mtime') expect(compareTrees(a, b, { mtime: false })).toEqual([]);
    if (_name === 'hole') expect(compareTrees(a, b, { mtime: false, holes: false })).toEqual([]);
  });

  it('with holes as allocated: zeros are allowed where the original has space, and nowhere else', () => {
    const contents = { mtime: false, holes: 'allocated' } as const;
    for (const dir of [a, b]) {
      fs.rmSync(dir, { recursive: true, force: true });
      build(dir);
    }
    fillHole(b);
    expect(compareTrees(a, b, contents).join()).toMatch(/"sparse": data ranges/);
    expect(compareTrees(b, a, contents).join()).toMatch(/"sparse": data ranges/);
    execFileSync('fallocate', ['-o', '4096', '-l', '524288', join(a, 'sparse')]);
    expect(compareTrees(a, b, contents).join()).toMatch(/"sparse": data ranges/);
    execFileSync('fallocate', ['-l', '1048580', join(a, 'sparse')]);
    expect(compareTrees(a, b, contents)).toEqual([]);
    expect(compareTrees(a, b, { mtime: false }).join()).toMatch(/"sparse": data ranges/);
  });
});
