// A scan without a filter: writes down a source directory that nobody changes meanwhile, in the order
// in which the filter's scanner does.
import { hashBlocks } from '../../src/filter/scan-contents.ts';
import { encodeXattrs, recordType } from '../../src/journal/record.ts';
import { O, S, SEEK } from '../../src/linux/constants.ts';
import { readDirectory, readXattrs } from '../../src/linux/dirents.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { Stat } from '../../src/linux/stat.ts';
import { type Recorder, namespaceBlock } from './recorder.ts';

const CHUNK_BYTES = 256 * 1024;
const ALL_TIMES_AND_MODE = 1 | 8 | 16;

/** `full` sends contents, `hash` their hashes. */
export type ScanMode = 'full' | 'hash';

class TreeScan {
  readonly #recorder: Recorder;
  readonly #mode: ScanMode;
  readonly #stat = new Stat();
  readonly #linked = new Map<number, string>();
  readonly #directories: string[] = [];

  constructor(recorder: Recorder, mode: ScanMode) {
    this.#recorder = recorder;
    this.#mode = mode;
  }

  run(): void {
    this.#object('');
    for (let at = this.#directories.pop(); at !== undefined; at = this.#directories.pop()) {
      this.#directory(at);
    }
  }

  #at(path: string): Stat {
    this.#stat.at(this.#recorder.fd, cstring(path === '' ? '.' : path));
    return this.#stat;
  }

  #directory(path: string): void {
    this.#recorder.emit({ type: recordType.scanDirBegin, path });
    const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
    const fd = sys.openat(this.#recorder.fd, cstring(path === '' ? '.' : path), flags, 0);
    const entries = readDirectory(fd);
    sys.close(fd);
    if (typeof entries === 'number') throw new Error(`cannot read ${path}`);
    for (const { name } of entries) this.#object(path === '' ? name : `${path}/${name}`);
    const payload = namespaceBlock(this.#at(path));
    this.#recorder.emit({ type: recordType.scanDirEnd, path, payload });
  }

  #object(path: string): void {
    const stat = this.#at(path);
    const type = stat.mode & S.IFMT;
    if (type !== S.IFDIR && stat.nlink > 1) {
      const first = this.#linked.get(stat.ino);
      if (first !== undefined) {
        this.#recorder.emit({ type: recordType.scanLink, path: first, path2: path });
        return;
      }
      this.#linked.set(stat.ino, path);
    }
    const xattrs = readXattrs(`/proc/self/fd/${this.#recorder.fd}/${path === '' ? '.' : path}`);
    if (typeof xattrs === 'number') throw new Error(`cannot read the attributes of ${path}`);
    const payload = Buffer.concat([namespaceBlock(stat), encodeXattrs(xattrs)]);
    const offset = type === S.IFREG ? stat.size : 0;
    const path2 = type === S.IFLNK ? this.#target(path) : '';
    this.#recorder.emit({ type: recordType.scanObject, path, path2, payload, offset });
    if (type === S.IFDIR) this.#directories.push(path);
    if (type === S.IFREG) this.#contents(path, stat.size);
  }

  #target(path: string): string {
    const target = Buffer.alloc(4096);
    const length = sys.readlinkat(this.#recorder.fd, cstring(path), target, target.length);
    return target.toString('latin1', 0, length);
  }

  #contents(path: string, size: number): void {
    const fd = sys.openat(this.#recorder.fd, cstring(path), O.RDONLY | O.CLOEXEC, 0);
    for (let at = 0; at < size;) {
      const data = sys.lseek(fd, at, SEEK.DATA);
      const from = data < 0 ? size : data;
      if (from > at) {
        this.#recorder.emit({ type: recordType.scanHole, path, offset: at, length: from - at });
      }
      const hole = from >= size ? size : sys.lseek(fd, from, SEEK.HOLE);
      const to = Math.min(hole, from + CHUNK_BYTES);
      if (to > from) this.#chunk(path, fd, from, to - from);
      at = Math.max(from, to);
    }
    sys.close(fd);
    this.#recorder.setattr(path, ALL_TIMES_AND_MODE);
  }

  #chunk(path: string, fd: number, offset: number, length: number): void {
    const bytes = Buffer.alloc(length);
    const read = sys.pread(fd, bytes, length, offset);
    if (read !== length) throw new Error(`cannot read ${path}`);
    if (this.#mode === 'full') {
      this.#recorder.emit({ type: recordType.scanData, path, offset, payload: bytes });
    } else {
      const payload = hashBlocks(bytes);
      this.#recorder.emit({ type: recordType.scanHash, path, offset, length, payload });
    }
  }
}

/** Emits a whole scan, except `scanBegin` and `scanEnd`. */
export function scanTree(recorder: Recorder, mode: ScanMode): void {
  new TreeScan(recorder, mode).run();
}

/** Answers a need: emits the contents, and the times that writing them disturbs. */
export function sendNeeded(
  recorder: Recorder,
  { path, offset, length }: { path: string; offset: number; length: number },
): void {
  const fd = sys.openat(recorder.fd, cstring(path), O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0);
  const payload = Buffer.alloc(length);
  const read = sys.pread(fd, payload, length, offset);
  sys.close(fd);
  const part = payload.subarray(0, Math.max(0, read));
  recorder.emit({ type: recordType.scanData, path, offset, payload: part });
  recorder.setattr(path, ALL_TIMES_AND_MODE);
}
