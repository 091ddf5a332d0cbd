// Data of a node's own that a scan replaces: what is kept aside is exactly what the node had.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { FileSystemKind } from '../../../test/support/loop-image.ts';
import { PowerCutDisk } from '../../../test/support/power-cut.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { scanTree } from '../../../test/support/scan-tree.ts';
import { snapshotTree, type Tree, type TreeEntry } from '../../../test/support/tree.ts';
import { GROUP_ID, UndoRig } from '../../../test/support/undo-rig.ts';
import { recordType } from '../../journal/record.ts';
import { UndoHost } from '../undo-host.ts';
import type { SalvageEntry, SalvageHead, SalvageReport } from './salvage-report.ts';
import { type SalvageLimits, SALVAGE_LIMITS, writeSalvage } from './salvage-writer.ts';

let base = '';
let disk: PowerCutDisk;
let rig: UndoRig;
let random: Random;
afterEach(() => {
  rig.close();
  disk.close();
  fs.rmSync(base, { recursive: true, force: true });
});

const HEAD: SalvageHead = {
  name: '20260102T030405Z-2',
  group: 'test',
  at: '2026-01-02T03:04:05.000Z',
  epoch: 2,
  streamId: '0a'.repeat(16),
  own: null,
  since: null,
  directories: ['copy'],
};

/** Copy and undo log on a disk of their own; the copy is as the source is. */
function begin(kind: FileSystemKind, seed: number, operations: number): void {
  random = new Random(seed);
  base = fs.mkdtempSync(join(tmpdir(), 'salvage-'));
  disk = new PowerCutDisk(base, kind, 320 << 20);
  const { dir } = disk;
  const copy = join(dir, 'copy');
  fs.mkdirSync(copy, { mode: 0o755 });
  rig = new UndoRig({ copy, directory: join(dir, 'state', 'undo'), hours: 0 });
  for (let i = 0; i < operations; i += 1) randomOperation(rig.recorder, random);
  rig.applyKept();
}

/** Changes a directory without anybody being told. */
function alone(dir: string, work: (recorder: Recorder) => void): void {
  const recorder = new Recorder(dir, () => undefined);
  work(recorder);
  recorder.close();
}

const operations =
  (count: number) =>
  (recorder: Recorder): void => {
    for (let i = 0; i < count; i += 1) randomOperation(recorder, random);
  };

/** A process begins with a scan; `goesOn`: one was cut short. Returns the record before it. */
function beginScan({ goesOn, ownSinceMs }: { goesOn: boolean; ownSinceMs: number }): number {
  const dropped = rig.records.splice(0).length;
  rig.moveCheckpoint(rig.applied);
  rig.moveCheckpoint(dropped);
  const { sequence } = rig.recorder;
  const fd = fs.openSync(rig.copy, 'r');
  const host = new UndoHost({
    stateDirectory: join(base, 'disk', 'state'),
    groupId: GROUP_ID,
    limits: { hours: 0, diskPercent: 10 },
    directories: [{ dir: rig.copy, fd }],
  });
  expect(host.prepareScan(sequence, { goesOn })).toBeUndefined();
  fs.closeSync(fd);
  rig.afterRestart = { begin: 'salvage', ownSinceMs };
  rig.restart();
  rig.recorder.emit({ type: recordType.scanBegin });
  rig.recorder.duringScan = true;
  return sequence;
}

function endScan(): void {
  rig.recorder.duringScan = false;
  rig.recorder.emit({ type: recordType.scanEnd });
  rig.applyKept();
  expect(rig.differences({ holes: false })).toEqual([]);
  expect(rig.news).toEqual([]);
}

function write(
  target: number,
  change: Partial<SalvageLimits> & { ownSinceMs?: number } = {},
): {
  report: SalvageReport;
  path: string;
} {
  const { ownSinceMs = Number.NaN, ...limits } = change;
  const store = join(base, 'disk', 'salvage');
  const fd = fs.openSync(rig.copy, 'r');
  const report = writeSalvage({
    store,
    head: HEAD,
    logDirectory: rig.logDirectory,
    groupId: GROUP_ID,
    target,
    directories: [{ fd, label: rig.copy, include: ['**'], exclude: [] }],
    ownSinceMs,
    limits: { ...SALVAGE_LIMITS, ...limits },
  });
  fs.closeSync(fd);
  return { report, path: join(store, `.making-${HEAD.name}`) };
}

