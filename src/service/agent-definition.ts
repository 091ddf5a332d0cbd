// The agents of a group: as people write them, and as nodes keep them. What stands beside the keys below is a
// parameter of the agent, and checked by its own schema, which lives where the agent lives: hence the
// detour through a pool.
import { z } from 'zod';
import { atField, atFieldLater } from '../core/at-field.ts';
import type { AgentPool } from '../agents/agent-pool.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { parseDurationMs } from '../core/units.ts';

export const AGENTS_MAX = 32;
const PARAMETERS_LENGTH_MAX = 32 * 1024;
const TIME_MS_MIN = 100;
const TIME_MS_MAX = 3_600_000;
const DAY_MS = 86_400_000;
const TIMES_DEFAULT = {
  startTimeoutMs: 60_000,
  stopTimeoutMs: 60_000,
  probeIntervalMs: 5000,
  probeTimeoutMs: 5000,
} as const;
const RESTARTS_DEFAULT = { limit: 3, within: '10m' } as const;

export const agentNameSchema = z.string().min(1).max(64);
const timeMs = z.int().min(TIME_MS_MIN).max(TIME_MS_MAX);

export const agentDefinitionSchema = z.strictObject({
  /** Which agent. */
  use: z.string().min(1).max(64),
  /** Unique within the group. */
  name: agentNameSchema,
  /** Names of agents that run before this one starts. */
  after: z.array(agentNameSchema).max(AGENTS_MAX),
  startTimeoutMs: timeMs,
  stopTimeoutMs: timeMs,
  /** It starts nothing: what it comes after is started again when it fails. */
  watchesOnly: z.boolean(),
  /** Null: it is not probed. */
  probeIntervalMs: timeMs.nullable(),
  probeTimeoutMs: timeMs,
  /** Restarts in place before the application counts as failed on a node. */
  restarts: z.strictObject({
    limit: z.int().min(0).max(100),
    withinMs: z.int().min(1000).max(DAY_MS),
  }),
  /** As written; checked by the agent. */
  parameters: z.record(z.string().max(128), z.unknown()),
  /** Why this version cannot use it (stored-definition.ts); its `parameters` are then all that was found. */
  fault: z.string().max(4096).optional(),
});
export type AgentDefinition = z.infer<typeof agentDefinitionSchema>;

export const textDuration = z
  .string({ error: 'write a time with its unit, for example "2s"' })
  .max(40);
const commonKeys = {
  use: z.string().min(1).max(64),
  name: agentNameSchema.optional(),
  after: z.array(agentNameSchema).max(AGENTS_MAX).optional(),
  /** Of start and stop alike. */
  timeout: textDuration.optional(),
  startTimeout: textDuration.optional(),
  stopTimeout: textDuration.optional(),
  probeInterval: textDuration.optional(),
  probeTimeout: textDuration.optional(),
  restarts: z
    .strictObject({
      limit: z.int().min(0).max(100).optional(),
      within: textDuration.optional(),
    })
    .optional(),
};
export const agentInputSchema = z.looseObject(commonKeys);
/** An agent as a person writes it: the keys of every agent, and its own. */
export type AgentInput = z.infer<typeof agentInputSchema>;

/**
 * Fills in what was left out, and lets each agent check its parameters. Agents come one after the other unless
 * `after` says otherwise. Errors: GROUP_INVALID, AGENT_UNKNOWN, AGENT_FILE_UNUSABLE, DURATION_INVALID.
 */
export async function resolveAgents(
  inputs: readonly AgentInput[],
  origin: string,
  pool: AgentPool,
): Promise<AgentDefinition[]> {
  const agents: AgentDefinition[] = [];
  for (const [index, input] of inputs.entries()) {
    agents.push(await resolveAgent(input, { index, agents, origin, pool }));
  }
  atField('agents', () => checkOrder(agents, origin));
  return agents;
}

