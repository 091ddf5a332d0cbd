// What happened on this node, for people: JSON lines, bounded by keeping one older file.
import { appendFileSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { type ControlEvent, eventSchema } from './control-channel.ts';

const FILE_BYTES_MAX = 2 * 1024 * 1024;

export class EventLog {
  readonly #path: string;
  readonly #listeners: ((event: ControlEvent) => void)[] = [];
  #bytes: number;
  #lost = 0;

  constructor(path: string) {
    this.#path = path;
    this.#bytes = existsSync(path) ? statSync(path).size : 0;
  }

  /**
   * Keeps the event and tells it to all listeners. On a full disk they still hear of it: the event
   * may be about that very disk.
   */
  add(event: ControlEvent): void {
    try {
      this.#append(`${JSON.stringify(event)}\n`);
    } catch {
      this.#lost += 1;
    }
    for (const listener of this.#listeners) listener(event);
  }

  /** Events that could not be written. */
  get lost(): number {
    return this.#lost;
  }

  #append(line: string): void {
    if (this.#bytes > FILE_BYTES_MAX) {
      renameSync(this.#path, `${this.#path}.1`);
      this.#bytes = 0;
    }
    appendFileSync(this.#path, line, { mode: 0o600 });
    this.#bytes += Buffer.byteLength(line);
  }

  /** ISO time of the last event about a group; empty when there is none. */
  lastAbout(group: string): string {
    return (
      this.last(Number.MAX_SAFE_INTEGER).findLast(({ details }) => details['group'] === group)
        ?.at ?? ''
    );
  }

  onEvent(listener: (event: ControlEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** The last `count` events, oldest first. A line torn by a power cut is left out. */
  last(count: number): ControlEvent[] {
    return [`${this.#path}.1`, this.#path]
      .flatMap(linesOf)
      .slice(-count - 1)
      .flatMap(parseLine)
      .slice(-count);
  }
}

/** None where there is no file, or a disk that cannot be read. */
function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(isNotEmpty);
  } catch {
    return [];
  }
}

function isNotEmpty(line: string): boolean {
  return line !== '';
}

function parseLine(line: string): ControlEvent[] {
  try {
    const parsed = eventSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}
