// Scans: whatever the copy had before, afterwards it equals the source.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApplierRig } from '../../../test/support/applier-rig.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { type ScanMode, scanTree, sendNeeded } from '../../../test/support/scan-tree.ts';
import { recordType } from '../../journal/record.ts';

let rig: ApplierRig;
beforeEach(() => {
  rig = new ApplierRig();
});
afterEach(() => rig.close());

/** A random tree in `dir`. */
function grow(dir: string, seed: number, operations: number): void {
  const recorder = new Recorder(dir, () => {});
  const random = new Random(seed);
  for (let i = 0; i < operations; i += 1) randomOperation(recorder, random);
  recorder.close();
}

/** Scans the source and applies it; answers the needs. Returns the bytes of contents sent. */
function scan(mode: ScanMode): number {
  const { recorder } = rig;
  let sent = 0;
  recorder.duringScan = true;
  recorder.emit({ type: recordType.scanBegin });
  scanTree(recorder, mode);
  sent += rig.records.reduce((sum, record) => sum + contentBytes(record), 0);
  rig.applyAll();
  for (const need of rig.needs.splice(0)) sendNeeded(recorder, need);
  sent += rig.records.reduce((sum, record) => sum + contentBytes(record), 0);
  rig.applyAll();
  recorder.emit({ type: recordType.scanEnd });
  recorder.duringScan = false;
  rig.applyAll();
  expect(rig.needs).toEqual([]);
  return sent;
}

const contentBytes = (record: Buffer): number =>
  record[5] === recordType.scanData ? record.readUInt32LE(24) : 0;

