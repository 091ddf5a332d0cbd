// The threads of a filter: one captures, the helpers take what may block. They can be started before
// it is known what is to be mounted: they load their code, which takes most of the time, and wait
// without using the processor.
import type { Worker } from 'node:worker_threads';
import { endThread, startThread } from '../linux/threads.ts';
import type { CaptureCommand, CaptureReport, CaptureThreadData } from './capture-thread.ts';
import { createGateMemory } from './gate-memory.ts';
import type { HelperThreadData } from './helper-thread.ts';

export interface FilterThreadsHandlers {
  /** Everything the capture thread reports after `ready`. */
  onReport(report: CaptureReport): void;
  /** A thread broke; the process must end. */
  onFailed(message: string): void;
}

export class FilterThreads {
  readonly gate = createGateMemory();
  readonly #capture: Worker;
  readonly #helpers: Worker[] = [];
  #handlers: FilterThreadsHandlers;
  #ready: (() => void) | undefined;

  /** Starts the capture thread; `onFailed` is called when it breaks before {@link start}. */
  constructor(onFailed: (message: string) => void) {
    this.#handlers = { onReport: () => undefined, onFailed };
    this.#capture = startThread(new URL('capture-thread.ts', import.meta.url));
    this.#capture.on('error', (thrown) => this.#handlers.onFailed(thrown.message));
    this.#capture.on('message', (report: CaptureReport) => {
      if (report.type === 'ready') this.#ready?.();
      else this.#handlers.onReport(report);
    });
  }

  /** Lets the threads work. Resolves when requests are served. */
  async start(
    data: Omit<CaptureThreadData, 'gate'>,
    helperThreads: number,
    handlers: FilterThreadsHandlers,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#ready = resolve;
      this.#handlers = {
        onReport: (report) => {
          // Each costs 5 MiB: an application that never does two such calls at a time needs one helper.
          if (report.type === 'crowded') this.#startHelpers(data, helperThreads);
          else handlers.onReport(report);
        },
        onFailed: (message) => {
          reject(new Error(message));
          handlers.onFailed(message);
        },
      };
      this.#capture.postMessage({ ...data, gate: this.gate } satisfies CaptureThreadData);
    });
    this.#startHelpers(data, 1);
  }

  #startHelpers(data: Pick<CaptureThreadData, 'lease'>, count: number): void {
    while (this.#helpers.length < count) this.#helpers.push(this.#startHelper(data));
  }

  #startHelper({ lease }: Pick<CaptureThreadData, 'lease'>): Worker {
    const helper = startThread(new URL('helper-thread.ts', import.meta.url), {
      workerData: { gate: this.gate, lease } satisfies HelperThreadData,
    });
    helper.on('error', (thrown) => this.#handlers.onFailed(`helper thread: ${thrown.message}`));
    return helper;
  }

  /** Sends a command; the capture thread looks when its doorbell rings. */
  post(command: CaptureCommand): void {
    this.#capture.postMessage(command);
  }

  /** Ends all threads. The gate must have been stopped. */
  async terminate(): Promise<void> {
    await Promise.all([...this.#helpers, this.#capture].map(endThread));
  }
}
