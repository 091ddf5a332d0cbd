// A linearizable register in place of etcd: requests arrive after a delay, are applied one at a time by
// the machine's own description of what each does, and their answers travel back. Requests can be lost
// on either way, and can arrive long after the asker has given up.
import type { NodeId } from '../../src/core/ids.ts';
import { applyRequest, type RecordContent } from '../../src/cluster/machine/arbiter-record.ts';
import type { ArbiterRequest } from '../../src/cluster/machine/effect-types.ts';
import type { ArbiterRecord } from '../../src/cluster/machine/types.ts';
import type { Random } from '../support/random.ts';
import type { NodeIndex } from './network.ts';
import type { EventQueue } from './queue.ts';

export interface EtcdAnswer {
  readonly result: 'done' | 'conflict' | 'unreachable';
  readonly record: ArbiterRecord | null;
  readonly why: string;
}

export class Etcd {
  record: ArbiterRecord | null = null;
  /** Counted: the whole cluster, or the way from one node to it. */
  out = 0;
  readonly cutFrom: [number, number] = [0, 0];
  slowMs = 0;
  /** No request hangs: where only one thing is to be out of order. */
  isPrompt = false;
  #revision = 0;
  /** What it held, the oldest first. */
  readonly #past: RecordContent[] = [];
  readonly #queue: EventQueue;
  readonly #random: Random;

  constructor(queue: EventQueue, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  /** It is set up anew, or put back to what it was `steps` changes ago. */
  forget(steps: number): void {
    const past = this.#past.at(-1 - steps);
    this.#revision += 1;
    this.record = past === undefined ? null : { ...past, token: String(this.#revision) };
  }

  reaches(node: NodeIndex): boolean {
    return this.out === 0 && this.cutFrom[node] === 0;
  }

  /** `answer` is called once, at `timeoutMs` at the latest. */
  ask(
    from: { readonly node: NodeIndex; readonly id: NodeId },
    request: ArbiterRequest,
    timeoutMs: number,
    answer: (answer: EtcdAnswer) => void,
  ): void {
    let isOpen = true;
    const close = (given: EtcdAnswer): void => {
      if (!isOpen) return;
      isOpen = false;
      answer(given);
    };
    this.#queue.after(timeoutMs, () =>
      close({ result: 'unreachable', record: null, why: 'no answer in time' }),
    );
    if (!this.reaches(from.node)) return;
    this.#queue.after(this.#delay(), () => {
      if (!this.reaches(from.node)) return;
      const given = this.#apply(request, from.id);
      this.#queue.after(this.#delay(), () => {
        if (this.reaches(from.node)) close(given);
      });
    });
  }

  #apply(request: ArbiterRequest, self: NodeId): EtcdAnswer {
    const outcome = applyRequest(this.record, request, self);
    if (outcome === 'conflict') return { result: 'conflict', record: this.record, why: '' };
    if (outcome !== 'keep') {
      this.#revision += 1;
      this.#past.push(outcome);
      this.record = { ...outcome, token: String(this.#revision) };
    }
    return { result: 'done', record: this.record, why: '' };
  }

  #delay(): number {
    const base = 1 + this.#random.below(8);
    // A request that hangs somewhere and arrives when nobody waits for it any more.
    if (this.#random.chance(0.004) && !this.isPrompt) return base + this.#random.below(3000);
    return base + (this.slowMs > 0 ? this.#random.below(this.slowMs) : 0);
  }
}
