// A supervisor driven by hand: for tests.
import type { Outcome } from '../invoke.ts';
import { initialState, step } from './step.ts';
import type {
  SupervisedAgent,
  SupervisorConfig,
  SupervisorEffect,
  SupervisorEvent,
  SupervisorState,
} from './types.ts';

export const DONE: Outcome = { kind: 'done', value: null, ms: 1 };
export const FAILED: Outcome = { kind: 'failed', why: 'it is broken', ms: 1 };

export function seenAs(state: string, sentence = `it is ${state}`): Outcome {
  return { kind: 'done', value: { state, sentence }, ms: 1 };
}

export function agentNamed(
  name: string,
  after: readonly string[] = [],
  change: Partial<SupervisedAgent> = {},
): SupervisedAgent {
  const restarts = { limit: 2, withinMs: 60_000 };
  return {
    name,
    after,
    isProbed: true,
    watchesOnly: false,
    probeIntervalMs: 1000,
    restarts,
    ...change,
  };
}

export class Driver {
  state: SupervisorState;
  now = 0;
  /** All effects so far. */
  readonly effects: SupervisorEffect[] = [];

  constructor(agents: readonly SupervisedAgent[], change: Partial<SupervisorConfig> = {}) {
    this.state = initialState({ group: 'shop', agents, restartsInPlace: true, ...change });
  }

  /** One step; returns its effects. */
  tell(event: SupervisorEvent): readonly SupervisorEffect[] {
    const { state, effects } = step(this.state, event, this.now);
    this.state = state;
    this.effects.push(...effects);
    return effects;
  }

  /** Starts, stops and probes that have no result yet, as `start db`. */
  get underWay(): string[] {
    return [...this.open].map(([, text]) => text);
  }

  /** Ends `start db`. */
  end(what: string, outcome: Outcome = DONE): readonly SupervisorEffect[] {
    const [op] = [...this.open].find(([, text]) => text === what) ?? [];
    if (op === undefined)
      throw new Error(`"${what}" is not under way: ${this.underWay.join(', ')}`);
    const kind = what.startsWith('probe') ? 'probed' : 'ended';
    return this.tell(
      kind === 'ended' ? { kind, op, outcome } : { kind, op, outcome, excused: false },
    );
  }

  /** Everything that can be done is done, until nothing is under way but probes. */
  settle(): void {
    for (let rounds = 0; rounds < 100; rounds += 1) {
      const next = this.underWay.find((what) => !what.startsWith('probe'));
      if (next === undefined) return;
      this.end(next);
    }
    throw new Error(`it does not settle: ${this.underWay.join(', ')}`);
  }

  /** Operations without a result. */
  get open(): Map<number, string> {
    const open = new Map<number, string>();
    for (const effect of this.effects) {
      if (effect.kind === 'run') open.set(effect.op, `${effect.operation} ${effect.agent}`);
      if (effect.kind === 'probe') open.set(effect.op, `probe ${effect.agent}`);
    }
    const { agents } = this.state;
    const present = new Set(Object.values(agents).flatMap(({ op, probeOp }) => [op, probeOp]));
    for (const op of open.keys()) if (!present.has(op)) open.delete(op);
    return open;
  }

  of<K extends SupervisorEffect['kind']>(kind: K): Extract<SupervisorEffect, { kind: K }>[] {
    return this.effects.filter((one) => one.kind === kind) as Extract<
      SupervisorEffect,
      { kind: K }
    >[];
  }

  get codes(): string[] {
    return this.of('emit').map(({ code }) => code);
  }
}
