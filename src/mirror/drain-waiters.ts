// Who waits until the standby has everything up to a record, on its disk or applied.
import { UnderstudyError } from '../core/errors.ts';
import type { Ack } from './link/frame.ts';
import type { LinkState } from './link/link-client.ts';

/** Between looks at a drain that may take too long. */
const LOOK_MS = 50;

/** How long a drain is waited for: in all, and without a link. */
export interface DrainPatience {
  readonly timeoutMs: number;
  readonly linkPatienceMs?: number;
}

export type DrainLevel = 'durable' | 'applied';

/** What the standby said last, and how the way to it is. */
export interface DrainView {
  readonly acked: Ack | undefined;
  readonly link: { readonly state: LinkState; readonly reason: string };
}

interface Waiter {
  readonly sequence: number;
  readonly field: 'durableSequence' | 'appliedSequence';
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class DrainWaiters {
  readonly #group: string;
  readonly #view: DrainView;
  readonly #waiters = new Set<Waiter>();

  constructor(group: string, view: DrainView) {
    this.#group = group;
    this.#view = view;
  }

  /** Errors: DRAIN_TIMEOUT, DRAIN_STOPPED. */
  async until(sequence: number, level: DrainLevel, patience: DrainPatience): Promise<void> {
    const field = level === 'durable' ? 'durableSequence' : 'appliedSequence';
    if ((this.#view.acked?.[field] ?? -1) >= sequence) return;
    const { timeoutMs, linkPatienceMs = timeoutMs } = patience;
    await new Promise<void>((resolve, reject) => {
      const since = performance.now();
      let connectedAt = since;
      const look = (): void => {
        const now = performance.now();
        if (this.#view.link.state === 'connected') connectedAt = now;
        if (now - since < timeoutMs && now - connectedAt < linkPatienceMs) return;
        this.#end(waiter);
        reject(this.#timedOut(waiter, level, now - since));
      };
      const timer = setInterval(look, LOOK_MS);
      const waiter: Waiter = { sequence, field, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  #timedOut({ sequence, field }: Waiter, level: DrainLevel, afterMs: number): UnderstudyError {
    const { acked, link } = this.#view;
    const reached = acked?.[field] ?? 0;
    return new UnderstudyError(
      'DRAIN_TIMEOUT',
      `the standby of group ${this.#group} has ${level} ${reached} of ${sequence} ` +
        `after ${Math.round(afterMs)} ms (link: ${link.state}, ${link.reason})`,
    );
  }

  #end(waiter: Waiter): void {
    clearInterval(waiter.timer);
    this.#waiters.delete(waiter);
  }

  /** The standby has come so far. */
  acked(ack: Ack): void {
    for (const waiter of this.#waiters) {
      if (ack[waiter.field] < waiter.sequence) continue;
      this.#end(waiter);
      waiter.resolve();
    }
  }

  /** Nothing more will come. */
  stop(): void {
    for (const waiter of this.#waiters) {
      this.#end(waiter);
      const message = `the sender of group ${this.#group} stopped`;
      waiter.reject(new UnderstudyError('DRAIN_STOPPED', message));
    }
  }
}
