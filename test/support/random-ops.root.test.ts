import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RandomOps } from './random-ops.ts';
import { isFile } from './random-ops/model.ts';
import { Mismatch } from './random-ops/world.ts';

let dir = '';
let generator: RandomOps | undefined;
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'random-ops-'));
});
afterEach(() => {
  generator?.close();
  fs.rmSync(dir, { recursive: true });
});

function start(seed: number): RandomOps {
  generator = new RandomOps(dir, { seed });
  generator.run(1500);
  generator.check();
  return generator;
}

/** Path of a file with some contents, as bytes. */
function someFile({ world }: RandomOps): Buffer {
  const dentry = world.existing(
    (inode) => isFile(inode) && inode.data.size > 0 && inode.mtimeNs === undefined,
  );
  if (dentry === undefined) throw new Error('no file with contents');
  return Buffer.from(`${dir}/${world.pathOf(dentry)}`, 'latin1');
}

describe('RandomOps', () => {
  it.each([1, 2, 3, 4])('agrees with the file system of this machine (seed %i)', (seed) => {
    const { world } = start(seed);
    expect(world.model.directories.length).toBeGreaterThan(5);
    expect(world.operations).toBeGreaterThan(1400);
  });

  it('does the same again with the same seed', () => {
    const first = start(7).world.model.directories.map((inode) => [...inode.children.keys()]);
    generator?.close();
    fs.rmSync(dir, { recursive: true });
    fs.mkdirSync(dir);
    const second = start(7).world.model.directories.map((inode) => [...inode.children.keys()]);
    expect(second).toEqual(first);
  });

  it.each<[string, (path: Buffer) => void, RegExp]>([
    ['a changed byte', flipByte, /byte 0 is/],
    ['a shorter file', (path) => fs.truncateSync(path, fs.statSync(path).size - 1), /size is/],
    ['another mode', (path) => fs.chmodSync(path, 0o123), /mode is/],
    ['another owner', (path) => fs.chownSync(path, 77, 77), /uid is 77/],
    ['a lost name', (path) => fs.rmSync(path), /names are|nlink is/],
    [
      'a new name',
      (path) => fs.linkSync(path, Buffer.concat([path.subarray(0, 250), Buffer.from('+')])),
      /names are|nlink is/,
    ],
    ['an old mtime', (path) => fs.utimesSync(path, 1, 1), /mtime was not renewed/],
  ])('notices %s', (_name, change, sentence) => {
    const ops = start(5);
    change(someFile(ops));
    expect(() => ops.check()).toThrow(Mismatch);
    expect(() => ops.check()).toThrow(sentence);
  });
});

function flipByte(path: Buffer): void {
  const { mtimeMs } = fs.statSync(path);
  const fd = fs.openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, 0);
  byte[0] = (byte[0] ?? 0) ^ 1;
  fs.writeSync(fd, byte, 0, 1, 0);
  fs.futimesSync(fd, mtimeMs / 1000, mtimeMs / 1000);
  fs.closeSync(fd);
}
