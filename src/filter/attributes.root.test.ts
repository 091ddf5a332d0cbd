// Owners, modes, ACLs, extended attributes and special objects, as applications of several users see
// them through the filter; the same calls on the file system itself are the measure.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import { shell, shellError, type ShellOptions } from '../../test/support/shell.ts';
import { AT, errno, O, RENAME } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';

let mirror: FilterMirror;
beforeAll(async () => {
  mirror = await FilterMirror.start();
  shell('chmod 755 .. .; mkdir direct; chmod 1777 direct', { cwd: mirror.a });
});
afterAll(async () => await mirror.stop());

const user: ShellOptions = { uid: 1234, gid: 1234 };
const modes = 'find . -printf "%P %y %m %U:%G %n\\n" | sort';

/** Runs a script on the mount and on a file system without filter; both must look the same after. */
function same(name: string, script: string, look = modes): string {
  const dirs = [`${mirror.a}/${name}`, `${mirror.underneath}/direct/${name}`];
  const seen = dirs.map((dir) => {
    shell(`mkdir ${dir}; chmod 1777 ${dir}`);
    shell(script, { cwd: dir });
    return shell(look, { cwd: dir });
  });
  expect(seen[0]).toBe(seen[1]);
  return seen[0] ?? '';
}

const as = (ids: string, command: string): string => {
  const [uid, gid = uid, groups] = ids.split(':');
  const list = groups === undefined ? '--clear-groups' : `--groups=${groups}`;
  return `setpriv --reuid=${uid} --regid=${gid} ${list} bash -c '${command}'`;
};

async function expectEqual(): Promise<void> {
  // What was done underneath has no record.
  shell('rm -rf direct/*', { cwd: mirror.underneath });
  shell('touch direct', { cwd: mirror.a });
  expect(await mirror.differences()).toEqual([]);
}

describe('creation', () => {
  it('belongs to the caller, with his umask', async () => {
    same('create', as('1234', 'umask 027; touch f; mkdir d; mkfifo p; ln -s f l; mknod s p'));
    same('create2', as('1234:99', 'umask 0; touch f; mkdir d d/e; touch d/e/f'));
    await expectEqual();
  });

  it('in setgid directories takes the group of the directory', async () => {
    const script = `mkdir g; chgrp 77 g; chmod 2777 g; ${as('1234', 'cd g; touch f; mkdir d; mkdir d/e; ln -s x l')}`;
    expect(same('setgid', script)).toContain('g/d/e d 2755 1234:77');
    await expectEqual();
  });

  it('inherits default ACLs, which take the place of the umask', async () => {
    const script = `setfacl -d -m u:77:rwx,g:78:r-x,o::--- .; umask 022; touch f; mkdir d; touch d/g; mkfifo d/p; mknod d/c c 1 3`;
    same('acl', script, 'getfacl -Rn . | grep -v "^# file"');
    same(
      'acl2',
      `setfacl -d -m u:77:rwx .; ${as('1234', 'umask 077; touch f; mkdir d; touch d/g')}`,
    );
    await expectEqual();
  });

  it('of devices, fifos and sockets', async () => {
    const script = `mknod c c 4095 1048575; mknod b b 7 300; mknod z c 0 0; mkfifo -m 600 p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'`;
    same('special', script, 'find . -printf "%P %y %m\\n" | sort; stat -c "%n %t:%T" c b z');
    await expectEqual();
  });

  it('is refused without permission, and leaves nothing', async () => {
    shell('mkdir closed; chmod 755 closed', { cwd: mirror.a });
    expect(shellError('touch closed/x', { cwd: mirror.a, ...user })).toContain('Permission denied');
    expect(shell('ls closed', { cwd: mirror.a })).toBe('');
    await expectEqual();
  });
});

