// "understudy status --watch" on a terminal: follows the service's stream of changes and keeps the screen in step with it. The
// terminal is given back however this ends; a service that is restarted is waited for.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../core/errors.ts';
import type { LocalApi } from '../../service/admin-api/client.ts';
import type { Traffic } from '../../service/admin-api/stream.ts';
import type { HistoryAnswer } from '../../service/history/history.ts';
import type { ServiceStatus } from '../../service/status.ts';
import { perSecond, Samples } from './samples.ts';
import { Screen } from './screen.ts';
import { watchFrame, type WatchState } from './view.ts';

const TICK_MS = 1000;
const RETRY_MS = 1000;
const PAST_SECONDS = 120;
/** History is kept in steps of ten seconds. */
const PAST_POINTS = 12;
/** Signals that end a program which knows nothing of them. */
const FATAL = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

const KEYS = {
  quit: ['q', 'Q', '\u0003'],
  suspend: ['\u001a'],
  up: ['\u001b[A', '\u001bOA', 'k'],
  down: ['\u001b[B', '\u001bOB', 'j'],
  pageUp: ['\u001b[5~', 'b'],
  pageDown: ['\u001b[6~', ' '],
} as const;
type Key = keyof typeof KEYS;

export interface FullScreenStreams {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** Whether a terminal can show more than lines. */
export function canShowScreen(output: NodeJS.WriteStream, env: NodeJS.ProcessEnv): boolean {
  return output.isTTY && env['TERM'] !== 'dumb' && output.columns > 0 && output.rows > 0;
}

/** Shows it until the person or a signal ends it. Errors: those of the first call. */
export async function watchFullScreen(api: LocalApi, streams: FullScreenStreams): Promise<void> {
  const status = await api.call<ServiceStatus>({ method: 'GET', path: '/status' });
  const watch = new FullScreen(api, streams, status);
  await watch.run();
}

class FullScreen {
  readonly #api: LocalApi;
  readonly #streams: FullScreenStreams;
  readonly #screen: Screen;
  readonly #end = new AbortController();
  readonly #unicode: boolean;
  #state: WatchState;
  #scrollMax = 0;
  #heardMs = performance.now();

  constructor(api: LocalApi, streams: FullScreenStreams, status: ServiceStatus) {
    this.#api = api;
    this.#streams = streams;
    const { output, env } = streams;
    this.#screen = new Screen(
      {
        get columns() {
          return output.columns;
        },
        get rows() {
          return output.rows;
        },
        write: (text) => void output.write(text),
      },
      { color: output.hasColors(env) },
    );
    this.#unicode = isUtf8(env);
    const peerAgeMs = status.peer?.ageMs ?? null;
    const nowMs = Date.now();
    this.#state = { status, samples: new Samples(), lost: null, peerAgeMs, nowMs, scroll: 0 };
  }

  async run(): Promise<void> {
    const release = this.#takeTerminal();
    const ticks = setInterval(() => this.#draw(), TICK_MS);
    try {
      this.#draw();
      void this.#readPast();
      await this.#follow();
    } finally {
      clearInterval(ticks);
      release();
    }
  }

  /** Until it is ended. */
  async #follow(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        await this.#api.follow((name, data) => this.#take(name, data), signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const lost = { sinceMs: Date.now(), why: messageOf(thrown) };
        this.#show({ lost: this.#state.lost ?? lost });
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #take(name: string, data: unknown): void {
    this.#heardMs = performance.now();
    if (name === 'status') {
      const status = data as ServiceStatus;
      this.#show({ status, peerAgeMs: status.peer?.ageMs ?? null, lost: null });
    } else if (name === 'traffic') {
      const { groups, peerAgeMs } = data as Traffic;
      this.#state.samples.add(groups);
      this.#show({ peerAgeMs, lost: null });
    }
  }

