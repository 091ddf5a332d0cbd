// Power cuts of the standby's disk while an undo log is kept: afterwards the copy is what it would have
// been, and every state that was told before can still be reached.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { FileSystemKind } from '../../../test/support/loop-image.ts';
import { PowerCutDisk } from '../../../test/support/power-cut.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { type Moment, UndoRig } from '../../../test/support/undo-rig.ts';

const DISK_BYTES = 320 << 20;
const LIVES = 6;

let base = '';
let disk: PowerCutDisk | undefined;
let rig: UndoRig | undefined;
afterEach(() => {
  rig?.close();
  disk?.close();
  fs.rmSync(base, { recursive: true, force: true });
});

const runs: [FileSystemKind, number][] = [
  ...Array.from({ length: 3 }, (_, index): [FileSystemKind, number] => ['ext4', index + 1]),
  ...Array.from({ length: 2 }, (_, index): [FileSystemKind, number] => ['xfs', index + 101]),
];

describe('power cuts with an undo log', () => {
  it.each(runs)('on %s, seed %i', { timeout: 120_000 }, (kind, seed) => {
    base = fs.mkdtempSync(join(tmpdir(), 'undo-power-'));
    disk = new PowerCutDisk(base, kind, DISK_BYTES);
    const copy = join(disk.dir, 'copy');
    fs.mkdirSync(copy, { mode: 0o755 });
    rig = new UndoRig({ copy, directory: join(disk.dir, 'undo') });
    const random = new Random(seed);
    const moments: Moment[] = [rig.moment()];
    for (let life = 0; life < LIVES; life += 1) {
      for (let i = 0; i < 80; i += 1) {
        randomOperation(rig.recorder, random);
        if (random.chance(0.15)) rig.applyKept();
        if (random.chance(0.06)) moments.push(rig.moment());
        if (random.chance(0.03) && rig.records.length === 0) rig.checkpoint();
      }
      // The pre-images of the last part are on the disk, the part itself is applied or not.
      const last = random.below(3);
      let parts = 0;
      rig.applyKept(() => {
        parts += 1;
        return parts <= last;
      });
      disk.cut();
      rig.kill();
      disk.powerOn();
      rig.restart();
    }
    rig.applyKept();
    expect(rig.news).toEqual([]);
    expect(rig.differences({ holes: false })).toEqual([]);
    while (moments.length > 0) {
      const moment = moments.pop();
      if (moment === undefined || (moments.length > 0 && random.chance(0.6))) continue;
      rig.goBack(moment.sequence);
      const differences = rig.differencesTo(moment, { holes: false });
      expect([moment.sequence, ...differences]).toEqual([moment.sequence]);
    }
  });
});
