import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FailingDisk } from '../../test/support/failing-disk.ts';
import { mountLoopImage, unmountLazily } from '../../test/support/loop-image.ts';
import { systemClock } from '../core/clock.ts';
import { Marks } from '../journal/marks.ts';
import { MarkKeeper } from './mark-keeper.ts';

const GROUP = 'a'.repeat(32);
const MARK = { streamId: '1'.repeat(32), sequence: 5, wallMs: 5 };

let base: string;
let dir: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'mark-keeper-'));
  dir = join(base, 'disk');
});
afterEach(() => {
  unmountLazily(dir);
  rmSync(base, { recursive: true });
});

it('nothing is marked any more when the disk has lost something', async () => {
  const disk = new FailingDisk(join(base, 'store'), dir);
  const file = join(dir, 'file');
  writeFileSync(file, Buffer.alloc(65_536, 1));
  const marks = Marks.open(join(base, 'marks.json'), GROUP, systemClock);
  const fd = openSync(dir, 'r');
  const group = {
    streamId: '2'.repeat(32),
    roots: [{ fd, dir }],
    isComplete: () => true,
    sequence: () => 6,
    askPoint: () => undefined,
    drained: async () => Promise.resolve(),
  };
  const logger = pino({ level: 'silent' });
  const keeper = new MarkKeeper(group, { marks, clock: systemClock, logger });
  await keeper.make({ sequence: 6, wallMs: 5000 });
  disk.breakFile(file);
  writeFileSync(file, Buffer.alloc(65_536, 2), { flag: 'r+' });
  await keeper.make({ sequence: 7, wallMs: 6000 });
  disk.mend();
  await keeper.make({ sequence: 8, wallMs: 7000 });
  closeSync(fd);
  disk.close();
  expect(marks.all.map(({ sequence }) => sequence)).toEqual([6]);
});

it.each([
  { options: 'nolazytime', left: [MARK] },
  { options: 'lazytime', left: [] },
  { options: 'commit=600', left: [] },
])('marks of before a mount with $options', async ({ options, left }) => {
  mountLoopImage({ image: join(base, 'image'), dir, bytes: 64 * 1024 * 1024 });
  const path = join(base, 'marks.json');
  const marks = Marks.open(path, GROUP, systemClock);
  marks.add(MARK, marks.era);
  execFileSync('mount', ['-o', `remount,${options}`, dir]);
  const fd = openSync(dir, 'r');
  const group = {
    streamId: '2'.repeat(32),
    roots: [{ fd, dir }],
    // As while the standby is away: nothing can be marked.
    isComplete: () => false,
    sequence: () => 6,
    askPoint: () => undefined,
    drained: async () => Promise.resolve(),
  };
  const logger = pino({ level: 'silent' });
  const keeper = new MarkKeeper(group, { marks, clock: systemClock, logger });
  keeper.start();
  await sleep(1500);
  keeper.stop();
  closeSync(fd);
  expect(Marks.open(path, GROUP, systemClock).all).toEqual(left);
});
