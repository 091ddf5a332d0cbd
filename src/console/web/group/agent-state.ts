// How an agent is, in one word and a level. Pure.
import type { AgentView } from '../../../service/node-protocol.ts';
import type { Level } from '../../fleet/problems.ts';

type Known = Pick<AgentView, 'phase' | 'seen' | 'fault'>;

/** The state its probe saw while it should run, otherwise its phase. */
export function agentState({ phase, seen }: Known): string {
  return phase === 'running' && seen !== null ? seen.state : phase;
}

export function agentLevel(agent: Known): Level {
  if (agent.fault !== null) return 'error';
  return probeLevel(agentState(agent));
}

export function probeLevel(state: string): Level {
  switch (state) {
    case 'ok':
    case 'running':
      return 'ok';
    case 'failed':
    case 'hung':
      return 'error';
    case 'starting':
    case 'stopping':
    case 'stopped':
      return 'info';
    default:
      return 'warning';
  }
}
