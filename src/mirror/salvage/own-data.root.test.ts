// A standby process over data of its own: the scan replaces them, and what was different is kept aside,
// whatever dies in between.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Identities, makeIdentities } from '../../../test/support/mirror-rig.ts';
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

/** There is one salvage, whole, with what the node had and has not any more. */
function expectSalvage(): SalvageReport {
  const names = readdirSync(join(pair.top, 'salvage'));
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
    expectSalvage();
    expect(pair.standby.log).toContain('SALVAGE_KEPT');
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
    expectSalvage();
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
    expectSalvage();
  });
});
