// A program in any language as an agent: an executable in the directory of agents, called with one word for
// what it shall do, and understood by its exit code, as OCF resource agents are.
//
//   start · stop · monitor · validate-all · meta-data
//   parameters: in the environment, `OCF_RESKEY_name`
import { join } from 'node:path';
import { z } from 'zod';
import type { Agent, AgentContext, ProbeResult } from '../agent.ts';
import { describeEnd, lastLine, run, type RunResult } from '../sdk/run.ts';

/** Exit codes of the OCF resource agent API 1.1. */
const MEANINGS: Readonly<Record<number, string>> = {
  1: 'it failed',
  2: 'its arguments are wrong',
  3: 'it does not know this action',
  4: 'it lacks a permission',
  5: 'something is not installed',
  6: 'it is not configured',
  9: 'it runs in a failed state',
};
const NOT_RUNNING = 7;
const RUNNING_PROMOTED = 8;
const DEGRADED = 190;
const DEGRADED_PROMOTED = 191;

const parameters = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'letters, digits and underscores'),
  z.union([z.string().max(4096), z.number(), z.boolean()]),
);
type Parameters = z.infer<typeof parameters>;

/** The program at `path` as an agent. */
export function programAgent(name: string, path: string): Agent<Parameters> {
  const act = async (
    action: string,
    given: Parameters,
    context: AgentContext,
  ): Promise<RunResult> =>
    run([path, action], {
      context,
      env: environmentOf(given, context, action),
      ...(action === 'start' || action === 'stop'
        ? { outputFile: context.logFile, noteFile: join(context.runtimeDirectory, 'command.json') }
        : {}),
    });
  const mustDo = async (
    action: string,
    given: Parameters,
    context: AgentContext,
  ): Promise<void> => {
    const result = await act(action, given, context);
    if (result.code === 0) return;
    throw new Error(`${path} ${action}: ${meaningOf(result)}`);
  };
  return {
    name,
    title: name,
    description: `The program ${path}`,
    parameters,
    async validate(given, context) {
      const result = await act('validate-all', given, context);
      return result.code === 0 ? [] : [`${path} validate-all: ${meaningOf(result)}`];
    },
    probe: async (given, context) => probeResult(await act('monitor', given, context)),
    start: async (given, context) => mustDo('start', given, context),
    stop: async (given, context) => mustDo('stop', given, context),
  };
}

function environmentOf(
  given: Parameters,
  { group, role, agent, runtimeDirectory }: AgentContext,
  action: string,
): Record<string, string> {
  const own = Object.entries(given).map(([key, value]) => [`OCF_RESKEY_${key}`, String(value)]);
  return {
    ...(Object.fromEntries(own) as Record<string, string>),
    OCF_RA_VERSION_MAJOR: '1',
    OCF_RA_VERSION_MINOR: '1',
    OCF_RESOURCE_INSTANCE: `${group}-${agent}`,
    HA_RSCTMP: runtimeDirectory,
    UNDERSTUDY_GROUP: group,
    UNDERSTUDY_ROLE: role,
    UNDERSTUDY_AGENT: agent,
    UNDERSTUDY_ACTION: action,
  };
}

function probeResult(result: RunResult): ProbeResult {
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  switch (result.code) {
    case 0:
    case RUNNING_PROMOTED:
      return { state: 'ok', sentence: said || 'monitor says that it runs' };
    case DEGRADED:
    case DEGRADED_PROMOTED:
      return { state: 'degraded', sentence: said || 'monitor says that it runs, but not well' };
    case NOT_RUNNING:
      return { state: 'stopped', sentence: said || 'monitor says that it does not run' };
    default:
      return { state: 'failed', sentence: `monitor: ${meaningOf(result)}` };
  }
}

function meaningOf(result: RunResult): string {
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  const meaning = result.code === null ? undefined : MEANINGS[result.code];
  const what = meaning === undefined ? describeEnd(result) : `${meaning} (${describeEnd(result)})`;
  return said === '' ? what : `${what}: ${said}`;
}
