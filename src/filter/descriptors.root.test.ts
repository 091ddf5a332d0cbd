// Descriptors of the filter's process: applications use them up, and the filter needs some itself.
import * as fs from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { shell } from '../../test/support/shell.ts';
import { AT, errno, O } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';

let mirror: FilterMirror;
afterEach(async () => await mirror.stop());

const LIMIT = 2000;
const COPIED = 50_000;
const here = (script: string): string => shell(script, { cwd: mirror.a });

function open(name: string, flags: number): number {
  return sys.openat(AT.FDCWD, cstring(`${mirror.a}/${name}`), flags | O.CLOEXEC, 0o644);
}

function rename(from: string, to: string): number {
  const path = (name: string): Buffer => cstring(`${mirror.a}/${name}`);
  return sys.renameat2(AT.FDCWD, path(from), AT.FDCWD, path(to), 0);
}

/** Opens the file until that is refused; the reason comes last. */
function openAll(name: string, flags: number): number[] {
  const opened: number[] = [];
  do opened.push(open(name, flags));
  while ((opened.at(-1) ?? -1) >= 0 && opened.length < 2 * LIMIT);
  return opened;
}

/** While `work` is done, the filter's process gets no further descriptor. */
function withoutDescriptors(work: () => void): void {
  const pid = String(mirror.pid);
  const used = new Set(fs.readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (used.has(free)) free += 1;
  const before = shell(`prlimit --pid ${pid} --nofile -o SOFT --noheadings --raw`).trim();
  shell(`prlimit --pid ${pid} --nofile=${free}:`);
  work();
  shell(`prlimit --pid ${pid} --nofile=${before}:`);
}

describe('descriptors of the filter', () => {
  it('applications that want more are refused, and what the filter has to read is read', async () => {
    mirror = await FilterMirror.start({ exclude: ['*.tmp'], descriptorsMax: LIMIT });
    here('head -c 100000 /dev/urandom | tee from > late.tmp; seq 1000 | xargs touch; mkdir d');
    here('chmod 600 $(seq 1000); mkdir -p one/moved two/replaced');
    const replaced = open('two/replaced', O.RDONLY | O.DIRECTORY);
    const [from, to] = [open('from', O.RDONLY), open('to', O.WRONLY | O.CREAT)];
    const opened = openAll('from', O.RDWR);
    expect(opened.pop()).toBe(-errno.ENFILE);
    expect(opened.length).toBeGreaterThan(LIMIT / 3);
    expect(open('new', O.RDWR | O.CREAT)).toBe(-errno.ENFILE);
    expect(open('d', O.RDONLY | O.DIRECTORY)).toBe(-errno.ENFILE);
    expect(open('.', O.RDWR | O.TMPFILE)).toBe(-errno.ENFILE);
    expect(fs.existsSync(`${mirror.a}/new`)).toBe(false);
    expect(rename('late.tmp', 'late')).toBe(0);
    expect(rename('one/moved', 'two/replaced')).toBe(0);
    expect(sys.copyFileRange(from, 0, to, 0, COPIED, 0)).toBe(COPIED);
    here('chmod 640 $(seq 1000)');
    for (const fd of [from, to, replaced, ...opened]) sys.close(fd);
    here('echo x > new');
    expect(await mirror.differences()).toEqual([]);
  });

  it('what cannot be read when it is to be recorded is brought by a scan, and asked for', async () => {
    mirror = await FilterMirror.start({ exclude: ['*.tmp'] });
    here('head -c 100000 /dev/urandom | tee from > late.tmp; echo x > to');
    // Its threads are there when an answer of theirs is.
    here('sync from');
    const [from, to] = [open('from', O.RDONLY), open('to', O.WRONLY)];
    await mirror.quiesce();
    await mirror.hold(true);
    withoutDescriptors(() => {
      expect(sys.copyFileRange(from, 0, to, 0, COPIED, 0)).toBe(COPIED);
      expect(rename('late.tmp', 'late')).toBe(0);
    });
    for (const fd of [from, to]) sys.close(fd);
    await mirror.hold(false);
    await mirror.quiesce();
    const counters = await mirror.counters();
    expect(counters.scansNeeded).toBeGreaterThan(0);
    expect(counters.lacksScan).toBe(true);
    await mirror.scan({ mode: 'hash' });
    await mirror.quiesce();
    expect((await mirror.counters()).lacksScan).toBe(false);
    expect(await mirror.differences()).toEqual([]);
  });
});
