// Patterns: what is mirrored, what is not, and what moves between the two.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { filteredTree } from '../../test/support/filtered-tree.ts';
import { FilterMirror, type FilterMirrorOptions } from '../../test/support/filter-mirror.ts';
import { shell, startShell } from '../../test/support/shell.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { MiB } from '../core/units.ts';
import { AT, errno, O, RENAME } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { Patterns } from '../core/patterns.ts';

const EXCLUDE = ['*.tmp', '**/*.tmp', 'cache/**', 'private'];
let mirror: FilterMirror;
let patterns: Patterns;
afterEach(async () => await mirror.stop());

async function start(
  include: string[],
  exclude: string[],
  options: FilterMirrorOptions = {},
): Promise<void> {
  patterns = new Patterns(include, exclude);
  mirror = await FilterMirror.start({ include, exclude, ...options });
}

async function differences(): Promise<string[]> {
  await mirror.quiesce();
  const [a, b] = [mirror.underneath, mirror.b].map((dir) =>
    filteredTree(snapshotTree(dir), patterns),
  );
  const other = snapshotTree(mirror.b);
  const surplus = [...other.entries.keys()].filter((path) => b?.entries.has(path) === false);
  if (a === undefined || b === undefined) throw new Error('two trees');
  return [...compareTrees(a, b), ...surplus.map((path) => `${path} should not be in the copy`)];
}

const here = (script: string): string => shell(script, { cwd: mirror.a });
const path = (name: string): Buffer => cstring(`${mirror.a}/${name}`);
const rename = (from: string, to: string): number =>
  sys.renameat2(AT.FDCWD, path(from), AT.FDCWD, path(to), 0);
const exchange = (a: string, b: string): number =>
  sys.renameat2(AT.FDCWD, path(a), AT.FDCWD, path(b), RENAME.EXCHANGE);

