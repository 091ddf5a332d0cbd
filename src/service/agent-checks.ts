// What both nodes ask of a group's agents before it is created: whether they are there, understand their
// parameters, and find what they need.
import { AgentPool } from '../agents/agent-pool.ts';
import type { AgentCatalog } from '../agents/catalog.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { AgentDefinition } from './agent-definition.ts';
import { callContext } from './agent-questions.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { NodeService } from './node-service.ts';
import type { ServicePaths } from './service-paths.ts';

const VALIDATE_TIMEOUT_MS = 10_000;

/** What of the node is needed to ask its agents. */
export interface AgentPlaces {
  readonly catalog: AgentCatalog;
  readonly paths: Pick<ServicePaths, 'logs' | 'agentsRun'>;
}

/** A pool for as long as `work` takes. */
export async function withPool<T>(
  { catalog, paths }: AgentPlaces,
  group: string,
  work: (pool: AgentPool) => Promise<T>,
): Promise<T> {
  const pool = new AgentPool({
    group,
    catalog,
    logDirectory: paths.logs,
    runtimeDirectory: paths.agentsRun,
    onTrouble: () => undefined,
  });
  try {
    return await work(pool);
  } finally {
    pool.close();
  }
}

/**
 * Whether the agents can work on this node. Errors: AGENT_UNKNOWN, AGENT_FILE_UNUSABLE, AGENT_CANNOT_WORK with
 * everything that is in the way.
 */
export async function checkAgents(
  service: NodeService,
  definition: GroupDefinition,
  role: 'primary' | 'standby',
): Promise<void> {
  const faults = await agentFaults(service, definition, role);
  if (faults.length === 0) return;
  const fields = faults.map((fault) => {
    const index = definition.agents.findIndex((agent) => fault.startsWith(whatOf(agent)));
    return index < 0 ? 'agents' : `agents[${index}].use`;
  });
  throw new UnderstudyError(
    'AGENT_CANNOT_WORK',
    `on node "${service.config.name}": ${faults.join('; ')}`,
    { details: { node: service.config.name, fields, faults } },
  );
}

/** What keeps the agents of a group from working on this node, one sentence each. */
export async function agentFaults(
  places: AgentPlaces,
  definition: GroupDefinition,
  role: 'primary' | 'standby',
): Promise<string[]> {
  if (definition.agents.length === 0) return [];
  return withPool(places, definition.name, async (pool) => {
    const each = definition.agents.map(async (agent) =>
      faultsOf(pool, agent, { definition, role }),
    );
    return (await Promise.all(each)).flat();
  });
}

function whatOf({ name, use }: AgentDefinition): string {
  return `agent "${name}" (${use})`;
}

async function faultsOf(
  pool: AgentPool,
  agent: AgentDefinition,
  { definition, role }: { definition: GroupDefinition; role: 'primary' | 'standby' },
): Promise<string[]> {
  const what = whatOf(agent);
  if (agent.fault !== undefined) return [`${what}: ${agent.fault}`];
  try {
    const { fault } = await pool.check(agent.use, agent.parameters);
    if (fault !== null) return [`${what}: ${fault}`];
    const signal = new AbortController().signal;
    const context = { ...callContext(definition, role), signal, timeoutMs: VALIDATE_TIMEOUT_MS };
    const outcome = await pool.invoke(agent, 'validate', context);
    if (outcome.kind !== 'done') return [`${what}: ${outcome.why}`];
    return (outcome.value as readonly string[]).map((sentence) => `${what}: ${sentence}`);
  } catch (thrown) {
    return [`${what}: ${messageOf(thrown)}`];
  }
}
