// The agent "AGENT_NAME". How agents are written: docs/write-an-agent.md of Understudy.
//
// It keeps one program running and asks it over TCP. Change what is different with yours, then
//   understudy agent test AGENT_NAME --params FILE
import {
  connectTo,
  defineAgent,
  programProcesses,
  programState,
  startProgram,
  stopProgram,
  waitForPort,
  z,
} from 'understudy/agent';

const parameters = z.strictObject({
  program: z.string().min(1).describe('the program with its arguments; it stays in the foreground'),
  port: z.int().min(1).max(65_535).describe('TCP port that it listens on'),
  user: z.string().optional().describe('user that it runs as; default: root'),
});

export default defineAgent<z.infer<typeof parameters>>({
  name: 'AGENT_NAME',
  title: 'AGENT_NAME',
  description: 'Keeps a program running and connects to its port',
  parameters,
  // Used where a group says nothing else.
  defaults: {
    startTimeoutMs: 30_000,
    stopTimeoutMs: 30_000,
    probeIntervalMs: 5000,
    probeTimeoutMs: 5000,
  },

  // What would keep it from working on this node, one sentence each. Changes nothing.
  async validate({ port }) {
    return port < 1024 ? [`port ${port} is one of the well-known ones: take one above 1023`] : [];
  },

  // How the application is. Ask it as its clients do: a program that runs may still not work.
  async probe({ port }, context) {
    const { state, sentence } = programState(context);
    if (state !== 'ok') return { state, sentence };
    const connectMs = await connectTo({ port }, { context });
    return { state: 'ok', sentence: `port ${port} accepts connections`, measures: { connectMs } };
  },

  // Resolves when the application serves. What runs already is left alone.
  async start({ program, port, user }, context) {
    await startProgram({ run: program, ...(user === undefined ? {} : { user }) }, context);
    await waitForPort(port, { context });
  },

  // Resolves when no process of the application is left. What is stopped already is fine.
  async stop(_parameters, context) {
    await stopProgram(context, { signal: 'SIGTERM', patienceMs: 10_000 });
  },

  async processes(_parameters, context) {
    return programProcesses(context);
  },
});
