// What the console tells as it happens, merged into the query cache: pages ask the cache and are redrawn when it changes.
//
//   connecting ─first byte─▶ live ─end, fault, silence─▶ lost ─after a while─▶ connecting
//
// A window that nobody sees listens to nothing: browsers open six connections per site, and a console may be open in many tabs.
import type { QueryClient } from '@tanstack/react-query';
import { createParser } from 'eventsource-parser';
import { useSyncExternalStore } from 'react';
import type { FleetMessage } from '../../fleet/fleet.ts';
import type { FleetOverview } from '../../fleet/overview.ts';
import type { OperationView } from '../../../service/admin-api/operations.ts';
import type { EventView } from '../../../service/admin-api/schemas.ts';
import { openStream } from './api.ts';
import { type FleetChange, mergeFleet } from './merge-fleet.ts';
import { serverNow, takeClock } from './server-clock.ts';

export const FLEET_KEY = ['fleet'] as const;
/** The console says something every 10 s. */
const SILENCE_MS_MAX = 25_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8000;
const HIDDEN_MS_MAX = 30_000;
/** With many groups there is always one that changes: they are drawn together. */
const GATHER_MS = 100;

export interface LiveState {
  readonly phase: 'connecting' | 'live' | 'lost';
  /** When the last byte came, by the console's clock, ms; null: never. */
  readonly heardMs: number | null;
}

/** Follows a stream until it is stopped; tells each message and each byte that comes. */
export class StreamFollower {
  readonly #path: string;
  readonly #onMessage: (name: string, data: unknown) => void;
  readonly #listeners = new Set<() => void>();
  #state: LiveState = { phase: 'connecting', heardMs: null };
  #stopped = false;
  #turn = new AbortController();
  #hideTimer: ReturnType<typeof setTimeout> | undefined;
  #wake: () => void = () => undefined;

  constructor(path: string, onMessage: (name: string, data: unknown) => void) {
    this.#path = path;
    this.#onMessage = onMessage;
  }

  get state(): LiveState {
    return this.#state;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    document.addEventListener('visibilitychange', this.#onVisibility);
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#hideTimer);
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#turn.abort();
    this.#wake();
  }

  readonly #onVisibility = (): void => {
    clearTimeout(this.#hideTimer);
    if (document.hidden) this.#hideTimer = setTimeout(() => this.#turn.abort(), HIDDEN_MS_MAX);
    else this.#wake();
  };

  async #run(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    while (!this.#stopped) {
      this.#turn = new AbortController();
      try {
        await this.#follow(this.#turn, () => {
          retryMs = RETRY_MS_MIN;
        });
      } catch {
        // It ended, or was never there: told by the phase, and tried again.
      }
      if (this.#stopped) return;
      this.#set({ phase: 'lost', heardMs: this.#state.heardMs });
      await this.#pause(document.hidden ? null : retryMs);
      retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
    }
  }

  /** Until the time has passed, or the window is seen again. Null: only the latter. */
  async #pause(ms: number | null): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #follow(turn: AbortController, onHeard: () => void): Promise<void> {
    const response = await openStream(this.#path, turn.signal);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined) return;
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event !== undefined) this.#onMessage(event, JSON.parse(data));
      },
    });
    let silence = setTimeout(() => turn.abort(), SILENCE_MS_MAX);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => turn.abort(), SILENCE_MS_MAX);
        onHeard();
        this.#set({ phase: 'live', heardMs: serverNow() });
        parser.feed(value);
      }
    } finally {
      clearTimeout(silence);
      turn.abort();
    }
  }

  #set(state: LiveState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

/** An event of a node, as the stream of the fleet tells it. */
export interface NodeEvent {
  readonly node: string;
  readonly event: EventView;
}
export interface NodeOperation {
  readonly node: string;
  readonly operation: OperationView;
}

/** The live view of the whole console; one per window. */
export class LiveFleet {
  readonly follower: StreamFollower;
  readonly #client: QueryClient;
  readonly #eventListeners = new Set<(event: NodeEvent) => void>();
  readonly #operationListeners = new Set<(operation: NodeOperation) => void>();
  #pending: FleetChange[] = [];

  constructor(client: QueryClient) {
    this.#client = client;
    this.follower = new StreamFollower('/stream', (name, data) => this.#take(name, data));
  }

  onEvent(listener: (event: NodeEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onOperation(listener: (operation: NodeOperation) => void): () => void {
    this.#operationListeners.add(listener);
    return () => this.#operationListeners.delete(listener);
  }

  #take(name: string, data: unknown): void {
    if (name === 'fleet') {
      takeClock((data as FleetOverview).at);
      this.#pending = [];
      this.#client.setQueryData(FLEET_KEY, data);
      return;
    }
    const message = { name, data } as FleetMessage;
    if (message.name === 'event') {
      for (const listener of this.#eventListeners) listener(message.data as NodeEvent);
      void this.#client.invalidateQueries({ queryKey: ['events'] });
    } else if (message.name === 'operation') {
      for (const listener of this.#operationListeners) listener(message.data as NodeOperation);
    } else {
      this.#pending.push(message);
      if (this.#pending.length === 1) setTimeout(() => this.#flush(), GATHER_MS);
    }
  }

  #flush(): void {
    const changes = this.#pending;
    this.#pending = [];
    this.#client.setQueryData<FleetOverview>(FLEET_KEY, (before) =>
      before === undefined ? before : changes.reduce(mergeFleet, before),
    );
  }
}

export function useLiveState(follower: StreamFollower): LiveState {
  return useSyncExternalStore(follower.subscribe, () => follower.state);
}
