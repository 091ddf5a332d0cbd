// Which events become which messages of one channel, and when. Pure: time comes in from outside.
//
// The first event begins a batch, which is sent when it is `groupSeconds` old. An event of a code and group that was told within
// `repeatMinutes` is only counted, and the count told with the next one. Beyond `messagesPerHour`, batches are dropped, and the
// next message says how many events were. So a flood costs one message a batch, and never more than so many an hour.
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
  /** Of the same since then. */
  held: number;
}

export class AlertGrouper {
  readonly #timing: () => AlertTiming;
  readonly #told = new Map<string, Remembered>();
  #batch: { event: ControlEvent; key: string }[] = [];
  #unshown = 0;
  #beganMs = 0;
  #sentMs: number[] = [];
  #dropped = 0;

  /** `timing`: as it is now. */
  constructor(timing: () => AlertTiming) {
    this.#timing = timing;
  }

  /** Milliseconds until {@link due} has something; undefined: nothing waits. */
  waitMs(nowMs: number): number | undefined {
    if (this.#batch.length === 0) return undefined;
    return Math.max(0, this.#beganMs + this.#timing().groupSeconds * SECOND_MS - nowMs);
  }

  note(event: ControlEvent, nowMs: number): void {
    const key = `${event.code} ${String(event.details['group'] ?? '')}`;
    const told = this.#told.get(key);
    if (told !== undefined && nowMs - told.toldMs < this.#timing().repeatMinutes * MINUTE_MS) {
      told.held += 1;
      return;
    }
    if (this.#batch.length === 0) this.#beganMs = nowMs;
    const same = this.#batch.some((one) => one.key === key && one.event.message === event.message);
    if (this.#batch.length < SHOWN_MAX && !same) this.#batch.push({ event, key });
    else this.#unshown += 1;
  }

  /** The batch that is to be sent now; undefined: none is. */
  due(nowMs: number): AlertBatch | undefined {
    if (this.waitMs(nowMs) !== 0) return undefined;
    const batch = this.#batch;
    const unshown = this.#unshown;
    this.#batch = [];
    this.#unshown = 0;
    this.#sentMs = this.#sentMs.filter((at) => nowMs - at < HOUR_MS);
    if (this.#sentMs.length >= this.#timing().messagesPerHour) {
      this.#dropped += batch.length + unshown;
      return undefined;
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#sentMs.push(nowMs);
    const events = batch.map(({ event, key }) => ({
      ...event,
      more: this.#told.get(key)?.held ?? 0,
    }));
    for (const { key } of batch) this.#remember(key, nowMs);
    return { events, unshown, dropped };
  }

  #remember(key: string, nowMs: number): void {
    this.#told.delete(key);
    this.#told.set(key, { toldMs: nowMs, held: 0 });
    const [oldest] = this.#told.keys();
    if (this.#told.size > REMEMBERED_MAX && oldest !== undefined) this.#told.delete(oldest);
  }
}
