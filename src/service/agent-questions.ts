// What agents are asked besides starting, stopping and probing: to quiesce their data for a moment, and whether
// they have a reason against a promotion.
import type { AgentPool, CallContext } from '../agents/agent-pool.ts';
import { UnderstudyError } from '../core/errors.ts';
import type { AgentDefinition } from './agent-definition.ts';
import type { GroupDefinition } from './group-definition.ts';

const PROMOTE_CHECK_TIMEOUT_MS = 5000;

/** What agents are told about the group on this node. */
export function callContext(
  { directories, addresses }: GroupDefinition,
  role: CallContext['role'],
): Pick<CallContext, 'role' | 'directories' | 'addresses'> {
  return {
    role,
    directories: directories.map(({ dir }) => dir),
    addresses: addresses.map(({ ip }) => ip.split('/')[0] ?? ip),
  };
}

export class AgentQuestions {
  readonly #definition: GroupDefinition;
  readonly #pool: AgentPool;
  readonly #role: CallContext['role'];

  constructor(definition: GroupDefinition, pool: AgentPool, role: CallContext['role']) {
    this.#definition = definition;
    this.#pool = pool;
    this.#role = role;
  }

  /**
   * Every agent brings its data to a state worth it, the last one first. Errors: AGENT_FAILED at the first that does not do it;
   * those before it wait for {@link resume}.
   */
  async quiesce(): Promise<void> {
    for (const agent of this.#definition.agents.toReversed()) {
      const why = await this.#ask(agent, 'quiesce');
      if (why !== undefined) throw new UnderstudyError('AGENT_FAILED', why);
    }
  }

  /** Every agent lets its application go on, also after one that does not. Errors: AGENT_FAILED. */
  async resume(): Promise<void> {
    const faults: string[] = [];
    for (const agent of this.#definition.agents) {
      const why = await this.#ask(agent, 'resume');
      if (why !== undefined) faults.push(why);
    }
    if (faults.length > 0) throw new UnderstudyError('AGENT_FAILED', faults.join('; '));
  }

  /** Undefined: it has done it. */
  async #ask(agent: AgentDefinition, operation: 'quiesce' | 'resume'): Promise<string | undefined> {
    const outcome = await this.#pool.invoke(agent, operation, this.#call(agent.startTimeoutMs));
    if (outcome.kind === 'done') return undefined;
    return `agent "${agent.name}" of group "${this.#definition.name}" did not ${operation}: ${outcome.why}`;
  }

  /** Why this node should not become the primary, as its agents say, one sentence each. */
  async reasonsAgainst(): Promise<string[]> {
    const asked = this.#definition.agents.map(async (agent) => {
      const fault = this.#pool.faultOf(agent);
      if (fault !== undefined) return [`agent "${agent.name}": ${fault}`];
      const call = this.#call(PROMOTE_CHECK_TIMEOUT_MS);
      const outcome = await this.#pool.invoke(agent, 'promoteCheck', call);
      // One that is there and cannot tell has no reason.
      if (outcome.kind !== 'done' || outcome.value === null) return [];
      return [`agent "${agent.name}": ${String(outcome.value)}`];
    });
    return (await Promise.all(asked)).flat();
  }

  #call(timeoutMs: number): CallContext {
    const { signal } = new AbortController();
    return { ...callContext(this.#definition, this.#role), timeoutMs, signal };
  }
}
