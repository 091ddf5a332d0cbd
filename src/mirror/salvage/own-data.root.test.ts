// A standby process over data of its own: the scan replaces them, and what was different is kept aside,
// whatever dies in between.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../../test/support/loop-image.ts';
import { type Identities, makeIdentities, until } from '../../../test/support/mirror-rig.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { scanTree } from '../../../test/support/scan-tree.ts';
import { StandbyPair } from '../../../test/support/standby-pair.ts';
import { compareTrees, snapshotTree, type Tree } from '../../../test/support/tree.ts';
import { recordType } from '../../journal/record.ts';
import { reportSchema, type SalvageReport } from './salvage-report.ts';

const FIRST = 50_001;

let identities: Identities;
let pair: StandbyPair;
let random = new Random(1);
let streams = 0;
/** What the node had when the first scan began. */
let own: Tree;

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(() => {
  const seed = Date.now() & 0xffff;
  process.stdout.write(`seed ${seed}\n`);
  random = new Random(seed);
  streams = 0;
  pair = new StandbyPair(identities);
  for (const dir of [pair.source, pair.copy]) alone(dir, 100);
  // Whatever chance makes, something is only here.
  writeFileSync(join(pair.copy, 'only here'), 'commits that nobody received');
  own = snapshotTree(pair.copy);
});
afterEach(async () => pair.close());

function alone(dir: string, operations: number): void {
  const silent = new Recorder(dir, () => undefined);
  for (let i = 0; i < operations; i += 1) randomOperation(silent, random);
  silent.close();
}

/** `undoHours`: 0 is `undo: off`. */
async function begin(undoHours: number): Promise<void> {
  await pair.startStandby({ hasOwnData: true, undoHours, holds: null });
  await startPrimary();
}

async function startPrimary(): Promise<void> {
  streams += 1;
  const firstSequence = FIRST + streams * 10_000;
  pair.startPrimary({ streamId: `0${streams}`.repeat(16), base: null, firstSequence });
  await pair.scanWanted(0);
}

function scan(): void {
  pair.recorder.emit({ type: recordType.scanBegin });
  pair.recorder.duringScan = true;
  for (let i = 0; i < 20; i += 1) randomOperation(pair.recorder, random);
  scanTree(pair.recorder, 'full');
}

function endScan(): void {
  pair.recorder.duringScan = false;
  pair.recorder.emit({ type: recordType.scanEnd });
}

const place = (): string => join(pair.top, 'salvage');

/** What is there, and in the making. */
function salvages(): string[] {
  return existsSync(place()) ? readdirSync(place()) : [];
}

/** There is one salvage, whole, with what the node had and has not any more. */
async function expectSalvage(): Promise<SalvageReport> {
  await until(
    () => salvages().some((name) => !name.startsWith('.')),
    () => `a salvage is written: ${salvages().join()} ${pair.standby.log}`,
    60_000,
  );
  const names = salvages();
  expect(names).toEqual([expect.stringMatching(/^\d{8}T\d{6}Z-1$/)]);
  const path = join(pair.top, 'salvage', names[0] ?? '');
  const report = reportSchema.parse(JSON.parse(readFileSync(join(path, 'report.json'), 'utf8')));
  const files = snapshotTree(join(path, 'files'));
  const now = snapshotTree(pair.copy);
  let compared = 0;
  for (const [file, entry] of own.entries) {
    const is = now.entries.get(file);
    if (entry.type !== 'file' || entry.linkedTo !== '' || is?.hash === entry.hash) continue;
    const kept = files.entries.get(file);
    expect([file, kept?.hash, kept?.size]).toEqual([file, entry.hash, entry.size]);
    compared += 1;
  }
  expect(compared).toBeGreaterThan(0);
  return report;
}

