// A scan over a copy that was complete: until it has come to its end, the copy as it was before stays
// within reach, whatever happens to either node.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Identities,
  makeIdentities,
  makeSender,
  recordInto,
  type SenderRig,
  until,
} from '../../test/support/mirror-rig.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import { Recorder } from '../../test/support/recorder.ts';
import { scanTree } from '../../test/support/scan-tree.ts';
import { StandbyProcess } from '../../test/support/standby-process.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { recordType } from '../journal/record.ts';
import { uncoverDirectories } from './cover.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };
const OLD_STREAM = '01'.repeat(16);
const NEW_STREAM = '0a'.repeat(16);
const NEW_FIRST = 50_001;

let identities: Identities;
let top = '';
let source = '';
let copy = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;
let random = new Random(1);
/** The source when the copy was complete, and the last record then. */
let before: { tree: ReturnType<typeof snapshotTree>; sequence: number };

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  const seed = Date.now() & 0xffff;
  process.stdout.write(`seed ${seed}\n`);
  random = new Random(seed);
  top = mkdtempSync(join(tmpdir(), 'staged-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  for (const dir of [source, copy]) mkdirSync(dir, { mode: 0o755 });
  const { primary, standby: own } = identities;
  standby = new StandbyProcess({ top, dir: copy, primary, standby: own, holds: BASE });
  await standby.start();
  startPrimary(OLD_STREAM, 101, BASE);
  for (let i = 0; i < 150; i += 1) randomOperation(recorder, random);
  await applied();
  before = { tree: snapshotTree(source), sequence: recorder.sequence };
});
afterEach(async () => {
  rig.sender.destroy();
  recorder.close();
  await standby.kill();
  uncoverDirectories(join(top, 'state'));
  rmSync(top, { recursive: true, force: true });
});

function startPrimary(streamId: string, firstSequence: number, base: typeof BASE | null): void {
  const { primary, standby: own } = identities;
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: own.certificate },
    identity: primary,
    spillDirectory: join(top, `spill-${streamId}`),
    streamId,
    base,
    firstSequence,
  });
  recorder = recordInto(rig, source, firstSequence);
  rig.sender.start();
}

/** The primary crashed, what it wrote in between is on its disk, and it is back with another stream. */
async function anotherPrimary(streamId = NEW_STREAM, first = NEW_FIRST): Promise<void> {
  rig.sender.destroy();
  recorder.close();
  const silent = new Recorder(source, () => undefined);
  for (let i = 0; i < 100; i += 1) randomOperation(silent, random);
  silent.close();
  startPrimary(streamId, first, null);
  await scanWanted(0);
}

async function scanWanted(count: number): Promise<void> {
  await until(
    () => rig.scansWanted.length > count,
    () => `a scan is asked for: ${standby.log}`,
    60_000,
  );
}

/** Sends the scan but its end, with changes in between; anew when the link broke and it is asked for. */
async function scan(): Promise<void> {
  for (;;) {
    const wanted = rig.scansWanted.length;
    recorder.emit({ type: recordType.scanBegin });
    recorder.duringScan = true;
    scanTree(recorder, 'hash');
    for (let i = 0; i < 60; i += 1) randomOperation(recorder, random);
    await applied(() => rig.scansWanted.length > wanted);
    if (rig.scansWanted.length === wanted) return;
  }
}

async function endScan(): Promise<void> {
  recorder.duringScan = false;
  scanTree(recorder, 'full');
  recorder.emit({ type: recordType.scanEnd });
  await applied();
  await until(
    () => rig.sender.copy === 'up-to-date',
    () => `the copy is complete: ${standby.log}`,
    60_000,
  );
}

async function applied(or: () => boolean = () => false): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.appliedSequence === sequence || or(),
    () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    60_000,
  );
}

const copyIsAsBefore = (): void => {
  expect(compareTrees(before.tree, copy, { holes: false })).toEqual([]);
};

describe('a staged scan', () => {
  it('shows a copy that is old and usable, and tells the primary that it is not complete', async () => {
    await anotherPrimary();
    await scan();
    expect(await standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
      stagedSinceMs: expect.any(Number) as number,
    });
    expect(rig.sender.copy).toBe('syncing');
    await endScan();
    expect(await standby.call('status')).toMatchObject({
      copy: 'up-to-date',
      data: { epoch: 1, sequence: recorder.sequence },
      stagedSinceMs: null,
    });
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });

  it('promotes the copy from before it when the primary dies in the middle', async () => {
    await anotherPrimary();
    await scan();
    expect(compareTrees(before.tree, copy, { holes: false })).not.toEqual([]);
    rig.sender.destroy();
    await expect(standby.call('finish')).rejects.toMatchObject({ code: 'COPY_NOT_UP_TO_DATE' });
    const finished = await standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toEqual({
      streamId: OLD_STREAM,
      sequence: before.sequence,
      copy: 'catching-up',
      journaledButLost: 0,
      isOld: true,
    });
    await standby.exited();
    copyIsAsBefore();
  });

  it('goes back to the copy from before it when the standby dies, and is scanned anew', async () => {
    await anotherPrimary();
    await scan();
    for (let life = 0; life < 2; life += 1) {
      await standby.kill();
      const scans = rig.scansWanted.length;
      await standby.start();
      await until(
        () => standby.log.split('COPY_TAKEN_BACK').length === life + 2,
        () => `the copy is taken back: ${standby.log}`,
        60_000,
      );
      await scanWanted(scans);
      copyIsAsBefore();
      expect(await standby.call('status')).toMatchObject({ copy: 'catching-up' });
      await scan();
    }
    await endScan();
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });

  it('stays within reach when the primary dies too, and scans anew', async () => {
    await anotherPrimary();
    await scan();
    await anotherPrimary('0b'.repeat(16), 2 * NEW_FIRST);
    await scan();
    expect(await standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
    });
    const finished = await standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence: before.sequence });
    await standby.exited();
    copyIsAsBefore();
  });

  it('is staged also within a stream', async () => {
    recorder.emit({ type: recordType.scanBegin });
    recorder.duringScan = true;
    for (let i = 0; i < 80; i += 1) randomOperation(recorder, random);
    await applied();
    expect(await standby.call('status')).toMatchObject({
      copy: 'catching-up',
      data: { epoch: 1, sequence: before.sequence },
    });
    const finished = await standby.call('finish', { accepts: ['catching-up'] });
    expect(finished).toMatchObject({ streamId: OLD_STREAM, sequence: before.sequence });
    await standby.exited();
    copyIsAsBefore();
  });
});
