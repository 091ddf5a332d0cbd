// Operations on names: what changes directories.
import { AT, O, RENAME, S, errno } from '../../../src/linux/constants.ts';
import { readXattrs } from '../../../src/linux/dirents.ts';
import { cstring, makedevNumber, sys } from './calls.ts';
import { type Dentry, type Inode, isDirectory, touch } from './model.ts';
import { type World, show } from './world.ts';

const DEPTH_MAX = 6;

/** Owner and mode of a new object in `parent` (inode_init_owner of the kernel). */
function newInode(world: World, parent: Inode, mode: number): Inode {
  const setgid = (parent.mode & S.ISGID) !== 0;
  const inherits = setgid && (mode & S.IFMT) === S.IFDIR ? S.ISGID : 0;
  const inode = world.model.create({ mode: mode | inherits, uid: 0, gid: setgid ? parent.gid : 0 });
  touch(inode);
  return inode;
}

/** Takes over what a default ACL made of a new object: the kernel's rules for it are not modelled. */
function adoptAcl(world: World, parent: Inode, dentry: Dentry, inode: Inode): void {
  if (parent.defaultAcl === '') return;
  world.stat.at(world.rootFd, world.cpath(dentry));
  inode.mode = world.stat.mode;
  const xattrs = readXattrs(world.absolute(dentry).toString('latin1').slice(0, -1));
  if (typeof xattrs === 'number') world.fail(`listxattr of a new object: ${xattrs}`);
  inode.acl = xattrs.get('system.posix_acl_access')?.toString('hex') ?? '';
  inode.defaultAcl = xattrs.get('system.posix_acl_default')?.toString('hex') ?? '';
}

function attachNew(world: World, dentry: Dentry, inode: Inode): void {
  world.model.attach(dentry.parent, dentry.name, inode);
  adoptAcl(world, dentry.parent, dentry, inode);
}

const permissions = (world: World): number =>
  world.random.pick([0o644, 0o600, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o000, 0o640]);

/** Creates a file, and keeps it open now and then. */
export function create(world: World): void {
  const dentry = world.name();
  const mode = permissions(world);
  world.log(`create ${show(world.pathOf(dentry))} mode 0${mode.toString(8)}`);
  const flags = O.RDWR | O.CREAT | O.EXCL | O.CLOEXEC;
  const fd = sys.openat(world.rootFd, world.cpath(dentry), flags, mode);
  world.expect(fd, dentry.inode === undefined ? 0 : -errno.EEXIST, 'open O_CREAT|O_EXCL');
  if (fd < 0) return;
  const inode = newInode(world, dentry.parent, S.IFREG | mode);
  attachNew(world, dentry, inode);
  if (world.random.chance(0.7)) {
    const bytes = world.bytes(world.random.skewed(world.options.fileBytesMax));
    world.log(`write ${bytes.length} bytes into the new file`);
    world.expect(sys.pwrite(fd, bytes, bytes.length, 0), 0, 'pwrite');
    inode.data.write(0, bytes);
    touch(inode);
  }
  keepOrClose(world, fd, inode, false);
}

function keepOrClose(world: World, fd: number, inode: Inode, always: boolean): void {
  const keep = always || world.random.chance(0.2);
  if (keep && world.held.length < world.options.heldMax) {
    world.held.push({ fd, inode, append: false });
  } else sys.close(fd);
}

export function mkdir(world: World): void {
  const dentry = world.name();
  if (world.model.depth(dentry.parent) >= DEPTH_MAX) return;
  const mode = permissions(world) & 0o1777;
  world.log(`mkdir ${show(world.pathOf(dentry))} mode 0${mode.toString(8)}`);
  const result = sys.mkdirat(world.rootFd, world.cpath(dentry), mode);
  world.expect(result, dentry.inode === undefined ? 0 : -errno.EEXIST, 'mkdir');
  if (result === 0) attachNew(world, dentry, newInode(world, dentry.parent, S.IFDIR | mode));
}

export function mknod(world: World): void {
  const dentry = world.name();
  const type = world.random.pick([S.IFIFO, S.IFSOCK, S.IFCHR, S.IFBLK, S.IFREG]);
  const mode = type | (permissions(world) & 0o777);
  const device = type === S.IFCHR || type === S.IFBLK;
  const rdev = device
    ? { major: world.random.below(300), minor: world.random.below(70_000) }
    : { major: 0, minor: 0 };
  world.log(
    `mknod ${show(world.pathOf(dentry))} mode 0${mode.toString(8)} ${rdev.major}:${rdev.minor}`,
  );
  const dev = makedevNumber(rdev.major, rdev.minor);
  const result = sys.mknodat(world.rootFd, world.cpath(dentry), mode, dev);
  world.expect(result, dentry.inode === undefined ? 0 : -errno.EEXIST, 'mknod');
  if (result < 0) return;
  const inode = newInode(world, dentry.parent, mode);
  inode.rdev = rdev;
  attachNew(world, dentry, inode);
}

export function symlink(world: World): void {
  const dentry = world.name();
  const target = world.random.pick([
    'n1',
    '../n2',
    '/etc/passwd',
    '\xe9',
    'y'.repeat(1 + world.random.below(1000)),
  ]);
  world.log(`symlink ${show(world.pathOf(dentry))} -> ${show(target.slice(0, 40))}`);
  const result = sys.symlinkat(cstring(target), world.rootFd, world.cpath(dentry));
  world.expect(result, dentry.inode === undefined ? 0 : -errno.EEXIST, 'symlink');
  if (result < 0) return;
  const inode = newInode(world, dentry.parent, S.IFLNK | 0o777);
  inode.target = target;
  world.model.attach(dentry.parent, dentry.name, inode);
}

