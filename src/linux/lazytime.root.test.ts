import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../test/support/loop-image.ts';
import { cutPower } from '../../test/support/power-cut.ts';
import { keepsTimesBack } from './lazytime.ts';

let base: string;
let dir: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'lazytime-'));
  dir = join(base, 'disk');
});
afterEach(() => {
  unmountLazily(dir);
  rmSync(base, { recursive: true });
});

function mount(mountOptions = ''): void {
  const mkfs = ['-b', '4096'];
  const image = join(base, 'image');
  mountLoopImage({ kind: 'ext4', mkfs, mountOptions, image, dir, bytes: 64 * 1024 * 1024 });
}

it('sees the mount option, also when it is changed', () => {
  mount();
  const fd = openSync(dir, 'r');
  expect(keepsTimesBack(fd)).toBe(false);
  for (const [options, expected] of [
    ['lazytime', true],
    ['nolazytime', false],
    ['commit=600', true],
    ['commit=10', false],
  ] as const) {
    execFileSync('mount', ['-o', `remount,${options}`, dir]);
    expect([options, keepsTimesBack(fd)]).toEqual([options, expected]);
  }
  closeSync(fd);
});

it('contents that the kernel has written have the time of before after a power cut, where the journal is committed seldom', async () => {
  mount('commit=600');
  const path = join(dir, 'file');
  const BYTES = 65_536;
  fs.writeFileSync(path, Buffer.alloc(BYTES, 'a'));
  execFileSync('sync', ['-f', dir]);
  const before = statSync(path).ctimeMs;
  await sleep(100);
  const fd = openSync(path, 'r+');
  fs.writeSync(fd, Buffer.alloc(BYTES, 'b'));
  closeSync(fd);
  expect(statSync(path).ctimeMs).toBeGreaterThan(before);
  // Pages only, as the kernel does after half a minute.
  execFileSync('xfs_io', ['-c', `sync_range -a -b -w 0 ${BYTES}`, path], { stdio: 'pipe' });
  const top = openSync(dir, 'r');
  expect(keepsTimesBack(top)).toBe(true);
  closeSync(top);
  cutPower(dir);
  execFileSync('umount', [dir]);
  execFileSync('mount', ['-o', 'loop', join(base, 'image'), dir]);
  expect(readFileSync(path, 'latin1')[0]).toBe('b');
  expect(statSync(path).ctimeMs).toBe(before);
});
