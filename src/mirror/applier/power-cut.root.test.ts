// Power cuts of the standby's disk at random moments: names reach the disk in order, contents do not,
// and after applying again from the checkpoint the copy is what it would have been.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ApplierRig } from '../../../test/support/applier-rig.ts';
import { PowerCutDisk } from '../../../test/support/power-cut.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { snapshotPaths } from '../../../test/support/snapshot-paths.ts';
import type { FileSystemKind } from '../../../test/support/loop-image.ts';

const DISK_BYTES = 320 << 20;
const LIVES = 8;

let base = '';
let disk: PowerCutDisk | undefined;
let rig: ApplierRig | undefined;
afterEach(() => {
  rig?.close();
  disk?.close();
  fs.rmSync(base, { recursive: true, force: true });
});

/** Brings one file's contents and the names of that moment to the disk, as any fsync may. */
function syncSomething(copy: string, random: Random): void {
  const fd = fs.openSync(copy, 'r');
  const files = [...snapshotPaths(fd)].filter(([, kind]) => kind === 'file');
  fs.closeSync(fd);
  const path = files.length === 0 ? '' : random.pick(files)[0];
  const file = fs.openSync(Buffer.from(`${copy}/${path}`, 'latin1'), 'r');
  fs.fsyncSync(file);
  fs.closeSync(file);
}

const runs: [FileSystemKind, number][] = [
  ...Array.from({ length: 6 }, (_, index): [FileSystemKind, number] => ['ext4', index + 1]),
  ...Array.from({ length: 3 }, (_, index): [FileSystemKind, number] => ['xfs', index + 101]),
];

describe('power cuts', () => {
  it.each(runs)('on %s, seed %i', { timeout: 120_000 }, (kind, seed) => {
    base = fs.mkdtempSync(join(tmpdir(), 'power-cut-'));
    disk = new PowerCutDisk(base, kind, DISK_BYTES);
    const copy = join(disk.dir, 'copy');
    fs.mkdirSync(copy, { mode: 0o755 });
    rig = new ApplierRig({ copy });
    const random = new Random(seed);
    let lost = 0;
    for (let life = 0; life < LIVES; life += 1) {
      // First of all a checkpoint, as the standby makes one: applied, on the disk, noted.
      const settled = rig.applySome(random);
      rig.sync();
      rig.moveCheckpoint(settled);
      for (let i = 0; i < 80; i += 1) {
        randomOperation(rig.recorder, random);
        if (random.chance(0.2)) rig.applySome(random);
        if (random.chance(0.03)) syncSomething(copy, random);
      }
      const before = rig.applied;
      disk.cut();
      rig.kill();
      disk.powerOn();
      rig.restart();
      lost += before;
    }
    expect(lost).toBeGreaterThan(LIVES);
    rig.applyAll();
    expect(rig.differences({ holes: false })).toEqual([]);
  });
});
