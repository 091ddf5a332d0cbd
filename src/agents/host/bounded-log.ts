// What a host prints goes to its log: so much in a while, and no more. An agent that prints in a loop must
// not fill the disk.
import { appendFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { keepLogSmall } from '../sdk/program.ts';

const WINDOW_MS = 10_000;
const WINDOW_BYTES_MAX = 256 * 1024;
const TAIL_BYTES = 4096;

export class BoundedLog {
  readonly #path: string;
  #windowMs = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  #tail = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** The end of what came last, whether it was written or not. */
  get tail(): string {
    return this.#tail.toString('utf8');
  }

  /** Forgets the tail: another process begins. */
  begin(): void {
    this.#tail = Buffer.alloc(0);
  }

  take(stream: Readable): void {
    stream.on('data', (chunk: Buffer) => this.#write(chunk));
    stream.on('error', () => stream.destroy());
  }

  #write(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
    const now = performance.now();
    if (now - this.#windowMs > WINDOW_MS) {
      this.#windowMs = now;
      this.#bytes = 0;
    }
    const isOver = this.#bytes > WINDOW_BYTES_MAX;
    this.#bytes += chunk.length;
    if (isOver) return;
    const text =
      this.#bytes > WINDOW_BYTES_MAX ? 'it prints too much: the rest is left out\n' : chunk;
    try {
      keepLogSmall(this.#path);
      appendFileSync(this.#path, text, { mode: 0o600 });
    } catch {
      // A disk that is full or has failed: the agent goes on without a log.
    }
  }
}
