// What agents are asked besides starting, stopping and probing: to quiesce their data for a moment, and whether
// they have a reason against a promotion.
import type { AgentPool, CallContext } from '../agents/agent-pool.ts';
import { UnderstudyError } from '../core/errors.ts';
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
   * Calls one function of every agent, in order (`quiesce` begins with the last). Errors: AGENT_FAILED at the
   * first that does not do it.
   */
  async each(operation: 'quiesce' | 'resume'): Promise<void> {
    const { agents, name: group } = this.#definition;
    for (const agent of operation === 'quiesce' ? agents.toReversed() : agents) {
      const call = this.#call(agent.startTimeoutMs);
      const outcome = await this.#pool.invoke(agent, operation, call);
      if (outcome.kind === 'done') continue;
      throw new UnderstudyError(
        'AGENT_FAILED',
        `agent "${agent.name}" of group "${group}" did not ${operation}: ${outcome.why}`,
      );
    }
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
