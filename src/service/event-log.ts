// What happened on this node, for people: JSON lines, bounded by keeping one older file.
import { z } from 'zod';
import { type ControlEvent, eventSchema } from './control-channel.ts';
import { LineLog, linesOf } from './line-log.ts';

const FILE_BYTES_MAX = 2 * 1024 * 1024;

/** Lines written by versions that did not number events have none. */
const loggedSchema = eventSchema.extend({ id: z.int().min(0).default(0) });

/** An event as it is kept: `id` grows by one with each event of the node. */
export interface LoggedEvent extends ControlEvent {
  readonly id: number;
}

/** Which events of a process were told before. Times alone do not say so: clocks are set back. */
export class KnownEvents {
  readonly #oldest: string | null;
  readonly #keys: ReadonlySet<string>;

  constructor(oldest: string | null, keys: ReadonlySet<string>) {
    this.#oldest = oldest;
    this.#keys = keys;
  }

  /** Of an event that a process has kept. One that is older than all that is kept here was forgotten meanwhile. */
  has(event: ControlEvent): boolean {
    return this.#keys.has(keyOf(event)) || (this.#oldest !== null && event.at < this.#oldest);
  }
}

const keyOf = ({ at, code, message }: ControlEvent): string => `${at} ${code} ${message}`;

export class EventLog {
  readonly #lines: LineLog;
  readonly #listeners: ((event: LoggedEvent) => void)[] = [];
  #nextId: number;

  constructor(path: string) {
    this.#lines = new LineLog({ path, fileBytesMax: FILE_BYTES_MAX, oldFiles: 1 });
    this.#nextId = (this.last(1)[0]?.id ?? 0) + 1;
  }

  /**
   * Keeps the event and tells it to all listeners. On a full disk they still hear of it: the event
   * may be about that very disk.
   */
  add(event: ControlEvent): void {
    const logged = { id: this.#nextId, ...event };
    this.#nextId += 1;
    this.#lines.add(logged);
    for (const listener of this.#listeners) listener(logged);
  }

  /** Of the last event that there was; 0: none yet. */
  get newestId(): number {
    return this.#nextId - 1;
  }

  /** Events that could not be written. */
  get lost(): number {
    return this.#lines.lost;
  }

  /** What is kept about a group. */
  about(group: string): KnownEvents {
    const all = this.last(Number.MAX_SAFE_INTEGER);
    const about = all.filter(({ details }) => details['group'] === group);
    const [oldest] = all;
    return new KnownEvents(oldest?.at ?? null, new Set(about.map(keyOf)));
  }

  onEvent(listener: (event: LoggedEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Events that `isWanted`, newest first, at most `count`. */
  find(isWanted: (event: LoggedEvent) => boolean, count: number): LoggedEvent[] {
    const found: LoggedEvent[] = [];
    for (const path of this.#lines.files) {
      for (const line of linesOf(path).toReversed()) {
        if (found.length >= count) return found;
        for (const event of parseLine(line)) if (isWanted(event)) found.push(event);
      }
    }
    return found;
  }

  /** The last `count` events, oldest first. A line torn by a power cut is left out. */
  last(count: number): LoggedEvent[] {
    return this.#lines.files
      .toReversed()
      .flatMap(linesOf)
      .slice(-count - 1)
      .flatMap(parseLine)
      .slice(-count);
  }
}

function parseLine(line: string): LoggedEvent[] {
  try {
    const parsed = loggedSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}
