import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { replaceFile } from './replace-file.ts';

const PAGE = 4096;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'replace-file-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${8 * PAGE}`, 'none', dir]);
});
afterEach(() => {
  execFileSync('umount', ['-l', dir]);
  rmSync(dir, { recursive: true });
});

it('keeps the old file on a disk that takes only a part of the new one', () => {
  const path = join(dir, 'state.json');
  replaceFile(path, 'the old one');
  // One page is left: it takes the first half.
  writeFileSync(join(dir, 'filler'), Buffer.alloc(6 * PAGE));
  const text = 'x'.repeat(2 * PAGE);
  expect(() => replaceFile(path, text)).toThrow(
    expect.objectContaining({ code: 'STATE_IO', message: expect.stringContaining('ENOSPC') }),
  );
  expect(readFileSync(path, 'utf8')).toBe('the old one');
  // What could not be finished takes no space.
  expect(readdirSync(dir).toSorted()).toEqual(['filler', 'state.json']);

  rmSync(join(dir, 'filler'));
  writeFileSync(`${path}.new`, 'of a process that was killed', { mode: 0o644 });
  replaceFile(path, text);
  expect(readFileSync(path, 'utf8')).toBe(text);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
