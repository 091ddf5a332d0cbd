// `use: command`: an application that commands start, stop and probe, or that is one program which is
// kept running.
import { z } from 'zod';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { programProcesses, programState, startProgram, stopProgram } from '../sdk/program.ts';
import { describeEnd, lastLine, run } from '../sdk/run.ts';

const COMMAND_LENGTH_MAX = 4096;
const text = z.string().min(1).max(COMMAND_LENGTH_MAX);

const parameters = z
  .strictObject({
    run: text.optional().describe('the program itself, in the foreground: it is kept running'),
    start: text.optional().describe('starts the application; done when it has ended with 0'),
    stop: text.optional().describe('stops the application; done when it has ended with 0'),
    probe: text.optional().describe('exit code 0: the application works'),
    user: z.string().min(1).max(64).optional().describe('user that `run` belongs to'),
    directory: z.string().startsWith('/').optional().describe('working directory of `run`'),
  })
  .refine(
    ({ run: program, start }) => program === undefined || start === undefined,
    'takes "run" or "start", not both',
  )
  .refine(
    ({ run: program, user, directory }) =>
      program !== undefined || (user === undefined && directory === undefined),
    '"user" and "directory" belong to "run"',
  );
type Parameters = z.infer<typeof parameters>;

export const command = defineAgent<Parameters>({
  name: 'command',
  title: 'Commands',
  description:
    'Runs commands that start, stop and probe an application, or keeps a program running',
  parameters,
  defaults: {
    startTimeoutMs: 60_000,
    stopTimeoutMs: 60_000,
    probeIntervalMs: 2000,
    probeTimeoutMs: 5000,
  },

  isProbed: ({ run: program, probe }) => program !== undefined || probe !== undefined,

  async probe(given, context) {
    if (given.run !== undefined) {
      const { state, sentence } = programState(context);
      if (state !== 'ok' || given.probe === undefined) return { state, sentence };
    }
    if (given.probe === undefined) return { state: 'ok', sentence: 'nothing was asked' };
    return probed(given.probe, context);
  },

  async start(given, context) {
    if (given.run !== undefined) {
      const { run: program, user, directory } = given;
      await startProgram(
        {
          run: program,
          env: environment(context, 'start'),
          ...(user === undefined ? {} : { user }),
          ...(directory === undefined ? {} : { cwd: directory }),
        },
        context,
      );
    }
    if (given.start !== undefined) await perform(given.start, 'start', context);
  },

  async stop(given, context) {
    if (given.stop !== undefined) await perform(given.stop, 'stop', context);
    if (given.run !== undefined) await stopProgram(context);
  },

  async processes(given, context) {
    return given.run === undefined ? [] : programProcesses(context);
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
  const result = await run(line, { context, env, outputFile: context.logFile });
  if (result.code === 0) return;
  throw new Error(`its command ended with ${describeEnd(result)}`);
}

async function probed(line: string, context: AgentContext): Promise<ProbeResult> {
  const result = await run(line, { context, env: environment(context, 'probe') });
  const said = lastLine(result.stderr) || lastLine(result.stdout);
  const sentence = `its probe ended with ${describeEnd(result)}${said === '' ? '' : ` (${said})`}`;
  return { state: result.code === 0 ? 'ok' : 'failed', sentence };
}