/** What was allocated in advance looks like a hole or like data, as the page cache has it. */
const inAdvance = { holes: false };

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('scan', () => {
  it.each(seeds(5))('full, into an empty directory, seed %i', (seed) => {
    grow(rig.source, seed, 400);
    scan('full');
    expect(rig.differences(inAdvance)).toEqual([]);
  });

  it.each(seeds(8))('by hashes, over another tree, seed %i', (seed) => {
    grow(rig.source, seed, 400);
    grow(rig.copy, seed + 1000, 400);
    scan('hash');
    expect(rig.differences(inAdvance)).toEqual([]);
  });

  it.each(seeds(8))(
    'by hashes, over an older state; live records go on after it, seed %i',
    (seed) => {
      const random = new Random(seed);
      for (let i = 0; i < 200; i += 1) randomOperation(rig.recorder, random);
      rig.applyAll();
      for (let i = 0; i < 100; i += 1) randomOperation(rig.recorder, random);
      rig.records = [];
      scan('hash');
      expect(rig.differences(inAdvance)).toEqual([]);
      for (let i = 0; i < 100; i += 1) randomOperation(rig.recorder, random);
      rig.applyAll();
      expect(rig.differences(inAdvance)).toEqual([]);
    },
  );

  it('makes holes where the source has them, and data where it has data', () => {
    const { recorder, copy } = rig;
    const bytes = Buffer.alloc(300_001, 1);
    recorder.create('sparse');
    recorder.write('sparse', 0, bytes);
    recorder.fallocate('sparse', 3, 65_536, 131_072);
    recorder.fallocate('sparse', 3, 262_144, 100_000);
    recorder.create('zeros');
    recorder.write('zeros', 0, Buffer.alloc(200_000));
    rig.records = [];
    fs.writeFileSync(join(copy, 'sparse'), Buffer.alloc(400_000, 1));
    fs.writeFileSync(join(copy, 'zeros'), '');
    fs.truncateSync(join(copy, 'zeros'), 200_000);
    // Zeros in the middle of a block that has data before and behind them.
    recorder.create('mixed');
    recorder.write('mixed', 0, Buffer.alloc(50_000, 1));
    recorder.write('mixed', 8192, Buffer.alloc(16_384));
    rig.records = [];
    fs.copyFileSync(join(rig.source, 'mixed'), join(copy, 'mixed'));
    execFileSync('fallocate', ['-p', '-o', '8192', '-l', '16384', join(copy, 'mixed')]);
    scan('hash');
    expect(rig.differences()).toEqual([]);
    expect(fs.statSync(join(copy, 'sparse')).blocks * 512).toBeLessThan(200_000);
  });

  it('sends nothing when the contents are equal, and of a large file only what differs', () => {
    const bytes = Buffer.alloc(5 << 20);
    new Random(1).fill(bytes);
    rig.recorder.create('large');
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      rig.recorder.write('large', at, bytes.subarray(at, at + (1 << 20)));
    }
    rig.applyAll();
    expect(scan('hash')).toBe(0);
    const fd = fs.openSync(join(rig.copy, 'large'), 'r+');
    fs.writeSync(fd, 'x', 3 << 20);
    fs.closeSync(fd);
    expect(scan('hash')).toBe(64 * 1024);
    expect(rig.differences()).toEqual([]);
  });

  it('takes apart files that share an inode only here, and joins those that share one there', () => {
    const { recorder, copy } = rig;
    for (const [name, text] of [
      ['a', 'one'],
      ['b', 'two'],
      ['c', 'three'],
    ] as const) {
      recorder.create(name);
      recorder.write(name, 0, Buffer.from(text));
    }
    recorder.link('c', 'd');
    rig.records = [];
    fs.writeFileSync(join(copy, 'a'), 'one');
    fs.linkSync(join(copy, 'a'), join(copy, 'b'));
    fs.linkSync(join(copy, 'a'), join(copy, 'c'));
    fs.writeFileSync(join(copy, 'd'), 'three');
    scan('hash');
    expect(rig.differences()).toEqual([]);
    expect(fs.readFileSync(join(copy, 'a'), 'utf8')).toBe('one');
  });

  it('lets no live change of a file of old data show in one that was scanned', () => {
    const { recorder, copy } = rig;
    for (const name of ['a', 'b']) {
      recorder.create(name);
      recorder.write(name, 0, Buffer.from(name.repeat(3)));
    }
    rig.records = [];
    fs.writeFileSync(join(copy, 'a'), 'aaa');
    fs.linkSync(join(copy, 'a'), join(copy, 'b'));
    recorder.duringScan = true;
    recorder.emit({ type: recordType.scanBegin });
    scanTree(recorder, 'full');
    // Of the scan only one of the two files has come when the application writes to the other.
    const about = (name: string) => rig.records.findIndex((record) => isAbout(record, name));
    const [first, second] = about('a') < about('b') ? ['a', 'b'] : ['b', 'a'];
    rig.records.splice(about(second ?? ''));
    rig.applyAll();
    recorder.write(second ?? '', 1, Buffer.from('X'));
    recorder.chmod(second ?? '', 0o600);
    rig.applyAll();
    const [scanned, old] = [join(copy, first ?? ''), join(copy, second ?? '')];
    expect(fs.readFileSync(scanned, 'utf8')).toBe(first?.repeat(3));
    expect(fs.statSync(scanned).mode & 0o777).toBe(0o644);
    expect(fs.readFileSync(old, 'utf8')).toBe(`${first}X${first}`);
    expect(fs.statSync(old).mode & 0o777).toBe(0o600);
  });

  it('keeps what live records bring while a directory is scanned, and removes what is old', () => {
    const { recorder, copy } = rig;
    recorder.mkdir('dir');
    recorder.create('dir/known');
    rig.records = [];
    fs.mkdirSync(join(copy, 'dir/old/deep'), { recursive: true });
    fs.writeFileSync(join(copy, 'dir/new'), 'in the way');
    fs.writeFileSync(join(copy, 'dir/stale'), '');
    recorder.duringScan = true;
    recorder.emit({ type: recordType.scanBegin });
    scanTree(recorder, 'full');
    const end = rig.records.findLastIndex((record) => record[5] === recordType.scanDirEnd);
    rig.records.splice(end);
    rig.applyAll();
    recorder.create('dir/new');
    recorder.mkdir('dir/more');
    recorder.rename('dir/more', 'dir/moved');
    recorder.link('dir/known', 'dir/linked');
    recorder.emit({ type: recordType.scanDirEnd, path: 'dir', payload: rig.directoryBlock('dir') });
    recorder.emit({ type: recordType.scanEnd });
    rig.applyAll();
    expect(fs.readdirSync(join(copy, 'dir')).sort()).toEqual(['known', 'linked', 'moved', 'new']);
    expect(rig.differences()).toEqual([]);
  });

  it('does not follow what is old: links, and mounts', () => {
    const { recorder, copy, top } = rig;
    const outside = join(top, 'outside');
    fs.mkdirSync(outside);
    fs.writeFileSync(join(outside, 'precious'), 'data');
    recorder.create('a');
    rig.records = [];
    fs.symlinkSync(outside, join(copy, 'a'));
    fs.symlinkSync(outside, join(copy, 'link'));
    scan('full');
    expect(rig.differences()).toEqual([]);
    fs.mkdirSync(join(copy, 'mounted'));
    execFileSync('mount', ['--bind', outside, join(copy, 'mounted')]);
    try {
      expect(() => scan('full')).toThrow(/blocked.*EBUSY|diverged.*EXDEV/);
    } finally {
      execFileSync('umount', [join(copy, 'mounted')]);
    }
    expect(fs.readFileSync(join(outside, 'precious'), 'utf8')).toBe('data');
  });
});

function isAbout(record: Buffer, path: string): boolean {
  const at = 80 + record.readUInt32LE(24);
  return record.toString('latin1', at, at + record.readUInt16LE(12)) === path;
}
