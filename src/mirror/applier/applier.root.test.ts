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
