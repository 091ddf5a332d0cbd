// What the machine's effects `askArbiter` and `probeGateway` are given to. See the documents for what
// each arbiter can and cannot guarantee.
import type { ArbiterRequest } from '../machine/effect-types.ts';
import type { ArbiterKind, ArbiterRecord } from '../machine/types.ts';

/** The machine's event `arbiter` without its number, and why, for the log. */
export interface ArbiterAnswer {
  /**
   * `done`: read, or written as asked; `record` is what is there now.
   * `conflict`: not written, since the condition does not hold; `record` is what is there.
   * `unreachable`: no answer in time; a write may have happened or may still happen.
   */
  readonly result: 'done' | 'conflict' | 'unreachable';
  readonly record: ArbiterRecord | null;
  /** For `unreachable`: a sentence. */
  readonly why: string;
}

/** An arbiter with a record of the group. */
export interface RecordArbiter {
  /** Answers within `timeoutMs` and never rejects. */
  ask(request: ArbiterRequest, timeoutMs: number): Promise<ArbiterAnswer>;
  /**
   * Proves at configuration time that it can be used. Returns advice for the operator, possibly none.
   * Errors: ARBITER_UNREACHABLE.
   */
  check(): Promise<readonly string[]>;
  /** Calls `onChange` soon after the record was changed by anybody. Returns how to end that. */
  watch(onChange: () => void): () => void;
  close(): Promise<void>;
}

/** What an operator is told when a group is created with this arbiter, and by `doctor`. */
export function statementOf(kind: ArbiterKind, fenced: boolean): string {
  switch (kind) {
    case 'etcd':
      return 'etcd decides: at most one node serves, whatever is cut; without etcd and without the other node, a node does not serve.';
    case 'gateway':
      return 'the gateway decides: a node that cannot reach it does not serve. Two nodes that both reach it but not each other are not told apart: give them two networks, or add fencing.';
    case 'none':
      return fenced
        ? 'no arbiter: a takeover waits until the fence agent has switched the other node off.'
        : 'NO ARBITER AND NO FENCING: when the other node falls silent, nobody can say whether it still serves. This node then waits for a person (takeover --force) and does not take over by itself.';
  }
}
