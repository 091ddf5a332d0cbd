import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../test/support/loop-image.ts';
import { isLazytime } from './lazytime.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'lazytime-'));
});
afterEach(() => {
  unmountLazily(join(base, 'disk'));
  rmSync(base, { recursive: true });
});

it('sees the mount option, also when it is changed', () => {
  const dir = join(base, 'disk');
  mkdirSync(dir, { recursive: true });
  const image = join(base, 'image');
  mountLoopImage({ kind: 'ext4', mkfs: [], mountOptions: '', image, dir, bytes: 64 * 1024 * 1024 });
  const fd = openSync(dir, 'r');
  expect(isLazytime(fd)).toBe(false);
  execFileSync('mount', ['-o', 'remount,lazytime', dir]);
  expect(isLazytime(fd)).toBe(true);
  closeSync(fd);
});
