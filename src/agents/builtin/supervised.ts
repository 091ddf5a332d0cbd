// A program in the foreground, kept as a process of the group: its output in the agent's log, its own
// signal to end, and never two of it, whatever of Understudy was killed meanwhile.
//
// The pid file of sdk/program.ts is written after the start; a service that is killed in between would
// not know of the program. So the program itself holds a lock: who has the lock open is of it.
import { accessSync, constants as fsConstants, readdirSync, readlinkSync } from 'node:fs';
import { constants, uptime } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { livingProcesses, processEntry, type ProcessEntry } from '../sdk/process-table.ts';
import { programProcesses, programState, startProgram, stopProgram } from '../sdk/program.ts';
import { connectTo, isRefused, reasonOf } from './support/connection.ts';
import { untilServing } from './support/daemon.ts';
import { absolutePath, port, stopPatience } from './support/parameters.ts';
import { killProcesses } from './support/processes.ts';
import { asUser } from './support/run-program.ts';
import { systemUser } from './support/users.ts';

const LOOK_TIMEOUT_MS = 1000;
const BUSY = 75;
/** Of /proc/PID/stat on every architecture there is (sysconf _SC_CLK_TCK). */
const TICKS_PER_SECOND = 100;

const parameters = z.strictObject({
  run: z
    .union([z.string().min(1).max(4096), z.array(z.string().max(4096)).min(1).max(256)])
    .describe(
      'The program with its arguments, as a list or as a text for the shell; it must stay in the foreground',
    ),
  user: z.string().max(64).default('root').describe('User of the system that it runs as'),
  directory: absolutePath.default('/').describe('Working directory'),
  environment: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(4096))
    .default({})
    .describe('Further variables of its environment'),
  port: port
    .optional()
    .describe('TCP port at which it serves: the start waits for it, and each probe connects'),
  host: z.string().max(255).default('127.0.0.1').describe('Address of that port'),
  stopSignal: z
    .enum(Object.keys(constants.signals) as [NodeJS.Signals, ...NodeJS.Signals[]])
    .default('SIGTERM')
    .describe('Signal that asks it to end'),
  stopPatienceSeconds: stopPatience,
});

export type SupervisedParameters = z.infer<typeof parameters>;

export const supervised: Agent<SupervisedParameters> = defineAgent({
  name: 'supervised',
  title: 'Supervised program',
  description:
    'Keeps a program of the foreground running, with its output in the log; if wanted waits for and connects to its port',
  parameters,
  defaults: { startTimeoutMs: 60_000, stopTimeoutMs: 60_000, probeTimeoutMs: 3000 },
  validate: async ({ user, run }) => {
    const findings: string[] = [];
    try {
      await systemUser(user);
    } catch (failure) {
      findings.push(reasonOf(failure));
    }
    const program = typeof run === 'string' ? undefined : run[0];
    if (program?.startsWith('/') === true && !isExecutable(program)) {
      findings.push(`there is no program ${program} on this node: install it here too`);
    }
    return findings;
  },
  probe,
  start,
  stop,
  processes: async (_, context) =>
    await Promise.resolve([
      ...new Set([...programProcesses(context), ...holders(context).map(({ pid }) => pid)]),
    ]),
});

function isExecutable(path: string): boolean {
  try {
    accessSync(path, fsConstants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const lockFile = ({ runtimeDirectory }: AgentContext): string =>
  join(runtimeDirectory, 'supervised.lock');

/** Processes that have the lock open: the program and what it started without closing files. */
function holders(context: AgentContext): ProcessEntry[] {
  const lock = lockFile(context);
  return livingProcesses().filter(({ pid }) => {
    try {
      const descriptors = `/proc/${pid}/fd`;
      return readdirSync(descriptors).some((fd) => readlinkSync(join(descriptors, fd)) === lock);
    } catch {
      // It ended, or closed a file, while we looked.
      return false;
    }
  });
}

async function start(given: SupervisedParameters, context: AgentContext): Promise<void> {
  const isKnown = programState(context).state !== 'stopped';
  if (!isKnown && holders(context).length > 0) {
    context.log('a program of an earlier start is killed: its pid file was never written');
    await killProcesses(() => holders(context), 'an earlier start of the program');
  }
  const user = await systemUser(given.user);
  const argv = typeof given.run === 'string' ? ['/bin/sh', '-c', given.run] : given.run;
  // Descriptor 9 stays open in the program: that is the lock.
  const script = `exec 9>>"$0"; flock -n 9 || exit ${BUSY}; echo 0 2>/dev/null >/proc/self/oom_score_adj; cd "$1" || exit 1; shift; exec "$@"`;
  await startProgram(
    {
      run: ['/bin/sh', '-c', script, lockFile(context), given.directory, ...asUser(user), ...argv],
      env: { HOME: user.home, USER: user.name, ...given.environment },
    },
    context,
  );
  await untilServing(async () => (await portState(given, context)).state === 'ok', {
    what: 'the program',
    context,
    ended: () => (programState(context).state === 'stopped' ? 'it is gone' : undefined),
  });
}

async function probe(given: SupervisedParameters, context: AgentContext): Promise<ProbeResult> {
  const { state, sentence, pid } = programState(context);
  if (state !== 'ok' || pid === null) return { state, sentence };
  const measures = { processes: programProcesses(context).length, ageSeconds: ageSeconds(pid) };
  const answer = await portState(given, context);
  return {
    state: answer.state,
    sentence: `${sentence}${answer.sentence}`,
    measures: { ...measures, ...answer.measures },
  };
}

async function portState(
  { port: number, host }: SupervisedParameters,
  context: AgentContext,
): Promise<ProbeResult> {
  if (number === undefined) return { state: 'ok', sentence: '' };
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]);
  try {
    const { socket, connectMs } = await connectTo({ host, port: number }, signal);
    socket.destroy();
    const sentence = ` and accepts connections at port ${number}`;
    return { state: 'ok', sentence, measures: { connectMs } };
  } catch (failure) {
    const why = isRefused(failure) ? 'nobody listens' : reasonOf(failure);
    return { state: 'failed', sentence: `, but at its port ${number} ${why}` };
  }
}

function ageSeconds(pid: number): number {
  const entry = processEntry(pid);
  if (entry === undefined) return 0;
  return Math.max(0, Math.round(uptime() - entry.startTime / TICKS_PER_SECOND));
}

async function stop(given: SupervisedParameters, context: AgentContext): Promise<void> {
  const patienceMs = given.stopPatienceSeconds * 1000;
  await stopProgram(context, { signal: given.stopSignal, patienceMs });
  // What left the session of the program, but holds its lock.
  await killProcesses(() => holders(context), 'what the program left');
}
