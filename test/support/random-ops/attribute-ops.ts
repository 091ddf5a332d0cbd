// Operations on attributes, and the checks that read them.
import { AT, O, S, errno, errnoName } from '../../../src/linux/constants.ts';
import { readDirectory, readXattrs } from '../../../src/linux/dirents.ts';
import { cstring, sys } from './calls.ts';
import { checkRead } from './data-ops.ts';
import {
  type Dentry,
  type Inode,
  aclAfterChmod,
  encodeAcl,
  isDirectory,
  isFile,
  isSymlink,
} from './model.ts';
import { type World, show, timespecs } from './world.ts';

export function chmod(world: World): void {
  const dentry = world.object();
  if (dentry?.inode === undefined || isSymlink(dentry.inode)) return;
  const mode = world.random.pick([0o644, 0o600, 0o755, 0o4755, 0o2770, 0o1777, 0, 0o7777]);
  world.log(`chmod 0${mode.toString(8)} ${show(world.pathOf(dentry))}`);
  world.expect(sys.fchmodat(world.rootFd, world.cpath(dentry), mode, 0), 0, 'chmod');
  setMode(dentry.inode, mode);
}

function setMode(inode: Inode, mode: number): void {
  inode.mode = (inode.mode & S.IFMT) | mode;
  inode.acl = aclAfterChmod(inode.acl, mode);
}

/** chown(2) takes the setuid and (with group execution) setgid bit and capabilities from files. */
export function chown(world: World): void {
  const dentry = world.object();
  if (dentry?.inode === undefined) return;
  const { inode } = dentry;
  const uid = world.random.pick([0, 1, 1000, 4_000_000_000, inode.uid]);
  const gid = world.random.pick([0, 5, 100, 3_000_000_000, inode.gid]);
  world.log(`chown ${uid}:${gid} ${show(world.pathOf(dentry))}`);
  const result = sys.fchownat(world.rootFd, world.cpath(dentry), uid, gid, AT.SYMLINK_NOFOLLOW);
  world.expect(result, 0, 'chown');
  inode.uid = uid;
  inode.gid = gid;
  if (isDirectory(inode)) return;
  inode.mode &= ~S.ISUID;
  if (inode.mode & S.IXGRP) inode.mode &= ~S.ISGID;
  inode.xattrs.delete('security.capability');
}

export function utimes(world: World): void {
  const dentry = world.object();
  if (dentry?.inode === undefined) return;
  const seconds =
    BigInt(world.random.below(2_000_000_000)) - (world.random.chance(0.05) ? 1_500_000_000n : 0n);
  const mtimeNs = seconds * 1_000_000_000n + BigInt(world.random.below(1_000_000_000));
  world.log(`utimes ${mtimeNs} ns ${show(world.pathOf(dentry))}`);
  const times = timespecs(world.random.chance(0.5) ? 'omit' : mtimeNs + 5n, mtimeNs);
  const result = sys.utimensat(world.rootFd, world.cpath(dentry), times, AT.SYMLINK_NOFOLLOW);
  world.expect(result, 0, 'utimensat');
  dentry.inode.mtimeNs = mtimeNs;
}

const CAPABILITY = Buffer.from('0100000200040000000000000000000000000000', 'hex');

export function setxattr(world: World): void {
  const dentry = world.object();
  if (dentry?.inode === undefined) return;
  const { inode } = dentry;
  const user = isFile(inode) || isDirectory(inode);
  const kinds = user
    ? ['user.a', 'user.long name', 'user.b', 'trusted.t']
    : ['trusted.t', 'trusted.u'];
  const name =
    isFile(inode) && world.random.chance(0.1) ? 'security.capability' : world.random.pick(kinds);
  const value =
    name === 'security.capability'
      ? CAPABILITY
      : world.bytes(world.random.below(name === 'user.b' ? 900 : 60));
  world.log(`setxattr ${name} (${value.length} bytes) ${show(world.pathOf(dentry))}`);
  const result = sys.lsetxattr(world.absolute(dentry), cstring(name), value, value.length, 0);
  // A full attribute block is not an error of the file system.
  if (result === -errno.ENOSPC) return;
  world.expect(result, 0, 'setxattr');
  inode.xattrs.set(name, value.toString('hex'));
}

export function removexattr(world: World): void {
  const dentry = world.existing((inode) => inode.xattrs.size > 0) ?? world.object();
  if (dentry?.inode === undefined) return;
  const known = [...dentry.inode.xattrs.keys()];
  const name = known.length > 0 ? world.random.pick(known) : 'trusted.absent';
  world.log(`removexattr ${name} ${show(world.pathOf(dentry))}`);
  const expected = dentry.inode.xattrs.delete(name) ? 0 : -errno.ENODATA;
  world.expect(sys.lremovexattr(world.absolute(dentry), cstring(name)), expected, 'removexattr');
}

