// The lease in the filter: a node without one changes nothing and confirms nothing (guarantee 4).
import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FilterMirror, type FilterMirrorOptions } from '../../test/support/filter-mirror.ts';
import { shell, startShell } from '../../test/support/shell.ts';
import { type PendingCall, SyscallThread } from '../../test/support/syscall-thread.ts';
import { TestLease } from '../../test/support/test-lease.ts';
import { compareTrees, snapshotTree, type Tree } from '../../test/support/tree.ts';
import { AT, errno, O, RENAME, S } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';

/** Long enough for a call that does not wait, and for a lease that is looked at every few ms. */
const PATIENCE_MS = 60;

let lease: TestLease;
let mirror: FilterMirror;
let writer: SyscallThread;
let reader: SyscallThread;
let descriptors: number[] = [];
beforeEach(async () => {
  lease = new TestLease();
  writer = await SyscallThread.start();
  reader = await SyscallThread.start();
});
afterEach(async () => {
  // Whatever waits goes on.
  lease.renew();
  for (const fd of descriptors) sys.close(fd);
  descriptors = [];
  await mirror.stop();
  await Promise.all([writer.stop(), reader.stop()]);
  lease.remove();
});

const IN_USE = `
  head -c 100000 /dev/zero > file; head -c 9000 /dev/zero | tr '\\0' x > other; touch spare doomed emptied
  mkdir dir empty; setfattr -n user.old -v 1 file; ln -s file link`;

async function start(options: FilterMirrorOptions = {}): Promise<void> {
  lease.renew();
  mirror = await FilterMirror.start({ leaseFile: lease.file, ...options });
  shell(IN_USE, { cwd: mirror.a });
}

const at = (name: string): string => `${mirror.a}/${name}`;

function open(name: string, flags: number): number {
  const fd = sys.openat(AT.FDCWD, cstring(at(name)), flags | O.CLOEXEC, 0o600);
  if (fd < 0) throw new Error(`${name} cannot be opened (${fd})`);
  descriptors.push(fd);
  return fd;
}

/** Every operation that changes something or confirms a change. */
function mutations(): Record<string, () => PendingCall> {
  const file = open('file', O.RDWR);
  const other = open('other', O.RDONLY);
  const dir = open('dir', O.RDONLY | O.DIRECTORY);
  const data = Buffer.from('changed');
  const zero = new Uint8Array(8);
  const AT_CWD = AT.FDCWD;
  const make = O.CREAT | O.EXCL | O.WRONLY | O.CLOEXEC;
  return {
    write: () => writer.begin('pwrite', file, data, data.length, 5),
    'write beyond the end': () => writer.begin('pwrite', file, data, data.length, 2e5),
    'open with O_TRUNC': () => writer.begin('openat', AT_CWD, at('emptied'), O.RDWR | O.TRUNC, 0),
    create: () => writer.begin('openat', AT_CWD, at('made'), make, 0o600),
    tmpfile: () => writer.begin('openat', AT_CWD, at('dir'), O.TMPFILE | O.RDWR, 0o600),
    mkdir: () => writer.begin('mkdirat', AT_CWD, at('made-dir'), 0o700),
    mknod: () => writer.begin('mknodat', AT_CWD, at('made-fifo'), S.IFIFO | 0o600, 0),
    symlink: () => writer.begin('symlinkat', 'target', AT_CWD, at('made-link')),
    link: () => writer.begin('linkat', AT_CWD, at('file'), AT_CWD, at('second'), 0),
    rename: () => writer.begin('renameat2', AT_CWD, at('spare'), AT_CWD, at('moved'), 0),
    exchange: () =>
      writer.begin('renameat2', AT_CWD, at('moved'), AT_CWD, at('dir'), RENAME.EXCHANGE),
    unlink: () => writer.begin('unlinkat', AT_CWD, at('doomed'), 0),
    rmdir: () => writer.begin('unlinkat', AT_CWD, at('empty'), AT.REMOVEDIR),
    chmod: () => writer.begin('fchmodat', AT_CWD, at('file'), 0o640, 0),
    chown: () => writer.begin('fchownat', AT_CWD, at('file'), 12, 34, 0),
    utimes: () => writer.begin('utimensat', AT_CWD, at('file'), new Uint8Array(32), 0),
    truncate: () => writer.begin('ftruncate', file, 50_000),
    fallocate: () => writer.begin('fallocate', file, 0, 100_000, 4096),
    copy_file_range: () => writer.begin('copyFileRange', other, zero, file, zero, 4096, 0),
    setxattr: () => writer.begin('lsetxattr', at('file'), 'user.new', data, data.length, 0),
    removexattr: () => writer.begin('lremovexattr', at('file'), 'user.old'),
    fsync: () => writer.begin('fsync', file),
    fdatasync: () => writer.begin('fdatasync', file),
    'fsync of a directory': () => writer.begin('fsync', dir),
  };
}

