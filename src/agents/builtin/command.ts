// `use: command`: an application that commands start, stop and probe.
import { join } from 'node:path';
import { z } from 'zod';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { describeEnd, lastLine, run } from '../sdk/run.ts';

const COMMAND_LENGTH_MAX = 4096;
const text = z.string().min(1).max(COMMAND_LENGTH_MAX);

const parameters = z.strictObject({
  start: text.optional().describe('starts the application; done when it has ended with 0'),
  stop: text.optional().describe('stops the application; done when it has ended with 0'),
  probe: text.optional().describe('exit code 0: the application works'),
});
type Parameters = z.infer<typeof parameters>;

export const command = defineAgent<Parameters>({
  name: 'command',
  title: 'Commands',
  description: 'Runs commands that start, stop and probe an application',
  parameters,
  defaults: {
    startTimeoutMs: 60_000,
    stopTimeoutMs: 60_000,
    probeIntervalMs: 2000,
    probeTimeoutMs: 5000,
  },

  isProbed: ({ probe }) => probe !== undefined,
  starts: ({ start, stop }) => start !== undefined || stop !== undefined,

  async probe({ probe }, context) {
    if (probe === undefined) return { state: 'ok', sentence: 'nothing was asked' };
    return probed(probe, context);
  },

  async start({ start }, context) {
    if (start !== undefined) await perform(start, 'start', context);
  },

  async stop({ stop }, context) {
    if (stop !== undefined) await perform(stop, 'stop', context);
  },
});

function environment({ group, role, agent }: AgentContext, action: string): Record<string, string> {
  return {
    UNDERSTUDY_GROUP: group,
    UNDERSTUDY_ROLE: role,
    UNDERSTUDY_AGENT: agent,
    UNDERSTUDY_ACTION: action,
  };
}

async function perform(line: string, action: string, context: AgentContext): Promise<void> {
  const env = environment(context, action);
  const { logFile: outputFile, runtimeDirectory } = context;
  const noteFile = join(runtimeDirectory, 'command.json');
  const result = await run(line, { context, env, outputFile, noteFile });
  if (result.code === 0) return;
  throw new Error(`its command ended with ${describeEnd(result)}`);
}

async function probed(line: string, context: AgentContext): Promise<ProbeResult> {
  const result = await run(line, { context, env: environment(context, 'probe') });
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  const sentence = `its probe ended with ${describeEnd(result)}${said === '' ? '' : ` (${said})`}`;
  return { state: result.code === 0 ? 'ok' : 'failed', sentence };
}
