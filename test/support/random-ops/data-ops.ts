// Operations on contents.
import { FALLOC, O, SEEK, errno } from '../../../src/linux/constants.ts';
import { MAP, MS_SYNC, PROT_WRITE, cstring, memory, sys } from './calls.ts';
import { type Inode, isDirectory, isFile, touch } from './model.ts';
import { type World, show } from './world.ts';

const PAGE_BYTES = 4096;
const DIRECT_BYTES_MAX = 64 * 1024;
const FAR_OFFSET = 5 * 2 ** 30;

/** Contents or size changed: the kernel also drops file capabilities then. */
function changed(inode: Inode): void {
  touch(inode);
  inode.xattrs.delete('security.capability');
}

function offsetIn(world: World, inode: Inode): number {
  const { random } = world;
  if (random.chance(0.005)) return FAR_OFFSET + random.below(100_000);
  const limit = Math.min(world.options.fileBytesMax, inode.data.size + 50_000);
  const offset = random.below(
    random.chance(0.8) ? Math.min(limit, inode.data.size + 1) : limit + 1,
  );
  return random.chance(0.4) ? offset - (offset % PAGE_BYTES) : offset;
}

function lengthFor(world: World): number {
  const { random, options } = world;
  if (random.chance(0.3)) return PAGE_BYTES * (1 + random.below(4));
  return random.skewed(Math.min(options.fileBytesMax, random.chance(0.02) ? 3 << 20 : 40_000));
}

export function write(world: World): void {
  const file = world.file(O.RDWR);
  if (file === undefined) return;
  const offset = offsetIn(world, file.inode);
  const bytes = world.bytes(lengthFor(world));
  world.log(`write ${bytes.length} bytes at ${offset} of ${file.label}`);
  const written = sys.pwrite(file.fd, bytes, bytes.length, offset);
  if (written !== bytes.length) world.fail(`pwrite returned ${written} of ${bytes.length}`);
  file.inode.data.write(offset, bytes);
  changed(file.inode);
  file.done();
}

export function append(world: World): void {
  const dentry = world.existing(isFile);
  if (dentry?.inode === undefined || dentry.inode.data.size > world.options.fileBytesMax) return;
  const bytes = world.bytes(world.random.skewed(8000));
  const overwrite = world.random.chance(0.15);
  const sync = world.random.pick([0, 0, 0, O.DSYNC, O.SYNC]);
  world.log(
    `${overwrite ? 'overwrite' : 'append'} ${bytes.length} bytes ${show(world.pathOf(dentry))} (file ${dentry.inode.id})`,
  );
  const flags = O.WRONLY | O.APPEND | (overwrite ? O.TRUNC : 0) | sync | O.CLOEXEC;
  const fd = sys.openat(world.rootFd, world.cpath(dentry), flags, 0);
  world.expect(fd, 0, 'open O_APPEND');
  if (overwrite) dentry.inode.data.truncate(0);
  const half = bytes.length >> 1;
  for (const part of [bytes.subarray(0, half), bytes.subarray(half)]) {
    const written = sys.write(fd, part, part.length);
    if (written !== part.length) world.fail(`write returned ${written} of ${part.length}`);
    dentry.inode.data.write(dentry.inode.data.size, part);
  }
  changed(dentry.inode);
  sys.close(fd);
}

export function truncate(world: World): void {
  const file = world.file(O.RDWR);
  if (file === undefined) return;
  const size = world.random.chance(0.2) ? 0 : offsetIn(world, file.inode);
  world.log(`truncate to ${size} ${file.label}`);
  const grows = size === file.inode.data.size;
  world.expect(sys.ftruncate(file.fd, size), 0, 'ftruncate');
  file.inode.data.truncate(size);
  changed(file.inode);
  // Not every file system stamps a truncation to the present size.
  if (grows) file.inode.mtimeAfterMs = 0;
  file.done();
}

