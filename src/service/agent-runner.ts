// Runs the commands that start and stop the application of a group. A command gets a process group
// of its own and a deadline; what it prints goes to the group's log.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { AgentDefinition } from './group-definition.ts';

export interface AgentContext {
  readonly group: string;
  readonly role: 'primary' | 'standby';
  readonly logFile: string;
}

/** Starts the agents in order; throws AGENT_FAILED at the first that fails. */
export async function startAgents(
  agents: readonly AgentDefinition[],
  context: AgentContext,
): Promise<void> {
  for (const agent of agents) await runCommand(agent, 'start', context);
}

/** Stops the agents in reverse order; throws AGENT_FAILED at the first that fails. */
export async function stopAgents(
  agents: readonly AgentDefinition[],
  context: AgentContext,
): Promise<void> {
  for (const agent of agents.toReversed()) await runCommand(agent, 'stop', context);
}

async function runCommand(
  agent: AgentDefinition,
  action: 'start' | 'stop',
  context: AgentContext,
): Promise<void> {
  const command = agent[action];
  if (command === null) return;
  const fault = await runShell(command, { ...context, timeoutMs: agent.timeoutMs, action });
  if (fault === undefined) return;
  throw new UnderstudyError(
    'AGENT_FAILED',
    `agent "${agent.name}" of group "${context.group}" did not ${action}: ${fault}. See ${context.logFile}`,
    { details: { group: context.group, agent: agent.name, action } },
  );
}

/** Returns what went wrong, or undefined. */
async function runShell(
  command: string,
  options: AgentContext & { timeoutMs: number; action: string },
): Promise<string | undefined> {
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    return await new Promise((resolve) => {
      const child = spawn('/bin/sh', ['-c', command], {
        cwd: '/',
        detached: true,
        stdio: ['ignore', log, log],
        env: {
          ...process.env,
          UNDERSTUDY_GROUP: options.group,
          UNDERSTUDY_ROLE: options.role,
          UNDERSTUDY_ACTION: options.action,
        },
      });
      const deadline = setTimeout(() => {
        if (child.pid !== undefined) killProcessGroup(child.pid);
        resolve(`it was not done within ${options.timeoutMs} ms`);
      }, options.timeoutMs);
      child.once('error', (error) => {
        clearTimeout(deadline);
        resolve(messageOf(error));
      });
      child.once('exit', (code, signal) => {
        clearTimeout(deadline);
        resolve(code === 0 ? undefined : `it ended with ${signal ?? `exit code ${code ?? '?'}`}`);
      });
    });
  } finally {
    closeSync(log);
  }
}

function killProcessGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in this moment.
  }
}
