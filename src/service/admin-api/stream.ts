// Live changes for consoles, as server-sent events: `status` when anything in it has changed, `traffic` each second, `event`,
// `operation`. Nothing is looked at while nobody listens; who does not read is cut off, and so is who may not listen any more.
import type { ServerResponse } from 'node:http';
import { networkCounters } from '../node-health/network-cards.ts';
import { collectStatus, type ServiceStatus } from '../status.ts';
import type { ApiContext } from './context.ts';
import { eventView } from './event-routes.ts';

const INTERVAL_MS = 1000;
const KEEP_ALIVE_MS = 15_000;
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
/** Of one reconnection. */
const MISSED_EVENTS_MAX = 500;

/** What moves, each second. */
export interface Traffic {
  /** ISO 8601. */
  readonly at: string;
  /** How old what the status tells of the other node is; null: nothing is known of it. */
  readonly peerAgeMs: number | null;
  readonly groups: readonly {
    readonly name: string;
    readonly wireBytesPerSecond: number | null;
    readonly lagMs: number | null;
    readonly backlogBytes: number | null;
  }[];
  readonly interfaces: readonly {
    readonly name: string;
    readonly receivedBytesPerSecond: number;
    readonly sentBytesPerSecond: number;
  }[];
}

export class ChangeStream {
  readonly #context: ApiContext;
  /** Each with whether it may go on. */
  readonly #listeners = new Map<ServerResponse, () => boolean>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #lastStatus = '';
  #spokenMs = 0;
  #counters = new Map<string, { received: number; sent: number }>();
  #countedMs = 0;

  constructor(context: ApiContext) {
    this.#context = context;
    const { service, operations } = context;
    service.events.onEvent((event) => {
      this.#send('event', eventView(context, event), String(event.id));
    });
    operations.onChange((view) => this.#send('operation', view));
  }

  /** Adds a listener, whose head was sent. `lastEventId`: of the last event that it knows. `mayGoOn` is asked each second. */
  add(response: ServerResponse, lastEventId: number | null, mayGoOn: () => boolean): void {
    this.#listeners.set(response, mayGoOn);
    response.once('close', () => this.#remove(response));
    if (lastEventId !== null) this.#catchUp(response, lastEventId);
    if (this.#lastStatus !== '') write(response, frame('status', this.#lastStatus));
    this.#timer ??= setInterval(() => void this.#look(), INTERVAL_MS);
    void this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const response of this.#listeners.keys()) response.end();
    this.#listeners.clear();
  }

  #remove(response: ServerResponse): void {
    this.#listeners.delete(response);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#lastStatus = '';
  }

  #catchUp(response: ServerResponse, lastEventId: number): void {
    const missed = this.#context.service.events
      .find(({ id }) => id > lastEventId, MISSED_EVENTS_MAX)
      .toReversed();
    for (const event of missed) {
      const data = JSON.stringify(eventView(this.#context, event));
      write(response, frame('event', data, String(event.id)));
    }
  }

  async #look(): Promise<void> {
    for (const [response, mayGoOn] of this.#listeners) if (!mayGoOn()) response.destroy();
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const status = await collectStatus(this.#context.service);
      if (this.#listeners.size === 0) return;
      const text = JSON.stringify(status);
      if (withoutAge(text) !== withoutAge(this.#lastStatus)) this.#send('status', status);
      this.#lastStatus = text;
      this.#send('traffic', this.#traffic(status));
      if (performance.now() - this.#spokenMs > KEEP_ALIVE_MS) this.#tell(': still here\n\n');
    } finally {
      this.#isLooking = false;
    }
  }

  #traffic({ peer, groups }: ServiceStatus): Traffic {
    const now = performance.now();
    const seconds = (now - this.#countedMs) / 1000;
    const before = this.#counters;
    this.#counters = networkCounters();
    this.#countedMs = now;
    return {
      at: new Date().toISOString(),
      peerAgeMs: peer?.ageMs ?? null,
      groups: groups.map(({ name, wireBytesPerSecond, lagMs, backlogBytes }) => ({
        name,
        wireBytesPerSecond,
        lagMs,
        backlogBytes,
      })),
      interfaces: [...this.#counters].flatMap(([name, { received, sent }]) => {
        const last = before.get(name);
        if (last === undefined || seconds <= 0) return [];
        return [
          {
            name,
            receivedBytesPerSecond: Math.max(0, Math.round((received - last.received) / seconds)),
            sentBytesPerSecond: Math.max(0, Math.round((sent - last.sent) / seconds)),
          },
        ];
      }),
    };
  }

  #send(name: string, data: unknown, id?: string): void {
    if (this.#listeners.size > 0) this.#tell(frame(name, JSON.stringify(data), id));
  }

  #tell(text: string): void {
    this.#spokenMs = performance.now();
    for (const response of this.#listeners.keys()) write(response, text);
  }
}

/** That time passes is no change. */
function withoutAge(status: string): string {
  return status.replace(/"ageMs":\d+/, '');
}

function frame(name: string, json: string, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`;
}

function write(response: ServerResponse, text: string): void {
  if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
  else response.write(text);
}
