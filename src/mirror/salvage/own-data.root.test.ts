// A standby process over data of its own: the scan replaces them, and what was different is kept aside,
// whatever dies in between.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Identities,
  makeIdentities,
  makeSender,
  recordInto,
  type SenderRig,
  until,
} from '../../../test/support/mirror-rig.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { scanTree } from '../../../test/support/scan-tree.ts';
import { StandbyProcess } from '../../../test/support/standby-process.ts';
import { compareTrees, snapshotTree, type Tree } from '../../../test/support/tree.ts';
import { recordType } from '../../journal/record.ts';
import { uncoverDirectories } from '../cover.ts';
import { reportSchema, type SalvageReport } from './salvage-report.ts';

const FIRST = 50_001;

let identities: Identities;
let top = '';
let source = '';
let copy = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;
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
  top = mkdtempSync(join(tmpdir(), 'own-data-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  streams = 0;
  for (const dir of [source, copy]) {
    mkdirSync(dir, { mode: 0o755 });
    alone(dir, 100);
  }
  // Whatever chance makes, something is only here.
  writeFileSync(join(copy, 'only here'), 'commits that nobody received');
  own = snapshotTree(copy);
});
afterEach(async () => {
  rig.sender.destroy();
  recorder.close();
  await standby.kill();
  uncoverDirectories(join(top, 'state'));
  rmSync(top, { recursive: true, force: true });
});

function alone(dir: string, operations: number): void {
  const silent = new Recorder(dir, () => undefined);
  for (let i = 0; i < operations; i += 1) randomOperation(silent, random);
  silent.close();
}

/** `undoHours`: 0 is `undo: off`. */
async function begin(undoHours: number): Promise<void> {
  const { primary, standby: identity } = identities;
  const options = { hasOwnData: true, undoHours, holds: null };
  standby = new StandbyProcess({ top, dir: copy, primary, standby: identity, ...options });
  await standby.start();
  await startPrimary();
}

async function startPrimary(): Promise<void> {
  const { primary, standby: identity } = identities;
  streams += 1;
  const firstSequence = FIRST + streams * 10_000;
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: identity.certificate },
    identity: primary,
    spillDirectory: join(top, `spill-${streams}`),
    streamId: `0${streams}`.repeat(16),
    base: null,
    firstSequence,
  });
  recorder = recordInto(rig, source, firstSequence);
  rig.sender.start();
  await scanWanted(0);
}

async function scanWanted(count: number): Promise<void> {
  await until(
    () => rig.scansWanted.length > count,
    () => `a scan is asked for: ${standby.log}`,
    60_000,
  );
}

function scan(): void {
  recorder.emit({ type: recordType.scanBegin });
  recorder.duringScan = true;
  for (let i = 0; i < 20; i += 1) randomOperation(recorder, random);
  scanTree(recorder, 'full');
}

function endScan(): void {
  recorder.duringScan = false;
  recorder.emit({ type: recordType.scanEnd });
}

async function applied(): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.appliedSequence === sequence,
    () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    60_000,
  );
}

async function complete(): Promise<void> {
  await until(
    () => rig.sender.copy === 'up-to-date',
    () => `the copy is complete: ${standby.log}`,
    60_000,
  );
}

/** There is one salvage, whole, with what the node had and has not any more. */
function expectSalvage(): SalvageReport {
  const names = readdirSync(join(top, 'salvage'));
  expect(names).toEqual([expect.stringMatching(/^\d{8}T\d{6}Z-1$/)]);
  const path = join(top, 'salvage', names[0] ?? '');
  const report = reportSchema.parse(JSON.parse(readFileSync(join(path, 'report.json'), 'utf8')));
  const files = snapshotTree(join(path, 'files'));
  const now = snapshotTree(copy);
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
    await applied();
    expect(await standby.call('status')).toMatchObject({ copy: 'syncing', stagedSinceMs: null });
    expect(existsSync(join(top, 'salvage'))).toBe(false);
    endScan();
    await complete();
    expectSalvage();
    expect(standby.log).toContain('SALVAGE_KEPT');
    // The copy goes on, and what is kept to go back begins behind the scan.
    for (let i = 0; i < 50; i += 1) randomOperation(recorder, random);
    await applied();
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
    const { from } = await standby.call('rewind-list');
    if (undoHours === 0) expect(from).toBeNull();
    else expect(from).toMatchObject({ sequence: expect.any(Number) as number });
  });

  it('is kept when the process dies during the scan, and the primary too', async () => {
    await begin(24);
    scan();
    await applied();
    await standby.kill();
    let scans = rig.scansWanted.length;
    await standby.start();
    await scanWanted(scans);
    scan();
    await applied();
    rig.sender.destroy();
    recorder.close();
    alone(source, 30);
    await startPrimary();
    scan();
    // Anywhere in the end of the scan, and in the writing.
    let isComplete = false;
    for (let life = 0; life < 3 && !isComplete; life += 1) {
      endScan();
      await sleep(random.below(250));
      scans = rig.scansWanted.length;
      await standby.kill();
      await standby.start();
      isComplete = (await standby.call('status'))['copy'] !== 'syncing';
      if (isComplete) break;
      const kept = existsSync(join(top, 'salvage')) ? readdirSync(join(top, 'salvage')) : [];
      expect(kept.filter((name) => name.startsWith('.'))).toEqual([]);
      await scanWanted(scans);
      scan();
    }
    if (!isComplete) endScan();
    await complete();
    expectSalvage();
    await applied();
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });

  it('is kept when a person promotes the copy in the middle', async () => {
    await begin(24);
    scan();
    await applied();
    rig.sender.destroy();
    const finished = await standby.call('finish', { accepts: ['up-to-date', 'syncing'] });
    expect(finished).toMatchObject({ copy: 'syncing' });
    await standby.exited();
    expectSalvage();
  });
});
