// Memory that belongs to whoever holds its descriptor: it outlives the process that made it, is seen by
// every process that got the descriptor, and is gone with the last of them. Nothing is left on a file system.
import koffi from 'koffi';
import { UnderstudyError } from '../core/errors.ts';
import { errnoName } from './constants.ts';
import { addressOf, cstring, sys } from './libc.ts';

const MEMFD_CREATE = process.arch === 'arm64' ? 279 : 319;
const MADVISE = process.arch === 'arm64' ? 233 : 28;
const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MADV_POPULATE_WRITE = 23;
const FALLOC_PUNCH_KEEP = 3;

/**
 * Creates memory of `bytes` bytes, all zero, and returns its descriptor (close-on-exec). What is not
 * touched takes no room. Errors: SHARED_MEMORY_UNAVAILABLE.
 */
export function createMemory(name: string, bytes: number): number {
  const text = cstring(name);
  const fd = sys.syscall(MEMFD_CREATE, addressOf(text), MFD_CLOEXEC, 0, 0);
  if (fd < 0) throw unavailable(`cannot be created (${errnoName(fd)})`);
  const sized = sys.ftruncate(fd, bytes);
  if (sized >= 0) return fd;
  sys.close(fd);
  throw unavailable(`cannot be given ${bytes} bytes (${errnoName(sized)})`);
}

/**
 * Maps a part of the memory behind `fd`, to be read and written; `offset` is a multiple of the page size.
 * The mapping lasts as long as the process. Errors: SHARED_MEMORY_UNAVAILABLE.
 */
export function mapMemory(fd: number, offset: number, bytes: number): ArrayBuffer {
  const address = sys.mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED, fd, offset);
  if (address < 0) throw unavailable(`cannot be mapped (${errnoName(address)})`);
  return koffi.view(BigInt(address), bytes);
}

/**
 * Makes pages of a mapping present and writable now: a system call that finds them absent may give up
 * when the process is being killed, and what it was carrying would be lost. Without effect before Linux 5.14.
 */
export function populate(address: number, bytes: number): void {
  const from = address - (address % 4096);
  sys.syscall(MADVISE, from, address + bytes - from, MADV_POPULATE_WRITE, 0);
}

/** Gives a part of the memory back; it reads as zeros again. */
export function discard(fd: number, offset: number, bytes: number): void {
  sys.fallocate(fd, FALLOC_PUNCH_KEEP, offset, bytes);
}

function unavailable(what: string): UnderstudyError {
  return new UnderstudyError(
    'SHARED_MEMORY_UNAVAILABLE',
    `memory to be shared between processes ${what}: check the machine's memory and the limits of the service`,
  );
}
