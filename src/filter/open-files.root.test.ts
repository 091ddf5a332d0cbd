// Files that are open: without a name, under several, by several processes, mapped into memory.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { MAP, memory, MS_SYNC, PROT_WRITE } from '../../test/support/random-ops/calls.ts';
import { shell, shellError, startShell } from '../../test/support/shell.ts';
import { AT, O } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';

let mirror: FilterMirror;
beforeAll(async () => {
  mirror = await FilterMirror.start({
    prepare: (a, b) => {
      shell('echo old > one; ln one two; echo old > old; ln old older', { cwd: a });
      shell(`cp -a ${a}/. .; touch -r ${a} .`, { cwd: b });
    },
  });
});
afterAll(async () => await mirror.stop());

function open(name: string, flags: number, mode = 0o644): number {
  const fd = sys.openat(AT.FDCWD, cstring(`${mirror.a}/${name}`), flags | O.CLOEXEC, mode);
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

function write(fd: number, text: string, offset: number): void {
  const bytes = Buffer.from(text);
  expect(sys.pwrite(fd, bytes, bytes.length, offset)).toBe(bytes.length);
}

/** Commits that have begun; their records are counted when they have reached the copy. */
const commits = async (): Promise<number> => {
  await mirror.quiesce();
  return (await mirror.counters()).byType['commit'] ?? 0;
};

describe('names of open files', () => {
  it('a file whose other name nobody has looked up is kept when its own goes', async () => {
    const fd = open('old', O.RDWR);
    shell('rm old', { cwd: mirror.a });
    write(fd, 'new contents', 2);
    await mirror.quiesce();
    expect(shell('cat older', { cwd: mirror.b })).toBe('olnew contents');
    sys.close(fd);
    shell('echo more >> older', { cwd: mirror.a });
    expect(await mirror.differences()).toEqual([]);
  });

  it('the other name serves on without being looked up again', async () => {
    shell('echo > x; ln x y; stat x y; rm x; echo more >> y; chmod 600 y', { cwd: mirror.a });
    expect(await mirror.differences()).toEqual([]);
  });

  it('an unlinked file lives on until closed, and the copy has nothing of it', async () => {
    const fd = open('gone', O.RDWR | O.CREAT);
    write(fd, 'a', 0);
    shell('rm gone', { cwd: mirror.a });
    write(fd, 'b', 1);
    const bytes = Buffer.alloc(2);
    expect(sys.pread(fd, bytes, 2, 0)).toBe(2);
    expect(bytes.toString()).toBe('ab');
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
  });

  it('a file that is replaced by a rename lives on until closed', async () => {
    shell('echo 1 > config; echo 2 > config.new', { cwd: mirror.a });
    const fd = open('config', O.RDWR);
    shell('mv config.new config', { cwd: mirror.a });
    write(fd, 'late', 0);
    const stat = new Stat();
    expect(stat.fd(fd)).toBe(0);
    expect(stat.nlink).toBe(0);
    sys.close(fd);
    expect(shell('cat config', { cwd: mirror.a })).toBe('2\n');
    expect(await mirror.differences()).toEqual([]);
  });

  it('O_TMPFILE: linked with its contents, or nothing', async () => {
    const kept = open('.', O.TMPFILE | O.RDWR, 0o640);
    write(kept, 'before', 0);
    const flags = AT.SYMLINK_FOLLOW;
    const target = cstring(`${mirror.a}/linked`);
    expect(sys.linkat(AT.FDCWD, cstring(`/proc/self/fd/${kept}`), AT.FDCWD, target, flags)).toBe(0);
    write(kept, ' and after', 6);
    const dropped = open('.', O.TMPFILE | O.RDWR, 0o640);
    write(dropped, 'nothing', 0);
    sys.close(dropped);
    sys.close(kept);
    expect(shell('cat linked; stat -c %a linked', { cwd: mirror.a })).toBe('before and after640\n');
    expect(await mirror.differences()).toEqual([]);
    expect(shell('ls -A', { cwd: mirror.b })).not.toContain('.understudy');
  });

  it('the same descriptors go on through a directory that is renamed', async () => {
    shell('mkdir -p d/e; echo x > d/e/f', { cwd: mirror.a });
    const fd = open('d/e/f', O.RDWR);
    shell('mv d other', { cwd: mirror.a });
    write(fd, 'moved', 1);
    sys.close(fd);
    expect(await mirror.differences()).toEqual([]);
    expect(shell('cat other/e/f', { cwd: mirror.b })).toBe('xmoved');
  });
});

describe('ways of writing', () => {
  it('O_APPEND from two processes loses and tears nothing', async () => {
    const line = 'x'.repeat(120);
    const script = `for i in $(seq 400); do echo $0-$i-${line}; done >> log`;
    const writers = ['a', 'b'].map((name) =>
      startShell(script.replace('$0', name), { cwd: mirror.a }),
    );
    await Promise.all(writers.map((child) => new Promise((resolve) => child.on('exit', resolve))));
    const lines = shell('cat log', { cwd: mirror.a }).trimEnd().split('\n');
    expect(lines.length).toBe(800);
    expect(lines.every((text) => /^[ab]-\d+-x{120}$/.test(text))).toBe(true);
    expect(await mirror.differences()).toEqual([]);
  });

  it.each([
    ['O_SYNC', O.SYNC],
    ['O_DSYNC', O.DSYNC],
    ['O_SYNC with O_DIRECT', O.SYNC | O.DIRECT],
  ])('%s: every write is committed before it returns', async (_name, flags) => {
    const fd = open('synced', O.RDWR | O.CREAT | flags);
    const before = await commits();
    const at = memory.map(0, 4096, PROT_WRITE, MAP.PRIVATE_ANONYMOUS, -1, 0);
    for (let i = 0; i < 5; i += 1) {
      expect(sys.pwrite(fd, at, 4096, i * 4096)).toBe(4096);
      expect(await commits()).toBe(before + i + 1);
    }
    sys.close(fd);
    memory.unmap(at, 4096);
    expect(await mirror.differences()).toEqual([]);
  });

  it('fsync, fdatasync, msync and fsync of a directory are commits', async () => {
    const fd = open('file', O.RDWR | O.CREAT);
    write(fd, 'x'.repeat(4096), 0);
    const before = await commits();
    expect(sys.fsync(fd)).toBe(0);
    expect(sys.fdatasync(fd)).toBe(0);
    const at = memory.map(0, 4096, PROT_WRITE, MAP.SHARED, fd, 0);
    expect(sys.pread(fd, at + 100, 50, 0)).toBe(50);
    expect(memory.sync(at, 4096, MS_SYNC)).toBe(0);
    memory.unmap(at, 4096);
    sys.close(fd);
    const directory = open('.', O.RDONLY | O.DIRECTORY);
    expect(sys.fsync(directory)).toBe(0);
    sys.close(directory);
    expect((await commits()) - before).toBe(4);
    expect(await mirror.differences()).toEqual([]);
  });

  it('O_TRUNC, also by somebody who only reads', async () => {
    shell('echo 12345 > cut; echo 12345 > cut2', { cwd: mirror.a });
    sys.close(open('cut', O.RDONLY | O.TRUNC));
    sys.close(open('cut2', O.RDWR | O.TRUNC));
    expect(shell('stat -c %s cut cut2', { cwd: mirror.a })).toBe('0\n0\n');
    expect(await mirror.differences()).toEqual([]);
  });

  it('O_DIRECT writes and reads', async () => {
    const fd = open('direct', O.RDWR | O.CREAT | O.DIRECT);
    const at = memory.map(0, 65_536, PROT_WRITE, MAP.PRIVATE_ANONYMOUS, -1, 0);
    const source = open('one', O.RDONLY);
    expect(sys.pread(source, at + 4096, 4, 0)).toBe(4);
    sys.close(source);
    expect(sys.pwrite(fd, at, 65_536, 8192)).toBe(65_536);
    expect(sys.pread(fd, at, 65_536, 12_288)).toBe(61_440);
    sys.close(fd);
    memory.unmap(at, 65_536);
    expect(shell('tail -c +12289 direct | head -c 4', { cwd: mirror.a })).toBe('old\n');
    expect(await mirror.differences()).toEqual([]);
  });

  it('stores through a shared mapping that outlives its descriptor', async () => {
    const fd = open('mapped', O.RDWR | O.CREAT);
    expect(sys.ftruncate(fd, 100_000)).toBe(0);
    const at = memory.map(0, 100_000, PROT_WRITE, MAP.SHARED, fd, 0);
    const source = open('one', O.RDONLY);
    for (const offset of [5, 4094, 50_000, 99_990]) sys.pread(source, at + offset, 4, 0);
    sys.close(source);
    sys.close(fd);
    shell('mv mapped elsewhere', { cwd: mirror.a });
    const other = open('two', O.RDONLY);
    expect(sys.pread(other, at + 20_000, 4, 0)).toBe(4);
    sys.close(other);
    memory.unmap(at, 100_000);
    expect(shell('tr -d "\\0" < elsewhere', { cwd: mirror.a })).toBe('old\n'.repeat(5));
    expect(await mirror.differences({ holes: false })).toEqual([]);
  });
});

describe('special files', () => {
  it('carry data between processes that meet on the mount', () => {
    const where = { cwd: mirror.a };
    expect(shell('mkfifo pipe; echo through > pipe & cat pipe', where)).toBe('through\n');
    const server =
      'import socket; s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(); ' +
      'c = socket.socket(socket.AF_UNIX); c.connect("sock"); c.send(b"hello"); print(s.accept()[0].recv(5))';
    expect(shell(`python3 -c '${server}'`, where)).toBe("b'hello'\n");
    expect(shell('mknod null c 1 3; echo x > null; cat null; rm null', where)).toBe('');
  });
});

describe('locks', () => {
  it.each([
    ['flock', 'fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)'],
    ['fcntl', 'fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)'],
  ])('%s keeps other processes away until it is given back', async (_name, call) => {
    const script = (then: string): string =>
      `exec python3 -c 'import fcntl, sys; f = open("locked", "a+"); ${call}; ${then}'`;
    const where = { cwd: mirror.a };
    const holder = startShell(script('print("held", flush=True); sys.stdin.read()'), where);
    const ended = new Promise((resolve) => holder.on('exit', resolve));
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    expect(shellError(script('pass'), where)).toContain('BlockingIOError');
    holder.stdin?.end();
    await ended;
    expect(shell(script('print("mine")'), where)).toBe('mine\n');
  });
});