const KEPT = ['type', 'mode', 'uid', 'gid', 'mtime', 'xattrs', 'size', 'rdev', 'target'] as const;

/** Contents of the inode: only its first name has them in a snapshot. */
function hashOf(tree: Tree, entry: TreeEntry): string {
  return entry.linkedTo === '' ? entry.hash : (tree.entries.get(entry.linkedTo)?.hash ?? '');
}

function kindOf(own: Tree, now: Tree, path: string): SalvageEntry['kind'] | undefined {
  const [a, b] = [own.entries.get(path), now.entries.get(path)];
  if (a === undefined) return undefined;
  if (b === undefined) return 'missing';
  if (a.type !== b.type) return 'other-kind';
  const isOther =
    a.size !== b.size ||
    a.target !== b.target ||
    a.rdev !== b.rdev ||
    hashOf(own, a) !== hashOf(now, b);
  if (isOther) return 'contents';
  const attributes = ['mode', 'uid', 'gid', 'xattrs'] as const;
  return attributes.some((name) => a[name] !== b[name]) ? 'attributes' : undefined;
}

const latin1Of = ({ path, pathHex }: SalvageEntry): string =>
  Buffer.from(pathHex ?? Buffer.from(path).toString('hex'), 'hex').toString('latin1');

/** Everything in `own` that is different in the copy now, and nothing else, is in the salvage as it was. */
function expectExactly(
  own: Tree,
  salvage: ReturnType<typeof write>,
  isWanted: (path: string) => boolean = () => true,
): void {
  const now = snapshotTree(rig.copy);
  const expected = [...own.entries.keys()]
    .filter(isWanted)
    .map((path) => [path === '' ? '.' : path, kindOf(own, now, path)] as const)
    .filter(([, kind]) => kind !== undefined);
  const found = salvage.report.entries.map((entry) => [latin1Of(entry), entry.kind] as const);
  expect(new Map(found)).toEqual(new Map(expected));
  expect(found.length).toBe(expected.length);
  if (expected.length === 0) return;
  const files = snapshotTree(join(salvage.path, 'files'));
  const kept = new Set<string>();
  for (const [path, kind] of expected) {
    if (kind === 'attributes') continue;
    const [was, is] = [own.entries.get(path), files.entries.get(path)];
    const fields = (entry: TreeEntry | undefined): unknown[] => KEPT.map((name) => entry?.[name]);
    expect([path, ...fields(is)]).toEqual([path, ...fields(was)]);
    if (was !== undefined && is !== undefined) {
      expect([path, hashOf(files, is)]).toEqual([path, hashOf(own, was)]);
    }
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) kept.add(at);
  }
  expect(new Set(files.entries.keys())).toEqual(new Set(['', ...kept]));
}

