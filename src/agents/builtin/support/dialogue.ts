// Reads what a server says, line by line or until a text, within a bound; for protocols of lines.
import type { Socket } from 'node:net';

const RECEIVED_MAX = 64 * 1024;

export class Dialogue {
  readonly #socket: Socket;
  #buffer = '';
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', this.#onData);
    socket.on('close', this.#onClose);
    socket.on('error', this.#onClose);
  }

  readonly #onData = (chunk: string | Buffer): void => {
    if (this.#buffer.length < RECEIVED_MAX) this.#buffer += chunk.toString();
    this.#wake?.();
  };

  readonly #onClose = (): void => {
    this.#isClosed = true;
    this.#wake?.();
  };

  /** What came and was not taken as a line yet. */
  get received(): string {
    return this.#buffer;
  }

  /** Gives the connection to somebody else (TLS). */
  release(): void {
    this.#socket.off('data', this.#onData);
    this.#socket.off('close', this.#onClose);
  }

  /** The next line without its end; undefined when the server closed or says too much. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const at = this.#buffer.indexOf('\n');
      if (at >= 0) {
        const line = this.#buffer.slice(0, at).replace(/\r$/, '');
        this.#buffer = this.#buffer.slice(at + 1);
        return line;
      }
      if (this.#isOver) return undefined;
      await this.#more();
    }
  }

  /** False when the server closed, or said more than is looked at, without it. */
  async untilText(text: string): Promise<boolean> {
    while (!this.#buffer.includes(text)) {
      if (this.#isOver) return false;
      await this.#more();
    }
    return true;
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#buffer.length >= RECEIVED_MAX;
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  say(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }
}
