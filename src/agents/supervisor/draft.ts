// A state that is being changed by one step, and the effects so far.
import { present } from '../../core/assert.ts';
import type {
  AgentState,
  Failure,
  SupervisedAgent,
  SupervisorEffect,
  SupervisorState,
} from './types.ts';

export class Draft {
  readonly now: number;
  readonly effects: SupervisorEffect[] = [];
  #state: SupervisorState;

  constructor(state: SupervisorState, now: number) {
    this.#state = state;
    this.now = now;
  }

  get s(): SupervisorState {
    return this.#state;
  }

  get configs(): readonly SupervisedAgent[] {
    return this.#state.config.agents;
  }

  set(change: Partial<SupervisorState>): void {
    this.#state = { ...this.#state, ...change };
  }

  agent(name: string): AgentState {
    return present(this.#state.agents[name], 'agent of the group');
  }

  config(name: string): SupervisedAgent {
    return present(
      this.configs.find((one) => one.name === name),
      'agent of the group',
    );
  }

  setAgent(name: string, change: Partial<AgentState>): void {
    const agents = { ...this.#state.agents, [name]: { ...this.agent(name), ...change } };
    this.set({ agents });
  }

  /** Changes each agent by what `change` answers. */
  each(change: (agent: AgentState, name: string) => Partial<AgentState>): void {
    for (const { name } of this.configs) this.setAgent(name, change(this.agent(name), name));
  }

  op(): number {
    const { nextOp } = this.#state;
    this.set({ nextOp: nextOp + 1 });
    return nextOp;
  }

  do(effect: SupervisorEffect): void {
    this.effects.push(effect);
  }

  emit(level: 'info' | 'warning' | 'error', code: string, message: string): void {
    this.do({ kind: 'emit', level, code, message });
  }

  /** Answers the request that waits, if any. */
  answer(failure: Failure | null): void {
    const { pending } = this.#state;
    if (pending === null) return;
    this.set({ pending: null });
    this.do({ kind: 'answer', request: pending.request, failure });
  }

  dependents(name: string): string[] {
    return this.configs.filter(({ after }) => after.includes(name)).map((one) => one.name);
  }

  /** What is started again when `name` fails: itself, or what it watches. */
  startersOf(name: string): string[] {
    const { watchesOnly, after } = this.config(name);
    return watchesOnly && after.length > 0 ? after.flatMap((one) => this.startersOf(one)) : [name];
  }

  /** `name` and everything that depends on it, directly or not. */
  withDependents(name: string): Set<string> {
    const all = new Set([name]);
    for (const one of all) for (const dependent of this.dependents(one)) all.add(dependent);
    return all;
  }
}
