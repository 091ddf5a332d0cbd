// Cuts a byte stream into lines of bounded length.

export class LineSplitter {
  readonly #bytesMax: number;
  readonly #onLine: (line: string) => void;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number, onLine: (line: string) => void) {
    this.#bytesMax = bytesMax;
    this.#onLine = onLine;
  }

  /** Returns false when a line exceeded the bound: the connection is to be closed. */
  push(chunk: Buffer): boolean {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(10, start);
      const piece = end < 0 ? chunk.subarray(start) : chunk.subarray(start, end);
      if (this.#bytes + piece.length > this.#bytesMax) return false;
      if (piece.length > 0) this.#parts.push(piece);
      this.#bytes += piece.length;
      if (end < 0) return true;
      const line = Buffer.concat(this.#parts, this.#bytes).toString('utf8');
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
      if (line.length > 0) this.#onLine(line);
    }
  }
}
