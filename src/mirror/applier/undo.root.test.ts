// The undo log: whatever records do to a copy, it can be taken back to every state that was told.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type FileSystemKind,
  mountLoopImage,
  unmountLazily,
} from '../../../test/support/loop-image.ts';
import { Random } from '../../../test/support/random.ts';
import { makeRecord, Recorder } from '../../../test/support/recorder.ts';
import { scanTree } from '../../../test/support/scan-tree.ts';
import { recordType } from '../../journal/record.ts';
import {
  momentAtTime,
  momentsOf,
  readUndoSegments,
  type UndoMoment,
} from '../../journal/undo-reader.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { snapshotTree } from '../../../test/support/tree.ts';
import { GROUP_ID, type Moment, UndoRig } from '../../../test/support/undo-rig.ts';

let base = '';
let rig: UndoRig | undefined;
afterEach(() => {
  rig?.close();
  rig = undefined;
  if (base === '') return;
  unmountLazily(join(base, 'disk'));
  fs.rmSync(base, { recursive: true, force: true });
  base = '';
});

function onDisk(kind: FileSystemKind, bytes = 320 << 20): UndoRig {
  base = fs.mkdtempSync(join(tmpdir(), 'undo-'));
  const dir = join(base, 'disk');
  const mkfs = kind === 'ext4' ? ['-b', '4096'] : [];
  mountLoopImage({ image: join(base, 'image'), dir, bytes, kind, mkfs });
  const copy = join(dir, 'copy');
  fs.mkdirSync(copy, { mode: 0o755 });
  return new UndoRig({ copy, directory: join(dir, 'log') });
}