async function resolveAgent(
  input: AgentInput,
  around: { index: number; agents: readonly AgentDefinition[]; origin: string; pool: AgentPool },
): Promise<AgentDefinition> {
  const { index, agents, pool } = around;
  const origin = `${around.origin}, agents[${index}]`;
  const field = `agents[${index}]`;
  const common = parseStrictly(agentInputSchema, input, { code: 'GROUP_INVALID', origin });
  const parameters = Object.fromEntries(
    Object.entries(input).filter(([key]) => !Object.hasOwn(commonKeys, key)),
  );
  const name = common.name ?? defaultName(common.use, index, agents);
  const { defaults, isProbed, starts } = await atFieldLater(`${field}.use`, async () =>
    ask(pool, { use: common.use, name, parameters, origin, field }),
  );
  const times = { ...TIMES_DEFAULT, ...defaults };
  const both = common.timeout;
  const duration = (
    key: 'startTimeout' | 'stopTimeout' | 'probeInterval' | 'probeTimeout',
    value = common[key],
  ): number => atField(`${field}.${key}`, () => durationOr(value, times[`${key}Ms`]));
  const [previous] = agents.slice(-1);
  // Looked at also where nothing is probed: what is written wrongly was meant for something.
  const probeIntervalMs = duration('probeInterval');
  const definition = {
    use: common.use,
    name,
    after: common.after ?? (previous === undefined ? [] : [previous.name]),
    watchesOnly: !starts,
    startTimeoutMs: duration('startTimeout', common.startTimeout ?? both),
    stopTimeoutMs: duration('stopTimeout', common.stopTimeout ?? both),
    probeIntervalMs: isProbed ? probeIntervalMs : null,
    probeTimeoutMs: duration('probeTimeout'),
    restarts: {
      limit: common.restarts?.limit ?? RESTARTS_DEFAULT.limit,
      withinMs: atField(`${field}.restarts.within`, () =>
        parseDurationMs(common.restarts?.within ?? RESTARTS_DEFAULT.within),
      ),
    },
    parameters,
  };
  return parseStrictly(agentDefinitionSchema, definition, { code: 'GROUP_INVALID', origin });
}

/** What the agent says to its parameters. */
async function ask(
  pool: AgentPool,
  given: { use: string; name: string; parameters: object; origin: string; field: string },
): Promise<{ defaults: Partial<typeof TIMES_DEFAULT>; isProbed: boolean; starts: boolean }> {
  const { use, name, parameters, origin, field } = given;
  if (JSON.stringify(parameters).length > PARAMETERS_LENGTH_MAX) {
    throw new UnderstudyError('GROUP_INVALID', `${origin}: its parameters are too long`);
  }
  try {
    const { defaults } = await pool.describe(use);
    const { fault, fields, faults, ...found } = await pool.check(use, parameters);
    if (fault === null) return { defaults: defaults as Partial<typeof TIMES_DEFAULT>, ...found };
    const sentence = `${origin}, agent "${name}" (${use}): ${fault}`;
    throw new UnderstudyError('GROUP_INVALID', sentence, {
      details: { fields: fields.map((one) => `${field}.${one || 'use'}`), faults },
    });
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) throw thrown;
    throw new UnderstudyError('AGENT_FILE_UNUSABLE', `agent "${use}": ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function defaultName(use: string, index: number, before: readonly AgentDefinition[]): string {
  const isTaken = use === 'command' || before.some(({ name }) => name === use);
  return isTaken ? `${use} ${index + 1}` : use;
}

function durationOr(value: string | undefined, otherwise: number): number {
  return value === undefined ? otherwise : parseDurationMs(value);
}

/** Names are unique, and nothing comes after itself. */
function checkOrder(agents: readonly AgentDefinition[], origin: string): void {
  const fail = (why: string): never => {
    throw new UnderstudyError('GROUP_INVALID', `${origin}: ${why}`);
  };
  const byName = new Map(agents.map((agent) => [agent.name, agent]));
  if (byName.size !== agents.length) fail('two agents have the same name: give them a "name" each');
  for (const { name, after } of agents) {
    const strange = after.find((one) => !byName.has(one));
    if (strange !== undefined) {
      const known = [...byName.keys()].join(', ');
      fail(`agent "${name}" comes after "${strange}", which the group does not have (${known})`);
    }
    const before = new Set(after);
    for (const one of before) for (const next of byName.get(one)?.after ?? []) before.add(next);
    if (before.has(name)) fail(`agent "${name}" comes after itself, by way of "after"`);
  }
}

/** The longest time that all starts (or stops) may take one after the other, as far as they have to. */
export function longestWayMs(
  agents: readonly AgentDefinition[],
  key: 'startTimeoutMs' | 'stopTimeoutMs',
): number {
  const ways = new Map<string, number>();
  const wayOf = (agent: AgentDefinition): number => {
    const known = ways.get(agent.name);
    if (known !== undefined) return known;
    const before = agents.filter(({ name }) => agent.after.includes(name)).map(wayOf);
    const way = agent[key] + Math.max(0, ...before);
    ways.set(agent.name, way);
    return way;
  };
  return Math.max(0, ...agents.map(wayOf));
}
