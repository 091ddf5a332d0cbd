// Tells people what happened, through the channels that are set. Each channel has its own grouping and its own queue, so that one
// that does not answer keeps none of the others.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../core/errors.ts';
import { makeEvent } from '../control-channel.ts';
import type { LoggedEvent } from '../event-log.ts';
import type { NodeService } from '../node-service.ts';
import { AlertGrouper } from './alert-grouper.ts';
import { type AlertMessage, alertMessage, testMessage } from './alert-message.ts';
import { AlertSettings, type Channel } from './alert-settings.ts';

const QUEUE_MAX = 50;
/** Between tries; then a message is given up. */
const RETRY_MS: readonly number[] = [30_000, 120_000, 600_000, 1_800_000];
/** Told whatever their level: the end of something that was told before, and who is primary now. */
const GOOD_NEWS = new Set([
  'PEER_BACK',
  'BECAME_PRIMARY',
  'SWITCHED_OVER',
  'TOGETHER',
  'COPY_COMPLETE',
  'ARBITER_ANSWERS',
]);
const LEVELS = ['info', 'warning', 'error'];

export class Alerts {
  readonly settings: AlertSettings;
  readonly #service: NodeService;
  readonly #outlets = new Map<string, Outlet>();

  /** Errors: STATE_FILE_INVALID. */
  constructor(service: NodeService) {
    this.#service = service;
    this.settings = new AlertSettings(service.paths.alerts, (sentence) =>
      service.tellDamaged(sentence),
    );
    service.events.onEvent((event) => this.#note(event));
  }

  stop(): void {
    for (const outlet of this.#outlets.values()) outlet.stop();
    this.#outlets.clear();
  }

  /** Sends a test message at once. Errors: ALERT_CHANNEL_UNKNOWN, ALERT_NOT_SENT. */
  async test(id: string): Promise<void> {
    const channel = this.settings.get(id);
    const { sendAlert } = await import('./alert-senders.ts');
    const at = new Date().toISOString();
    await sendAlert(channel, testMessage(this.#service.config.name, channel.name, at));
  }

  #note(event: LoggedEvent): void {
    // About alerts there are no alerts: a channel that fails would call for itself.
    if (event.code.startsWith('ALERT_')) return;
    for (const channel of this.settings.channels) {
      if (channel.enabled && isWanted(event, channel)) this.#outletOf(channel.id).note(event);
    }
  }

  #outletOf(id: string): Outlet {
    const known = this.#outlets.get(id);
    if (known !== undefined) return known;
    const outlet = new Outlet({
      channel: () => this.settings.channels.find((one) => one.id === id && one.enabled),
      settings: this.settings,
      node: this.#service.config.name,
      onGivenUp: (channel, thrown) => {
        const details = { channel: channel.name };
        this.#service.events.add(
          makeEvent(
            'warning',
            'ALERT_GIVEN_UP',
            `an alert was not sent: ${messageOf(thrown)}`,
            details,
          ),
        );
      },
    });
    this.#outlets.set(id, outlet);
    return outlet;
  }
}

function isWanted({ level, code }: LoggedEvent, channel: Channel): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(channel.level) || GOOD_NEWS.has(code);
}

interface OutletOptions {
  /** As it is now; undefined: it was removed or switched off. */
  readonly channel: () => Channel | undefined;
  readonly settings: AlertSettings;
  readonly node: string;
  readonly onGivenUp: (channel: Channel, thrown: unknown) => void;
}

/** One channel's way out: batches, then a queue that is sent one after the other. */
class Outlet {
  readonly #options: OutletOptions;
  readonly #grouper: AlertGrouper;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #queue: AlertMessage[] = [];
  #isSending = false;

  constructor(options: OutletOptions) {
    this.#options = options;
    this.#grouper = new AlertGrouper(() => options.settings.timing);
  }

  note(event: LoggedEvent): void {
    this.#grouper.note(event, performance.now());
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopped.abort();
  }

  #arm(): void {
    // What waits for an hour must not keep what waits for seconds.
    clearTimeout(this.#timer);
    const waitMs = this.#grouper.waitMs(performance.now());
    if (waitMs === undefined || this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => {
      const batch = this.#grouper.due(performance.now());
      if (batch !== undefined) this.#push(alertMessage(this.#options.node, batch));
      this.#arm();
    }, waitMs + 1);
    this.#timer.unref();
  }

  #push(message: AlertMessage): void {
    this.#queue = [...this.#queue, message].slice(-QUEUE_MAX);
    if (!this.#isSending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    try {
      for (;;) {
        const message = this.#queue.shift();
        if (message === undefined || this.#stopped.signal.aborted) return;
        await this.#sendOne(message);
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #sendOne(message: AlertMessage): Promise<void> {
    const { sendAlert } = await import('./alert-senders.ts');
    for (let tries = 0; ; tries += 1) {
      const channel = this.#options.channel();
      if (channel === undefined || this.#stopped.signal.aborted) return;
      try {
        await sendAlert(channel, message);
        return;
      } catch (thrown) {
        const pauseMs = RETRY_MS[tries];
        if (pauseMs === undefined) {
          this.#options.onGivenUp(channel, thrown);
          return;
        }
        const { signal } = this.#stopped;
        await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }
}