/** Records of what has been answered. */
const recordCount = async (): Promise<number> => {
  await mirror.quiesce();
  const { byType } = await mirror.counters();
  return Object.values(byType).reduce((sum, count) => sum + count, 0);
};

/** Which parts of files are holes changes by itself when the disk is written to. */
const changesSince = (before: Tree): string[] =>
  compareTrees(before, mirror.underneath, { holes: false });

describe('without a lease', () => {
  it('every operation that changes something waits, and goes on with the lease', async () => {
    await start();
    const failures: string[] = [];
    for (const [name, begin] of Object.entries(mutations())) {
      const before = { tree: snapshotTree(mirror.underneath), records: await recordCount() };
      lease.end();
      const call = begin();
      await sleep(PATIENCE_MS);
      if (!call.isPending) failures.push(`${name} did not wait`);
      const changes = changesSince(before.tree);
      if (changes.length > 0) failures.push(`${name} reached the disk: ${changes.join()}`);
      if ((await recordCount()) !== before.records) failures.push(`${name} left a record`);
      lease.renew();
      const result = await call.result;
      if (result < 0) failures.push(`${name} failed after the renewal (${result})`);
      if (name.includes('open') || name === 'create' || name === 'tmpfile') sys.close(result);
      // The last close is told to the filter without waiting for it; this answer comes after that.
      statfsSync(mirror.a);
      if ((await recordCount()) === before.records) failures.push(`${name} has no record`);
    }
    expect(failures).toEqual([]);
    for (const fd of descriptors.splice(0)) sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('a lease that runs out is as good as none', async () => {
    await start();
    const fd = open('file', O.RDWR);
    lease.keepRenewing(100);
    const first = writer.begin('pwrite', fd, Buffer.from('a'), 1, 0);
    expect(await first.result).toBe(1);
    lease.stopRenewing();
    await sleep(120);
    const second = writer.begin('pwrite', fd, Buffer.from('b'), 1, 0);
    await sleep(PATIENCE_MS);
    expect(second.isPending).toBe(true);
    lease.keepRenewing(100);
    expect(await second.result).toBe(1);
  });

  it('reading waits behind a write that waits, and both go on', async () => {
    await start();
    const fd = open('file', O.RDWR);
    lease.end();
    const write = writer.begin('pwrite', fd, Buffer.from('b'), 1, 0);
    await sleep(PATIENCE_MS);
    const look = reader.begin('openat', AT.FDCWD, at('other'), O.RDONLY | O.CLOEXEC, 0);
    await sleep(PATIENCE_MS);
    expect([write.isPending, look.isPending]).toEqual([true, true]);
    lease.renew();
    expect(await write.result).toBe(1);
    const seen = await look.result;
    expect(seen).toBeGreaterThan(0);
    descriptors.push(seen);
    const bytes = Buffer.alloc(10);
    expect(await reader.begin('pread', seen, bytes, 10, 0).result).toBe(10);
  });

  it('a filter that is taken away fails what waits; nothing of it has happened', async () => {
    await start();
    const fd = open('file', O.RDWR);
    const before = { tree: snapshotTree(mirror.underneath), records: await recordCount() };
    lease.end();
    const write = writer.begin('pwrite', fd, Buffer.from('b'), 1, 0);
    const sync = reader.begin('fsync', fd);
    await sleep(PATIENCE_MS);
    expect([write.isPending, sync.isPending]).toEqual([true, true]);
    await mirror.detach();
    expect([await write.result, await sync.result]).toEqual([-errno.EIO, -errno.EIO]);
    // The file is still open, and without a lease still not to be changed.
    expect(sys.pwrite(fd, Buffer.from('c'), 1, 0)).toBe(-errno.EIO);
    expect(await recordCount()).toBe(before.records);
    expect(changesSince(before.tree)).toEqual([]);
  });

  it('a process that ends with changed pages in memory waits too, until the filter is taken away', async () => {
    await start();
    const process = startShell(
      `exec python3 -c "
import mmap, sys
with open('file', 'r+b') as file:
    memory = mmap.mmap(file.fileno(), 4096)
print('mapped', flush=True)
sys.stdin.readline()
memory[:5] = b'dirty'
"`,
      { cwd: mirror.a },
    );
    const ended = once(process, 'exit');
    await once(process.stdout ?? process, 'data');
    lease.end();
    process.stdin?.write('\n');
    const early = await Promise.race([ended, sleep(300, 'waits')]);
    expect(early).toBe('waits');
    await mirror.detach();
    await ended;
    expect(shell('head -c 5 file | od -An -c', { cwd: mirror.underneath })).not.toContain('d');
  });
});

describe('commits', () => {
  it('are not confirmed when the lease has ended while the standby was asked', async () => {
    await start();
    const fd = open('file', O.RDWR);
    await mirror.gate(true);
    const sync = writer.begin('fdatasync', fd);
    await mirror.quiesce();
    // The local part is done, only the standby's word is missing.
    await sleep(PATIENCE_MS);
    lease.end();
    await mirror.confirm();
    await sleep(PATIENCE_MS);
    expect(sync.isPending).toBe(true);
    lease.renew();
    expect(await sync.result).toBe(0);
    await mirror.gate(false);
  });

  it('of what the standby has already wait for nobody and are not in the stream', async () => {
    await start();
    const fd = open('file', O.RDWR);
    await mirror.gate(true);
    const first = writer.begin('fdatasync', fd);
    await sleep(PATIENCE_MS);
    await mirror.quiesce();
    await mirror.confirm();
    expect(await first.result).toBe(0);
    const { commit } = (await mirror.counters()).byType;
    // Another file, a directory: nothing is on its way.
    const calls = [open('other', O.RDONLY), open('dir', O.RDONLY | O.DIRECTORY), fd];
    for (const each of calls) expect(await writer.begin('fsync', each).result).toBe(0);
    expect((await mirror.counters()).byType['commit']).toBe(commit);
    expect(await writer.begin('pwrite', fd, Buffer.from('new'), 3, 0).result).toBe(3);
    const other = writer.begin('fsync', calls[0] ?? -1);
    await sleep(PATIENCE_MS);
    expect(other.isPending).toBe(true);
    await mirror.quiesce();
    await mirror.confirm();
    expect(await other.result).toBe(0);
    await mirror.gate(false);
  });

  it('wait while nothing is recorded, too, until the standby knows that it needs a scan', async () => {
    await start();
    const fd = open('file', O.RDWR);
    await mirror.gate(true);
    await mirror.disable();
    const first = writer.begin('fdatasync', fd);
    await sleep(PATIENCE_MS);
    expect(first.isPending).toBe(true);
    await mirror.scan({ mode: 'full' });
    await mirror.quiesce();
    await mirror.confirm();
    expect(await first.result).toBe(0);
    await mirror.disable();
    expect(await writer.begin('pwrite', fd, Buffer.from('new'), 3, 0).result).toBe(3);
    const second = writer.begin('fsync', fd);
    await sleep(PATIENCE_MS);
    expect(second.isPending).toBe(true);
    await mirror.gate(false);
    expect(await second.result).toBe(0);
  });

  it('of which more wait than there are slots hold nothing else up, and all end', async () => {
    await start();
    const count = 300;
    shell(`for n in $(seq ${count}); do echo $n > many-$n; done`, { cwd: mirror.a });
    await mirror.gate(true);
    const syncs = startShell(`for n in $(seq ${count}); do sync many-$n & done; wait`, {
      cwd: mirror.a,
    });
    const ended = once(syncs, 'exit');
    const fd = open('file', O.RDWR);
    // Each puts its record into the stream and waits.
    const commits = async (): Promise<number> => (await mirror.counters()).byType['commit'] ?? 0;
    for (let tries = 0; tries < 200 && (await commits()) < count; tries += 1) await sleep(20);
    const meanwhile = writer.begin('pwrite', fd, Buffer.from('new'), 3, 0);
    await sleep(PATIENCE_MS);
    const wasPending = meanwhile.isPending;
    const recorded = await commits();
    await mirror.quiesce();
    await mirror.confirm();
    await ended;
    await mirror.gate(false);
    expect([recorded, wasPending]).toEqual([count, false]);
    expect(await meanwhile.result).toBe(3);
  });

  it('that waited for a lease in many threads are all confirmed', async () => {
    await start();
    const threads = await Promise.all(
      Array.from({ length: 20 }, async () => SyscallThread.start()),
    );
    // The kernel syncs one file once at a time.
    const files = threads.map((_, index) => open(`file-${index}`, O.RDWR | O.CREAT));
    await mirror.gate(true);
    const syncs = threads.map((thread, index) => thread.begin('fsync', files[index] ?? -1));
    await sleep(PATIENCE_MS);
    await mirror.quiesce();
    lease.end();
    await mirror.confirm();
    await sleep(PATIENCE_MS);
    expect(syncs.filter(({ isPending }) => !isPending)).toEqual([]);
    lease.renew();
    expect(await Promise.all(syncs.map(({ result }) => result))).toEqual(threads.map(() => 0));
    await mirror.gate(false);
    await Promise.all(threads.map(async (thread) => thread.stop()));
  });

  it('that the standby has not confirmed fail when the filter is taken away without a lease', async () => {
    await start();
    const fd = open('file', O.RDWR);
    await mirror.gate(true);
    const sync = writer.begin('fdatasync', fd);
    await mirror.quiesce();
    await sleep(PATIENCE_MS);
    lease.end();
    await mirror.detach();
    expect(await sync.result).toBe(-errno.EIO);
  });
});