describe('data of its own', () => {
  it.each([24, 0])('is kept aside, with %i hours of undo', async (undoHours) => {
    await begin(undoHours);
    scan();
    await pair.applied();
    expect(await pair.standby.call('status')).toMatchObject({
      copy: 'syncing',
      stagedSinceMs: null,
    });
    expect(existsSync(join(pair.top, 'salvage'))).toBe(false);
    endScan();
    await pair.complete();
    await expectSalvage();
    await expect.poll(() => pair.standby.log, { timeout: 5000 }).toContain('SALVAGE_KEPT');
    // The copy goes on, and what is kept to go back begins behind the scan.
    for (let i = 0; i < 50; i += 1) randomOperation(pair.recorder, random);
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
    const { from } = await pair.standby.call('rewind-list');
    if (undoHours === 0) expect(from).toBeNull();
    else expect(from).toMatchObject({ sequence: expect.any(Number) as number });
  });

  it('is kept when the process dies during the scan, and the primary too', async () => {
    await begin(24);
    scan();
    await pair.applied();
    await pair.standby.kill();
    let scans = pair.rig.scansWanted.length;
    await pair.standby.start();
    await pair.scanWanted(scans);
    scan();
    await pair.applied();
    pair.endPrimary();
    alone(pair.source, 30);
    await startPrimary();
    scan();
    // Anywhere in the end of the scan, and in the writing.
    let isComplete = false;
    for (let life = 0; life < 3 && !isComplete; life += 1) {
      endScan();
      await sleep(random.below(250));
      scans = pair.rig.scansWanted.length;
      await pair.standby.kill();
      await pair.standby.start();
      isComplete = (await pair.standby.call('status'))['copy'] !== 'syncing';
      if (isComplete) break;
      const kept = existsSync(join(pair.top, 'salvage'))
        ? readdirSync(join(pair.top, 'salvage'))
        : [];
      expect(kept.filter((name) => name.startsWith('.'))).toEqual([]);
      await pair.scanWanted(scans);
      scan();
    }
    if (!isComplete) endScan();
    await pair.complete();
    await expectSalvage();
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('is kept when a person promotes the copy in the middle', async () => {
    await begin(24);
    scan();
    await pair.applied();
    pair.rig.sender.destroy();
    const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'syncing'] });
    expect(finished).toMatchObject({ copy: 'syncing' });
    await pair.standby.exited();
    await expectSalvage();
  });

  it('does not keep the copy from being promoted while it is written, and the next process writes it', async () => {
    // The disk that it is written to stands still.
    const image = join(pair.top, 'image');
    mountLoopImage({ image, dir: place(), bytes: 64 << 20 });
    try {
      await begin(24);
      scan();
      await pair.applied();
      execFileSync('fsfreeze', ['-f', place()]);
      endScan();
      await pair.complete();
      const killed = pair.standby.kill();
      execFileSync('fsfreeze', ['-u', place()]);
      await killed;
      expect(pair.standby.log).not.toContain('SALVAGE_KEPT');
      const scans = pair.rig.scansWanted.length;
      execFileSync('fsfreeze', ['-f', place()]);
      await pair.standby.start();
      const copy = async (): Promise<unknown> => (await pair.standby.call('status'))['copy'];
      await expect.poll(copy, { timeout: 60_000 }).toBe('up-to-date');
      expect(pair.rig.scansWanted).toHaveLength(scans);
      execFileSync('fsfreeze', ['-u', place()]);
      // All of it is in the copy, of which the primary hears though nothing more comes.
      await pair.applied();
      // Whoever promotes it has all of it, and what was kept aside.
      const finished = await pair.standby.call('finish', { accepts: ['up-to-date'] });
      expect(finished).toMatchObject({ copy: 'up-to-date', journaledButLost: 0 });
      await pair.standby.exited();
      await expectSalvage();
      expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
    } finally {
      spawnSync('fsfreeze', ['-u', place()]);
      await pair.standby.kill();
      unmountLazily(place());
    }
  });

  it('is written while removals are held back, also by the next process when the disk did not take the halt', async () => {
    const image = join(pair.top, 'image');
    mountLoopImage({ image, dir: place(), bytes: 64 << 20 });
    const names = Array.from({ length: 1000 }, (_, index) => `file-${index}`);
    for (const name of names) writeFileSync(join(pair.source, name), '');
    try {
      await begin(24);
      pair.recorder.emit({ type: recordType.scanBegin });
      pair.recorder.duringScan = true;
      scanTree(pair.recorder, 'full');
      await pair.applied();
      execFileSync('fsfreeze', ['-f', place()]);
      endScan();
      await pair.complete();
      const obstacle = join(pair.top, 'state', 'standby.json.new');
      mkdirSync(obstacle);
      for (const name of names) pair.recorder.unlink(name);
      const { sequence } = pair.recorder;
      await until(
        () => pair.rig.sender.acked?.durableSequence === sequence,
        () => `they are received: ${pair.standby.log}`,
      );
      const killed = pair.standby.kill();
      execFileSync('fsfreeze', ['-u', place()]);
      await killed;
      rmdirSync(obstacle);
      await pair.standby.start();
      await expectSalvage();
      const copy = async (): Promise<unknown> => (await pair.standby.call('status'))['copy'];
      await expect.poll(copy, { timeout: 30_000 }).toBe('halted');
      await sleep(1000);
      const left = new Set(readdirSync(pair.copy));
      expect(names.filter((name) => !left.has(name))).toHaveLength(0);
    } finally {
      spawnSync('fsfreeze', ['-u', place()]);
      await pair.standby.kill();
      unmountLazily(place());
    }
  });

  it('is nothing that the copy can be taken back to, also when the process dies as soon as it is kept', async () => {
    await begin(24);
    scan();
    await pair.applied();
    const undo = join(pair.top, 'state', 'undo');
    const newest = readdirSync(undo)
      .filter((name) => name.endsWith('.undo'))
      .toSorted()
      .at(-1);
    const segment = join(undo, newest ?? '');
    // Nobody can remove it: the process does not get further than that.
    execFileSync('mount', ['--bind', segment, segment]);
    try {
      endScan();
      await pair.standby.exited();
    } finally {
      unmountLazily(segment);
    }
    const { sequence } = pair.recorder;
    await pair.standby.start();
    await pair.complete();
    await pair.applied();
    for (let i = 0; i < 50; i += 1) randomOperation(pair.recorder, random);
    await pair.applied();
    const { from } = await pair.standby.call('rewind-list');
    expect((from as { sequence: number } | null)?.sequence).toBeGreaterThanOrEqual(sequence);
    await expectSalvage();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('of which there are many: the oldest go, and an event says which', async () => {
    const old = Array.from(
      { length: 12 },
      (_, index) => `2020010${index % 10}T00000${index % 10}Z-${index + 1}`,
    );
    for (const name of old) mkdirSync(join(place(), name), { recursive: true });
    await begin(24);
    scan();
    endScan();
    await pair.complete();
    await until(
      () => salvages().length === 10,
      () => salvages().join(),
    );
    expect(salvages().some((name) => !name.startsWith('2020'))).toBe(true);
    for (const name of old.toSorted().slice(0, 3)) {
      expect(salvages()).not.toContain(name);
      const said = `salvage \\"${name}\\" of group test is removed`;
      await until(
        () => pair.standby.log.includes(said),
        () => `not said: ${said}`,
      );
    }
  });
});

describe('what cannot be kept aside is given up aloud, and the copy is made all the same', () => {
  /** Of the disk with everything of the standby. */
  let filler = '';
  let disk = '';
  let before: string | undefined;

  /** Everything of the pair is on a small disk. */
  function onSmallDisk(): void {
    disk = mkdtempSync(join(tmpdir(), 'salvage-disk-'));
    mountLoopImage({ image: join(disk, 'image'), dir: join(disk, 'top'), bytes: 2 ** 31 });
    before = process.env['TMPDIR'];
    process.env['TMPDIR'] = join(disk, 'top');
    filler = join(disk, 'top', 'filler');
    // Nothing of the one that was made before is started.
    rmSync(pair.top, { recursive: true, force: true });
    pair = new StandbyPair(identities);
    for (const dir of [pair.source, pair.copy]) alone(dir, 100);
    writeFileSync(join(pair.copy, 'only here'), 'commits that nobody received');
  }

  /** Leaves so much of the disk free. */
  function leaveFree(share: number): void {
    const { bavail, blocks, bsize } = statfsSync(join(disk, 'top'));
    execFileSync('fallocate', [
      '-l',
      String(Math.floor((bavail - blocks * share) * bsize)),
      filler,
    ]);
  }

  afterEach(async () => {
    await pair.close();
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    if (disk !== '') {
      unmountLazily(join(disk, 'top'));
      rmSync(disk, { recursive: true, force: true });
    }
    disk = '';
  });

  async function madeWithout(why: RegExp): Promise<void> {
    endScan();
    await pair.complete();
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
    const told = (): string[] =>
      pair.standby.log.split('\n').filter((line) => line.includes('"SALVAGE_LOST"'));
    await until(
      () => told().length > 0,
      () => `it is told: ${pair.standby.log}`,
      60_000,
    );
    const lost = told();
    expect(lost).toHaveLength(1);
    expect(lost[0]).toMatch(why);
    expect(lost[0]).toContain('"level":"error"');
    expect(pair.standby.log).not.toContain('SALVAGE_KEPT');
    const left = existsSync(place()) && statSync(place()).isDirectory() ? salvages() : [];
    expect(left).toEqual([]);
  }

  it('when there is no room at the beginning', async () => {
    onSmallDisk();
    leaveFree(0.08);
    await begin(24);
    scan();
    await madeWithout(/less than 10 % of a disk are free/);
  });

  it('when the room goes in the middle', async () => {
    onSmallDisk();
    await begin(24);
    scan();
    await pair.applied();
    leaveFree(0.03);
    await until(
      () => {
        randomOperation(pair.recorder, random);
        return pair.standby.log.includes('"SALVAGE_LOST"');
      },
      () => pair.standby.log,
      60_000,
    );
    await madeWithout(/less than 5 % of the disk are free/);
  });

  it('when its place cannot be written', async () => {
    writeFileSync(place(), 'somebody put a file here');
    await begin(24);
    scan();
    await madeWithout(/ENOTDIR|EEXIST/);
    expect(readFileSync(place(), 'utf8')).toBe('somebody put a file here');
  });
});
