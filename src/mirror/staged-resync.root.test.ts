// A scan over a copy that was complete: until it has come to its end, the copy as it was before stays
// within reach, whatever happens to either node.
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Identities, makeIdentities, until } from '../../test/support/mirror-rig.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import { namespaceBlock, Recorder } from '../../test/support/recorder.ts';
import { scanTree } from '../../test/support/scan-tree.ts';
import { StandbyPair } from '../../test/support/standby-pair.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { recordType } from '../journal/record.ts';

const OLD_STREAM = '01'.repeat(16);
const NEW_STREAM = '0a'.repeat(16);
const NEW_FIRST = 50_001;

let identities: Identities;
let pair: StandbyPair;
let random = new Random(1);
/** The source when the copy was complete, and the last record then. */
let before: { tree: ReturnType<typeof snapshotTree>; sequence: number };

beforeAll(async () => {
  identities = await makeIdentities();
});
// SEED=… plays a run again.
beforeEach(async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() & 0xffff);
  process.stdout.write(`seed ${seed}\n`);
  random = new Random(seed);
  pair = new StandbyPair(identities);
  await pair.startStandby();
  pair.startPrimary({ streamId: OLD_STREAM });
  for (let i = 0; i < 150; i += 1) randomOperation(pair.recorder, random);
  await pair.applied();
  before = { tree: snapshotTree(pair.source), sequence: pair.recorder.sequence };
});
afterEach(async () => pair.close());

/** The primary crashed, what it wrote in between is on its disk, and it is back with another stream. */
async function anotherPrimary(streamId = NEW_STREAM, firstSequence = NEW_FIRST): Promise<void> {
  pair.endPrimary();
  const silent = new Recorder(pair.source, () => undefined);
  for (let i = 0; i < 100; i += 1) randomOperation(silent, random);
  silent.close();
  pair.startPrimary({ streamId, firstSequence, base: null });
  await pair.scanWanted(0);
}

/** Sends the scan but its end, with changes in between; anew when the link broke and it is asked for. */
async function scan(): Promise<void> {
  for (;;) {
    const wanted = pair.rig.scansWanted.length;
    pair.recorder.emit({ type: recordType.scanBegin });
    pair.recorder.duringScan = true;
    scanTree(pair.recorder, 'hash');
    for (let i = 0; i < 60; i += 1) randomOperation(pair.recorder, random);
    await pair.applied(() => pair.rig.scansWanted.length > wanted);
    if (pair.rig.scansWanted.length === wanted) return;
  }
}

async function endScan(): Promise<void> {
  pair.recorder.duringScan = false;
  scanTree(pair.recorder, 'full');
  pair.recorder.emit({ type: recordType.scanEnd });
  await pair.applied();
  await pair.complete();
}

const copyIsAsBefore = (): void => {
  expect(compareTrees(before.tree, pair.copy, { holes: false })).toEqual([]);
};

