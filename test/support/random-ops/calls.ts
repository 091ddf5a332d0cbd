// System calls that only the generator needs, and the ones it shares with the product.
import koffi from 'koffi';
import { makedev } from '../../../src/linux/stat.ts';

export { addressOf, cstring, sys } from '../../../src/linux/libc.ts';

const libc = koffi.load('libc.so.6');

/** Memory maps; results are addresses as numbers, which `sys.pread` takes as a buffer. */
export const memory = {
  map: libc.func(
    'int64_t mmap(int64_t at, size_t length, int protection, int flags, int fd, int64_t offset)',
  ) as (...args: readonly number[]) => number,
  sync: libc.func('int msync(int64_t at, size_t length, int flags)') as (
    at: number,
    length: number,
    flags: number,
  ) => number,
  unmap: libc.func('int munmap(int64_t at, size_t length)') as (
    at: number,
    length: number,
  ) => number,
  file: libc.func('int memfd_create(const char *name, int flags)') as (
    name: string,
    flags: number,
  ) => number,
} as const;

export const PROT_WRITE = 3;
export const MAP = { SHARED: 1, PRIVATE_ANONYMOUS: 0x22 } as const;
export const MS_SYNC = 4;

/** Device number of mknod(2). */
export const makedevNumber = (major: number, minor: number): number =>
  Number(makedev(major, minor));
