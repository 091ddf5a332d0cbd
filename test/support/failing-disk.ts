// A disk that cannot write some of its blocks, as one with bad sectors: the loop image lies in a tmpfs that is full, and these
// blocks are holes in it.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { mountAgain, mountLoopImage, unmountLazily } from './loop-image.ts';

const MIB = 1024 * 1024;
const BYTES = 48 * MIB;
const BLOCK_BYTES = 4096;
/** Of the tmpfs, beyond the image. */
const SLACK_BYTES = 8 * MIB;

export class FailingDisk {
  readonly dir: string;
  readonly #store: string;
  readonly #image: string;

  /** `store`: a directory for the image, not there yet. `dir`: where the disk is mounted. */
  constructor(store: string, dir: string) {
    this.dir = dir;
    this.#store = store;
    this.#image = join(store, 'image');
    fs.mkdirSync(store);
    const size = `size=${BYTES + SLACK_BYTES}`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', store], { stdio: 'pipe' });
    // Tables that are zeroed later would be holes, too: room in the tmpfs.
    const mkfs = ['-b', String(BLOCK_BYTES), '-E', 'nodiscard,lazy_itable_init=0'];
    mountLoopImage({ image: this.#image, dir, bytes: BYTES, mkfs });
    execFileSync('fallocate', ['-l', String(BYTES), this.#image]);
  }

  /** From now on what is written to the blocks of this file is lost. */
  breakFile(path: string): void {
    execFileSync('sync', ['-f', this.dir]);
    const listed = execFileSync('filefrag', ['-v', '-b4096', path], { encoding: 'utf8' });
    for (const [, from, to] of listed.matchAll(/:\s+(\d+)\.\.\s+(\d+):\s+\d+:/g))
      this.#punch(Number(from), Number(to));
    this.#fill();
  }

  /** From now on what is written to new files is lost. */
  breakFree(): void {
    execFileSync('sync', ['-f', this.dir]);
    const dumped = execFileSync('dumpe2fs', [this.#image], { encoding: 'utf8', stdio: 'pipe' });
    for (const [, ranges = ''] of dumped.matchAll(/^ +Free blocks: (.*)$/gm)) {
      for (const [, from, to = from] of ranges.matchAll(/(\d+)(?:-(\d+))?/g))
        this.#punch(Number(from), Number(to));
    }
    this.#fill();
  }

  #punch(from: number, to: number): void {
    const [offset, length] = [from * BLOCK_BYTES, (to - from + 1) * BLOCK_BYTES];
    execFileSync('fallocate', ['-p', '-o', String(offset), '-l', String(length), this.#image]);
  }

  #fill(): void {
    const fd = fs.openSync(join(this.#store, 'fill'), 'wx');
    try {
      for (;;) fs.writeSync(fd, Buffer.alloc(BLOCK_BYTES, 1));
    } catch {
      // It is full.
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Everything can be written again; what was lost stays so. */
  mend(): void {
    fs.rmSync(join(this.#store, 'fill'), { force: true });
  }

  /** As after a boot: what is read comes from the disk. */
  mountAgain(): void {
    execFileSync('umount', [this.dir], { stdio: 'pipe' });
    mountAgain(this.#image, this.dir);
  }

  close(): void {
    unmountLazily(this.dir);
    unmountLazily(this.#store);
  }
}
