// Group definitions as this node finds them on its disk, perhaps written by another version. Data comes first: a group
// whose agents cannot be understood is mirrored as before, and its application is what an operator has to
// look after.
//
//   an agent of today                       taken as it is
//   a command of the first version          translated: start, stop and probe as before
//   anything else                           kept, with the reason why it cannot be used
import { z } from 'zod';
import { describeFault } from '../core/strict-config.ts';
import {
  type AgentDefinition,
  agentDefinitionSchema,
  agentNameSchema,
  AGENTS_MAX,
} from './agent-definition.ts';
import { readJsonFile } from './durable-file.ts';
import { type GroupDefinition, groupDefinitionSchema } from './group-definition.ts';

const COMMAND_LENGTH_MAX = 4096;
const TIMES = {
  startTimeoutMs: 60_000,
  stopTimeoutMs: 60_000,
  probeIntervalMs: null,
  probeTimeoutMs: 5000,
} as const;
const WHY_LENGTH_MAX = 200;

const command = z.string().min(1).max(COMMAND_LENGTH_MAX).nullable();
const timeMs = z.int().min(100).max(3_600_000);
/** Before there were others than commands. */
const formerAgentSchema = z.strictObject({
  use: z.literal('command'),
  name: agentNameSchema,
  start: command,
  stop: command,
  timeoutMs: timeMs,
  probe: command.default(null),
  probeIntervalMs: timeMs.default(2000),
  probeTimeoutMs: timeMs.default(5000),
});

const storedSchema = z.looseObject({ agents: z.array(z.unknown()).max(AGENTS_MAX) });

/** Undefined when there is none. Errors: STATE_FILE_INVALID for what is not about agents. */
export function readDefinition(path: string): GroupDefinition | undefined {
  return readJsonFile(path, groupDefinitionSchema, (value) => {
    const stored = storedSchema.safeParse(value);
    if (!stored.success) return value;
    return { ...stored.data, agents: readStoredAgents(stored.data.agents) };
  });
}

/** Never fails: what cannot be used has a `fault`. */
export function readStoredAgents(values: readonly unknown[]): AgentDefinition[] {
  const agents: AgentDefinition[] = [];
  for (const [index, value] of values.entries()) {
    const before = agents.map(({ name }) => name);
    const agent = readAgent(value, index, before);
    const why = `there are two agents "${agent.name}"`;
    const isTaken = before.includes(agent.name);
    agents.push(isTaken ? unusable(value, { index, before, why }) : agent);
  }
  const known = agents.map(({ name }) => name);
  return agents.map((agent) => ({
    ...agent,
    after: agent.after.filter((name) => known.includes(name)),
  }));
}

function readAgent(value: unknown, index: number, before: readonly string[]): AgentDefinition {
  const present = agentDefinitionSchema.safeParse(value);
  if (present.success) {
    if (present.data.fault === undefined) return present.data;
    // What could not be understood before is looked at again: this version may know more.
    const again = readAgent(present.data.parameters, index, before);
    const isUsable = again.fault === undefined && !before.includes(again.name);
    return isUsable ? again : present.data;
  }
  const former = formerAgentSchema.safeParse(value);
  if (former.success) return translated(former.data, before);
  const why = describeFault(agentDefinitionSchema, present.error);
  return unusable(value, { index, before, why });
}

function translated(
  former: z.infer<typeof formerAgentSchema>,
  before: readonly string[],
): AgentDefinition {
  const { name, timeoutMs, probeIntervalMs, probeTimeoutMs, ...commands } = former;
  const { start, stop, probe } = commands;
  return {
    use: 'command',
    name,
    after: before.slice(-1),
    watchesOnly: start === null && stop === null,
    startTimeoutMs: timeoutMs,
    stopTimeoutMs: timeoutMs,
    probeIntervalMs: probe === null ? null : probeIntervalMs,
    probeTimeoutMs,
    restarts: { limit: 3, withinMs: 600_000 },
    parameters: Object.fromEntries(
      Object.entries({ start, stop, probe }).filter(([, text]) => text !== null),
    ),
  };
}

function unusable(
  value: unknown,
  { index, before, why }: { index: number; before: readonly string[]; why: string },
): AgentDefinition {
  const found = z.looseObject({}).safeParse(value);
  const parameters: Readonly<Record<string, unknown>> = found.success ? found.data : { value };
  const use = agentNameSchema.safeParse(parameters['use']);
  const name = agentNameSchema.safeParse(parameters['name']);
  const isFree = name.success && !before.includes(name.data);
  return {
    use: use.success ? use.data : 'unknown',
    name: isFree ? name.data : freeName(index, before),
    after: before.slice(-1),
    watchesOnly: false,
    ...TIMES,
    restarts: { limit: 0, withinMs: 600_000 },
    parameters,
    fault: `it was written by another version of Understudy, and this one does not understand it (${why.slice(0, WHY_LENGTH_MAX)}): the group is mirrored, and its application has to be started and stopped by hand. Install the version that wrote it, or delete the group and create it again; its data stay`,
  };
}

function freeName(index: number, before: readonly string[]): string {
  let name = `agent ${index + 1}`;
  while (before.includes(name)) name = `${name}'`;
  return name;
}
