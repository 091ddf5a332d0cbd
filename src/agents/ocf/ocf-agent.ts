// OCF resource agents as agents of Understudy: parameters, types and times from their own metadata, exit
// codes as states. `use: ocf` with `agent: heartbeat:pgsql` in a group, or `ocf:heartbeat:pgsql` where an
// agent is named.
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import {
  type Agent,
  type AgentContext,
  type AgentTimes,
  defineAgent,
  type ProbeResult,
} from '../agent.ts';
import { lastWords } from '../builtin/support/run-program.ts';
import type { RunResult } from '../sdk/run.ts';
import { meaningOf, OCF_UNIMPLEMENTED } from './exit-codes.ts';
import type { OcfMetadata, OcfParameter } from './metadata.ts';
import { OCF_ROOT, ocfMetadata, type OcfName, ocfName, runOcf } from './run-ocf.ts';

const TIMEOUT_MS_DEFAULT = 60_000;
const INTERVAL_MS_DEFAULT = 10_000;
const DESCRIPTION_LENGTH_MAX = 1000;
const LOAD_TIMEOUT_MS = 20_000;

const value = z.union([z.string().max(8192), z.number(), z.boolean()]);
type Values = Readonly<Record<string, z.infer<typeof value>>>;

const checkLevel = z
  .int()
  .min(0)
  .max(100)
  .default(0)
  .describe('Depth of a probe (OCF_CHECK_LEVEL): 0, 10 or 20, as far as the agent has them');
const promote = z
  .boolean()
  .default(false)
  .describe('For agents that distinguish master and slave: promote after the start');

const parameters = z.strictObject({
  agent: z.string().max(256).describe('Provider and type: "heartbeat:pgsql"'),
  parameters: z
    .record(z.string().max(256), value)
    .default({})
    .describe('Parameters of the agent: "understudy agent show ocf:heartbeat:pgsql" lists them'),
  checkLevel,
  promote,
  root: z.string().startsWith('/').max(4096).default(OCF_ROOT).describe('Where OCF agents are'),
});

export type OcfParameters = z.infer<typeof parameters>;

/** What every use of an OCF agent comes down to. */
interface Use {
  readonly name: OcfName;
  readonly values: Values;
  readonly checkLevel: number;
  readonly promote: boolean;
}

export const ocf: Agent<OcfParameters> = defineAgent({
  name: 'ocf',
  title: 'OCF resource agent',
  description:
    'Any agent of the package resource-agents or of a vendor: start, stop and monitor as a cluster manager calls them',
  parameters,
  defaults: {
    startTimeoutMs: 120_000,
    stopTimeoutMs: 120_000,
    probeIntervalMs: INTERVAL_MS_DEFAULT,
    probeTimeoutMs: 30_000,
  },
  validate: async (given, context) => {
    try {
      return await validate(useOf(given), context);
    } catch (failure) {
      return [messageOf(failure)];
    }
  },
  probe: async (given, context) => await monitor(useOf(given), context),
  start: async (given, context) => await start(useOf(given), context),
  stop: async (given, context) => await stop(useOf(given), context),
});

function useOf({ agent, parameters: values, root, ...rest }: OcfParameters): Use {
  return { name: ocfName(agent, root), values, ...rest };
}

/**
 * The OCF agent of that name (`ocf:heartbeat:pgsql`) with its own parameters, as `agent show` shows it.
 * Errors: it is not installed, or does not describe itself.
 */
export async function loadOcfAgent(written: string, root = OCF_ROOT): Promise<Agent> {
  const name = ocfName(written, root);
  const metadata = await ocfMetadata(name, AbortSignal.timeout(LOAD_TIMEOUT_MS));
  const schema = schemaOf(metadata);
  type Given = z.infer<typeof schema>;
  const used = (given: Given): Use => {
    const {
      checkLevel: level,
      promote: isPromoted,
      ...values
    } = given as Given & {
      checkLevel: number;
      promote: boolean;
    };
    return { name, values: values as Values, checkLevel: level, promote: isPromoted };
  };
  const own = defineAgent<Given>({
    name: `ocf:${name.provider}:${name.type}`,
    title: metadata.shortDescription || name.type,
    description: firstParagraph(metadata.longDescription),
    parameters: schema,
    defaults: timesOf(metadata),
    validate: async (given, context) => await validate(used(given), context),
    probe: async (given, context) => await monitor(used(given), context),
    start: async (given, context) => await start(used(given), context),
    stop: async (given, context) => await stop(used(given), context),
  });
  return own as Agent;
}

function firstParagraph(text: string): string {
  const [first = ''] = text.split(/\n\s*\n/);
  return first.replaceAll(/\s+/g, ' ').slice(0, DESCRIPTION_LENGTH_MAX);
}

function schemaOf({
  parameters: list,
  actionTimeoutsMs,
}: OcfMetadata): z.ZodType<Record<string, unknown>> {
  const shape = Object.fromEntries(
    list.map((parameter) => {
      const described = typeSchema(parameter).describe(describe(parameter));
      return [parameter.name, parameter.isRequired ? described : described.optional()];
    }),
  );
  const isPromotable = actionTimeoutsMs.has('promote');
  return z.strictObject({ ...shape, checkLevel, ...(isPromotable ? { promote } : {}) });
}

