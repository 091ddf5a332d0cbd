// What a file system has to do, in memory: the expectation that random operations are checked against.
import { RENAME, S, errno } from '../../../src/linux/constants.ts';

const PAGE_BYTES = 4096;

/** Contents of a file of any size; only pages that were written take memory. */
export class SparseBytes {
  readonly #pages = new Map<number, Buffer>();
  size = 0;

  write(offset: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      const at = offset + done;
      const index = Math.floor(at / PAGE_BYTES);
      const within = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, bytes.length - done);
      this.#page(index).set(bytes.subarray(done, done + count), within);
      done += count;
    }
    this.size = Math.max(this.size, offset + bytes.length);
  }

  /** Zeros without changing the size. */
  zero(offset: number, length: number): void {
    const end = Math.min(this.size, offset + length);
    for (const [index, page] of this.#pages) {
      const start = index * PAGE_BYTES;
      const from = Math.max(0, offset - start);
      const to = Math.min(PAGE_BYTES, end - start);
      if (from === 0 && to === PAGE_BYTES) this.#pages.delete(index);
      else if (from < to) page.fill(0, from, to);
    }
  }

  truncate(size: number): void {
    if (size < this.size) this.zero(size, this.size - size);
    this.size = size;
  }

  read(offset: number, length: number): Buffer {
    const count = Math.max(0, Math.min(length, this.size - offset));
    const result = Buffer.alloc(count);
    let done = 0;
    while (done < count) {
      const at = offset + done;
      const within = at % PAGE_BYTES;
      const take = Math.min(PAGE_BYTES - within, count - done);
      const page = this.#pages.get(Math.floor(at / PAGE_BYTES));
      if (page !== undefined) page.copy(result, done, within, within + take);
      done += take;
    }
    return result;
  }

  /** Offsets of the pages that are not holes, in order. */
  pageOffsets(): number[] {
    return [...this.#pages.keys()].sort((a, b) => a - b).map((index) => index * PAGE_BYTES);
  }

  #page(index: number): Buffer {
    const known = this.#pages.get(index);
    if (known !== undefined) return known;
    const page = Buffer.alloc(PAGE_BYTES);
    this.#pages.set(index, page);
    return page;
  }
}

/** An object of the model. */
export interface Inode {
  readonly id: number;
  /** With type bits. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  rdev: { readonly major: number; readonly minor: number };
  target: string;
  readonly data: SparseBytes;
  /** Without POSIX ACLs. */
  readonly xattrs: Map<string, string>;
  /** `system.posix_acl_access` as hex, or empty. */
  acl: string;
  defaultAcl: string;
  /** Exact nanoseconds when the last change set them, else undefined. */
  mtimeNs: bigint | undefined;
  /** The mtime is not before this moment. */
  mtimeAfterMs: number;
  readonly children: Map<string, Inode>;
  /** Of a directory. */
  parent: Inode | undefined;
}

/** A name in a directory; `inode` is undefined when there is no such name. */
export interface Dentry {
  readonly parent: Inode;
  readonly name: string;
  readonly inode: Inode | undefined;
}

export const isDirectory = (inode: Inode): boolean => (inode.mode & S.IFMT) === S.IFDIR;
export const isFile = (inode: Inode): boolean => (inode.mode & S.IFMT) === S.IFREG;
export const isSymlink = (inode: Inode): boolean => (inode.mode & S.IFMT) === S.IFLNK;

/** The tree with its rules. Operations return 0 or the negative errno that Linux gives to root. */
export class Model {
  #lastId = 0;
  readonly root: Inode;
  readonly directories: Inode[] = [];

  constructor(root: { mode: number; uid: number; gid: number }) {
    this.root = this.create({ ...root, mode: root.mode | S.IFDIR });
    this.directories.push(this.root);
  }

  create(attributes: { mode: number; uid: number; gid: number; target?: string }): Inode {
    this.#lastId += 1;
    return {
      id: this.#lastId,
      mode: attributes.mode,
      uid: attributes.uid,
      gid: attributes.gid,
      nlink: 0,
      rdev: { major: 0, minor: 0 },
      target: attributes.target ?? '',
      data: new SparseBytes(),
      xattrs: new Map(),
      acl: '',
      defaultAcl: '',
      mtimeNs: undefined,
      mtimeAfterMs: 0,
      children: new Map(),
      parent: undefined,
    };
  }

  pathOf(directory: Inode, name: string): string {
    const parts = [name];
    for (let at = directory; at.parent !== undefined; at = at.parent) {
      parts.unshift(nameIn(at.parent, at));
    }
    return parts.join('/');
  }

  depth(directory: Inode): number {
    let depth = 0;
    for (let at = directory; at.parent !== undefined; at = at.parent) depth += 1;
    return depth;
  }

  attach(parent: Inode, name: string, inode: Inode): number {
    if (parent.children.has(name)) return -errno.EEXIST;
    parent.children.set(name, inode);
    inode.nlink += 1;
    if (isDirectory(inode)) {
      inode.parent = parent;
      this.directories.push(inode);
    }
    touch(parent);
    return 0;
  }

