// Looks at files of the copy for the guard: regular files beneath the protected directories only.
import { AT, O, S } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { openHandleBeneath, procPath } from '../applier/beneath.ts';
import type { Peek } from './rewrite-watch.ts';

export class CopyPeek implements Peek {
  readonly #roots: readonly number[];
  readonly #stat = new Stat();
  size = 0;

  /** `roots`: descriptors of the protected directories, in the order of the records' index. */
  constructor(roots: readonly number[]) {
    this.#roots = roots;
  }

  read(directory: number, path: string, offset: number, bytes: Uint8Array): number {
    this.size = 0;
    const root = this.#roots[directory];
    if (root === undefined) return -1;
    const handle = openHandleBeneath(root, path);
    if (handle < 0) return handle;
    try {
      if (this.#stat.fd(handle) < 0 || (this.#stat.mode & S.IFMT) !== S.IFREG) return -1;
      this.size = this.#stat.size;
      if (this.size <= offset) return 0;
      const flags = O.RDONLY | O.NOATIME | O.CLOEXEC;
      const fd = sys.openat(AT.FDCWD, procPath(handle), flags, 0);
      if (fd < 0) return fd;
      const read = sys.pread(fd, bytes, bytes.length, offset);
      sys.close(fd);
      return read;
    } finally {
      sys.close(handle);
    }
  }
}