function typeSchema({ type }: OcfParameter): z.ZodType {
  switch (type) {
    case 'integer':
      return z.union([z.int(), z.string().regex(/^-?\d+$/, 'write a number')]);
    case 'boolean':
      return z.union([
        z.boolean(),
        z.string().regex(/^(?:true|false|yes|no|on|off|0|1)$/i, 'write true or false'),
      ]);
    default:
      return value;
  }
}

function describe({ description, default: otherwise, isDeprecated }: OcfParameter): string {
  const parts = [isDeprecated ? '(deprecated)' : '', description].filter((part) => part !== '');
  return `${parts.join(' ')}${otherwise === '' ? '' : ` [default: ${otherwise}]`}`;
}

function timesOf({ actionTimeoutsMs: times, monitorIntervalMs }: OcfMetadata): AgentTimes {
  return {
    startTimeoutMs: times.get('start') ?? TIMEOUT_MS_DEFAULT,
    stopTimeoutMs: times.get('stop') ?? TIMEOUT_MS_DEFAULT,
    probeTimeoutMs: times.get('monitor') ?? TIMEOUT_MS_DEFAULT,
    probeIntervalMs: monitorIntervalMs ?? INTERVAL_MS_DEFAULT,
  };
}

/** Sentences about `values` that the agent's metadata does not allow. */
export function checkValues(metadata: OcfMetadata, values: Values): string[] {
  const findings: string[] = [];
  const known = new Map(metadata.parameters.map((parameter) => [parameter.name, parameter]));
  for (const [name, given] of Object.entries(values)) {
    const parameter = known.get(name);
    if (parameter === undefined) {
      findings.push(
        `the OCF agent ${metadata.name} has no parameter "${name}": it has ${[...known.keys()].join(', ') || 'none'}`,
      );
    } else if (!typeSchema(parameter).safeParse(given).success) {
      findings.push(
        `the parameter "${name}" of ${metadata.name} is "${String(given)}" and has to be ${article(parameter.type)}`,
      );
    }
  }
  for (const { name, isRequired } of metadata.parameters) {
    if (isRequired && !(name in values)) {
      findings.push(`the OCF agent ${metadata.name} needs its parameter "${name}"`);
    }
  }
  return findings;
}

const article = (type: OcfParameter['type']): string =>
  type === 'integer' ? 'an integer' : `a ${type}`;

async function validate(use: Use, context: AgentContext): Promise<string[]> {
  let metadata: OcfMetadata;
  try {
    metadata = await ocfMetadata(use.name, context.signal);
  } catch (failure) {
    return [messageOf(failure)];
  }
  const findings = checkValues(metadata, use.values);
  // A standby has its data only after the first copy; agents take its absence for a fault.
  if (findings.length > 0 || context.role === 'standby') return findings;
  const result = await call('validate-all', use, context);
  if (result.code === 0 || result.code === OCF_UNIMPLEMENTED) return findings;
  return [`${nameOf(use)} refuses its parameters: ${sentenceOf(result)}`];
}

async function monitor(use: Use, context: AgentContext): Promise<ProbeResult> {
  const result = await call('monitor', use, context);
  const { state } = meaningOf(result.code);
  const measures = { monitorMs: Math.round(result.ms) };
  return { state, sentence: `${nameOf(use)}: ${sentenceOf(result)}`, measures };
}

async function start(use: Use, context: AgentContext): Promise<void> {
  await must('start', use, context);
  if (use.promote) await must('promote', use, context);
}

async function stop(use: Use, context: AgentContext): Promise<void> {
  if (use.promote) await call('demote', use, context);
  await must('stop', use, context);
}

async function must(action: string, use: Use, context: AgentContext): Promise<void> {
  const result = await call(action, use, context);
  if (result.stderr.trim() !== '') context.log(result.stderr.trim());
  if (result.code === 0) return;
  throw new Error(
    `${nameOf(use)} did not ${action}: ${sentenceOf(result)}. See ${context.logFile}`,
  );
}

async function call(action: string, use: Use, context: AgentContext): Promise<RunResult> {
  const metadata = await ocfMetadata(use.name, context.signal);
  const timeoutMs = metadata.actionTimeoutsMs.get(action) ?? TIMEOUT_MS_DEFAULT;
  const { name, values, checkLevel: level } = use;
  return await runOcf(action, { name, parameters: values, checkLevel: level, timeoutMs }, context);
}

const nameOf = ({ name }: Use): string => `${name.provider}:${name.type}`;

function sentenceOf(result: RunResult): string {
  const { meaning } = meaningOf(result.code);
  const said = lastWords(result.stderr) || lastWords(result.stdout);
  const code = result.code ?? result.signal ?? '?';
  return `${meaning} (${code}${said === '' ? '' : `: ${said}`})`;
}