  unlink({ parent, name, inode }: Dentry): number {
    if (inode === undefined) return -errno.ENOENT;
    if (isDirectory(inode)) return -errno.EISDIR;
    this.#detach(parent, name, inode);
    return 0;
  }

  rmdir({ parent, name, inode }: Dentry): number {
    if (inode === undefined) return -errno.ENOENT;
    if (!isDirectory(inode)) return -errno.ENOTDIR;
    if (inode.children.size > 0) return -errno.ENOTEMPTY;
    this.#detach(parent, name, inode);
    return 0;
  }

  rename(from: Dentry, to: Dentry, flags: number): number {
    const { inode: source } = from;
    const { inode: target } = to;
    if (source === undefined) return -errno.ENOENT;
    const exchange = flags === RENAME.EXCHANGE;
    if (flags === RENAME.NOREPLACE && target !== undefined) return -errno.EEXIST;
    if (exchange && target === undefined) return -errno.ENOENT;
    if (isWithin(to.parent, source)) return -errno.EINVAL;
    if (target !== undefined && isWithin(from.parent, target)) {
      return exchange ? -errno.EINVAL : -errno.ENOTEMPTY;
    }
    if (source === target) return 0;
    if (exchange && target !== undefined) {
      from.parent.children.set(from.name, target);
      if (isDirectory(target)) target.parent = from.parent;
    } else if (target !== undefined) {
      if (isDirectory(source) && !isDirectory(target)) return -errno.ENOTDIR;
      if (!isDirectory(source) && isDirectory(target)) return -errno.EISDIR;
      if (target.children.size > 0) return -errno.ENOTEMPTY;
      this.#detach(to.parent, to.name, target);
    }
    if (!exchange) from.parent.children.delete(from.name);
    to.parent.children.set(to.name, source);
    if (isDirectory(source)) source.parent = to.parent;
    touch(from.parent);
    touch(to.parent);
    return 0;
  }

  #detach(parent: Inode, name: string, inode: Inode): void {
    parent.children.delete(name);
    inode.nlink -= 1;
    if (isDirectory(inode)) this.directories.splice(this.directories.indexOf(inode), 1);
    touch(parent);
  }
}

/** When the operation under way began: how long it takes says nothing about its times. */
export const underWay = { beganMs: 0 };

/** Notes that the object was modified by the operation under way. */
export function touch(inode: Inode): void {
  inode.mtimeNs = undefined;
  inode.mtimeAfterMs = underWay.beganMs;
}

function nameIn(parent: Inode, child: Inode): string {
  for (const [name, inode] of parent.children) if (inode === child) return name;
  throw new Error('the model lost a name');
}

/** Whether `directory` is `ancestor` or lies below it. */
function isWithin(directory: Inode, ancestor: Inode): boolean {
  if (!isDirectory(ancestor)) return false;
  for (let at: Inode | undefined = directory; at !== undefined; at = at.parent) {
    if (at === ancestor) return true;
  }
  return false;
}

const ACL_ENTRY_BYTES = 8;
const ACL_TAG = { userObject: 1, user: 2, groupObject: 4, mask: 16, other: 32 } as const;

/** A POSIX ACL with one named user, as the extended attribute has it (hex). */
export function encodeAcl(mode: number, user: { uid: number; permissions: number }): string {
  const entries: readonly (readonly [number, number, number])[] = [
    [ACL_TAG.userObject, (mode >> 6) & 7, 0xffffffff],
    [ACL_TAG.user, user.permissions, user.uid],
    [ACL_TAG.groupObject, 5, 0xffffffff],
    [ACL_TAG.mask, (mode >> 3) & 7, 0xffffffff],
    [ACL_TAG.other, mode & 7, 0xffffffff],
  ];
  const bytes = Buffer.alloc(4 + entries.length * ACL_ENTRY_BYTES);
  bytes.writeUInt32LE(2, 0);
  entries.forEach(([tag, permissions, id], index) => {
    bytes.writeUInt16LE(tag, 4 + index * ACL_ENTRY_BYTES);
    bytes.writeUInt16LE(permissions, 6 + index * ACL_ENTRY_BYTES);
    bytes.writeUInt32LE(id, 8 + index * ACL_ENTRY_BYTES);
  });
  return bytes.toString('hex');
}

/** The ACL after chmod(2): owner, mask (or group without a mask) and others follow the mode. */
export function aclAfterChmod(acl: string, mode: number): string {
  if (acl === '') return '';
  const bytes = Buffer.from(acl, 'hex');
  let group = -1;
  for (let at = 4; at < bytes.length; at += ACL_ENTRY_BYTES) {
    const tag = bytes.readUInt16LE(at);
    if (tag === ACL_TAG.userObject) bytes.writeUInt16LE((mode >> 6) & 7, at + 2);
    if (tag === ACL_TAG.other) bytes.writeUInt16LE(mode & 7, at + 2);
    if (tag === ACL_TAG.groupObject && group < 0) group = at;
    if (tag === ACL_TAG.mask) group = at;
  }
  if (group >= 0) bytes.writeUInt16LE((mode >> 3) & 7, group + 2);
  return bytes.toString('hex');
}
