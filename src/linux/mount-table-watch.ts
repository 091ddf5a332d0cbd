// Tells when mounts of this namespace were changed, for a system call per question.
// Source: proc_pid_mountinfo(5), poll(2): the kernel raises POLLERR and POLLPRI once for each descriptor.
import { AT, O, POLLERR, POLLPRI } from './constants.ts';
import { cstring, sys } from './libc.ts';
import { type MountEntry, readMountTable } from './mount-table.ts';

export class MountTableWatch {
  readonly #fd: number;
  readonly #poll = Buffer.from(new ArrayBuffer(8));
  #isFirst = true;

  constructor() {
    const path = cstring('/proc/self/mountinfo');
    this.#fd = sys.openat(AT.FDCWD, path, O.RDONLY | O.CLOEXEC, 0);
  }

  /** The table when it is the first time, or another one than the last time; else undefined. */
  changed(): MountEntry[] | undefined {
    this.#poll.writeInt32LE(this.#fd, 0);
    this.#poll.writeInt16LE(POLLPRI, 4);
    const isChanged = sys.poll(this.#poll, 1, 0) > 0 && (this.#poll.readInt16LE(6) & POLLERR) !== 0;
    // One that cannot be asked is read each time.
    if (!isChanged && !this.#isFirst && this.#fd >= 0) return undefined;
    this.#isFirst = false;
    return readMountTable();
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
  }
}
