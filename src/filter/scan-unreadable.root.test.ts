// What a scan or a comparison cannot read must not pass for something that is equal, empty or gone.
import { execFileSync } from 'node:child_process';
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

/** Everything that is in the stream is in the copy then. */
async function faultFound(): Promise<string | undefined> {
  await mirror.quiesce();
  return (await mirror.counters()).fault;
}

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
    expect(await faultFound()).toMatch(/\/a\S* cannot be read \(EIO\)/);
    // A full scan begins each file anew.
    if (mode === 'hash') expect(oldFiles()).toBe(FILES);
  },
);

/** Makes the inode of a file unreadable on the disk. */
function damageInode(path: string): void {
  execFileSync('sync');
  const device = execFileSync('findmnt', ['-no', 'SOURCE', '-T', path], { encoding: 'utf8' });
  const request = `set_inode_field /sub/${path.split('/').at(-1)} block[0] 0`;
  execFileSync('debugfs', ['-w', '-R', request, device.trim()], { stdio: 'pipe' });
  for (let tries = 0; canBeRead(path); tries += 1) {
    if (tries === 50) throw new Error(`the kernel keeps the inode of ${path}`);
    execFileSync('sleep', ['0.1']);
  }
}

/** As the disk has it, unless somebody holds what the kernel knows of it in this moment. */
function canBeRead(path: string): boolean {
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

test('one file whose inode is damaged: named, and its directory loses nothing', async () => {
  mirror = await FilterMirror.start({
    captureFromStart: false,
    prepare: (a, b) => {
      fill(a, b);
      damageInode(join(a, 'sub/f151'));
    },
  });
  await mirror.scan({ mode: 'hash' });
  expect(await faultFound()).toMatch(/\/a\/sub\/f151 cannot be read \(EUCLEAN\)/);
  expect(oldFiles()).toBeGreaterThan(0);
});

test('a comparison has no result either', async () => {
  mirror = await FilterMirror.start({ prepare: fill });
  expect(cutDiskPower(mirror.underneath)).toBe(true);
  await mirror.verify();
  expect(await faultFound()).toMatch(/cannot be read \(EIO\)/);
});
