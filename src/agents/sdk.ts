// What `understudy/agent` gives to somebody's own agent; built-in agents use the same.
export {
  type Agent,
  type AgentContext,
  type AgentTimes,
  defineAgent,
  type ProbeResult,
  type ProbeState,
} from './agent.ts';
export { describeEnd, lastLine, run, type RunOptions, type RunResult } from './sdk/run.ts';
export { connectTo, waitForPort, waitUntil, type WaitOptions } from './sdk/wait.ts';
export {
  type Program,
  programProcesses,
  programState,
  startProgram,
  stopProgram,
} from './sdk/program.ts';
export { z } from 'zod';
