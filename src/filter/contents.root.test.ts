// Contents of files through the filter: holes, ranges, limits, and failures that reach the caller.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { shell, shellError, startShell } from '../../test/support/shell.ts';
import { AT, errno, FALLOC, O, SEEK } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { FILE_END_MAX, Stat } from '../linux/stat.ts';

let mirror: FilterMirror;
beforeAll(async () => {
  mirror = await FilterMirror.start();
});
afterAll(async () => await mirror.stop());

const MiB = 1024 * 1024;
const stat = new Stat();

function open(name: string, flags = O.RDWR | O.CREAT): number {
  const fd = sys.openat(AT.FDCWD, cstring(`${mirror.a}/${name}`), flags | O.CLOEXEC, 0o644);
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

function fill(fd: number, offset: number, length: number, byte = 0x61): void {
  const bytes = Buffer.alloc(length, byte);
  expect(sys.pwrite(fd, bytes, length, offset)).toBe(length);
}

function sizeOf(fd: number): number {
  expect(stat.fd(fd)).toBe(0);
  return stat.size;
}

/** Room in the shared image for the tests that fill one of their own. */
async function withMirror(
  bytes: number,
  test: (small: FilterMirror) => Promise<void>,
): Promise<void> {
  const small = await FilterMirror.start({ bytes });
  try {
    await test(small);
  } finally {
    await small.stop();
  }
}

describe('ranges', () => {
  it('fallocate in all its modes', async () => {
    const fd = open('allocated');
    fill(fd, 0, 200_000);
    const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = FALLOC;
    expect(sys.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 10_000, 50_000)).toBe(0);
    expect(sys.fallocate(fd, ZERO_RANGE, 100_001, 20_000)).toBe(0);
    expect(sys.fallocate(fd, ZERO_RANGE | KEEP_SIZE, 190_000, 100_000)).toBe(0);
    expect(sizeOf(fd)).toBe(200_000);
    expect(sys.fallocate(fd, KEEP_SIZE, 200_000, 100_000)).toBe(0);
    expect(sizeOf(fd)).toBe(200_000);
    expect(sys.fallocate(fd, 0, 0, 300_000)).toBe(0);
    expect(sizeOf(fd)).toBe(300_000);
    expect(sys.fallocate(fd, ZERO_RANGE, 300_000, 50_000)).toBe(0);
    expect(sizeOf(fd)).toBe(350_000);
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('collapsing and inserting ranges is refused, not done halfway', async () => {
    const fd = open('collapse');
    fill(fd, 0, 64 * 1024);
    for (const mode of [FALLOC.COLLAPSE_RANGE, FALLOC.INSERT_RANGE])
      expect(sys.fallocate(fd, mode, 0, 8192)).toBe(-errno.EOPNOTSUPP);
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('SEEK_DATA and SEEK_HOLE see what is underneath', () => {
    const fd = open('sparse');
    fill(fd, 1 * MiB, 4096);
    fill(fd, 3 * MiB, 4096);
    expect(sys.lseek(fd, 0, SEEK.DATA)).toBe(1 * MiB);
    expect(sys.lseek(fd, 1 * MiB, SEEK.HOLE)).toBe(1 * MiB + 4096);
    expect(sys.lseek(fd, 2 * MiB, SEEK.DATA)).toBe(3 * MiB);
    expect(sys.lseek(fd, 4 * MiB, SEEK.DATA)).toBe(-errno.ENXIO);
    sys.close(fd);
  });

  it('copy_file_range between files and within one', async () => {
    const from = open('copied');
    fill(from, 0, 100_000);
    fill(from, 300_000, 100_000, 0x62);
    const to = open('copy');
    const offsets = Buffer.alloc(16);
    offsets.writeBigInt64LE(0n, 0);
    offsets.writeBigInt64LE(5000n, 8);
    let copied = 0;
    while (copied < 400_000) {
      const step = sys.copyFileRange(from, offsets, to, offsets.subarray(8), 400_000 - copied, 0);
      expect(step).toBeGreaterThan(0);
      copied += step;
    }
    offsets.writeBigInt64LE(0n, 0);
    offsets.writeBigInt64LE(200_000n, 8);
    expect(sys.copyFileRange(to, offsets, to, offsets.subarray(8), 50_000, 0)).toBe(50_000);
    sys.close(from);
    sys.close(to);
    shell('cp --sparse=always copied copied2; cp --reflink=auto copied copied3', { cwd: mirror.a });
    expect(shell('cmp copied copied2 && cmp copied copied3', { cwd: mirror.a })).toBe('');
    expect(await mirror.differences()).toEqual([]);
  });

  it('a sparse file of one terabyte', async () => {
    const fd = open('terabyte');
    expect(sys.ftruncate(fd, 2 ** 40)).toBe(0);
    fill(fd, 2 ** 40 - 10, 10);
    fill(fd, 2 ** 39 + 1, 10);
    expect(sizeOf(fd)).toBe(2 ** 40);
    const bytes = Buffer.alloc(12);
    expect(sys.pread(fd, bytes, 12, 2 ** 39)).toBe(12);
    expect(bytes.toString('latin1')).toBe(`\0${'a'.repeat(10)}\0`);
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('reads across the end, at the end and behind it', () => {
    const fd = open('short');
    fill(fd, 0, 10_000);
    const bytes = Buffer.alloc(20_000);
    expect(sys.pread(fd, bytes, 20_000, 0)).toBe(10_000);
    expect(sys.pread(fd, bytes, 20_000, 9999)).toBe(1);
    expect(sys.pread(fd, bytes, 20_000, 10_000)).toBe(0);
    expect(sys.pread(fd, bytes, 20_000, 50_000)).toBe(0);
    sys.close(fd);
  });
});

describe('limits', () => {
  it('offsets that the file system or a number here cannot hold are refused', async () => {
    const fd = open('far');
    fill(fd, 0, 100);
    const far = [2 ** 53, 2 ** 53 + 4096, 2 ** 60].map((offset) => BigInt(offset));
    for (const offset of [...far, 2n ** 63n - 1n]) {
      const wide = offset as unknown as number;
      expect([-errno.EFBIG, -errno.EINVAL]).toContain(sys.pwrite(fd, Buffer.alloc(1), 1, wide));
      expect([-errno.EFBIG, -errno.EINVAL]).toContain(sys.ftruncate(fd, wide));
      expect(sys.fallocate(fd, 0, wide, 1)).toBeLessThan(0);
      expect(Math.max(sys.pread(fd, Buffer.alloc(1), 1, wide), 0)).toBe(0);
    }
    expect(sizeOf(fd)).toBe(100);
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('whatever would end nearer to 2^53 than the records can say is refused', async () => {
    const far = await FilterMirror.start({ kind: 'xfs' });
    try {
      const path = cstring(`${far.a}/far`);
      const fd = sys.openat(AT.FDCWD, path, O.RDWR | O.CREAT | O.CLOEXEC, 0o644);
      expect(sys.pwrite(fd, Buffer.alloc(8192), 8192, 2 ** 53 - 4096)).toBe(-errno.EFBIG);
      expect(sys.fchmod(fd, 0o600)).toBe(0);
      expect(sys.ftruncate(fd, Number.MAX_SAFE_INTEGER)).toBe(-errno.EFBIG);
      expect(sys.fallocate(fd, FALLOC.KEEP_SIZE, FILE_END_MAX - 4096, 8192)).toBe(-errno.EFBIG);
      expect(sizeOf(fd)).toBe(0);
      expect(sys.ftruncate(fd, FILE_END_MAX)).toBe(0);
      expect(sys.pwrite(fd, Buffer.alloc(8192, 1), 8192, FILE_END_MAX - 8192)).toBe(8192);
      expect(sys.pwrite(fd, Buffer.alloc(2), 2, FILE_END_MAX - 1)).toBe(-errno.EFBIG);
      expect(sys.fsync(fd)).toBe(0);
      sys.close(fd);
      expect(await far.differences()).toEqual([]);
      await far.scan({ mode: 'hash' });
      expect(await far.differences()).toEqual([]);
    } finally {
      await far.stop();
    }
  });

  it('of a file that was longer before only so much is in the copy, and it can be removed', async () => {
    const wide = (2n ** 54n + 1n) as unknown as number;
    const big = await FilterMirror.start({
      kind: 'xfs',
      prepare: (a) => {
        const fd = sys.openat(AT.FDCWD, cstring(`${a}/huge`), O.RDWR | O.CREAT, 0o644);
        expect(sys.pwrite(fd, Buffer.from('begin'), 5, 0)).toBe(5);
        expect(sys.ftruncate(fd, wide)).toBe(0);
        sys.close(fd);
      },
    });
    try {
      await big.scan({ mode: 'full' });
      shell('chmod 600 huge; mv huge huger; echo fine > other', { cwd: big.a });
      expect(shell('stat -c "%s %a" huger', { cwd: big.a })).toBe('18014398509481985 600\n');
      await big.quiesce();
      const copy = shell('head -c 5 huger; stat -c "%s %a" huger', { cwd: big.b });
      expect(copy).toBe(`begin${FILE_END_MAX} 600\n`);
      expect(await big.verify()).toEqual([]);
      shell('rm huger', { cwd: big.a });
      expect(await big.differences()).toEqual([]);
    } finally {
      await big.stop();
    }
  });

  it('a full disk: the caller learns how much was written, and the copy has just that', async () => {
    await withMirror(16 * MiB, async (small) => {
      const path = cstring(`${small.a}/filler`);
      const fd = sys.openat(AT.FDCWD, path, O.RDWR | O.CREAT | O.CLOEXEC, 0o644);
      const bytes = Buffer.alloc(MiB, 0x63);
      let written = 0;
      let last = 0;
      do {
        last = sys.pwrite(fd, bytes, MiB, written);
        written += Math.max(0, last);
      } while (last > 0);
      expect(last).toBe(-errno.ENOSPC);
      expect(stat.fd(fd)).toBe(0);
      expect(stat.size).toBe(written);
      expect(written).toBeGreaterThan(4 * MiB);
      sys.close(fd);
      expect(await small.differences()).toEqual([]);
      expect(shell('echo x > more 2>&1 || true; ls more', { cwd: small.a })).toContain('more');
      expect(await small.differences()).toEqual([]);
    });
  });

  it('an allocation that runs out of space halfway leaves the same size on both sides', async () => {
    await withMirror(16 * MiB, async (small) => {
      const path = cstring(`${small.a}/filler`);
      const fd = sys.openat(AT.FDCWD, path, O.RDWR | O.CREAT | O.CLOEXEC, 0o644);
      expect(sys.fallocate(fd, 0, 0, 100 * MiB)).toBe(-errno.ENOSPC);
      sys.close(fd);
      expect(await small.differences({ holes: false })).toEqual([]);
    });
  });

  it('a range that was to be zeroed and finds no space is on both sides what became of it', async () => {
    const full = await FilterMirror.start({ kind: 'xfs', bytes: 320 * MiB });
    try {
      shell('head -c 1000000 /dev/urandom > log; fallocate -l 200M filler', { cwd: full.a });
      const path = cstring(`${full.a}/log`);
      const fd = sys.openat(AT.FDCWD, path, O.WRONLY | O.CLOEXEC, 0);
      expect(sys.fallocate(fd, FALLOC.ZERO_RANGE, 4096, 500 * MiB)).toBe(-errno.ENOSPC);
      sys.close(fd);
      expect(shell('tail -c 100000 log | tr -d "\\0"', { cwd: full.underneath })).toBe('');
      expect(await full.differences()).toEqual([]);
    } finally {
      await full.stop();
    }
  });

  it('a copy within the kernel that finds no space leaves the same times on both sides', async () => {
    await withMirror(16 * MiB, async (small) => {
      shell('head -c 1000000 /dev/urandom > from; : > to', { cwd: small.a });
      shell('cat /dev/zero > filler 2>&1 || true; sync filler', { cwd: small.a });
      const [from, to] = ['from', 'to'].map((name) =>
        sys.openat(AT.FDCWD, cstring(`${small.a}/${name}`), O.RDWR | O.CLOEXEC, 0),
      );
      if (from === undefined || to === undefined) throw new Error('two files');
      let copied = 0;
      for (let at = 0; copied >= 0 && at < MiB; at += 4096) {
        // Times of a file have the grain of the kernel's clock.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        copied = sys.copyFileRange(from, 0, to, 0, 4096, 0);
        sys.fsync(to);
      }
      expect(copied).toBe(-errno.ENOSPC);
      for (const fd of [from, to]) sys.close(fd);
      expect(await small.differences()).toEqual([]);
    });
  });

  it('a quota that is exceeded reaches the caller, and the copy has what fitted', async () => {
    const small = await FilterMirror.start({
      kind: 'btrfs',
      prepare: (a) => shell('btrfs quota enable .; btrfs qgroup limit 4M .', { cwd: a }),
    });
    try {
      const script = 'head -c 9000000 /dev/urandom > big';
      expect(shellError(script, { cwd: small.a })).toContain('quota');
      const written = Number(shell('stat -c %s big', { cwd: small.a }));
      expect(written).toBeGreaterThan(1_000_000);
      expect(written).toBeLessThan(5 * MiB);
      expect(await small.differences({ holes: false })).toEqual([]);
    } finally {
      await small.stop();
    }
  });

  it('statfs is that of the file system underneath', () => {
    const command = "stat -f -c '%s %S %b %c %l' .";
    const direct = shell(command, { cwd: mirror.underneath });
    expect(shell(command, { cwd: mirror.a })).toBe(direct);
  });
});

describe('a ring that is full', () => {
  it('makes writers wait, and nothing is lost', async () => {
    const tight = await FilterMirror.start({ ringBytes: 4 * MiB });
    try {
      await tight.hold(true);
      const writer = startShell('head -c 20000000 /dev/urandom > big', { cwd: tight.a });
      const ended = new Promise((resolve) => writer.on('exit', resolve));
      const first = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 700))]);
      expect(first).toBeUndefined();
      await tight.hold(false);
      expect(await ended).toBe(0);
      expect(await tight.differences()).toEqual([]);
    } finally {
      await tight.stop();
    }
  });
});
