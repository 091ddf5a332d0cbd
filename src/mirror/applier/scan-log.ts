// The state of a scan on disk, so that a standby that was restarted in the middle of a scan goes on
// with it: one JSON array per line; `["at", sequence]` closes the lines of a batch.
//
// After a restart the records behind the checkpoint are applied again, so the state is brought back
// to what it was at the checkpoint. Hence the file has to be on disk (fsync) before a checkpoint is.
import * as fs from 'node:fs';
import type { ScanState } from './scan-state.ts';

/** `[what, directory index, path, inode or second path]`. */
export type ScanLogEntry =
  | readonly ['reset', number]
  | readonly ['begin' | 'end' | 'saw' | 'removed', number, string]
  | readonly ['own', number, string, number]
  | readonly ['moved' | 'exchanged', number, string, string];

type Line = ScanLogEntry | readonly ['at', number];

/** More is not buffered before it is written. */
const BUFFER_LINES_MAX = 10_000;

export class ScanLog {
  readonly path: string;
  #fd = -1;
  #lines: string[] = [];
  /** Entries since the last `at`. */
  #open = false;
  #replaying = false;

  /** `path` is the file; it need not exist. */
  constructor(path: string) {
    this.path = path;
  }

  add(entry: ScanLogEntry): void {
    if (this.#replaying) return;
    this.#open = true;
    this.#push(entry);
    if (this.#lines.length >= BUFFER_LINES_MAX) this.#write();
  }

  /** Ends a batch whose last record is `sequence`. Throws the error of the file system. */
  endBatch(sequence: number): void {
    if (!this.#open) return;
    this.#push(['at', sequence]);
    this.#write();
    this.#open = false;
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  /**
   * Brings the states back to where they were when the record `sequence` was the last one applied,
   * and forgets what came later.
   */
  restore(states: readonly ScanState[], sequence: number): void {
    if (!fs.existsSync(this.path)) return;
    const lines = fs.readFileSync(this.path, 'utf8').split('\n');
    let kept = 0;
    lines.forEach((text, index) => {
      const line = parse(text);
      if (line?.[0] === 'at' && line[1] <= sequence) kept = index + 1;
    });
    this.#replaying = true;
    for (const text of lines.slice(0, kept)) replayLine(states, parse(text));
    this.#replaying = false;
    const idle = states.every((state) => state.isIdle());
    const rest = idle ? '' : `${lines.slice(0, kept).join('\n')}\n`;
    const temporary = `${this.path}.new`;
    fs.writeFileSync(temporary, rest, { mode: 0o600, flush: true });
    fs.renameSync(temporary, this.path);
  }

  #push(line: Line): void {
    this.#lines.push(`${JSON.stringify(line)}\n`);
  }

  #write(): void {
    if (this.#fd < 0) this.#fd = fs.openSync(this.path, 'a', 0o600);
    fs.writeSync(this.#fd, this.#lines.join(''));
    this.#lines = [];
  }
}

/** A line cut short by a crash is none. */
function parse(text: string): Line | undefined {
  try {
    const line: unknown = JSON.parse(text);
    return Array.isArray(line) ? (line as unknown as Line) : undefined;
  } catch {
    return undefined;
  }
}

function replayLine(states: readonly ScanState[], line: Line | undefined): void {
  if (line === undefined || line[0] === 'at') return;
  const state = states[line[1]];
  if (state === undefined) return;
  switch (line[0]) {
    case 'reset':
      return state.reset();
    case 'begin':
      return state.begin(line[2]);
    case 'end':
      return state.end(line[2]);
    case 'saw':
      return state.saw(line[2]);
    case 'removed':
      return state.removed(line[2]);
    case 'own':
      return state.own(line[3], line[2]);
    case 'moved':
      return state.moved(line[2], line[3]);
    case 'exchanged':
      return state.exchanged(line[2], line[3]);
  }
}
