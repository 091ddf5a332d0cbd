// A log of JSON lines, bounded: the present file and some older ones. What a power cut, or a disk that got full in the middle, left
// of a line ends before the next one, which is not lost with it.
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';

export interface LineLogOptions {
  readonly path: string;
  readonly fileBytesMax: number;
  readonly oldFiles: number;
}

export class LineLog {
  readonly #options: LineLogOptions;
  #bytes = 0;
  #isTorn = false;
  #lost = 0;

  constructor(options: LineLogOptions) {
    this.#options = options;
    this.look();
  }

  /** Finds out anew what is there. */
  look(): void {
    const { path } = this.#options;
    this.#bytes = existsSync(path) ? statSync(path).size : 0;
    this.#isTorn = this.#bytes > 0 && !endsWithNewline(path, this.#bytes);
  }

  /** Lines that a full or failed disk has not taken. */
  get lost(): number {
    return this.#lost;
  }

  /** The present file, then the older ones. */
  get files(): string[] {
    const { path, oldFiles } = this.#options;
    return [path, ...Array.from({ length: oldFiles }, (_, index) => `${path}.${index + 1}`)];
  }

  /** Never throws: what happens to a disk is told of while that very disk is in trouble. */
  add(value: unknown): void {
    const line = `${this.#isTorn ? '\n' : ''}${JSON.stringify(value)}\n`;
    try {
      if (this.#bytes > this.#options.fileBytesMax) this.#rotate();
      appendFileSync(this.#options.path, line, { mode: 0o600 });
      this.#bytes += Buffer.byteLength(line);
      this.#isTorn = false;
    } catch {
      this.#lost += 1;
      this.#isTorn = true;
    }
  }

  #rotate(): void {
    const { files } = this;
    for (let index = files.length - 1; index > 0; index -= 1) {
      const [from = '', to = ''] = [files[index - 1], files[index]];
      if (existsSync(from)) renameSync(from, to);
    }
    this.#bytes = 0;
  }
}

/** Lines of one file, oldest first; none where there is no file, or a disk that cannot be read. */
export function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}

function endsWithNewline(path: string, bytes: number): boolean {
  try {
    const fd = openSync(path, 'r');
    try {
      const last = Buffer.alloc(1);
      return readSync(fd, last, 0, 1, bytes - 1) === 1 && last[0] === 0x0a;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}
