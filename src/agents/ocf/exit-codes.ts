// Exit codes of OCF resource agents (resource agent API 1.1) as states and sentences.
import type { ProbeState } from '../agent.ts';

interface ExitCode {
  readonly state: ProbeState;
  readonly meaning: string;
}

const CODES: ReadonlyMap<number, ExitCode> = new Map([
  [0, { state: 'ok', meaning: 'it runs' }],
  [1, { state: 'failed', meaning: 'it failed' }],
  [2, { state: 'failed', meaning: 'a parameter is wrong for this node' }],
  [3, { state: 'failed', meaning: 'the agent does not know this action' }],
  [4, { state: 'failed', meaning: 'the agent lacks a right' }],
  [5, { state: 'failed', meaning: 'something that it needs is not installed on this node' }],
  [6, { state: 'failed', meaning: 'its parameters are wrong' }],
  [7, { state: 'stopped', meaning: 'it does not run' }],
  [8, { state: 'ok', meaning: 'it runs as master' }],
  [9, { state: 'failed', meaning: 'it failed as master' }],
  [190, { state: 'degraded', meaning: 'it runs and is likely to fail soon' }],
  [191, { state: 'degraded', meaning: 'it runs as master and is likely to fail soon' }],
]);

export const OCF_UNIMPLEMENTED = 3;

/** What an exit code means; null: a signal ended the agent. */
export function meaningOf(code: number | null): ExitCode {
  if (code === null) return { state: 'failed', meaning: 'the agent was killed' };
  return (
    CODES.get(code) ?? {
      state: 'failed',
      meaning: `the agent gave exit code ${code}, which is none of OCF`,
    }
  );
}
