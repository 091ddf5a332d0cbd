// Which events become which messages of one channel, and when. Pure: time comes in from outside.
//
// The first event begins a batch, which is sent when it is `groupSeconds` old. An event of a code and group that was told within
// `repeatMinutes` is only counted; when these are over, the last one is told with the count, so that what people have heard last
// is not what has changed long since. Beyond `messagesPerHour`, batches are dropped; as soon as there may be a message, it shows
// the newest of what was and counts the rest. So a flood costs one message a batch, and never more than so many an hour.
import type { ControlEvent } from '../control-channel.ts';
import type { AlertTiming } from './alert-settings.ts';

const HOUR_MS = 3_600_000;
const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
/** Events that one message shows; more are counted. */
const SHOWN_MAX = 20;
/** Codes and groups that are remembered. */
const REMEMBERED_MAX = 2000;

export interface AlertBatch {
  /** In the order in which they came. */
  readonly events: readonly (ControlEvent & { readonly more: number })[];
  /** In this batch, beyond those that are shown. */
  readonly unshown: number;
  /** Dropped before it, because too many messages had gone out. */
  readonly dropped: number;
}

interface Remembered {
  readonly toldMs: number;
  /** Of the same since then, besides {@link last}. */
  held: number;
  /** The newest of these. */
  last: ControlEvent | undefined;
}

interface Noted {
  readonly event: ControlEvent;
  readonly key: string;
}

export class AlertGrouper {
  readonly #timing: () => AlertTiming;
  readonly #told = new Map<string, Remembered>();
  #batch: Noted[] = [];
  #unshown = 0;
  #beganMs = 0;
  #sentMs: number[] = [];
  #dropped = 0;
  /** The newest of those. */
  #droppedLast: readonly Noted[] = [];

  /** `timing`: as it is now. */
  constructor(timing: () => AlertTiming) {
    this.#timing = timing;
  }

  /** Milliseconds until {@link due} is to be asked; undefined: nothing waits. */
  waitMs(nowMs: number): number | undefined {
    const dueMs = Math.min(this.#batchDueMs, this.#heldDueMs, this.#droppedDueMs);
    return Number.isFinite(dueMs) ? Math.max(0, dueMs - nowMs) : undefined;
  }

  note(event: ControlEvent, nowMs: number): void {
    const key = `${event.code} ${String(event.details['group'] ?? '')}`;
    const told = this.#told.get(key);
    if (told !== undefined) {
      if (told.last !== undefined) told.held += 1;
      told.last = undefined;
      if (nowMs - told.toldMs < this.#repeatMs) {
        told.last = event;
        return;
      }
    }
    this.#add({ event, key }, nowMs);
  }

  /** The batch that is to be sent now; undefined: none is. */
  due(nowMs: number): AlertBatch | undefined {
    this.#tellHeld(nowMs);
    if (nowMs < Math.min(this.#batchDueMs, this.#droppedDueMs)) return undefined;
    const batch = this.#batch;
    const unshown = this.#unshown;
    this.#batch = [];
    this.#unshown = 0;
    this.#sentMs = this.#sentMs.filter((at) => nowMs - at < HOUR_MS);
    const all = [...this.#droppedLast, ...batch];
    const shown = all.slice(-SHOWN_MAX);
    if (this.#sentMs.length >= this.#timing().messagesPerHour) {
      this.#dropped += batch.length + unshown;
      this.#droppedLast = shown;
      return undefined;
    }
    const dropped = this.#dropped + batch.length - shown.length;
    this.#dropped = 0;
    this.#droppedLast = [];
    this.#sentMs.push(nowMs);
    const events = shown.map(({ event, key }) => ({
      ...event,
      more: this.#told.get(key)?.held ?? 0,
    }));
    for (const { key } of shown) this.#remember(key, nowMs);
    return { events, unshown, dropped };
  }

  get #repeatMs(): number {
    return this.#timing().repeatMinutes * MINUTE_MS;
  }

  get #batchDueMs(): number {
    if (this.#batch.length === 0) return Number.POSITIVE_INFINITY;
    return this.#beganMs + this.#timing().groupSeconds * SECOND_MS;
  }

  get #heldDueMs(): number {
    const held = [...this.#told.values()].filter(({ last }) => last !== undefined);
    return Math.min(Number.POSITIVE_INFINITY, ...held.map(({ toldMs }) => toldMs)) + this.#repeatMs;
  }

  /** When the hour has room for what was dropped. */
  get #droppedDueMs(): number {
    if (this.#dropped === 0) return Number.POSITIVE_INFINITY;
    const before = this.#sentMs.at(-this.#timing().messagesPerHour);
    return before === undefined ? 0 : before + HOUR_MS;
  }

  #tellHeld(nowMs: number): void {
    for (const [key, told] of this.#told) {
      if (told.last === undefined || nowMs - told.toldMs < this.#repeatMs) continue;
      this.#add({ event: told.last, key }, nowMs);
      told.last = undefined;
    }
  }

  #add({ event, key }: Noted, nowMs: number): void {
    if (this.#batch.length === 0) this.#beganMs = nowMs;
    const same = this.#batch.some((one) => one.key === key && one.event.message === event.message);
    if (this.#batch.length < SHOWN_MAX && !same) this.#batch.push({ event, key });
    else this.#unshown += 1;
  }

  #remember(key: string, nowMs: number): void {
    this.#told.delete(key);
    this.#told.set(key, { toldMs: nowMs, held: 0, last: undefined });
    const [oldest] = this.#told.keys();
    if (this.#told.size > REMEMBERED_MAX && oldest !== undefined) this.#told.delete(oldest);
  }
}
