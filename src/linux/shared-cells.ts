// Numbers that several processes of one machine see at once: a small file on tmpfs, mapped by each.
// One writer per cell. A cell is an aligned 64-bit float, stored and loaded by one instruction on
// x86-64 and arm64, so a reader sees the old or the new number, never half of each.
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { UnderstudyError } from '../core/errors.ts';
import { sys } from './libc.ts';

const PAGE_BYTES = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/** Cells of one page. */
export const SHARED_CELLS = PAGE_BYTES / 8;

/**
 * Maps the cells kept in `path`. `create` makes the file (all cells 0) when it does not exist; what is
 * in it stays. `readOnly`: a store would end the process. The mapping lasts as long as the process.
 * Errors: SHARED_CELLS_UNAVAILABLE.
 */
export function mapSharedCells(
  path: string,
  options: { create?: boolean; readOnly?: boolean } = {},
): Float64Array {
  const flags = constants.O_RDWR | (options.create === true ? constants.O_CREAT : 0);
  try {
    const fd = openSync(path, options.readOnly === true ? constants.O_RDONLY : flags, 0o600);
    try {
      if (options.create === true) {
        fchmodSync(fd, 0o600);
        if (fstatSync(fd).size < PAGE_BYTES) ftruncateSync(fd, PAGE_BYTES);
      }
      // Touching a page beyond the end of the file would be a bus error.
      if (fstatSync(fd).size < PAGE_BYTES) throw new TypeError('the file is too short');
      return mapFile(fd, options.readOnly === true);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new UnderstudyError(
      'SHARED_CELLS_UNAVAILABLE',
      `${path} cannot be shared between processes: check that its directory exists and is on tmpfs`,
      { cause },
    );
  }
}

function mapFile(fd: number, readOnly: boolean): Float64Array {
  const protection = readOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  const address = sys.mmap(0, PAGE_BYTES, protection, MAP_SHARED, fd, 0);
  if (address < 0) throw new TypeError(`mmap failed (${address})`);
  return new Float64Array(koffi.view(BigInt(address), PAGE_BYTES));
}
