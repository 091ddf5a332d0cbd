// The filter dies at chosen points of each operation that must not be carried out twice, and the next one
// finds out how far it came: the call succeeds, and its records are in the stream once.
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Point } from '../../test/support/die-at.ts';
import { shell, startShell } from '../../test/support/shell.ts';
import { SuccessionRig } from '../../test/support/succession-rig.ts';
import { op } from './fuse-protocol.ts';

let rig: SuccessionRig;
beforeAll(async () => {
  rig = await SuccessionRig.start({ dies: true });
});
afterAll(async () => await rig.stop());

const long = process.env['UNDERSTUDY_LONG'] === '1';
const points: readonly Point[] = ['done', 'recorded', 'settled'];

interface Case {
  readonly name: string;
  readonly opcode: number;
  readonly before?: string;
  /** The call that is interrupted, and what must be true right after it. */
  readonly call: string;
  readonly after?: string;
  readonly points?: readonly Point[];
}

const python = (code: string): string => `python3 -c '${code}'`;
const exchange = python(
  'import ctypes; l = ctypes.CDLL(None); exit(0 if l.renameat2(-100, b"a", -100, b"b", 2) == 0 else 1)',
);

const cases: readonly Case[] = [
  { name: 'mkdir', opcode: op.MKDIR, call: 'mkdir new', after: 'rmdir new; mkdir new' },
  { name: 'symlink', opcode: op.SYMLINK, call: 'ln -s target new', after: 'readlink new' },
  { name: 'mknod', opcode: op.MKNOD, call: 'mkfifo new', after: '[ -p new ]' },
  {
    name: 'create',
    opcode: op.CREATE,
    call: 'set -C; echo x > new',
    after: '[ "$(cat new)" = x ]',
  },
  {
    name: 'create in a directory with a default ACL',
    opcode: op.CREATE,
    before: 'setfacl -d -m u:1:rwx .',
    call: 'set -C; echo x > new',
  },
  { name: 'link', opcode: op.LINK, before: 'echo 1 > a', call: 'ln a b', after: 'rm a; cat b' },
  { name: 'unlink', opcode: op.UNLINK, before: 'echo 1 > a', call: 'rm a', after: '[ ! -e a ]' },
  {
    name: 'unlink of one of two names',
    opcode: op.UNLINK,
    before: 'echo 1 > a; ln a b',
    call: 'rm a',
    after: 'echo 2 >> b; [ ! -e a ]',
  },
  {
    name: 'unlink of an open file',
    opcode: op.UNLINK,
    before: 'echo 1 > a',
    call: 'exec 3<>a; rm a; echo 2 >> /proc/self/fd/3; [ "$(cat /proc/self/fd/3)" = "$(printf "1\\n2")" ]',
  },
  { name: 'rmdir', opcode: op.RMDIR, before: 'mkdir a', call: 'rmdir a', after: '[ ! -e a ]' },
  {
    name: 'rename',
    opcode: op.RENAME2,
    before: 'mkdir a; echo 1 > a/x; stat a/x',
    call: 'mv --no-target-directory a b',
    after: 'echo 2 >> b/x; [ ! -e a ]',
  },
  {
    name: 'rename over a file',
    opcode: op.RENAME,
    before: 'echo 1 > a; echo 2 > b',
    call: 'mv -f a b',
    after: '[ "$(cat b)" = 1 ]; [ ! -e a ]',
  },
  {
    name: 'rename over an open file with another name',
    opcode: op.RENAME,
    before: 'echo 1 > a; echo 2 > b; ln b c',
    call: 'exec 3<>b; mv -f a b; echo 3 >&3; [ "$(cat c)" = 3 ]',
  },
  {
    name: 'exchange',
    opcode: op.RENAME2,
    before: 'echo 1 > a; mkdir b; echo 2 > b/x',
    call: exchange,
    after: '[ -d a ]; [ "$(cat b)" = 1 ]; echo 3 >> a/x',
  },
  {
    name: 'an attribute is created',
    opcode: op.SETXATTR,
    before: 'touch a',
    call: python('import os; os.setxattr("a", "user.x", b"1", os.XATTR_CREATE)'),
    after: '[ "$(getfattr --only-values -n user.x a)" = 1 ]',
    points: ['done'],
  },
  {
    name: 'an attribute is removed',
    opcode: op.REMOVEXATTR,
    before: 'touch a; setfattr -n user.x -v 1 a',
    call: 'setfattr -x user.x a',
    points: ['done'],
  },
  {
    name: 'open',
    opcode: op.OPEN,
    before: 'echo 1 > a',
    call: '[ "$(cat a)" = 1 ]',
    points: ['recorded', 'settled'],
  },
  {
    name: 'opendir',
    opcode: op.OPENDIR,
    before: 'touch a b',
    call: '[ "$(ls | wc -l)" = 2 ]',
    points: ['recorded', 'settled'],
  },
  {
    name: 'a file without a name is made, written and linked',
    opcode: op.TMPFILE,
    call: python(
      'import os; f = os.open(".", os.O_TMPFILE | os.O_RDWR); os.write(f, b"x"); os.link("/proc/self/fd/%d" % f, "new", src_dir_fd=0, follow_symlinks=True)',
    ),
    after: '[ "$(cat new)" = x ]',
  },
  {
    name: 'the last close of a file without a name',
    opcode: op.RELEASE,
    call: python(
      'import os; f = os.open(".", os.O_TMPFILE | os.O_RDWR); os.write(f, b"x"); os.close(f)',
    ),
  },
  {
    name: 'an append',
    opcode: op.WRITE,
    before: 'echo 1 > a',
    call: 'echo 2 >> a',
    after: '[ "$(wc -l < a)" = 2 ]',
    points: ['done', 'recorded'],
  },
  {
    name: 'a truncation',
    opcode: op.SETATTR,
    before: 'echo 123456 > a',
    call: 'truncate -s 3 a',
    after: '[ "$(cat a)" = 123 ]',
    points: ['done', 'recorded'],
  },
];

async function run(script: string, cwd: string): Promise<number | null> {
  const [code] = (await once(startShell(`set -e; ${script}`, { cwd }), 'exit')) as [number | null];
  return code;
}

/** All of them take a while: otherwise each operation has its turn at one point. */
function pointsOf(index: number, own: readonly Point[] = points): readonly Point[] {
  return long ? own : own.filter((_, at) => at === index % own.length);
}

const turns = cases.map((one, index) => ({ ...one, turn: pointsOf(index, one.points) }));

describe.each(turns)('$name', ({ name, opcode, before, call, after, turn }) => {
  it.each(turn)('dies when it is %s', async (point) => {
    const directory = `${name}-${point}`.replaceAll(' ', '-');
    shell(`mkdir ${directory}; cd ${directory}; ${before ?? ''}`, { cwd: rig.a });
    const cwd = `${rig.a}/${directory}`;
    const died = rig.dieAt(opcode, point);
    const code = run(call, cwd);
    await died;
    expect(await code).toBe(0);
    if (after !== undefined) expect(await run(after, cwd)).toBe(0);
    expect(await rig.differences()).toEqual([]);
  });
});