  /** The charts begin with what the node remembers, where it was the primary. */
  async #readPast(): Promise<void> {
    const { status, samples } = this.#state;
    for (const { name, role } of status.groups) {
      if (role !== 'primary' || this.#end.signal.aborted) continue;
      try {
        const { series, ...span } = await this.#api.call<HistoryAnswer>({
          method: 'GET',
          path: '/history',
          query: {
            group: name,
            measures: 'lagMs,wireBytesPerSecond',
            seconds: PAST_SECONDS,
            points: PAST_POINTS,
          },
        });
        const [lagMs = [], wireBytesPerSecond = []] = series.map(({ points }) =>
          perSecond(points, span),
        );
        samples.precede(name, { lagMs, wireBytesPerSecond });
      } catch {
        // Without it the charts fill from now on.
      }
    }
    this.#draw();
  }

  #show(change: Partial<WatchState>): void {
    this.#state = { ...this.#state, ...change };
    this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#streams.output;
    const { peerAgeMs } = this.#state;
    const elapsedMs = performance.now() - this.#heardMs;
    const state = {
      ...this.#state,
      nowMs: Date.now(),
      peerAgeMs: peerAgeMs === null ? null : peerAgeMs + elapsedMs,
    };
    const frame = watchFrame(state, { columns, rows, unicode: this.#unicode });
    this.#scrollMax = frame.scrollMax;
    this.#screen.draw(frame.lines);
  }

  /** Takes screen and keys; returns how to give them back. */
  #takeTerminal(): () => void {
    const { input, output } = this.#streams;
    const onExit = (): void => this.#leave();
    const onSignal = (signal: NodeJS.Signals): void => {
      release();
      // As if nobody had caught it: whoever started this learns how it ended.
      process.kill(process.pid, signal);
    };
    const onContinue = (): void => this.#enter();
    const onResize = (): void => this.#draw();
    const onKeys = (chunk: Buffer): void => this.#press(chunk.toString('latin1'));
    const onGone = (): void => this.#end.abort();
    const release = (): void => {
      this.#leave();
      this.#end.abort();
      process.off('exit', onExit);
      process.off('SIGCONT', onContinue);
      for (const signal of FATAL) process.off(signal, onSignal);
      output.off('resize', onResize);
      input.off('data', onKeys);
      input.pause();
    };
    process.on('exit', onExit);
    process.on('SIGCONT', onContinue);
    for (const signal of FATAL) process.on(signal, onSignal);
    output.on('resize', onResize);
    // The terminal was closed.
    output.on('error', onGone);
    if (input.isTTY) input.on('data', onKeys);
    this.#enter();
    return release;
  }

  #enter(): void {
    const { input } = this.#streams;
    if (input.isTTY) input.setRawMode(true);
    this.#screen.open();
    this.#draw();
  }

  #leave(): void {
    const { input } = this.#streams;
    this.#screen.close();
    if (input.isTTY) input.setRawMode(false);
  }

  #press(keys: string): void {
    const page = Math.max(1, this.#streams.output.rows - 4);
    switch (keyOf(keys)) {
      case 'quit':
        this.#end.abort();
        return;
      case 'suspend':
        this.#leave();
        process.kill(process.pid, 'SIGSTOP');
        return;
      case 'up':
        this.#scroll(-1);
        return;
      case 'down':
        this.#scroll(1);
        return;
      case 'pageUp':
        this.#scroll(-page);
        return;
      case 'pageDown':
        this.#scroll(page);
        return;
      case undefined:
    }
  }

  #scroll(by: number): void {
    const scroll = Math.max(0, Math.min(this.#scrollMax, this.#state.scroll + by));
    this.#show({ scroll });
  }
}

function keyOf(typed: string): Key | undefined {
  const names = Object.keys(KEYS) as Key[];
  return names.find((name) => (KEYS[name] as readonly string[]).includes(typed));
}

/** As the C library finds it out. */
function isUtf8(env: NodeJS.ProcessEnv): boolean {
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find(
    (value) => (value ?? '') !== '',
  );
  return /utf-?8/i.test(locale ?? '');
}