describe('setuid, setgid and capabilities', () => {
  it('go when somebody else writes, truncates or changes the owner', async () => {
    const make = 'echo x > $0; chown 1234:1234 $0; chmod 6777 $0';
    const files = ['written', 'truncated', 'opened', 'owned', 'kept', 'grouped'];
    const script = [
      ...files.map((name) => make.replaceAll('$0', name)),
      'chmod 2745 grouped',
      as('4321', 'echo y >> written; truncate -s 0 truncated; : > opened; echo > grouped || true'),
      'chown 1:1 owned',
      'echo root >> kept',
    ].join('\n');
    const seen = same('suid', script);
    expect(seen).toContain('written f 777 ');
    expect(seen).toContain('kept f 6777 ');
    await expectEqual();
  });

  it('go also when space is allocated and when contents are copied within the kernel', async () => {
    const copy = 'import os; os.copy_file_range(os.open("from", 0), os.open("copied", 1), 10)';
    const script = [
      'echo 0123456789 > from; echo "$0" > copy.py',
      ...['allocated', 'copied', 'rooted'].map((name) => `: > ${name}; chmod 6777 ${name}`),
      as('4321', 'fallocate -l 100 allocated; python3 copy.py'),
      'fallocate -l 100 rooted',
    ].join('\n');
    const seen = same('suid2', script.replace('$0', copy.replaceAll('"', "'")));
    expect(seen).toContain('allocated f 777 ');
    expect(seen).toContain('copied f 777 ');
    expect(seen).toContain('rooted f 6777 ');
    await expectEqual();
  });

  it('whoever has written to a program does not run it as setuid', async () => {
    const script = `cp /usr/bin/id .; chmod 4777 id; ./id -u > before; ${as('4321', 'printf "\\177" 1<>id; ./id -u')} > after`;
    const seen = same('suid3', script, 'cat before after');
    expect(seen).toBe('0\n4321\n');
    await expectEqual();
  });

  it('file capabilities are kept until the file changes', async () => {
    const script =
      'for f in a b c d; do echo x > $f; setcap cap_net_raw+ep $f; done; echo y >> b; truncate -s 0 c; chown 5 d';
    const seen = same('capabilities', script, 'getcap a b c d');
    expect(seen).toBe('a cap_net_raw=ep\n');
    await expectEqual();
  });

  it('chmod and chown by the owner, by others and by members of the group', async () => {
    const script = `touch f; chown 1234:50 f; chmod 2755 f; ${as('1234:1234:50', 'chmod g+s,u+x f; chgrp 50 f')}; ${as('1234:1234', 'chmod 2700 f')}; ${as('9', 'chmod 777 f 2>/dev/null; true')}`;
    same('chmod', script);
    await expectEqual();
  });

  it('setgid goes with an ACL change by somebody outside the group', async () => {
    const script = `touch f; chown 1234:50 f; chmod 2755 f; ${as('1234', 'setfacl -m u:9:r f')}`;
    same('aclkill', script, 'getfacl -n f');
    await expectEqual();
  });
});

describe('permissions', () => {
  it('sticky directories, groups and ACLs decide as without the filter', async () => {
    shell('mkdir sticky; chmod 1777 sticky', { cwd: mirror.a });
    shell('touch sticky/mine', { cwd: mirror.a, ...user });
    expect(shellError('rm -f sticky/mine', { cwd: mirror.a, uid: 999 })).toContain('not permitted');
    shell('echo secret > secret; chgrp 50 secret; chmod 640 secret', { cwd: mirror.a });
    expect(shell('cat secret', { cwd: mirror.a, ...user, groups: [50] })).toBe('secret\n');
    expect(shellError('cat secret', { cwd: mirror.a, ...user })).toContain('Permission denied');
    shell('setfacl -m u:1234:r secret', { cwd: mirror.a });
    expect(shell('cat secret', { cwd: mirror.a, ...user })).toBe('secret\n');
    shell('setfacl -b secret', { cwd: mirror.a });
    expect(shellError('cat secret', { cwd: mirror.a, ...user })).toContain('Permission denied');
    await expectEqual();
  });

  it('trusted attributes are for root only', async () => {
    shell('touch t; setfattr -n trusted.x -v 1 t; setfattr -n user.y -v 2 t', { cwd: mirror.a });
    shell('chmod 644 t', { cwd: mirror.a });
    const list = 'getfattr -d -m - --absolute-names t';
    expect(shell(list, { cwd: mirror.a })).toContain('trusted.x');
    const seen = shell(list, { cwd: mirror.a, ...user });
    expect(seen).toContain('user.y');
    expect(seen).not.toContain('trusted');
    await expectEqual();
  });
});

describe('extended attributes and times', () => {
  it('large values, flags, removal', async () => {
    const path = cstring(`${mirror.a}/x`);
    shell('touch x', { cwd: mirror.a });
    const value = Buffer.alloc(3000, 0x42);
    expect(sys.setxattr(path, cstring('user.big'), value, value.length, 0)).toBe(0);
    expect(sys.setxattr(path, cstring('user.big'), value, 1, 1)).toBe(-errno.EEXIST);
    expect(sys.setxattr(path, cstring('user.none'), value, 1, 2)).toBe(-errno.ENODATA);
    expect(sys.setxattr(path, cstring('user.empty'), value, 0, 0)).toBe(0);
    expect(sys.getxattr(path, cstring('user.big'), value, 10)).toBe(-errno.ERANGE);
    expect(sys.getxattr(path, cstring('user.big'), value, 0)).toBe(3000);
    expect(sys.removexattr(path, cstring('user.none'))).toBe(-errno.ENODATA);
    await expectEqual();
  });

  it('names that no call could list are refused', async () => {
    const xfs = await FilterMirror.start({ kind: 'xfs' });
    try {
      shell('touch x', { cwd: xfs.a });
      const path = cstring(`${xfs.a}/x`);
      const set = (n: number): number => {
        const name = `user.${'n'.repeat(240)}${String(n).padStart(4, '0')}`;
        return sys.setxattr(path, cstring(name), Buffer.from('v'), 1, 0);
      };
      const results = Array.from({ length: 300 }, (_, n) => set(n));
      expect(results.indexOf(-errno.ENOSPC)).toBe(Math.floor(65_536 / 250));
      expect(new Set(results)).toEqual(new Set([0, -errno.ENOSPC]));
      expect(set(7)).toBe(0);
      await xfs.scan({ mode: 'hash' });
      expect(await xfs.differences()).toEqual([]);
      expect((await xfs.counters()).fault).toBeUndefined();
    } finally {
      await xfs.stop();
    }
  });

  it('times to the nanosecond, before 1970 and far ahead', async () => {
    const script = `touch -d '1969-12-31 23:59:58.123456789 UTC' old; touch -d '2400-01-01 00:00:00.000000001 UTC' new; touch -a -d @5 access; touch -m -d @6.5 modified; touch link; ln -sf x l; touch -h -d @7.25 l`;
    same('times', script, 'stat -c "%n %y" old new modified l; stat -c "%n %x" access');
    await expectEqual();
  });
});