describe('a salvage', () => {
  const runs: [FileSystemKind, number][] = [
    ['ext4', 1],
    ['ext4', 2],
    ['ext4', 3],
    ['xfs', 101],
  ];
  it.each(runs)('has exactly what the node had alone, on %s, seed %i', (kind, seed) => {
    begin(kind, seed, 150);
    rig.kill();
    alone(rig.copy, operations(60));
    const own = snapshotTree(rig.copy);
    alone(rig.source, operations(60));
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    operations(20)(rig.recorder);
    scanTree(rig.recorder, 'full');
    operations(20)(rig.recorder);
    endScan();
    expectExactly(own, write(target));
  });

  it.each(runs)('survives processes that die in the middle, on %s, seed %i', (kind, seed) => {
    begin(kind, seed + 1000, 150);
    rig.kill();
    alone(rig.copy, operations(60));
    const own = snapshotTree(rig.copy);
    alone(rig.source, operations(60));
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    for (let life = 0; life < 3; life += 1) {
      scanTree(rig.recorder, 'full');
      operations(10)(rig.recorder);
      let left = random.below(3);
      rig.applyKept(() => left-- > 0);
      rig.kill();
      alone(rig.source, operations(10));
      beginScan({ goesOn: true, ownSinceMs: Number.NaN });
    }
    scanTree(rig.recorder, 'full');
    endScan();
    expectExactly(own, write(target));
  });

  it.each(runs)('survives power cuts in the middle, on %s, seed %i', (kind, seed) => {
    begin(kind, seed + 3000, 150);
    rig.sync();
    rig.kill();
    alone(rig.copy, operations(60));
    const own = snapshotTree(rig.copy);
    alone(rig.source, operations(60));
    execFileSync('sync', ['-f', rig.copy]);
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    for (let life = 0; life < 3; life += 1) {
      scanTree(rig.recorder, 'full');
      operations(10)(rig.recorder);
      let left = random.below(3);
      rig.applyKept(() => left-- > 0);
      disk.cut();
      rig.kill();
      disk.powerOn();
      alone(rig.source, operations(10));
      beginScan({ goesOn: true, ownSinceMs: Number.NaN });
    }
    scanTree(rig.recorder, 'full');
    endScan();
    expectExactly(own, write(target));
  });

  it.each(runs)('leaves out what both nodes had, on %s, seed %i', (kind, seed) => {
    begin(kind, seed + 2000, 150);
    rig.kill();
    const until = Date.now() + 30;
    while (Date.now() < until);
    const ownSinceMs = Date.now() - 10;
    alone(rig.copy, operations(30));
    const own = snapshotTree(rig.copy);
    const isNew = new Map<string, boolean>();
    for (const path of own.entries.keys()) {
      const bytes = Buffer.from(`${rig.copy}/${path}`, 'latin1');
      isNew.set(path, fs.lstatSync(bytes).ctimeMs >= ownSinceMs);
    }
    alone(rig.source, operations(60));
    const target = beginScan({ goesOn: false, ownSinceMs });
    scanTree(rig.recorder, 'full');
    operations(20)(rig.recorder);
    endScan();
    expectExactly(own, write(target, { ownSinceMs }), (path) => isNew.get(path) === true);
  });

  it('keeps only what differs of a file that is too large', () => {
    begin('ext4', 4, 0);
    const { recorder } = rig;
    recorder.create('large');
    const block = Buffer.alloc(1 << 20, 1);
    for (let i = 0; i < 8; i += 1) recorder.write('large', i * block.length, block);
    rig.applyKept();
    rig.kill();
    alone(rig.copy, (own) => {
      own.write('large', 100, Buffer.from('abc'));
      own.write('large', 3_000_000, Buffer.alloc(5000, 2));
      own.create('new');
      own.write('new', 0, Buffer.from('as a whole'));
    });
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    scanTree(recorder, 'full');
    endScan();
    const { report, path } = write(target, { wholeBytesMax: 4096 });
    expect(report.counts).toMatchObject({ paths: 2, whole: 1, ranges: 1, none: 0 });
    expect(fs.readFileSync(join(path, 'files', 'new'), 'utf8')).toBe('as a whole');
    const [large] = report.entries.filter((entry) => entry.path === 'large');
    expect(large).toMatchObject({
      kind: 'contents',
      kept: 'ranges',
      changedBytes: 5003,
      ranges: [
        [100, 103],
        [3_000_000, 3_005_000],
      ],
    });
    const kept = fs.readFileSync(join(path, 'ranges', 'large'));
    expect(kept.length).toBe(8 << 20);
    expect(kept.toString('latin1', 100, 103)).toBe('abc');
    expect(kept.subarray(3_000_000, 3_005_000)).toEqual(Buffer.alloc(5000, 2));
    expect(fs.statSync(join(path, 'ranges', 'large')).blocks * 512).toBeLessThan(100_000);
  });

  // Reading its holes would take an hour.
  it('looks only at the data of a sparse file', () => {
    begin('ext4', 6, 0);
    const { recorder } = rig;
    const far = 2 ** 40;
    recorder.create('sparse');
    recorder.write('sparse', far, Buffer.from('both'));
    rig.applyKept();
    rig.kill();
    alone(rig.copy, (own) => {
      own.unlink('sparse');
      own.create('sparse');
      own.write('sparse', far, Buffer.from('mine'));
    });
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    scanTree(recorder, 'full');
    endScan();
    const { report, path } = write(target);
    expect(report.entries).toMatchObject([
      {
        path: 'sparse',
        kind: 'contents',
        kept: 'whole',
        changedBytes: 4,
        ranges: [[far, far + 4]],
      },
    ]);
    expect(fs.statSync(join(path, 'files', 'sparse'))).toMatchObject({ size: far + 4, blocks: 8 });
  });

  it('is none when nothing differs', () => {
    begin('ext4', 5, 100);
    rig.kill();
    const target = beginScan({ goesOn: false, ownSinceMs: Number.NaN });
    scanTree(rig.recorder, 'full');
    endScan();
    const { report, path } = write(target);
    expect(report).toMatchObject({ entries: [], counts: { paths: 0, keptBytes: 0 } });
    expect(fs.existsSync(path)).toBe(false);
  });
});