describe('undo', () => {
  const runs: [FileSystemKind, number][] = [
    ...Array.from({ length: 3 }, (_, index): [FileSystemKind, number] => ['ext4', index + 1]),
    ...Array.from({ length: 2 }, (_, index): [FileSystemKind, number] => ['xfs', index + 101]),
  ];
  it.each(runs)('takes random operations back on %s, seed %i', (kind, seed) => {
    rig = onDisk(kind);
    const random = new Random(seed);
    const moments: Moment[] = [rig.moment()];
    for (let i = 0; i < 400; i += 1) {
      randomOperation(rig.recorder, random);
      if (random.chance(0.15)) rig.applyKept();
      if (random.chance(0.05)) moments.push(rig.moment());
    }
    rig.applyKept();
    expect(rig.differences({ holes: false })).toEqual([]);
    expect(rig.news).toEqual([]);
    // From the latest to the first, some left out, each from where the last one has led to.
    while (moments.length > 0) {
      const moment = moments.pop();
      if (moment === undefined || (moments.length > 0 && random.chance(0.5))) continue;
      rig.goBack(moment.sequence);
      expect([moment.sequence, ...rig.differencesTo(moment, { holes: false })]).toEqual([
        moment.sequence,
      ]);
    }
  });

  const scans: [FileSystemKind, number][] = [
    ['ext4', 11],
    ['ext4', 12],
    ['xfs', 111],
  ];
  it.each(scans)('takes a scan over other data back on %s, seed %i', (kind, seed) => {
    rig = onDisk(kind);
    const random = new Random(seed);
    for (let i = 0; i < 150; i += 1) randomOperation(rig.recorder, random);
    const moment = rig.moment();
    rig.closeKeeper();
    rig.startKeeper(moment.sequence, { begin: 'staged' });
    const silent = new Recorder(rig.source, () => undefined);
    for (let i = 0; i < 100; i += 1) randomOperation(silent, random);
    silent.close();
    const { recorder } = rig;
    recorder.emit({ type: recordType.scanBegin });
    recorder.duringScan = true;
    for (let i = 0; i < 30; i += 1) randomOperation(recorder, random);
    scanTree(recorder, 'full');
    for (let i = 0; i < 30; i += 1) randomOperation(recorder, random);
    rig.applyKept();
    rig.goBack(moment.sequence);
    expect(rig.differencesTo(moment, { holes: false })).toEqual([]);
    expect(rig.news).toEqual([]);
  });

  it('keeps no more than its share of the disk, and can be taken back within that', () => {
    rig = onDisk('ext4', 160 << 20);
    const { recorder } = rig;
    const disk = 160 << 20;
    const block = Buffer.alloc(256 * 1024);
    recorder.create('file');
    for (let i = 0; i < 40; i += 1) recorder.write('file', i * block.length, block);
    let moment = rig.moment();
    for (let round = 1; round <= 6; round += 1) {
      block.fill(round);
      for (let i = 0; i < 40; i += 1) {
        recorder.write('file', i * block.length, block);
        if (i % 10 === 0) {
          recorder.create(`new ${i}`);
          recorder.write(`new ${i}`, 0, block);
          recorder.unlink(`new ${i}`);
        }
        rig.applyKept();
        expect(rig.keeper.keptBytes).toBeLessThan(disk * 0.12);
      }
      if (round === 6) continue;
      moment = rig.moment();
    }
    expect(rig.news).toEqual([]);
    const start = rig.keeper.log?.start ?? 0;
    expect(start).toBeGreaterThan(40);
    expect(() => rig?.goBack(1)).toThrow(/cannot be reached/);
    if (start <= moment.sequence) rig.goBack(moment.sequence);
    else rig.goBack(start);
  });

  it('saves once in a stretch what is changed again and again', () => {
    rig = onDisk('ext4');
    const { recorder } = rig;
    recorder.create('log');
    recorder.create('page');
    recorder.write('page', 0, Buffer.alloc(8192, 1));
    const first = rig.moment();
    const sizes: number[] = [];
    for (let i = 0; i < 50; i += 1) {
      recorder.write('log', i * 100, Buffer.alloc(100, i));
      recorder.write('page', 0, Buffer.alloc(8192, i));
      rig.applyKept();
      sizes.push(rig.keeper.log?.bytes ?? 0);
    }
    // Half a second may end in between.
    expect(new Set(sizes).size).toBeLessThan(10);
    const second = rig.moment();
    recorder.rename('page', 'moved');
    recorder.write('moved', 0, Buffer.alloc(100, 99));
    rig.applyKept();
    recorder.write('moved', 4096, Buffer.alloc(100, 98));
    recorder.unlink('log');
    rig.applyKept();
    for (const moment of [second, first]) {
      rig.goBack(moment.sequence);
      expect(rig.differencesTo(moment, { holes: false })).toEqual([]);
    }
  });

  it('goes on after its process died in the middle of a stretch', () => {
    rig = onDisk('ext4');
    const { recorder } = rig;
    recorder.create('old');
    recorder.write('old', 0, Buffer.alloc(9000, 1));
    const first = rig.moment();
    rig.checkpoint();
    recorder.rename('old', 'new');
    recorder.write('new', 0, Buffer.alloc(4000, 2));
    rig.applyKept();
    // Nothing new is saved of these, and what was removed goes to the shelf with a later number.
    recorder.write('new', 100, Buffer.alloc(4000, 3));
    recorder.unlink('new');
    rig.applyKept();
    rig.kill();
    rig.restart();
    recorder.create('later');
    const second = rig.moment();
    expect(rig.news).toEqual([]);
    for (const moment of [second, first]) {
      rig.goBack(moment.sequence);
      expect(rig.differencesTo(moment, { holes: false })).toEqual([]);
    }
  });

  it('offers no state of the stretch that its process died in, however long applying again takes', () => {
    rig = onDisk('ext4');
    const { recorder } = rig;
    recorder.create('file');
    recorder.write('file', 0, Buffer.alloc(9000, 1));
    rig.moment();
    rig.checkpoint();
    recorder.write('file', 0, Buffer.alloc(4000, 2));
    recorder.create('new');
    rig.applyKept();
    const within = { sequence: recorder.sequence, tree: snapshotTree(rig.source) };
    // Both destroy what is saved already, and are in the copy when the process dies.
    recorder.write('file', 0, Buffer.alloc(4000, 3));
    recorder.unlink('new');
    rig.applyKept();
    rig.kill();
    // As when half a second is over just there.
    rig.afterRestart = { marks: [within.sequence] };
    rig.restart();
    const last = rig.moment();
    const offered = [...momentsOf(rig.logDirectory, rig.keeper.log?.segments ?? [])];
    if (offered.some(({ sequence }) => sequence === within.sequence)) {
      rig.goBack(within.sequence);
      expect(rig.differencesTo(within, { holes: false })).toEqual([]);
    }
    expect(offered.at(-1)?.sequence).toBe(last.sequence);
  });

  it('that begins anew promises nothing of what was applied before, which it has not seen', () => {
    rig = onDisk('ext4');
    const { recorder } = rig;
    recorder.create('file');
    recorder.write('file', 0, Buffer.alloc(9000, 1));
    const before = rig.moment();
    rig.checkpoint();
    recorder.write('file', 0, Buffer.alloc(4000, 2));
    recorder.create('new');
    rig.applyKept();
    rig.kill();
    // Another version of the log, or one that was given up for want of room.
    fs.rmSync(rig.logDirectory, { recursive: true });
    rig.restart();
    const after = rig.moment();
    recorder.unlink('new');
    rig.applyKept();
    expect(() => rig?.goBack(before.sequence)).toThrow(/cannot be reached/);
    rig.goBack(after.sequence);
    expect(rig.differencesTo(after, { holes: false })).toEqual([]);
  });

  it('does not give way to what the file system cannot hold at all', () => {
    rig = onDisk('ext4');
    const { recorder } = rig;
    recorder.create('file');
    rig.applyKept();
    // What XFS can have and ext4 cannot.
    const payload = Buffer.alloc(8000);
    recorder.emit({ type: recordType.setxattr, path: 'file', path2: 'user.long', payload });
    expect(() => rig?.applyKept()).toThrow(
      /blocked.*\(E2BIG\): the file system of the copy cannot/,
    );
    expect(rig.news).toEqual([]);
    expect(rig.keeper.isOn).toBe(true);
  });

  it('gives way where the disk is full', () => {
    rig = onDisk('ext4', 48 << 20);
    const { recorder } = rig;
    const block = Buffer.alloc(1 << 20, 7);
    for (let round = 0; round < 3; round += 1) {
      recorder.create('file');
      for (let i = 0; i < 24; i += 1) recorder.write('file', i * block.length, block);
      rig.applyKept();
      recorder.unlink('file');
      rig.applyKept();
    }
    expect(rig.differences({ holes: false })).toEqual([]);
  });

  /** A file was cut, and another one took its room; returns the moment before. */
  function overtaken(): { moment: Moment; undo: UndoRig } {
    onDisk('ext4', 48 << 20).close();
    const copy = join(base, 'disk/copy');
    const undo = new UndoRig({ copy, directory: join(base, 'log'), diskPercent: 100 });
    rig = undo;
    const { recorder } = undo;
    const fill = (path: string): void => {
      recorder.create(path);
      for (let at = 0; at < 24; at += 1) recorder.write(path, at << 20, Buffer.alloc(1 << 20, 7));
    };
    fill('file');
    const moment = undo.moment();
    for (const size of [16, 8, 0]) {
      recorder.truncate('file', size << 20);
      undo.applyKept();
    }
    fill('later');
    undo.applyKept();
    expect(undo.news).toEqual([]);
    undo.closeKeeper();
    return { moment, undo };
  }

  it('takes back where what came later has the room of what was', () => {
    const { moment, undo } = overtaken();
    undo.goBack(moment.sequence);
    expect(undo.differencesTo(moment, { holes: false })).toEqual([]);
  });

  it('leaves nothing open when it cannot take back, which is tried again', () => {
    const { moment, undo } = overtaken();
    undo.applier.close();
    const [later, kept] = [join(undo.copy, 'later'), join(base, 'disk/kept')];
    fs.renameSync(later, kept);
    const open = (): number => fs.readdirSync('/proc/self/fd').length;
    const before = open();
    expect(() => undo.goBack(moment.sequence)).toThrow(/cannot write a file \(ENOSPC\)/);
    // The rig has one open that goBack would have closed.
    expect(open()).toBe(before + 1);
    fs.rmSync(kept);
    undo.goBack(moment.sequence);
    expect(undo.differencesTo(moment, { holes: false })).toEqual([]);
  });

  it('that fails after names have changed says so, whatever it was', () => {
    rig = new UndoRig();
    const { recorder, keeper } = rig;
    recorder.create('old');
    const moment = rig.moment();
    recorder.rename('old', 'new');
    rig.applyKept();
    const { ino } = fs.statSync(join(rig.copy, 'new'));
    const last = recorder.sequence + 1;
    keeper.rest(recorder.sequence);
    keeper.log?.putObject(0, ino, Buffer.alloc(8), 0);
    keeper.log?.commit({ flags: 0, first: last, last, capturedAt: 0, epoch: 1 });
    expect(() => rig?.goBack(moment.sequence)).toThrow(/could not be taken back to record 1/);
    expect(fs.readdirSync(rig.copy)).toContain('old');
  });

  describe('of which the oldest goes', () => {
    const DAYS_MS = 3 * 24 * 3_600_000;
    /** The keeper looks at what it has once a second. */
    const LOOK_MS = 1100;
    const set = (wallMs: number): void => {
      vi.useFakeTimers({ toFake: ['Date'], now: wallMs });
    };
    afterEach(() => vi.useRealTimers());

    /** Two states, and then a change that is captured at one time and applied at another. Returns whether the first is still kept. */
    function isKept({ captured, applied }: { captured: number; applied: number }): boolean {
      const undo = new UndoRig();
      rig = undo;
      undo.recorder.create('file');
      const { sequence } = undo.moment();
      undo.keeper.log?.rotate();
      const nowMs = Date.now();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
      set(nowMs + captured);
      undo.recorder.write('file', 0, Buffer.alloc(100, 1));
      set(nowMs + applied);
      undo.applyKept();
      return (undo.keeper.log?.start ?? sequence) < sequence;
    }

    it('does so when it is too old', () => {
      expect(isKept({ captured: DAYS_MS, applied: DAYS_MS })).toBe(false);
    });

    it('does not when the clock of either node is wrong', () => {
      expect(isKept({ captured: 0, applied: DAYS_MS })).toBe(true);
      rig?.close();
      expect(isKept({ captured: DAYS_MS, applied: 0 })).toBe(true);
    });
  });

  describe('of a primary whose clock was set back', () => {
    const HOUR_MS = 3_600_000;
    afterEach(() => vi.useRealTimers());

    /** A state at `wallMs` of the primary. */
    function momentAt(undo: UndoRig, wallMs: number): Moment {
      vi.useFakeTimers({ toFake: ['Date'], now: wallMs });
      undo.recorder.write('file', 0, Buffer.alloc(100, undo.recorder.sequence));
      return undo.moment();
    }

    it('tells which states a time may mean, and not one of them', () => {
      const undo = new UndoRig();
      rig = undo;
      undo.recorder.create('file');
      const startMs = Date.now();
      const times = [0, 1, 2, 0.2, 0.8, 1.8, 3].map((hours) => startMs + hours * HOUR_MS);
      const moments = times.map((wallMs) => momentAt(undo, wallMs));
      const [first, second, , , fifth, sixth, last] = moments.map(({ sequence }) => sequence);
      const find = (hours: number): UndoMoment | undefined => {
        const { segments } = readUndoSegments(undo.logDirectory, GROUP_ID);
        return momentAtTime(undo.logDirectory, segments, (startMs + hours * HOUR_MS) * 1000);
      };
      expect([find(0.1)?.sequence, find(5)?.sequence]).toEqual([first, last]);
      expect(() => find(1)).toThrow(`record ${second} or record ${fifth}`);
      expect(() => find(1.9)).toThrow(`record ${second} or record ${sixth}`);
      // Also when another segment has begun since.
      undo.keeper.log?.rotate();
      momentAt(undo, startMs + 4 * HOUR_MS);
      expect(() => find(1)).toThrow(`record ${second} or record ${fifth}`);
    });
  });

  it('lets no record touch what is kept', () => {
    rig = new UndoRig();
    rig.recorder.create('kept');
    rig.recorder.unlink('kept');
    rig.applyKept();
    const [item = ''] = fs.readdirSync(join(rig.copy, '.understudy/undo'));
    expect(item).toBe('2-0');
    const path = `.understudy/undo/${item}`;
    const { sequence } = rig.recorder;
    const hostile = [
      { type: recordType.unlink, path },
      { type: recordType.rename, path, path2: 'mine' },
      { type: recordType.rename, path: 'x', path2: path },
      { type: recordType.scanObject, path: '.understudy/undo' },
      { type: recordType.truncate, path, offset: 5 },
    ];
    for (const fields of hostile) {
      const record = makeRecord({ payload: Buffer.alloc(72), ...fields, sequence: sequence + 1 });
      expect(rig.apply(record)).toMatchObject({ kind: 'diverged', errno: -22 });
    }
    expect(fs.readdirSync(join(rig.copy, '.understudy/undo'))).toEqual([item]);
  });
});
