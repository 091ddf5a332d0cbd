// The applier on real directories: whatever is done to a source directory is in the copy afterwards,
// also when the applier is killed at any moment in between.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApplierRig } from '../../../test/support/applier-rig.ts';
import { Random } from '../../../test/support/random.ts';
import { recordType } from '../../journal/record.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';

let rig: ApplierRig;
beforeEach(() => {
  rig = new ApplierRig();
});
afterEach(() => rig.close());

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('live records', () => {
  it.each(seeds(12))('random operations, seed %i', (seed) => {
    const random = new Random(seed);
    for (let i = 0; i < 400; i += 1) {
      randomOperation(rig.recorder, random);
      if (!random.chance(0.1)) continue;
      rig.applyAll();
      expect(rig.differences()).toEqual([]);
    }
    rig.applyAll();
    expect(rig.recorder.sequence).toBeGreaterThan(200);
    expect(rig.differences()).toEqual([]);
  });
});

describe('times of a file with several names', () => {
  it('are the latest, also when a scan runs and the name noted last is gone in the same batch', async () => {
    const { recorder } = rig;
    for (const name of ['f', 'other']) recorder.create(name);
    recorder.link('f', 'g');
    recorder.emit({ type: recordType.scanBegin });
    rig.applyAll(1000);
    recorder.duringScan = true;
    // The rig ends a batch behind the first record.
    recorder.create('first');
    recorder.write('f', 0, Buffer.from('a'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    recorder.write('g', 0, Buffer.from('b'));
    recorder.rename('other', 'g');
    rig.applyAll(1000);
    expect(rig.differences()).toEqual([]);
  });
});

describe('redo', () => {
  it.each(seeds(20))('after being killed at random moments, seed %i', (seed) => {
    const random = new Random(seed);
    for (let life = 0; life < 12; life += 1) {
      for (let i = 0; i < 60; i += 1) randomOperation(rig.recorder, random);
      const settled = rig.applySome(random);
      rig.moveCheckpoint(random.below(settled + 1));
      rig.kill();
      rig.restart();
    }
    rig.applyAll();
    // Blocks that are zeroed twice may stay allocated: holes are compared without crashes only.
    expect(rig.differences({ holes: false })).toEqual([]);
  });
});
