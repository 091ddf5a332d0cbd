// The applier on real directories: whatever is done to a source directory is in the copy afterwards.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { compareTrees } from '../../../test/support/tree.ts';
import { Applier } from './applier.ts';
import type { Need } from './context.ts';
import type { ApplyFault } from './fault.ts';
import { prepareRedo } from './redo.ts';

let top = '';
let source = '';
let copy = '';
let recorder: Recorder;
let applier: Applier;
let copyFd = -1;
let records: Buffer[] = [];
let needs: Need[] = [];

beforeEach(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'applier-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  fs.mkdirSync(source, { mode: 0o755 });
  fs.mkdirSync(copy, { mode: 0o755 });
  records = [];
  needs = [];
  recorder = new Recorder(source, (record) => records.push(record));
  copyFd = fs.openSync(copy, 'r');
  applier = newApplier();
});
afterEach(() => {
  applier.close();
  recorder.close();
  fs.closeSync(copyFd);
  fs.rmSync(top, { recursive: true, force: true });
});

function newApplier(): Applier {
  const directories = [{ fd: copyFd, label: copy }];
  return new Applier({ directories, onNeed: (need) => needs.push(need) });
}

function applyOne(record: Buffer): ApplyFault | undefined {
  return applier.apply(record, new DataView(record.buffer, record.byteOffset), 0);
}

/** Applies everything recorded, in batches, and expects no fault. */
function applyAll(batch = 7): void {
  for (const [index, record] of records.splice(0).entries()) {
    expect(applyOne(record)).toBeUndefined();
    if (index % batch === 0) expect(applier.endBatch()).toBeUndefined();
  }
  expect(applier.endBatch()).toBeUndefined();
}

/** Ends the applier as kill -9 does: times that are pending are lost, nothing else. */
function killApplier(): void {
  for (const volume of applier.volumes) volume.open.abandon();
}

/** Starts a new applier over what the killed one left, with the records behind `checkpoint`. */
function restartApplier(behind: readonly Buffer[], checkpoint: number): void {
  applier = newApplier();
  const all = Buffer.concat(behind);
  const run = {
    bytes: all,
    view: new DataView(all.buffer, all.byteOffset),
    at: 0,
    end: all.length,
  };
  const runs = [run];
  const tail = checkpoint + behind.length;
  expect(prepareRedo(applier, { checkpoint, tail, next: () => runs.shift() })).toBeUndefined();
}

describe('redo after the applier was killed', () => {
  it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
    'at random moments, seed %i',
    (seed) => {
      const random = new Random(seed);
      let behind: Buffer[] = [];
      let checkpoint = 0;
      for (let life = 0; life < 12; life += 1) {
        for (let i = 0; i < 60; i += 1) randomOperation(recorder, random);
        behind.push(...records.splice(0));
        const reached = random.below(behind.length + 1);
        let settled = 0;
        for (const [index, record] of behind.slice(0, reached).entries()) {
          expect(applyOne(record)).toBeUndefined();
          if (!random.chance(0.1)) continue;
          expect(applier.endBatch()).toBeUndefined();
          settled = index + 1;
        }
        const moved = random.below(settled + 1);
        checkpoint += moved;
        behind = behind.slice(moved);
        killApplier();
        restartApplier(behind, checkpoint);
      }
      records = behind;
      applyAll();
      expect(compareTrees(source, copy)).toEqual([]);
    },
  );
});

describe('live records', () => {
  it.each(Array.from({ length: 12 }, (_, index) => index + 1))(
    'random operations, seed %i',
    (seed) => {
      const random = new Random(seed);
      for (let i = 0; i < 400; i += 1) {
        randomOperation(recorder, random);
        if (random.chance(0.1)) {
          applyAll();
          expect(compareTrees(source, copy)).toEqual([]);
        }
      }
      applyAll();
      expect(recorder.sequence).toBeGreaterThan(200);
      expect(compareTrees(source, copy)).toEqual([]);
    },
  );
});