export function acl(world: World): void {
  const dentry = world.object();
  if (dentry?.inode === undefined || isSymlink(dentry.inode)) return;
  const { inode } = dentry;
  const onDefault = isDirectory(inode) && world.random.chance(0.3);
  const attribute = `system.posix_acl_${onDefault ? 'default' : 'access'}`;
  const path = world.absolute(dentry);
  const present = onDefault ? inode.defaultAcl : inode.acl;
  if (present !== '' && world.random.chance(0.4)) {
    world.log(`remove ${attribute} of ${show(world.pathOf(dentry))}`);
    world.expect(sys.lremovexattr(path, cstring(attribute)), 0, 'remove ACL');
    if (onDefault) inode.defaultAcl = '';
    else inode.acl = '';
    return;
  }
  const mode = world.random.pick([0o750, 0o640, 0o777, 0o604]);
  const text = encodeAcl(mode, {
    uid: world.random.pick([33, 1234]),
    permissions: world.random.below(8),
  });
  world.log(`set ${attribute} of ${show(world.pathOf(dentry))} with mode 0${mode.toString(8)}`);
  const value = Buffer.from(text, 'hex');
  const result = sys.lsetxattr(path, cstring(attribute), value, value.length, 0);
  if (result === -errno.ENOSPC || result === -errno.EOPNOTSUPP) return;
  world.expect(result, 0, 'set ACL');
  if (onDefault) inode.defaultAcl = text;
  else {
    inode.acl = text;
    inode.mode = (inode.mode & ~0o777) | mode;
  }
}

/** Compares everything about one object. */
export function check(world: World): void {
  const dentry = world.random.chance(0.1) ? world.name() : world.object();
  if (dentry === undefined) return;
  world.log(`look at ${show(world.pathOf(dentry))}`);
  checkObject(world, dentry);
}

export function checkObject(world: World, dentry: Dentry): void {
  const label = show(world.pathOf(dentry));
  const { inode } = dentry;
  const result = world.stat.at(world.rootFd, world.cpath(dentry));
  world.expect(result, inode === undefined ? -errno.ENOENT : 0, `stat ${label}`);
  if (inode === undefined) return;
  world.checkAttributes(inode, label);
  checkXattrs(world, dentry, inode, label);
  if (isSymlink(inode)) checkTarget(world, dentry, inode, label);
  if (isDirectory(inode)) checkNames(world, dentry, inode, label);
}

function checkXattrs(world: World, dentry: Dentry, inode: Inode, label: string): void {
  const path = world.absolute(dentry).toString('latin1').slice(0, -1);
  const xattrs = readXattrs(path);
  if (typeof xattrs === 'number') world.fail(`listxattr ${label}: ${errnoName(xattrs)}`);
  const actual = new Map([...xattrs].map(([name, value]) => [name, value.toString('hex')]));
  const expected = new Map(inode.xattrs);
  if (inode.acl !== '') expected.set('system.posix_acl_access', inode.acl);
  if (inode.defaultAcl !== '') expected.set('system.posix_acl_default', inode.defaultAcl);
  for (const [name, value] of expected) {
    if (actual.get(name) !== value) {
      world.fail(`${label}: attribute ${name} is ${actual.get(name)}, expected ${value}`);
    }
    actual.delete(name);
  }
  for (const name of actual.keys()) {
    if (!/^(security\.selinux|trusted\.(understudy\.|SGI_ACL_))/.test(name)) {
      world.fail(`${label}: unexpected attribute ${name}`);
    }
  }
}

function checkTarget(world: World, dentry: Dentry, inode: Inode, label: string): void {
  const target = Buffer.alloc(4096);
  const length = sys.readlinkat(world.rootFd, world.cpath(dentry), target, target.length);
  world.expect(length, 0, `readlink ${label}`);
  if (target.toString('latin1', 0, length) !== inode.target) world.fail(`${label}: wrong target`);
}

function checkNames(world: World, dentry: Dentry, inode: Inode, label: string): void {
  const fd = sys.openat(world.rootFd, world.cpath(dentry), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  world.expect(fd, 0, `open ${label}`);
  const names = readDirectory(fd);
  sys.close(fd);
  if (typeof names === 'number') world.fail(`getdents ${label}: ${errnoName(names)}`);
  const actual = names
    .map(({ name }) => name)
    .filter((name) => name !== '.understudy' || label !== '"."')
    .sort();
  const expected = [...inode.children.keys()].sort();
  if (actual.join('\0') !== expected.join('\0')) {
    world.fail(
      `${label}: names are ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
    );
  }
}

/** Compares the whole tree and every open file with the model. */
export function checkAll(world: World): void {
  world.log('check everything');
  checkObject(world, { parent: world.model.root, name: '', inode: world.model.root });
  for (const parent of world.model.directories) {
    for (const [name, inode] of parent.children) {
      checkObject(world, { parent, name, inode });
      if (isFile(inode)) checkContents(world, { parent, name, inode }, inode);
    }
  }
  for (const { fd, inode } of world.held) {
    const label = `held file ${inode.id}`;
    checkPages(world, { fd, inode, label });
    world.expect(world.stat.fd(fd), 0, `fstat ${label}`);
    world.checkAttributes(inode, label);
  }
}

function checkContents(world: World, dentry: Dentry, inode: Inode): void {
  const fd = sys.openat(world.rootFd, world.cpath(dentry), O.RDONLY | O.CLOEXEC, 0);
  const label = show(world.pathOf(dentry));
  world.expect(fd, 0, `open ${label}`);
  checkPages(world, { fd, inode, label });
  sys.close(fd);
}

const SMALL_BYTES = 8 << 20;

/** The whole of a small file; of a large (sparse) one what was written and a little around it. */
function checkPages(world: World, file: { fd: number; inode: Inode; label: string }): void {
  const { data } = file.inode;
  if (data.size <= SMALL_BYTES) {
    checkRead(world, file, 0, data.size + 1);
    return;
  }
  for (const page of data.pageOffsets())
    checkRead(world, file, Math.max(0, page - 100), 4096 + 200);
}