describe('a staged scan', () => {
  it('shows a copy that is old and usable, and tells the primary that it is not complete', async () => {
    await anotherPrimary();
    await scan();
    expect(await pair.standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
      stagedSinceMs: expect.any(Number) as number,
    });
    expect(pair.rig.sender.copy).toBe('syncing');
    await endScan();
    expect(await pair.standby.call('status')).toMatchObject({
      copy: 'up-to-date',
      data: { epoch: 1, sequence: pair.recorder.sequence },
      stagedSinceMs: null,
    });
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('is not thrown away when its end cannot be written down at once', async () => {
    await anotherPrimary();
    await scan();
    const scans = pair.rig.scansWanted.length;
    // What cannot be replaced, as on a full disk.
    const obstacle = join(pair.top, 'state', 'standby.json.new');
    mkdirSync(obstacle);
    pair.recorder.duringScan = false;
    scanTree(pair.recorder, 'full');
    pair.recorder.emit({ type: recordType.scanEnd });
    await until(() => pair.standby.log.includes('STATE_IO'), 'it cannot be written');
    expect(await pair.standby.call('status')).toMatchObject({ copy: 'catching-up' });
    rmdirSync(obstacle);
    await pair.complete();
    expect(pair.rig.scansWanted).toHaveLength(scans);
    expect(await pair.standby.call('status')).toMatchObject({ stagedSinceMs: null });
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('promotes the copy from before it when the primary dies in the middle', async () => {
    await anotherPrimary();
    await scan();
    expect(compareTrees(before.tree, pair.copy, { holes: false })).not.toEqual([]);
    pair.rig.sender.destroy();
    await expect(pair.standby.call('finish')).rejects.toMatchObject({
      code: 'COPY_NOT_UP_TO_DATE',
    });
    const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toEqual({
      streamId: OLD_STREAM,
      sequence: before.sequence,
      copy: 'catching-up',
      journaledButLost: 0,
      isOld: true,
    });
    await pair.standby.exited();
    copyIsAsBefore();
  });

  it('goes back to the copy from before it when the standby dies, and is scanned anew', async () => {
    await anotherPrimary();
    await scan();
    for (let life = 0; life < 2; life += 1) {
      await pair.standby.kill();
      const scans = pair.rig.scansWanted.length;
      await pair.standby.start();
      await until(
        () => pair.standby.log.split('COPY_TAKEN_BACK').length === life + 2,
        () => `the copy is taken back: ${pair.standby.log}`,
        60_000,
      );
      await pair.scanWanted(scans);
      copyIsAsBefore();
      expect(await pair.standby.call('status')).toMatchObject({ copy: 'catching-up' });
      await scan();
    }
    await endScan();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('goes back also after a start whose disk does not take that down', async () => {
    await anotherPrimary();
    await scan();
    await pair.standby.kill();
    const obstacle = join(pair.top, 'state', 'undo', 'note.json.new');
    mkdirSync(obstacle);
    // It may end before it is seen to run.
    await pair.standby.start().catch(() => undefined);
    await pair.standby.exited();
    rmdirSync(obstacle);
    pair.endPrimary();
    await pair.standby.start();
    await until(() => pair.standby.log.includes('COPY_TAKEN_BACK'), 'it is taken back', 60_000);
    copyIsAsBefore();
  });

  it('stays within reach when the primary dies too, and scans anew', async () => {
    await anotherPrimary();
    await scan();
    await anotherPrimary('0b'.repeat(16), 2 * NEW_FIRST);
    await scan();
    expect(await pair.standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
    });
    const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence: before.sequence });
    await pair.standby.exited();
    copyIsAsBefore();
  });

  it('that does not fit is begun again, and the copy from before the first stays within reach', async () => {
    await anotherPrimary();
    await scan();
    const scans = pair.rig.scansWanted.length;
    // It ends what did not begin.
    pair.recorder.emit({
      type: recordType.scanDirEnd,
      path: 'nowhere',
      payload: namespaceBlock(pair.recorder.stat('')),
    });
    await pair.scanWanted(scans);
    expect(pair.standby.log).toContain('COPY_DIVERGED');
    await scan();
    expect(await pair.standby.call('status')).toMatchObject({ copy: 'catching-up' });
    const finished = await pair.standby.call('finish', { accepts: ['catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence: before.sequence });
    await pair.standby.exited();
    copyIsAsBefore();
  });

  it('is staged also within a stream', async () => {
    pair.recorder.emit({ type: recordType.scanBegin });
    pair.recorder.duringScan = true;
    for (let i = 0; i < 80; i += 1) randomOperation(pair.recorder, random);
    await pair.applied();
    expect(await pair.standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
    });
    const finished = await pair.standby.call('finish', { accepts: ['catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence: before.sequence });
    await pair.standby.exited();
    copyIsAsBefore();
  });
});

describe('a copy while the scan of another primary only begins', () => {
  /** Returns in the middle of it: all of a large file has to come to the disk before. */
  async function scanBegins(): Promise<{
    sequence: number;
    tree: ReturnType<typeof snapshotTree>;
  }> {
    const { recorder, rig } = pair;
    recorder.create('large');
    for (let at = 0; at < 192; at += 1) {
      recorder.write('large', at << 20, Buffer.alloc(1 << 20, at));
      const { sequence } = recorder;
      await until(() => rig.sender.acked?.durableSequence === sequence, 'it is durable');
    }
    await pair.applied();
    const { sequence } = recorder;
    const tree = snapshotTree(pair.source);
    pair.endPrimary();
    pair.startPrimary({ streamId: NEW_STREAM, firstSequence: NEW_FIRST, base: null });
    await pair.scanWanted(0);
    pair.recorder.emit({ type: recordType.scanBegin });
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    return { sequence, tree };
  }

  it('is promoted as it was, of the stream that it was of', async () => {
    const { sequence, tree } = await scanBegins();
    const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence, copy: 'catching-up' });
    await pair.standby.exited();
    expect(compareTrees(tree, pair.copy, { holes: false })).toEqual([]);
  });
});
