// The applier on real directories: whatever is done to a source directory is in the copy afterwards,
// also when the applier is killed at any moment in between.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApplierRig } from '../../../test/support/applier-rig.ts';
import { Random } from '../../../test/support/random.ts';
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
