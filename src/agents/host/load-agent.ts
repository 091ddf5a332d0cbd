// From a source to an agent. A module is somebody's program: what it exports is looked at closely, and each
// fault is a sentence for the one who wrote it.
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { describeFault, faultDetails } from '../../core/strict-config.ts';
import type { Agent } from '../agent.ts';
import { builtins } from '../builtin/index.ts';
import { programAgent } from '../custom/program-agent.ts';
import type { AgentDescription, AgentSource, ParameterCheck } from './host-protocol.ts';

const FUNCTIONS = [
  'validate',
  'start',
  'stop',
  'quiesce',
  'resume',
  'promoteCheck',
  'processes',
] as const;

/** Loads an agent. Throws an Error with a sentence. */
export async function loadAgent(source: AgentSource): Promise<Agent> {
  switch (source.kind) {
    case 'builtin': {
      if (source.name.startsWith('ocf:')) {
        // It brings a parser, which the service itself has no use for.
        const { loadOcfAgent } = await import('../ocf/ocf-agent.ts');
        return loadOcfAgent(source.name);
      }
      const builtin = builtins.get(source.name);
      if (builtin === undefined) throw new Error(`there is no built-in agent "${source.name}"`);
      return builtin.load();
    }
    case 'program':
      return programAgent(source.name, source.path);
    case 'module':
      return agentOf(await importModule(source.path), source);
  }
}

async function importModule(path: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
    return module.default;
  } catch (thrown) {
    throw new Error(`${path} cannot be loaded: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** What a module exports by default, if it is an agent. */
function agentOf(value: unknown, { name, path }: { name: string; path: string }): Agent {
  const fail = (why: string): never => {
    throw new Error(`${path}: ${why}`);
  };
  if (typeof value !== 'object' || value === null) {
    return fail('it has no default export; write "export default defineAgent({ … })"');
  }
  const agent = value as Partial<Record<string, unknown>>;
  if (agent['name'] !== name) {
    fail(`its name is ${JSON.stringify(agent['name'])}, and has to be that of the file: "${name}"`);
  }
  for (const key of ['title', 'description']) {
    if (typeof agent[key] !== 'string') fail(`"${key}" is missing: one line for people`);
  }
  if (!isSchema(agent['parameters'])) {
    fail('"parameters" is no zod schema; write "parameters: z.strictObject({ … })"');
  }
  if (typeof agent['probe'] !== 'function') fail('"probe" is missing: a function');
  for (const key of ['isProbed', 'starts', ...FUNCTIONS]) {
    if (agent[key] !== undefined && typeof agent[key] !== 'function')
      fail(`"${key}" is no function`);
  }
  return value as Agent;
}

const isSchema = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'safeParse' in value;

/** What can be told of an agent without calling it. */
export function describeAgent(agent: Agent): AgentDescription {
  const { name, title, description, defaults = {}, excludes = [] } = agent;
  return {
    name,
    title,
    description,
    defaults,
    excludes: [...excludes],
    parameters: z.toJSONSchema(agent.parameters, { io: 'input', unrepresentable: 'any' }),
    functions: FUNCTIONS.filter((key) => agent[key] !== undefined),
  };
}

/** Whether parameters are as the agent wants them. */
export function checkParameters(agent: Agent, parameters: unknown): ParameterCheck {
  const parsed = agent.parameters.safeParse(parameters);
  if (!parsed.success) {
    const fault = describeFault(agent.parameters, parsed.error);
    const places = faultDetails(agent.parameters, parsed.error);
    return { fault, ...places, isProbed: true, starts: true };
  }
  return {
    fault: null,
    fields: [],
    faults: [],
    isProbed: agent.isProbed?.(parsed.data) ?? true,
    starts: agent.starts?.(parsed.data) ?? agent.start !== undefined,
  };
}