export function link(world: World): void {
  const from = world.existing((inode) => !isDirectory(inode));
  if (from?.inode === undefined) return;
  const to = world.name();
  world.log(`link ${show(world.pathOf(from))} to ${show(world.pathOf(to))}`);
  const result = sys.linkat(world.rootFd, world.cpath(from), world.rootFd, world.cpath(to), 0);
  if (world.isRefused(result)) return;
  world.expect(result, to.inode === undefined ? 0 : -errno.EEXIST, 'link');
  if (result === 0) world.model.attach(to.parent, to.name, from.inode);
}

/** rename(2) in all its variants, over existing names too. */
export function rename(world: World): void {
  const from = world.existing();
  if (from === undefined) return;
  const flags = world.random.pick([0, 0, 0, RENAME.NOREPLACE, RENAME.EXCHANGE]);
  const other = world.random.chance(flags === RENAME.EXCHANGE ? 0.8 : 0.4)
    ? world.existing()
    : undefined;
  const to = other ?? world.name();
  const deep = from.inode !== undefined && isDirectory(from.inode);
  if (deep && world.model.depth(to.parent) >= DEPTH_MAX) return;
  world.log(`rename ${show(world.pathOf(from))} to ${show(world.pathOf(to))} flags ${flags}`);
  const fromPath = world.cpath(from);
  const toPath = world.cpath(to);
  const result = sys.renameat2(world.rootFd, fromPath, world.rootFd, toPath, flags);
  if (world.isRefused(result)) return;
  const expected = world.model.rename(from, to, flags);
  // POSIX allows both for a directory that is not empty; XFS has the other one.
  if (expected === -errno.ENOTEMPTY && result === -errno.EEXIST) return;
  world.expect(result, expected, 'rename');
}

export function unlink(world: World): void {
  const dentry = world.random.chance(0.9)
    ? world.existing((inode) => !isDirectory(inode))
    : world.name();
  if (dentry === undefined) return;
  world.log(`unlink ${show(world.pathOf(dentry))}`);
  const path = world.cpath(dentry);
  world.expect(sys.unlinkat(world.rootFd, path, 0), world.model.unlink(dentry), 'unlink');
}

const isEmptyDirectory = (inode: Inode): boolean => isDirectory(inode) && inode.children.size === 0;

export function rmdir(world: World): void {
  const dentry = world.random.chance(0.7) ? world.existing(isEmptyDirectory) : world.existing();
  if (dentry === undefined) return;
  world.log(`rmdir ${show(world.pathOf(dentry))}`);
  const path = world.cpath(dentry);
  world.expect(sys.unlinkat(world.rootFd, path, AT.REMOVEDIR), world.model.rmdir(dentry), 'rmdir');
}

/** A file without a name; half of them get one. */
export function tmpfile(world: World): void {
  const parent = world.directory();
  const mode = permissions(world) & 0o777;
  const directory: Dentry = { parent, name: '', inode: parent };
  const path = parent.parent === undefined ? '.' : world.model.pathOf(parent, '.');
  world.log(`open O_TMPFILE in ${show(path)}`);
  const fd = sys.openat(world.rootFd, cstring(path), O.TMPFILE | O.RDWR | O.CLOEXEC, mode);
  if (fd === -errno.EOPNOTSUPP) return;
  world.expect(fd, 0, 'open O_TMPFILE');
  const inode = newInode(world, directory.parent, S.IFREG | mode);
  const bytes = world.bytes(world.random.skewed(20_000));
  world.expect(sys.pwrite(fd, bytes, bytes.length, 0), 0, 'pwrite');
  inode.data.write(0, bytes);
  const to = world.name();
  if (world.random.chance(0.5)) {
    world.log(`link the file without a name to ${show(world.pathOf(to))}`);
    const own = cstring(`/proc/self/fd/${fd}`);
    const result = sys.linkat(AT.FDCWD, own, world.rootFd, world.cpath(to), AT.SYMLINK_FOLLOW);
    if (!world.isRefused(result))
      world.expect(result, to.inode === undefined ? 0 : -errno.EEXIST, 'link O_TMPFILE');
    if (result === 0) world.model.attach(to.parent, to.name, inode);
  }
  if (inode.nlink > 0) {
    if (parent.defaultAcl !== '') adoptAcl(world, parent, to, inode);
    keepOrClose(world, fd, inode, false);
  } else if (parent.defaultAcl === '') keepOrClose(world, fd, inode, true);
  else sys.close(fd);
}

/** Opens a file, unlinks its name, and keeps using it through the descriptor. */
export function unlinkOpen(world: World): void {
  if (world.held.length >= world.options.heldMax) return;
  const dentry = world.existing((inode) => (inode.mode & S.IFMT) === S.IFREG);
  if (dentry?.inode === undefined) return;
  world.log(`open and unlink ${show(world.pathOf(dentry))}`);
  const path = world.cpath(dentry);
  const fd = sys.openat(world.rootFd, path, O.RDWR | O.CLOEXEC, 0);
  world.expect(fd, 0, 'open');
  world.expect(sys.unlinkat(world.rootFd, path, 0), world.model.unlink(dentry), 'unlink');
  keepOrClose(world, fd, dentry.inode, true);
}

export function closeHeld(world: World): void {
  if (world.held.length === 0) return;
  const [held] = world.held.splice(world.random.below(world.held.length), 1);
  if (held === undefined) return;
  world.log(`close held file ${held.inode.id} (descriptor ${held.fd})`);
  world.expect(sys.close(held.fd), 0, 'close');
}