export function fallocate(world: World): void {
  const file = world.file(O.RDWR);
  if (file === undefined) return;
  const mode = world.random.pick([
    0,
    FALLOC.KEEP_SIZE,
    FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE,
    FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE,
    FALLOC.ZERO_RANGE,
    FALLOC.ZERO_RANGE | FALLOC.KEEP_SIZE,
  ]);
  const offset = Math.min(offsetIn(world, file.inode), FAR_OFFSET);
  const length = lengthFor(world);
  world.log(`fallocate mode ${mode} ${length} bytes at ${offset} of ${file.label}`);
  const result = sys.fallocate(file.fd, mode, offset, length);
  if (result !== -errno.EOPNOTSUPP) {
    world.expect(result, 0, 'fallocate');
    const { data } = file.inode;
    if (mode & (FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) data.zero(offset, length);
    if (!(mode & FALLOC.KEEP_SIZE)) data.truncate(Math.max(data.size, offset + length));
    changed(file.inode);
    file.inode.mtimeAfterMs = 0;
  }
  file.done();
}

export function copyRange(world: World): void {
  const from = world.file(O.RDONLY);
  const to = world.file(O.RDWR);
  if (from !== undefined && to !== undefined && from.inode !== to.inode) {
    const offset = Math.min(offsetIn(world, from.inode), FAR_OFFSET);
    const target = Math.min(offsetIn(world, to.inode), world.options.fileBytesMax);
    const bytes = from.inode.data.read(offset, lengthFor(world));
    world.log(
      `copy_file_range ${bytes.length} bytes ${from.label} at ${offset} to ${to.label} at ${target}`,
    );
    let done = 0;
    while (done < bytes.length) {
      const copied = copyOnce(from.fd, offset + done, to.fd, target + done, bytes.length - done);
      if (copied <= 0) world.fail(`copy_file_range returned ${copied} after ${done}`);
      done += copied;
    }
    if (bytes.length > 0) {
      to.inode.data.write(target, bytes);
      changed(to.inode);
    }
  }
  from?.done();
  to?.done();
}

function copyOnce(
  from: number,
  offset: number,
  to: number,
  target: number,
  length: number,
): number {
  const offsets = Buffer.alloc(16);
  offsets.writeBigInt64LE(BigInt(offset), 0);
  offsets.writeBigInt64LE(BigInt(target), 8);
  return sys.copyFileRange(from, offsets.subarray(0, 8), to, offsets.subarray(8), length, 0);
}

/** Stores through a shared mapping; msync or the unmapping brings them to the file. */
export function mapped(world: World): void {
  const file = world.file(O.RDWR);
  if (file === undefined) return;
  const { size } = file.inode.data;
  const from = Math.min(offsetIn(world, file.inode), Math.max(0, size - 1));
  const length = Math.min(size - from, world.random.skewed(20_000));
  // Whether stores through a mapping take capabilities away differs between file systems.
  const isPrivileged = file.inode.xattrs.has('security.capability');
  if (length > 0 && from < 2 ** 31 && !isPrivileged) {
    const bytes = world.bytes(length);
    const start = from - (from % PAGE_BYTES);
    world.log(`mmap store ${length} bytes at ${from} of ${file.label}`);
    const at = memory.map(0, from - start + length, PROT_WRITE, MAP.SHARED, file.fd, start);
    if (at === -1) world.fail('mmap failed');
    store(at + from - start, bytes);
    // msync: until then it is open when the stores (and their mtime) arrive.
    if (memory.sync(at, from - start + length, MS_SYNC) !== 0) world.fail('msync failed');
    memory.unmap(at, from - start + length);
    file.inode.data.write(from, bytes);
    changed(file.inode);
  }
  file.done();
}

/** Copies bytes to an address: the kernel does it, by reading a memory file into it. */
function store(address: number, bytes: Buffer): void {
  const fd = memory.file('source', 1);
  sys.write(fd, bytes, bytes.length);
  const copied = sys.pread(fd, address, bytes.length, 0);
  sys.close(fd);
  if (copied !== bytes.length) throw new Error(`storing to memory returned ${copied}`);
}

/** O_DIRECT with the alignment it wants. */
export function direct(world: World): void {
  const dentry = world.existing(isFile);
  if (dentry?.inode === undefined) return;
  const fd = sys.openat(world.rootFd, world.cpath(dentry), O.RDWR | O.DIRECT | O.CLOEXEC, 0);
  if (fd === -errno.EINVAL) return;
  world.expect(fd, 0, 'open O_DIRECT');
  const { data } = dentry.inode;
  const bytes = world.bytes(PAGE_BYTES * (1 + world.random.below(DIRECT_BYTES_MAX / PAGE_BYTES)));
  const offset =
    world.random.below(
      Math.ceil(Math.min(data.size, world.options.fileBytesMax) / PAGE_BYTES) + 2,
    ) * PAGE_BYTES;
  const at = memory.map(0, bytes.length, PROT_WRITE, MAP.PRIVATE_ANONYMOUS, -1, 0);
  world.log(`write O_DIRECT ${bytes.length} bytes at ${offset} of ${show(world.pathOf(dentry))}`);
  store(at, bytes);
  const written = sys.pwrite(fd, at, bytes.length, offset);
  if (written !== bytes.length) world.fail(`pwrite O_DIRECT returned ${written}`);
  data.write(offset, bytes);
  changed(dentry.inode);
  memory.unmap(at, bytes.length);
  sys.close(fd);
}

export function fsync(world: World): void {
  if (world.random.chance(0.3)) {
    const inode = world.directory();
    const path = inode.parent === undefined ? '.' : world.model.pathOf(inode, '.');
    world.log(`fsync directory ${show(path)}`);
    const fd = sys.openat(world.rootFd, cstring(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    world.expect(fd, 0, 'open directory');
    world.expect(sys.fsync(fd), 0, 'fsync directory');
    sys.close(fd);
    return;
  }
  const file = world.file(O.RDWR);
  if (file === undefined) return;
  const data = world.random.chance(0.5);
  world.log(`${data ? 'fdatasync' : 'fsync'} ${file.label}`);
  world.expect(data ? sys.fdatasync(file.fd) : sys.fsync(file.fd), 0, 'fsync');
  file.done();
}

/** Reads a stretch and compares it; looks for data and holes too. */
export function read(world: World): void {
  const file = world.file(world.random.chance(0.5) ? O.RDONLY : O.RDWR);
  if (file === undefined) return;
  const offset = offsetIn(world, file.inode);
  const length = lengthFor(world);
  world.log(`read ${length} bytes at ${offset} of ${file.label}`);
  checkRead(world, file, offset, length);
  checkSeek(world, file, offset);
  world.expect(world.stat.fd(file.fd), 0, 'fstat');
  world.checkAttributes(file.inode, file.label);
  file.done();
}

interface OpenFile {
  readonly fd: number;
  readonly inode: Inode;
  readonly label: string;
}

export function checkRead(world: World, file: OpenFile, offset: number, length: number): void {
  const buffer = Buffer.alloc(length);
  const expected = file.inode.data.read(offset, length);
  let bytes = 0;
  while (bytes < length) {
    const got = sys.pread(file.fd, buffer.subarray(bytes), length - bytes, offset + bytes);
    world.expect(got, 0, 'pread');
    if (got === 0) break;
    bytes += got;
  }
  if (bytes !== expected.length) {
    world.fail(`${file.label}: read ${bytes} bytes at ${offset}, expected ${expected.length}`);
  }
  if (expected.equals(buffer.subarray(0, bytes))) return;
  const at = expected.findIndex((byte, index) => byte !== buffer[index]);
  world.fail(`${file.label}: byte ${offset + at} is ${buffer[at]}, expected ${expected[at]}`);
}

/** Bytes that are not zero must never lie in what SEEK_DATA skips. */
function checkSeek(world: World, file: OpenFile, offset: number): void {
  const { data } = file.inode;
  if (offset >= data.size || isDirectory(file.inode)) return;
  const found = sys.lseek(file.fd, offset, SEEK.DATA);
  const end = found < 0 ? data.size : found;
  if (found < 0) world.expect(found, found === -errno.ENXIO ? found : 0, 'lseek SEEK_DATA');
  for (const page of data.pageOffsets()) {
    if (page + PAGE_BYTES <= offset || page >= end) continue;
    const from = Math.max(page, offset);
    const skipped = data.read(from, Math.min(page + PAGE_BYTES, end) - from);
    if (skipped.some((byte) => byte !== 0)) {
      world.fail(`${file.label}: SEEK_DATA from ${offset} skips data at ${from}, found ${found}`);
    }
  }
}
