// What happened on this node, for people: JSON lines, bounded by keeping one older file.
import { appendFileSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { z } from 'zod';
import { type ControlEvent, eventSchema } from './control-channel.ts';

const FILE_BYTES_MAX = 2 * 1024 * 1024;

/** Lines written by versions that did not number events have none. */
const loggedSchema = eventSchema.extend({ id: z.int().min(0).default(0) });

/** An event as it is kept: `id` grows by one with each event of the node. */
export interface LoggedEvent extends ControlEvent {
  readonly id: number;
}

export class EventLog {
  readonly #path: string;
  readonly #listeners: ((event: LoggedEvent) => void)[] = [];
  #bytes: number;
  #nextId: number;
  #lost = 0;

  constructor(path: string) {
    this.#path = path;
    this.#bytes = existsSync(path) ? statSync(path).size : 0;
    this.#nextId = (this.last(1)[0]?.id ?? 0) + 1;
  }

  /**
   * Keeps the event and tells it to all listeners. On a full disk they still hear of it: the event
   * may be about that very disk.
   */
  add(event: ControlEvent): void {
    const logged = { id: this.#nextId, ...event };
    this.#nextId += 1;
    try {
      this.#append(`${JSON.stringify(logged)}\n`);
    } catch {
      this.#lost += 1;
    }
    for (const listener of this.#listeners) listener(logged);
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

  onEvent(listener: (event: LoggedEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Events that `isWanted`, newest first, at most `count`. */
  find(isWanted: (event: LoggedEvent) => boolean, count: number): LoggedEvent[] {
    const found: LoggedEvent[] = [];
    for (const path of [this.#path, `${this.#path}.1`]) {
      for (const line of linesOf(path).toReversed()) {
        if (found.length >= count) return found;
        for (const event of parseLine(line)) if (isWanted(event)) found.push(event);
      }
    }
    return found;
  }

  /** The last `count` events, oldest first. A line torn by a power cut is left out. */
  last(count: number): LoggedEvent[] {
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

function parseLine(line: string): LoggedEvent[] {
  try {
    const parsed = loggedSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}
