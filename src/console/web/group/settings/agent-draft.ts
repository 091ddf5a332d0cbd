// How an agent of a group is led, as text in a form, and what of it goes to the API. Pure.
import type { AgentDescription } from '../../../../agents/host/host-protocol.ts';
import type { AgentDefinition } from '../../../../service/agent-definition.ts';
import {
  fieldsOf,
  type ParameterField,
  parametersOf,
  type ParameterValues,
  valuesOf,
} from '../../wizard/schema-fields.ts';
import { durationText, numberOr } from './written.ts';

/** As the API names them, below `agents[0]`. */
export const AGENT_TIMES = [
  'startTimeout',
  'stopTimeout',
  'probeInterval',
  'probeTimeout',
  'restarts.limit',
  'restarts.within',
] as const;
export type AgentTime = (typeof AGENT_TIMES)[number];

export interface AgentSettings {
  /** `probeInterval` is empty where nothing is probed. */
  readonly times: Readonly<Record<AgentTime, string>>;
  readonly values: ParameterValues;
}

export function parameterFields(
  { use }: Pick<AgentDefinition, 'use'>,
  catalog: readonly AgentDescription[],
): readonly ParameterField[] {
  return fieldsOf(catalog.find(({ name }) => name === use)?.parameters ?? {});
}

export function agentSettings(
  agent: AgentDefinition,
  catalog: readonly AgentDescription[],
): AgentSettings {
  const { startTimeoutMs, stopTimeoutMs, probeIntervalMs, probeTimeoutMs, restarts } = agent;
  return {
    times: {
      startTimeout: durationText(startTimeoutMs),
      stopTimeout: durationText(stopTimeoutMs),
      probeInterval: probeIntervalMs === null ? '' : durationText(probeIntervalMs),
      probeTimeout: durationText(probeTimeoutMs),
      'restarts.limit': String(restarts.limit),
      'restarts.within': durationText(restarts.withinMs),
    },
    values: valuesOf(parameterFields(agent, catalog), agent.parameters),
  };
}

export function isSameAgent(one: AgentSettings, other: AgentSettings): boolean {
  const isTimesSame = AGENT_TIMES.every((name) => one.times[name] === other.times[name]);
  return isTimesSame && changedParameters(one.values, other.values).length === 0;
}

function changedParameters(before: ParameterValues, now: ParameterValues): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...names].filter((name) => (before[name] ?? '') !== (now[name] ?? ''));
}

/** The whole agent as the API takes it. A parameter that nobody touched stays as it was written, in whatever form. */
export function agentInput(
  agent: AgentDefinition,
  { times, values }: AgentSettings,
  catalog: readonly AgentDescription[],
): Record<string, unknown> {
  const { use, name, after, probeIntervalMs, parameters } = agent;
  const fields = parameterFields(agent, catalog);
  const changed = changedParameters(agentSettings(agent, catalog).values, values);
  const kept = Object.entries(parameters).filter(([key]) => !changed.includes(key));
  const touched = fields.filter((field) => changed.includes(field.name));
  return {
    use,
    name,
    after,
    startTimeout: times.startTimeout.trim(),
    stopTimeout: times.stopTimeout.trim(),
    ...(probeIntervalMs === null ? {} : { probeInterval: times.probeInterval.trim() }),
    probeTimeout: times.probeTimeout.trim(),
    restarts: {
      limit: numberOr(times['restarts.limit']),
      within: times['restarts.within'].trim(),
    },
    ...Object.fromEntries(kept),
    ...parametersOf(touched, values),
  };
}
