// What takes longer than a request: started by one call, looked at by others.
//
//   running ─▶ done    with a result
//           └▶ failed  with an error
//
// Operations are kept in memory: a service that is restarted knows them no more, and what an operation was about
// is told by the status of its group. Running and finished ones are bounded.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, type SerializedError, UnderstudyError } from '../../core/errors.ts';
import { type Caller, nameOf } from './caller.ts';

const RUNNING_MAX = 32;
const FINISHED_MAX = 100;

export interface OperationProgress {
  /** A code for programs: `starting`, `comparing`, … */
  readonly phase: string;
  /** How far it is, in `unit`; null: not known. */
  readonly done: number | null;
  readonly total: number | null;
  readonly unit: 'bytes' | 'files' | null;
  readonly secondsLeft: number | null;
}

export interface OperationView {
  readonly id: string;
  readonly kind: string;
  readonly group: string | null;
  readonly state: 'running' | 'done' | 'failed';
  readonly by: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly progress: OperationProgress;
  readonly result: unknown;
  readonly error: SerializedError | null;
}

/** What the work of an operation is given. */
export interface OperationHandle {
  progress(change: Partial<OperationProgress> & { readonly phase: string }): void;
  /** Aborted when somebody cancels it; most operations cannot be, and pay no heed. */
  readonly signal: AbortSignal;
}

export interface OperationStart {
  readonly kind: string;
  readonly group: string | null;
  readonly caller: Caller;
  readonly isCancellable?: boolean;
  readonly work: (handle: OperationHandle) => Promise<unknown>;
  readonly onEnd?: (view: OperationView) => void;
}

interface Kept {
  view: OperationView;
  readonly abort: AbortController;
  readonly isCancellable: boolean;
  readonly ended: Promise<void>;
}

const UNKNOWN_PROGRESS = { done: null, total: null, unit: null, secondsLeft: null } as const;

export class Operations {
  readonly #kept = new Map<string, Kept>();
  readonly #listeners = new Set<(view: OperationView) => void>();

  /** Newest first. */
  list(): OperationView[] {
    return [...this.#kept.values()].map(({ view }) => view).toReversed();
  }

  /** Errors: OPERATION_UNKNOWN. */
  get(id: string): OperationView {
    return this.#find(id).view;
  }

  /** The operation when it has ended, or as it is after `waitMs`. Errors: OPERATION_UNKNOWN. */
  async wait(id: string, waitMs: number, signal?: AbortSignal): Promise<OperationView> {
    const kept = this.#find(id);
    if (kept.view.state !== 'running' || waitMs <= 0) return kept.view;
    const timer = new AbortController();
    const stop = (): void => timer.abort();
    signal?.addEventListener('abort', stop, { once: true });
    const elapsed = sleep(waitMs, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([kept.ended, elapsed]);
    timer.abort();
    signal?.removeEventListener('abort', stop);
    return kept.view;
  }

  /** Errors: OPERATIONS_TOO_MANY. */
  start(options: OperationStart): OperationView {
    this.#makeRoom();
    const { kind, group, caller, isCancellable = false } = options;
    const id = randomBytes(8).toString('hex');
    const abort = new AbortController();
    const view: OperationView = {
      id,
      kind,
      group,
      state: 'running',
      by: nameOf(caller),
      startedAt: new Date().toISOString(),
      endedAt: null,
      progress: { ...UNKNOWN_PROGRESS, phase: 'running' },
      result: null,
      error: null,
    };
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#kept.set(id, { view, abort, isCancellable, ended });
    this.#tell(view);
    void this.#run(id, options).finally(resolve);
    return view;
  }

  /** Errors: OPERATION_UNKNOWN, OPERATION_NOT_CANCELLABLE. */
  cancel(id: string): OperationView {
    const kept = this.#find(id);
    if (kept.view.state !== 'running') return kept.view;
    if (!kept.isCancellable) {
      throw new UnderstudyError(
        'OPERATION_NOT_CANCELLABLE',
        `operation ${id} (${kept.view.kind}) cannot be given up half-way: wait for its end`,
      );
    }
    kept.abort.abort();
    return kept.view;
  }

  /** Tells every change of every operation. Returns how to stop that. */
  onChange(listener: (view: OperationView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #run(id: string, { work, onEnd }: OperationStart): Promise<void> {
    const handle: OperationHandle = {
      progress: (change) => this.#change(id, { progress: { ...UNKNOWN_PROGRESS, ...change } }),
      signal: this.#find(id).abort.signal,
    };
    let end: Partial<OperationView>;
    try {
      const result = await work(handle);
      end = { state: 'done', result: result ?? null };
    } catch (thrown) {
      end = { state: 'failed', error: errorOf(thrown) };
    }
    this.#change(id, { ...end, endedAt: new Date().toISOString() });
    onEnd?.(this.get(id));
  }

  #change(id: string, change: Partial<OperationView>): void {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.view.state !== 'running') return;
    kept.view = { ...kept.view, ...change };
    this.#tell(kept.view);
  }

  #tell(view: OperationView): void {
    for (const listener of this.#listeners) listener(view);
  }

  #find(id: string): Kept {
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept;
    throw new UnderstudyError(
      'OPERATION_UNKNOWN',
      `there is no operation ${id} on this node (any more): its service may have been restarted, see the status of the group`,
    );
  }

  #makeRoom(): void {
    const all = [...this.#kept.entries()];
    const running = all.filter(([, { view }]) => view.state === 'running');
    if (running.length >= RUNNING_MAX) {
      throw new UnderstudyError(
        'OPERATIONS_TOO_MANY',
        `${RUNNING_MAX} operations run on this node already: wait until one has ended`,
      );
    }
    const finished = all.filter(([, { view }]) => view.state !== 'running');
    for (const [id] of finished.slice(0, Math.max(0, finished.length - FINISHED_MAX + 1))) {
      this.#kept.delete(id);
    }
  }
}

function errorOf(thrown: unknown): SerializedError {
  if (thrown instanceof UnderstudyError) return thrown.serialize();
  return { code: 'INTERNAL', message: messageOf(thrown) };
}
