// What a scan or a comparison cannot read must not pass for something that is equal, empty or gone.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { cutDiskPower } from '../../lab/disk.ts';
import { FilterMirror } from '../../test/support/filter-mirror.ts';

const FILES = 300;

let mirror: FilterMirror;
afterEach(async () => {
  await mirror.stop().catch(() => undefined);
});

const text = (n: number, version: string): string => `${version} of file ${n}\n`.repeat(500);

/** Both sides have the files, the copy in an older version. */
function fill(a: string, b: string): void {
  for (const [dir, version] of [
    [a, 'new'],
    [b, 'old'],
  ] as const) {
    mkdirSync(join(dir, 'sub'));
    for (let n = 0; n < FILES; n += 1) {
      writeFileSync(join(dir, n % 2 === 0 ? '' : 'sub', `f${n}`), text(n, version));
    }
  }
}

/** Nothing of what the copy has may be gone; how many files are in the old version. */
function oldFiles(): number {
  let old = 0;
  for (let n = 0; n < FILES; n += 1) {
    const path = join(mirror.b, n % 2 === 0 ? '' : 'sub', `f${n}`);
    expect(existsSync(path), path).toBe(true);
    const found = readFileSync(path, 'utf8');
    if (found === text(n, 'old')) old += 1;
    else expect(found, path).toBe(text(n, 'new'));
  }
  return old;
}

test.each(['hash', 'full'] as const)(
  'a disk that answers every read with an error (%s): no end of the scan',
  async (mode) => {
    mirror = await FilterMirror.start({ captureFromStart: false, prepare: fill });
    expect(cutDiskPower(mirror.underneath)).toBe(true);
    await mirror.scan({ mode });
    await expect(mirror.failure).rejects.toThrow(/\/a\S* cannot be read \(EIO\)/);
    // A full scan begins each file anew.
    if (mode === 'hash') expect(oldFiles()).toBe(FILES);
  },
);

test('a comparison has no result either', async () => {
  mirror = await FilterMirror.start({ prepare: fill });
  expect(cutDiskPower(mirror.underneath)).toBe(true);
  const verified = mirror.verify();
  await expect(mirror.failure).rejects.toThrow(/cannot be read \(EIO\)/);
  await expect(verified).rejects.toThrow(/cannot be read/);
});
