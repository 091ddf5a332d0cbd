// Runs the commands that start, stop and probe the application of a group. A command gets a process
// group of its own and a deadline, and can be given up at any moment; what a start or stop prints
// goes to the group's log, what a probe prints is its reason.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { AgentDefinition } from './group-definition.ts';

/** A killed command is waited for: not for ever, because one that hangs in the kernel stays. */
const KILLED_PATIENCE_MS = 1000;
/** What a probe printed last. */
const PROBE_OUTPUT_BYTES = 1000;

export interface AgentContext {
  readonly group: string;
  readonly role: 'primary' | 'standby';
  readonly logFile: string;
  /** Gives up: kills the command under way with all its children, and starts no other. */
  readonly signal?: AbortSignal;
}

/** What a probe needs to know of an agent. */
export interface ProbedAgent {
  readonly name: string;
  readonly probe: string | null;
  readonly probeTimeoutMs: number;
}

export interface ProbeResult {
  readonly agent: string;
  /** `hung`: no answer within its time; the probe was killed. */
  readonly state: 'ok' | 'failed' | 'hung';
  /** A sentence for the operator; empty when all is well. */
  readonly why: string;
}

/** Starts the agents in order; throws AGENT_FAILED or AGENT_ABORTED at the first that fails. */
export async function startAgents(
  agents: readonly AgentDefinition[],
  context: AgentContext,
): Promise<void> {
  for (const agent of agents) await runCommand(agent, 'start', context);
}

/** Stops the agents in reverse order; throws AGENT_FAILED or AGENT_ABORTED at the first that fails. */
export async function stopAgents(
  agents: readonly AgentDefinition[],
  context: AgentContext,
): Promise<void> {
  for (const agent of agents.toReversed()) await runCommand(agent, 'stop', context);
}

/**
 * Probes all agents that have a probe, side by side, each within its own time; the results come in
 * the order of the agents. A probe that fails is a result; the only error is AGENT_ABORTED.
 */
export async function probeAgents(
  agents: readonly ProbedAgent[],
  context: AgentContext,
): Promise<ProbeResult[]> {
  const probes = agents.flatMap(({ name, probe, probeTimeoutMs }) =>
    probe === null ? [] : [probeAgent(name, { command: probe, probeTimeoutMs }, context)],
  );
  return Promise.all(probes);
}

async function runCommand(
  agent: AgentDefinition,
  action: 'start' | 'stop',
  context: AgentContext,
): Promise<void> {
  const command = agent[action];
  if (command === null) return;
  if (context.signal?.aborted === true) throw aborted(agent.name, action, context);
  const log = openLog(context.logFile);
  let end: CommandEnd;
  try {
    const child = spawnShell(command, action, { context, output: log ?? 'ignore' });
    end = await endOf(child, agent.timeoutMs, context.signal);
  } finally {
    if (log !== undefined) closeSync(log);
  }
  if (end.kind === 'exited' && end.code === 0) return;
  if (end.kind === 'aborted') throw aborted(agent.name, action, context);
  throw new UnderstudyError(
    'AGENT_FAILED',
    `agent "${agent.name}" of group "${context.group}" did not ${action}: ${describeEnd(end, agent.timeoutMs)}. See ${context.logFile}`,
    { details: { group: context.group, agent: agent.name, action } },
  );
}

/** Undefined on a disk that has failed: the application must be stopped all the same. */
function openLog(path: string): number | undefined {
  try {
    return openSync(path, 'a', 0o600);
  } catch {
    return undefined;
  }
}

async function probeAgent(
  agent: string,
  { command, probeTimeoutMs }: { command: string; probeTimeoutMs: number },
  context: AgentContext,
): Promise<ProbeResult> {
  const child = spawnShell(command, 'probe', { context, output: 'pipe' });
  const output = tailOf(child);
  const end = await endOf(child, probeTimeoutMs, context.signal);
  if (end.kind === 'aborted') throw aborted(agent, 'probe', context);
  if (end.kind === 'exited' && end.code === 0) {
    output.stop();
    return { agent, state: 'ok', why: '' };
  }
  const said = await output.end();
  const reason = `the probe of "${agent}" failed: ${describeEnd(end, probeTimeoutMs)}`;
  return {
    agent,
    state: end.kind === 'late' ? 'hung' : 'failed',
    why: said === '' ? reason : `${reason} (${said})`,
  };
}

function aborted(agent: string, action: string, { group }: AgentContext): UnderstudyError {
  return new UnderstudyError(
    'AGENT_ABORTED',
    `the ${action} of agent "${agent}" of group "${group}" was given up and its command killed`,
    { details: { group, agent, action } },
  );
}

type CommandEnd =
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null }
  | { readonly kind: 'late' | 'aborted' }
  | { readonly kind: 'not-started'; readonly why: string };

function describeEnd(end: CommandEnd, timeoutMs: number): string {
  switch (end.kind) {
    case 'exited':
      return `it ended with ${end.signal ?? `exit code ${end.code ?? '?'}`}`;
    case 'late':
      return `it was not done within ${timeoutMs} ms`;
    case 'aborted':
      return 'it was given up';
    case 'not-started':
      return end.why;
  }
}

/** This process's own environment without what tunes this process. */
function applicationEnvironment(): NodeJS.ProcessEnv {
  const own = new Set(['MALLOC_ARENA_MAX', 'NODE_COMPILE_CACHE']);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.has(name)));
}

function spawnShell(
  command: string,
  action: string,
  { context, output }: { context: AgentContext; output: number | 'pipe' | 'ignore' },
): ChildProcess {
  return spawn('/bin/sh', ['-c', command], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', output, output],
    env: {
      ...applicationEnvironment(),
      UNDERSTUDY_GROUP: context.group,
      UNDERSTUDY_ROLE: context.role,
      UNDERSTUDY_ACTION: action,
    },
  });
}

/** Waits for the end of the command; kills its process group when it is late or given up. */
async function endOf(
  child: ChildProcess,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<CommandEnd> {
  let deadline: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const exited = new Promise<CommandEnd>((resolve) => {
    child.once('error', (error) => resolve({ kind: 'not-started', why: messageOf(error) }));
    child.once('exit', (code, why) => resolve({ kind: 'exited', code, signal: why }));
  });
  const stopped = new Promise<CommandEnd>((resolve) => {
    deadline = setTimeout(() => resolve({ kind: 'late' }), timeoutMs);
    onAbort = () => resolve({ kind: 'aborted' });
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
  const end = await Promise.race([exited, stopped]);
  clearTimeout(deadline);
  if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  if (end.kind === 'late' || end.kind === 'aborted') {
    if (child.pid !== undefined) killProcessGroup(child.pid);
    await Promise.race([exited, patience(KILLED_PATIENCE_MS)]);
  }
  return end;
}

/** Collects the end of what a command prints, so that one that prints for ever costs nothing. */
function tailOf(child: ChildProcess): { readonly stop: () => void; end(): Promise<string> } {
  let tail = Buffer.alloc(0);
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const streams = [child.stdout, child.stderr];
  for (const stream of streams) {
    stream?.on('data', (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk]).subarray(-PROBE_OUTPUT_BYTES);
    });
  }
  const stop = (): void => {
    for (const stream of streams) stream?.destroy();
  };
  return {
    stop,
    end: async () => {
      // A grandchild may keep the pipe open long after the command has ended.
      await Promise.race([closed, patience(100)]);
      stop();
      return tail.toString('utf8').trim().split('\n').join(' | ');
    },
  };
}

async function patience(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function killProcessGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in this moment.
  }
}
