// Many objects: large directories, more files than descriptors, objects the filter has forgotten.
import * as fs from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { shell } from '../../test/support/shell.ts';
import { AT, errno, O, SEEK } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';

const ENTRIES = 100_000;
const FILES = 20_000;
const PER_DIRECTORY = 1000;

let mirror: FilterMirror;
beforeAll(async () => {
  mirror = await FilterMirror.start({
    bytes: 1024 * 1024 * 1024,
    mkfs: ['-N', '300000'],
    prepare: (a, b) => {
      shell(`mkdir large; cd large; seq -f 'entry-%.0f' ${ENTRIES} | xargs touch`, { cwd: a });
      shell(
        `for d in $(seq ${FILES / PER_DIRECTORY}); do mkdir many-$d; (cd many-$d; seq ${PER_DIRECTORY} | xargs touch); done`,
        { cwd: a },
      );
      shell('mkdir -p few handles/deep; touch few/one; echo 1 > handles/deep/file', { cwd: a });
      shell('ln -s x handles/link', { cwd: a });
      shell(`cp -a ${a}/. .`, { cwd: b });
    },
  });
});
afterAll(async () => await mirror.stop());

function openDirectory(path: string): number {
  const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
  const fd = sys.openat(AT.FDCWD, cstring(`${mirror.a}/${path}`), flags, 0);
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

interface Position {
  readonly name: string;
  /** Cookie behind the entry. */
  readonly next: bigint;
}

/** At most `limit` entries from where `fd` stands. */
function read(fd: number, limit: number): Position[] {
  const buffer = Buffer.alloc(4096);
  const found: Position[] = [];
  while (found.length < limit) {
    const bytes = sys.getdents64(fd, buffer, buffer.length);
    expect(bytes).toBeGreaterThanOrEqual(0);
    if (bytes === 0) return found;
    for (let at = 0; at < bytes; at += buffer.readUInt16LE(at + 16)) {
      const name = buffer.toString('latin1', at + 19, buffer.indexOf(0, at + 19));
      found.push({ name, next: buffer.readBigUInt64LE(at + 8) });
    }
  }
  return found;
}

describe('a directory of 100,000 entries', () => {
  it('is read completely, every name once', () => {
    const fd = openDirectory('large');
    const names = read(fd, Infinity).map(({ name }) => name);
    sys.close(fd);
    expect(names.length).toBe(ENTRIES + 2);
    expect(new Set(names).size).toBe(ENTRIES + 2);
  });

  it('positions stay true while entries are removed and made', async () => {
    const fd = openDirectory('large');
    const first = read(fd, 5000);
    const mark = first.at(-1) as Position;
    const later = read(fd, 5000).map(({ name }) => name);
    // Some of both the read and the unread part go, and new names come.
    const removed = new Set([...first.slice(0, 500), ...first.slice(-10)].map(({ name }) => name));
    for (const name of later.filter((_, index) => index % 3 === 0)) removed.add(name);
    for (const name of removed)
      if (name.startsWith('entry')) fs.rmSync(`${mirror.a}/large/${name}`);
    for (let i = 0; i < 200; i += 1) fs.writeFileSync(`${mirror.a}/large/fresh-${i}`, '');
    expect(sys.lseek(fd, mark.next as unknown as number, SEEK.SET)).toBeGreaterThanOrEqual(0);
    const rest = read(fd, Infinity).map(({ name }) => name);
    sys.close(fd);
    const unread = new Set(rest);
    expect(unread.size).toBe(rest.length);
    expect(later.filter((name) => !removed.has(name) && !unread.has(name))).toEqual([]);
    expect(first.filter(({ name }) => unread.has(name))).toEqual([]);
    await mirror.quiesce();
    expect(fs.readdirSync(`${mirror.b}/large`).toSorted()).toEqual(
      fs.readdirSync(`${mirror.a}/large`).toSorted(),
    );
  }, 60_000);

  it('a directory is removed while it is read', async () => {
    shell('mkdir doomed; cd doomed; seq 3000 | xargs touch; cd ..; rm -rf doomed', {
      cwd: mirror.a,
    });
    await mirror.quiesce();
    expect(fs.existsSync(`${mirror.b}/doomed`)).toBe(false);
  });
});

describe('more files than descriptors', () => {
  it('are looked at and changed with a bounded number of them', async () => {
    shell('find . -type f -printf "%s" > /dev/null; chmod -R 600 many-?', {
      cwd: mirror.a,
    });
    const { descriptors } = await mirror.counters();
    expect(descriptors).toBeGreaterThan(4000);
    expect(descriptors).toBeLessThan(6500);
    await mirror.quiesce();
    const count = shell('find many-* -type f -perm 600 | wc -l', { cwd: mirror.b });
    expect(Number(count)).toBe(PER_DIRECTORY * 9);
  });

  it('many files open at a time', async () => {
    const open = Array.from({ length: 3000 }, (_, index) => {
      const path = cstring(`${mirror.a}/few/${index}`);
      return sys.openat(AT.FDCWD, path, O.RDWR | O.CREAT | O.CLOEXEC, 0o644);
    });
    for (const fd of open) expect(sys.pwrite(fd, Buffer.from('x'), 1, 0)).toBe(1);
    for (const fd of open) sys.close(fd);
    await mirror.quiesce();
    expect(shell('cat few/* | wc -c', { cwd: mirror.b }).trim()).toBe('3000');
  });
});

function forgetEverything(): void {
  shell('sync; echo 2 > /proc/sys/vm/drop_caches');
}

describe('file handles (NFS)', () => {
  const handle = Buffer.alloc(256);
  const mountId = Buffer.alloc(8);

  function handleOf(path: string): Buffer {
    handle.writeUInt32LE(128, 0);
    const name = cstring(`${mirror.a}/${path}`);
    expect(sys.nameToHandleAt(AT.FDCWD, name, handle, mountId, 0)).toBe(0);
    return Buffer.from(handle.subarray(0, 8 + handle.readUInt32LE(0)));
  }

  it('serve after the kernel and the filter have forgotten the objects', async () => {
    const handles = ['handles/deep/file', 'handles/deep', 'handles/link', 'few/one'].map(handleOf);
    forgetEverything();
    const [file, directory, link, one] = handles as [Buffer, Buffer, Buffer, Buffer];
    const root = openDirectory('.');
    const fd = sys.openByHandleAt(root, file, O.RDWR | O.APPEND);
    expect(fd).toBeGreaterThanOrEqual(0);
    expect(sys.write(fd, Buffer.from('2\n'), 2)).toBe(2);
    sys.close(fd);
    const deep = sys.openByHandleAt(root, directory, O.RDONLY | O.DIRECTORY);
    expect(deep).toBeGreaterThanOrEqual(0);
    expect(
      read(deep, 10)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(['.', '..', 'file']);
    const up = sys.openat(deep, cstring('../link'), O.PATH | O.NOFOLLOW, 0);
    expect(up).toBeGreaterThanOrEqual(0);
    sys.close(up);
    sys.close(deep);
    const path = sys.openByHandleAt(root, link, O.PATH);
    expect(path).toBeGreaterThanOrEqual(0);
    sys.close(path);
    const kept = sys.openByHandleAt(root, one, O.RDWR);
    expect(sys.pwrite(kept, Buffer.from('one'), 3, 0)).toBe(3);
    sys.close(kept);
    sys.close(root);
    await mirror.quiesce();
    expect(shell('cat handles/deep/file few/one', { cwd: mirror.b })).toBe('1\n2\none');
  });

  it('are stale when the object is gone, and never lead to another', () => {
    shell('echo x > few/gone', { cwd: mirror.a });
    const gone = handleOf('few/gone');
    shell('rm few/gone', { cwd: mirror.a });
    forgetEverything();
    shell('for i in $(seq 50); do echo $i > few/reused-$i; done', { cwd: mirror.a });
    const root = openDirectory('.');
    expect(sys.openByHandleAt(root, gone, O.RDONLY)).toBe(-errno.ESTALE);
    sys.close(root);
  });

  it('change mode and owner through a handle too', async () => {
    const file = handleOf('handles/deep/file');
    forgetEverything();
    const root = openDirectory('.');
    const fd = sys.openByHandleAt(root, file, O.RDWR);
    expect(sys.fchmod(fd, 0o604)).toBe(0);
    sys.close(fd);
    sys.close(root);
    await mirror.quiesce();
    const stat = new Stat();
    expect(stat.at(AT.FDCWD, cstring(`${mirror.b}/handles/deep/file`))).toBe(0);
    expect(stat.mode & 0o777).toBe(0o604);
  });
});
