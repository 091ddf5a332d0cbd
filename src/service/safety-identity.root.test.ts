// What a power cut takes from a copy that is being filled comes back from its journal: it was not emptied.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PowerCutDisk } from '../../test/support/power-cut.ts';
import { DirectoryGuard } from './safety-identity.ts';

let base: string;
let disk: PowerCutDisk;
let dir: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'safety-identity-'));
  disk = new PowerCutDisk(base, 'ext4', 64 << 20);
  dir = join(disk.dir, 'copy');
  mkdirSync(dir);
  execFileSync('sync', ['-f', disk.dir]);
});
afterEach(() => {
  disk.close();
  rmSync(base, { recursive: true });
});

const fill = (): void => {
  for (let index = 0; index < 30; index += 1) writeFileSync(join(dir, `file-${index}`), '');
};

/** The guard of a process that starts on the copy. */
function guardOfNext(): { guard: DirectoryGuard; emptied: string | null } {
  const guard = new DirectoryGuard(join(base, 'note.json'), [dir]);
  const emptied = guard.require('standby');
  guard.keep([dir], { isCopy: true });
  return { guard, emptied };
}

/** As a crash does, with what had reached the disk. */
function cutPower(): void {
  disk.cut();
  disk.powerOn();
}

test('entries that the disk does not have count neither at the end nor at the start of a process', async () => {
  const { guard } = guardOfNext();
  await guard.noteDurably();
  fill();
  guard.note();
  guardOfNext();
  cutPower();
  expect(guardOfNext().emptied).toBeNull();
});

test('those that are counted are on the disk, and missed when they are gone', async () => {
  const { guard } = guardOfNext();
  fill();
  await guard.noteDurably();
  cutPower();
  expect(guardOfNext().emptied).toBeNull();
  for (let index = 0; index < 30; index += 1) rmSync(join(dir, `file-${index}`));
  expect(guardOfNext().emptied).toContain('was emptied');
});

test('those that were removed are not missed', async () => {
  const { guard } = guardOfNext();
  fill();
  await guard.noteDurably();
  for (let index = 0; index < 30; index += 1) rmSync(join(dir, `file-${index}`));
  guard.note();
  expect(guardOfNext().emptied).toBeNull();
});
