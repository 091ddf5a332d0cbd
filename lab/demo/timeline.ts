// What happened when, for people. Goes to standard error, so that the result alone is on standard
// output.

export class Timeline {
  readonly #started = performance.now();
  readonly #write: (line: string) => void;
  readonly entries: { readonly atMs: number; readonly text: string }[] = [];

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Writes a line with the seconds since the start. */
  note(text: string): void {
    const atMs = performance.now() - this.#started;
    this.entries.push({ atMs, text });
    this.#write(`${(atMs / 1000).toFixed(3).padStart(8)} s  ${text}`);
  }
}