function open(name: string, flags: number): number {
  const fd = sys.openat(AT.FDCWD, path(name), flags | O.CLOEXEC, 0o644);
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

describe('patterns', () => {
  it('files and directories that are excluded stay out', async () => {
    await start(['**'], EXCLUDE);
    here('mkdir cache private d; touch a a.tmp cache/x private/y d/z d/z.tmp; mkdir cache/sub');
    here('echo 1 > a; echo 2 > a.tmp; ln -s a l; ln -s a l.tmp; mkfifo p p.tmp; rm -r cache/sub');
    expect(await differences()).toEqual([]);
    expect(shell('find . | sort', { cwd: mirror.b })).toBe(
      '.\n./a\n./cache\n./d\n./d/z\n./l\n./p\n',
    );
  });

  it('single files', async () => {
    await start(['conf/app.yaml', 'data.db'], []);
    here('mkdir conf other; echo 1 | tee conf/app.yaml conf/app.bak data.db data.log other/x');
    expect(await differences()).toEqual([]);
    expect(shell('find . -type f | sort', { cwd: mirror.b })).toBe('./conf/app.yaml\n./data.db\n');
  });

  it('files that are renamed into and out of the set', async () => {
    await start(['**'], EXCLUDE);
    here(
      'setfattr -n user.k -v v $(touch one.tmp; echo one.tmp); chmod 640 one.tmp; chown 5:6 one.tmp',
    );
    here('head -c 3000000 /dev/urandom > one.tmp; truncate -s 9000000 one.tmp; mv one.tmp one');
    expect(await differences()).toEqual([]);
    here('setcap cap_net_raw+ep one; mv one one.tmp; mv one.tmp one');
    expect(await differences()).toEqual([]);
    expect(shell('getcap one', { cwd: mirror.b })).toContain('cap_net_raw');
    here('echo more >> one; mv one two.tmp; echo lost >> two.tmp');
    expect(await differences()).toEqual([]);
    here('echo kept > three; mv two.tmp three; mv three four; mv four five.tmp; mv five.tmp six');
    expect(await differences()).toEqual([]);
    here(
      'echo 1 > a; echo 2 > b.tmp; mv a b.tmp; echo 3 > c; mv b.tmp c; mkfifo p.tmp; mv p.tmp p',
    );
    expect(await differences()).toEqual([]);
  });

  it('directories that are renamed into and out of the set', async () => {
    await start(['**'], EXCLUDE);
    here(
      'mkdir -p private/a/b; echo 1 > private/a/f; echo 2 > private/a/b/g.tmp; ln -s f private/a/l',
    );
    here('ln private/a/f private/a/b/hard; mv private/a visible');
    expect(await differences()).toEqual([]);
    here('echo 3 >> visible/f; mkdir cache; mv visible cache/hidden; echo 4 > cache/hidden/f');
    expect(await differences()).toEqual([]);
    here('mv cache/hidden visible; echo 5 >> visible/b/hard');
    expect(await differences()).toEqual([]);
  });

  it('directories whose contents match at one place only', async () => {
    await start(['**'], ['old/*.log', 'old/keep', 'new/*.txt']);
    here(
      'mkdir old new old/sub; echo | tee old/a.log old/a.txt old/sub/x; mkdir old/keep; echo > old/keep/y',
    );
    here('ln old/a.log old/b.log; rmdir new; mv old new');
    expect(await differences()).toEqual([]);
    here('mv new old; echo >> old/a.txt');
    expect(await differences()).toEqual([]);
    here('mkdir new; echo 1 > new/q.log; python3 -c "print(1)" > new/r.txt');
    here('mkdir t; mv old t/; mv new old; mv t/old new; rmdir t');
    expect(await differences()).toEqual([]);
  });

  it('a directory that a rename excludes leaves with all that the copy has of it', async () => {
    await start(['**'], ['new/all', 'new/all/**', 'new/some', 'old/some/*.log']);
    here(
      'mkdir -p old/all/sub old/some; echo 1 | tee old/all/a old/all/sub/b old/some/c old/some/d.log',
    );
    here('echo 2 > old/stays; mv old new');
    expect(await differences()).toEqual([]);
    here('mv new old');
    expect(await differences()).toEqual([]);
  });

  it('exchanges across the border', async () => {
    await start(['**'], EXCLUDE);
    here(
      'echo 1 > in; echo 2 > out.tmp; mkdir -p private/d in-d; echo 3 > private/d/f; echo 4 > in-d/g',
    );
    expect(exchange('in', 'out.tmp')).toBe(0);
    expect(exchange('private/d', 'in-d')).toBe(0);
    expect(await differences()).toEqual([]);
    expect(exchange('in', 'in-d')).toBe(0);
    expect(exchange('in', 'private/d')).toBe(0);
    expect(await differences()).toEqual([]);
  });
});

describe('hard links across the border', () => {
  it('are followed whichever name is used', async () => {
    await start(['**'], EXCLUDE);
    here(
      'echo 1 > x.tmp; ln x.tmp x; echo 2 >> x.tmp; chmod 600 x.tmp; setfattr -n user.a -v 1 x.tmp',
    );
    expect(await differences()).toEqual([]);
    here(
      'ln x y.tmp; rm x.tmp; echo 3 >> y.tmp; ln y.tmp z; rm x; echo 4 >> z; mv z w.tmp; echo 5 >> y.tmp',
    );
    expect(await differences()).toEqual([]);
    here('ln w.tmp back; echo 6 >> y.tmp');
    expect(await differences()).toEqual([]);
  });

  it('that were there before, and of which only the unmirrored name is used', async () => {
    await start(['**'], EXCLUDE, {
      prepare: (a, b) => {
        shell('mkdir deep; echo 1 > deep/in; ln deep/in out.tmp; ln deep/in deep/in2', { cwd: a });
        shell(`cp -a ${a}/deep .; touch -r ${a} .`, { cwd: b });
      },
    });
    here('echo 2 >> out.tmp; cat out.tmp > /dev/null; truncate -s 3 out.tmp; chown 7 out.tmp');
    expect(await differences()).toEqual([]);
  });

  it('come into the set together with their directory', async () => {
    await start(['**'], EXCLUDE, {
      prepare: (a, b) => {
        shell(
          'mkdir in private; echo 1 > in/a; ln in/a private/b; mkdir private/d; ln in/a private/d/c',
          { cwd: a },
        );
        shell('echo 2 > private/d/e; ln private/d/e private/d/f', { cwd: a });
        shell(`mkdir in; cp -a ${a}/in .; touch -r ${a} .`, { cwd: b });
      },
    });
    here('mv private visible; echo 3 >> visible/d/c; echo 4 >> visible/d/f');
    expect(await differences()).toEqual([]);
  });
});

describe('what a former life as a standby left', () => {
  it('is neither seen nor sent', async () => {
    await start(['**'], [], {
      captureFromStart: false,
      prepare: (a) =>
        shell('mkdir -p .understudy/x; echo > .understudy/x/y; echo > file', { cwd: a }),
    });
    expect(here('ls -A')).toBe('file\n');
    await mirror.scan({ mode: 'full' });
    expect(await differences()).toEqual([]);
    expect(shell('ls -A', { cwd: mirror.b })).toBe('file\n');
  });
});

describe('passthrough', () => {
  it('unmirrored files are read and written by the kernel itself', async () => {
    await start(['**'], EXCLUDE);
    const fd = open('big.tmp', O.RDWR | O.CREAT);
    const bytes = Buffer.alloc(1024 * 1024, 0x64);
    // The filter stands still meanwhile: only the kernel can serve this.
    // The kernel asks for capabilities once.
    expect(sys.pwrite(fd, bytes, 1, 0)).toBe(1);
    // If it cannot, this process hangs in its call, so somebody else has to wake the filter.
    const rescue = startShell(`sleep 5; kill -CONT ${mirror.pid}`);
    const began = Date.now();
    process.kill(mirror.pid, 'SIGSTOP');
    for (let i = 0; i < 8; i += 1) {
      expect(sys.pwrite(fd, bytes, bytes.length, i * bytes.length)).toBe(bytes.length);
    }
    expect(sys.pread(fd, bytes, bytes.length, 3 * bytes.length)).toBe(bytes.length);
    process.kill(mirror.pid, 'SIGCONT');
    rescue.kill();
    expect(Date.now() - began).toBeLessThan(4000);
    const append = open('big.tmp', O.WRONLY | O.APPEND);
    expect(sys.write(append, Buffer.from('end'), 3)).toBe(3);
    sys.close(append);
    sys.close(fd);
    expect(shell('stat -c %s big.tmp; tail -c 3 big.tmp', { cwd: mirror.a })).toBe('8388611\nend');
    expect(await differences()).toEqual([]);
  });

  it('a file that the kernel writes cannot slip into the set; mv copies it then', async () => {
    await start(['**'], EXCLUDE);
    const fd = open('busy.tmp', O.RDWR | O.CREAT);
    here('mkdir private; echo > private/x');
    const deep = open('private/y', O.RDWR | O.CREAT);
    expect(sys.pwrite(fd, Buffer.from('one'), 3, 0)).toBe(3);
    expect(rename('busy.tmp', 'busy')).toBe(-errno.EXDEV);
    expect(rename('private', 'visible')).toBe(-errno.EXDEV);
    expect(sys.linkat(AT.FDCWD, path('busy.tmp'), AT.FDCWD, path('busy'), 0)).toBe(-errno.EXDEV);
    expect(rename('busy.tmp', 'other.tmp')).toBe(0);
    here('mv other.tmp busy');
    sys.close(deep);
    expect(rename('private', 'visible')).toBe(0);
    sys.close(fd);
    expect(await differences()).toEqual([]);
    expect(shell('cat busy', { cwd: mirror.b })).toBe('one');
  });

  it('nor with a directory that has a name of it that nobody has looked at', async () => {
    await start(['**'], ['inbox'], {
      prepare: (a) =>
        shell('mkdir -p inbox/a inbox/b; echo 1 > inbox/a/f; ln inbox/a/f inbox/b/f', { cwd: a }),
    });
    const fd = open('inbox/a/f', O.WRONLY);
    expect(rename('inbox/b', 'final')).toBe(-errno.EXDEV);
    here('mkdir inbox/c; mv inbox/c elsewhere');
    sys.close(fd);
    expect(rename('inbox/b', 'final')).toBe(0);
    here('echo 2 >> inbox/a/f');
    expect(await differences()).toEqual([]);
    expect(shell('cat final/f', { cwd: mirror.b })).toBe('1\n2\n');
  });

  it('a file that leaves the set while it is open stays with the driver', async () => {
    await start(['**'], EXCLUDE);
    const fd = open('log', O.RDWR | O.CREAT);
    here('mv log log.tmp; echo rotated > log');
    expect(sys.pwrite(fd, Buffer.from('old'), 3, 0)).toBe(3);
    const second = open('log.tmp', O.RDWR);
    expect(sys.pwrite(second, Buffer.from('!'), 1, 3)).toBe(1);
    here('mv log.tmp log2');
    expect(sys.pwrite(fd, Buffer.from('?'), 1, 4)).toBe(1);
    sys.close(second);
    sys.close(fd);
    expect(await differences()).toEqual([]);
    expect(shell('cat log log2', { cwd: mirror.b })).toBe('rotated\nold!?');
  });
});

/** The scanner waits in the middle of the directory: its names are more than it may put into the ring. */
const NAMES = 2800;
const NAME_CHARS = 240;

it('a directory that a scan is in leaves what is mirrored, and comes back', async () => {
  await start(['**'], ['*.out'], { captureFromStart: false, ringBytes: 4 * MiB });
  here(`mkdir d; cd d; seq -f '%0${NAME_CHARS}.0f' ${NAMES} | xargs touch`);
  await mirror.hold(true);
  await mirror.scan({ mode: 'full' });
  await sleep(500);
  // Its records need more room than there is now.
  const moving = startShell(`cd ${mirror.a}; mv d d.out; mv d.out d`);
  const moved = once(moving, 'exit');
  await sleep(300);
  await mirror.hold(false);
  expect(await moved).toEqual([0, null]);
  expect(await differences()).toEqual([]);
});
