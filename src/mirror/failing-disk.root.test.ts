// A disk that loses what it was given, and says so once: nothing that may be lost counts as written.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FailingDisk } from '../../test/support/failing-disk.ts';
import { makeIdentities } from '../../test/support/mirror-rig.ts';
import { scanTree, sendNeeded } from '../../test/support/scan-tree.ts';
import { StandbyPair } from '../../test/support/standby-pair.ts';
import { compareTrees } from '../../test/support/tree.ts';
import { recordType } from '../journal/record.ts';
import { startThread } from '../linux/threads.ts';
import { uncoverDirectories } from './cover.ts';
import type { CloneTreeData, CloneTreeMessage } from './salvage/clone-tree-worker.ts';

const BYTES = 256 * 1024;

let pair: StandbyPair;
let base: string;
let disk: FailingDisk;
let looks = 0;

beforeEach(async () => {
  pair = new StandbyPair(await makeIdentities());
  base = mkdtempSync(join(tmpdir(), 'failing-disk-'));
});
afterEach(async () => {
  pair.endPrimary();
  await pair.standby.kill();
  uncoverDirectories([pair.copy]);
  disk.close();
  await pair.close();
  rmSync(base, { recursive: true });
});

/** The copy has a file of two names, and loses what is written to it next. */
async function begin(): Promise<void> {
  disk = new FailingDisk(join(base, 'store'), pair.copy);
  await pair.startStandby();
  pair.startPrimary();
  const { recorder } = pair;
  recorder.create('file');
  recorder.write('file', 0, Buffer.alloc(BYTES, 1));
  recorder.link('file', 'other');
  await pair.applied();
  disk.breakFile(join(pair.copy, 'file'));
  recorder.write('file', 0, Buffer.alloc(BYTES, 2));
  await pair.applied();
}

/** A tree of the present state; makes a checkpoint. */
async function browse(to = join(base, 'look')): Promise<void> {
  looks += 1;
  const name = `look-${looks}`;
  await pair.standby.call('rewind-mark', { name, sequence: pair.recorder.sequence });
  await pair.standby.call('rewind-browse', { wish: { kind: 'name', name }, to });
}

/** The next process makes a checkpoint, and then the node loses its power. */
async function expectWhole(): Promise<void> {
  disk.mend();
  if (!pair.standby.isRunning) await pair.standby.start();
  await pair.applied();
  await browse();
  await pair.standby.kill();
  uncoverDirectories([pair.copy]);
  disk.mountAgain();
  await pair.standby.start();
  await pair.applied();
  expect(compareTrees(pair.source, pair.copy)).toEqual([]);
}

describe('a copy is written again from its last checkpoint on', () => {
  it('when the loss is told while a state is looked at', async () => {
    await begin();
    await expect(browse()).rejects.toThrow();
    await pair.standby.exited();
    await expectWhole();
  });

  it('when it is told while a name of a changed file is removed', async () => {
    await begin();
    pair.recorder.unlink('other');
    await pair.applied(() => !pair.standby.isRunning);
    await expectWhole();
  });
});

it('the copy of a node that has handed over is compared with what is on the disk', async () => {
  disk = new FailingDisk(join(base, 'store'), pair.copy);
  for (const dir of [pair.source, pair.copy])
    writeFileSync(join(dir, 'file'), Buffer.alloc(BYTES, 1));
  disk.breakFile(join(pair.copy, 'file'));
  for (const dir of [pair.source, pair.copy])
    writeFileSync(join(dir, 'file'), Buffer.alloc(BYTES, 2), { flag: 'r+' });
  // It may end before it is seen to run.
  await pair.startStandby().catch(() => undefined);
  await pair.standby.exited();
  disk.mend();
  await pair.standby.start();
  pair.startPrimary();
  const { recorder, rig } = pair;
  recorder.create('later');
  await pair.applied(() => rig.scansWanted.length > 0);
  if (rig.scansWanted.length > 0) await scan();
  await expectWhole();
});

async function scan(): Promise<void> {
  const { recorder, rig } = pair;
  recorder.emit({ type: recordType.scanBegin });
  recorder.duringScan = true;
  scanTree(recorder, 'hash');
  await pair.applied();
  for (const need of rig.needs) sendNeeded(recorder, need);
  recorder.duringScan = false;
  recorder.emit({ type: recordType.scanEnd });
  await pair.complete();
}

describe('a tree that was not written as a whole is not made', () => {
  it('of an earlier state', async () => {
    disk = new FailingDisk(join(base, 'store'), join(base, 'disk'));
    const to = join(disk.dir, 'look');
    mkdirSync(to);
    await pair.startStandby();
    pair.startPrimary();
    pair.recorder.create('file');
    pair.recorder.write('file', 0, Buffer.alloc(BYTES, 1));
    await pair.applied();
    disk.breakFree();
    await expect(browse(to)).rejects.toMatchObject({ code: 'CLONE_FAILED' });
    expect(pair.standby.openPaths().filter((path) => path.startsWith(to))).toEqual([]);
    disk.mend();
    await browse(to);
    expect(compareTrees(pair.source, to)).toEqual([]);
  });

  it('of what was kept aside', async () => {
    await pair.startStandby();
    disk = new FailingDisk(join(base, 'store'), join(base, 'disk'));
    const from = join(base, 'salvage');
    const to = join(disk.dir, 'out');
    mkdirSync(from);
    mkdirSync(to);
    writeFileSync(join(from, 'file'), Buffer.alloc(BYTES, 1));
    disk.breakFree();
    const workerData: CloneTreeData = { from, to };
    const url = new URL('salvage/clone-tree-worker.ts', import.meta.url);
    const worker = startThread(url, { workerData, name: 'salvage' });
    const message = await new Promise<CloneTreeMessage>((resolve) => {
      worker.once('message', resolve);
    });
    expect(message).toMatchObject({ type: 'failed', error: { code: 'CLONE_FAILED' } });
    expect(readdirSync(to)).toEqual(['file']);
  });
});
