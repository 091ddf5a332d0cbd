// What an OCF resource agent says about itself (`meta-data`, XML of the Open Cluster Framework,
// resource agent API 1.1). The text comes from a program of the machine: it is bounded, entities are not
// expanded, and whatever is missing has a default.
import { XMLParser } from 'fast-xml-parser';
import { z } from 'zod';
import { parseDurationMs } from '../../core/units.ts';

const XML_LENGTH_MAX = 1024 * 1024;
const PARAMETERS_MAX = 500;

export interface OcfParameter {
  readonly name: string;
  readonly isRequired: boolean;
  readonly isDeprecated: boolean;
  readonly type: 'string' | 'integer' | 'boolean' | 'time';
  /** The agent's own; empty: none. */
  readonly default: string;
  /** One line. */
  readonly description: string;
}

export interface OcfMetadata {
  readonly name: string;
  readonly shortDescription: string;
  readonly longDescription: string;
  readonly parameters: readonly OcfParameter[];
  /** By name (`start`, `monitor`, `promote`): the time that the agent recommends, ms. */
  readonly actionTimeoutsMs: ReadonlyMap<string, number>;
  /** What the agent recommends between two monitors, ms. */
  readonly monitorIntervalMs: number | undefined;
}

const text = z
  .unknown()
  .optional()
  .transform((value) => textOf(value).trim());

const contentSchema = z
  .looseObject({
    '@type': z.string().default('string'),
    '@default': z.string().default(''),
  })
  .catch({ '@type': 'string', '@default': '' });

const parameterSchema = z.looseObject({
  '@name': z.string().min(1).max(256),
  '@required': z.string().default('0'),
  '@deprecated': z.string().default('0'),
  shortdesc: text,
  longdesc: text,
  deprecated: z.unknown().optional(),
  content: contentSchema.default({ '@type': 'string', '@default': '' }),
});

const actionSchema = z.looseObject({
  '@name': z.string().max(64),
  '@timeout': z.string().optional(),
  '@interval': z.string().optional(),
});

const agentSchema = z.looseObject({
  '@name': z.string().default(''),
  shortdesc: text,
  longdesc: text,
  parameters: z
    .looseObject({ parameter: z.array(parameterSchema).default([]) })
    .or(z.literal(''))
    .optional(),
  actions: z
    .looseObject({ action: z.array(actionSchema).default([]) })
    .or(z.literal(''))
    .optional(),
});

/** Text of an element, which may have attributes (`lang`) or come once for each language. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return textOf(value[0]);
  if (typeof value === 'object' && value !== null && '#text' in value)
    return textOf(value['#text']);
  return '';
}

/** Undefined when `xml` is not the metadata of an agent. */
export function parseOcfMetadata(xml: string): OcfMetadata | undefined {
  if (xml.length > XML_LENGTH_MAX) return undefined;
  const parser = new XMLParser({
    ignoreAttributes: false,
    isArray: (name) => name === 'parameter' || name === 'action',
    attributeNamePrefix: '@',
    parseTagValue: false,
    parseAttributeValue: false,
    processEntities: { enabled: true, maxTotalExpansions: 10_000 },
  });
  let document: unknown;
  try {
    document = parser.parse(xml);
  } catch {
    return undefined;
  }
  const parsed = z.looseObject({ 'resource-agent': agentSchema }).safeParse(document);
  if (!parsed.success) return undefined;
  const agent = parsed.data['resource-agent'];
  const parameters = typeof agent.parameters === 'object' ? agent.parameters.parameter : [];
  const actions = typeof agent.actions === 'object' ? agent.actions.action : [];
  return {
    name: agent['@name'],
    shortDescription: oneLine(agent.shortdesc),
    longDescription: agent.longdesc,
    parameters: parameters.slice(0, PARAMETERS_MAX).map(parameterOf),
    actionTimeoutsMs: timeoutsOf(actions),
    monitorIntervalMs: actions
      .filter((action) => action['@name'] === 'monitor')
      .map((action) => timeOf(action['@interval']))
      .find((intervalMs) => intervalMs !== undefined && intervalMs > 0),
  };
}

/** Some name an action once for each role or depth: the longest time holds. */
function timeoutsOf(actions: readonly z.infer<typeof actionSchema>[]): Map<string, number> {
  const timeouts = new Map<string, number>();
  for (const { '@name': name, '@timeout': written } of actions) {
    const timeoutMs = timeOf(written);
    if (timeoutMs === undefined) continue;
    timeouts.set(name, Math.max(timeoutMs, timeouts.get(name) ?? 0));
  }
  return timeouts;
}

function parameterOf(parameter: z.infer<typeof parameterSchema>): OcfParameter {
  const short = oneLine(parameter.shortdesc);
  const long = oneLine(parameter.longdesc);
  return {
    name: parameter['@name'],
    isRequired: parameter['@required'] === '1' || parameter['@required'] === 'true',
    isDeprecated: parameter['@deprecated'] === '1' || parameter.deprecated !== undefined,
    type: typeOf(parameter.content['@type']),
    default: parameter.content['@default'],
    description: long.length > short.length ? long : short,
  };
}

function typeOf(written: string): OcfParameter['type'] {
  if (written === 'integer') return 'integer';
  if (written === 'boolean') return 'boolean';
  return ['second', 'seconds', 'time', 'duration'].includes(written) ? 'time' : 'string';
}

/** `120s`, `2min`, `20` (seconds). */
function timeOf(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(written)) return Number(written) * 1000;
  try {
    return parseDurationMs(written.replace(/sec(?:onds?)?\s*$/, 's'));
  } catch {
    return undefined;
  }
}

function oneLine(written: string): string {
  return written.replaceAll(/\s+/g, ' ').trim();
}