const at = (path: string): Buffer => cstring(`${mirror.a}/${path}`);
const move = (from: string, to: string, flags: number): number =>
  sys.renameat2(AT.FDCWD, at(from), AT.FDCWD, at(to), flags);

describe('rename', () => {
  it('with its flags', async () => {
    shell('mkdir r r/d; echo 1 > r/a; echo 2 > r/b; echo 3 > r/d/c', { cwd: mirror.a });
    expect(move('r/a', 'r/b', RENAME.NOREPLACE)).toBe(-errno.EEXIST);
    expect(move('r/a', 'r/e', RENAME.NOREPLACE)).toBe(0);
    expect(move('r/e', 'r/d', RENAME.EXCHANGE)).toBe(0);
    expect(move('r/e', 'r/none', RENAME.EXCHANGE)).toBe(-errno.ENOENT);
    expect(move('r/d', 'r/w', RENAME.WHITEOUT)).toBe(-errno.EINVAL);
    expect(move('r/e', 'r/e/f', 0)).toBe(-errno.EINVAL);
    expect(move('r/b', 'r/e', 0)).toBe(-errno.EISDIR);
    expect(shell('cat r/e/c r/d r/b', { cwd: mirror.a })).toBe('3\n1\n2\n');
    await expectEqual();
  });

  it('over an empty directory, over itself and over another name of the same file', async () => {
    shell('mkdir q q/a q/b q/c; touch q/a/x q/f; ln q/f q/g', { cwd: mirror.a });
    expect(move('q/a', 'q/b', 0)).toBe(0);
    expect(move('q/c', 'q/b', 0)).toBe(-errno.ENOTEMPTY);
    expect(move('q/f', 'q/f', 0)).toBe(0);
    expect(move('q/f', 'q/g', 0)).toBe(0);
    expect(shell('ls q q/b', { cwd: mirror.a })).toBe('q:\nb\nc\nf\ng\n\nq/b:\nx\n');
    await expectEqual();
  });
});

describe('names', () => {
  it('any bytes, 255 of them, and paths up to 4096', async () => {
    const names = ['\xff\xfe\x01', 'a\nb', ' ', '\\', 'ü', 'x'.repeat(255), '*?[', '-rf'];
    for (const name of names) {
      const fd = sys.openat(AT.FDCWD, at(name), O.RDWR | O.CREAT | O.EXCL, 0o600);
      expect(fd).toBeGreaterThanOrEqual(0);
      sys.close(fd);
    }
    expect(sys.mkdirat(AT.FDCWD, at('y'.repeat(256)), 0o700)).toBe(-errno.ENAMETOOLONG);
    await expectEqual();
  });

  it('trees deeper than a path may be long: refused where records end, never half recorded', async () => {
    let fd = sys.openat(AT.FDCWD, cstring(mirror.a), O.RDONLY | O.DIRECTORY, 0);
    const name = 'd'.repeat(200);
    let depth = 0;
    for (; depth < 30; depth += 1) {
      const made = sys.mkdirat(fd, cstring(name), 0o755);
      if (made < 0) {
        expect(made).toBe(-errno.ENAMETOOLONG);
        break;
      }
      const next = sys.openat(fd, cstring(name), O.RDONLY | O.DIRECTORY, 0);
      expect(next).toBeGreaterThanOrEqual(0);
      sys.close(fd);
      fd = next;
    }
    expect(depth).toBe(20);
    expect(sys.mkdirat(fd, cstring('f'.repeat(70)), 0o755)).toBe(0);
    sys.close(fd);
    expect(move('d'.repeat(200), `${'e'.repeat(255)}`, 0)).toBe(-errno.ENAMETOOLONG);
    expect(move('d'.repeat(200), 'e', 0)).toBe(0);
    await expectEqual();
    shell('rm -rf e', { cwd: mirror.a });
    await expectEqual();
  });

  it("the name of the standby's own directory does not exist", async () => {
    expect(sys.mkdirat(AT.FDCWD, at('.understudy'), 0o700)).toBe(-errno.EPERM);
    shell('mkdir sub; mkdir sub/.understudy', { cwd: mirror.a });
    expect(shellError('ls .understudy', { cwd: mirror.a })).toContain('No such file');
    await expectEqual();
  });
});
